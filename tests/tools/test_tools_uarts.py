"""Where the output of UARTs goes: stdout by whole lines, and files."""

from hypothesis import given
from hypothesis import strategies as st

from cca_platform.board import Board, names
from cca_tools.cli.uarts import Screen, uart_names
from realmlab import NsMachine
from realmlab.payloads import find_payload

PIECES = st.lists(
    st.tuples(st.sampled_from(["uart0", "uart1", "uart2"]), st.sampled_from([b"a", b"b\n", b"\n", b"c\nd"]))
)


class TestNames:
    def test_boards(self) -> None:
        """The UARTs of a board are known before the machine is made, in its order."""
        for name in names():
            with NsMachine(find_payload("spin"), board=name) as machine:
                assert uart_names(Board.load(name)) == list(machine.uarts)


class TestScreen:
    @given(pieces=PIECES)
    def test_whole_lines(self, pieces: list[tuple[str, bytes]]) -> None:
        """No byte is lost, those of a UART stay in order, and no line has bytes of two UARTs."""
        shown: list[bytes] = []
        screen = Screen(shown.append)
        for uart, data in pieces:
            screen.write(uart, data.replace(b"a", uart[-1:].encode()).replace(b"c", uart[-1:].encode()))
        screen.close()
        lines = b"".join(shown)
        assert len(lines.replace(b"\n", b"")) == sum(len(data.replace(b"\n", b"")) for _, data in pieces)
        for line in lines.split(b"\n"):
            assert len(set(line) & set(b"012")) <= 1
        for number in b"012":
            sent = [data for uart, data in pieces if uart == f"uart{number - 48}"]
            assert lines.count(number) == sum(data.count(b"a") + data.count(b"c") for data in sent)

    def test_one_is_not_held_up(self) -> None:
        """A UART that is alone is shown byte by byte."""
        shown: list[bytes] = []
        screen = Screen(shown.append)
        for byte in (b">", b" ", b"x"):
            screen.write("uart0", byte)
            assert shown[-1] == byte
