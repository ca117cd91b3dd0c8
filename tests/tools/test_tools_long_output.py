"""Software that prints without end: whoever listens gets all of it, what is kept is bounded, and each byte costs the
same."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
from ns_code import FOREVER, OFF, UART0, assemble, constant

from cca_platform import sent
from cca_tools.cli import main
from cca_tools.cli.uarts import Screen
from realmlab import Machine, NotSeen, NsImage, NsMachine, console, pytest_plugin
from realmlab.console import Expected

RAM = 0x8000_0000
SMALL: Final = 1000
PATTERN = bytes(97 + n % 26 for n in range(2600))
_OFF = "movz x0, #8; movk x0, #0x8400, lsl #16; smc #0;"
_PRINT = "mov w1, #97; mov x3, #{count}; more: strb w1, [x2]; add w1, w1, #1; cmp w1, #123; mov w4, #97;" \
    "csel w1, w4, w1, eq; subs x3, x3, #1; b.ne more;"  # fmt: skip


def board(count: int) -> bytes:
    """Code for Non-secure EL2 that sends this much of the alphabet."""
    return assemble(f"{constant('x2', UART0)} {_PRINT.format(count=count)} {OFF}")


@pytest.fixture
def realm(tmp_path: Path) -> Path:
    """A payload that sends the alphabet a hundred times."""
    path = tmp_path / "payload.bin"
    path.write_bytes(
        assemble(f"movz x2, #0x0100, lsl #16; movk x2, #1, lsl #32; {_PRINT.format(count=2600)} {_OFF}", RAM)
    )
    return path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a thousand bytes of each console."""
    monkeypatch.setattr(sent, "KEPT", SMALL)
    monkeypatch.setattr(sent, "_SLACK", 37)


class TestBoard:
    def test_runs(self, small: None) -> None:
        """The result has the end of what was sent in its run, and how much is missing; listeners get all."""
        heard: list[bytes] = []
        with NsMachine(NsImage(board(2600)), on_output=lambda uart, data: heard.append(data)) as machine:
            first = machine.run(max_insns=7 * 1500)
            second = machine.run(max_insns=7 * 300)
            third = machine.run()
        assert b"".join(heard) == PATTERN
        at = 0
        for result in (first, second, third):
            size = len(result.console) + result.dropped.get("uart0", 0)
            assert result.console == PATTERN[at : at + size][-SMALL:]
            assert result.dropped == ({"uart0": size - SMALL} if size > SMALL else {})
            at += size
        assert at == len(PATTERN) and first.dropped and not second.dropped

    def test_command(self, small: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Stdout and files have all of it; --json says what it lacks."""
        code, log = tmp_path / "code.bin", tmp_path / "log.txt"
        code.write_bytes(board(2600))
        command = ["run", "--world", "ns-el2", str(code), "--uart", str(log)]
        assert main([*command, "-q"]) == 0
        assert capfd.readouterr().out.encode() == log.read_bytes() == PATTERN
        assert main([*command, "--json"]) == 0
        found = json.loads(capfd.readouterr().out)
        assert found["console"].encode() == PATTERN[-SMALL:] and found["dropped"] == {"uart0": len(PATTERN) - SMALL}

    def test_boot(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The lines of a boot that never ends are not kept for the first run without a bound."""
        monkeypatch.setattr(console, "_EARLY", 3)
        with NsMachine(NsImage(assemble(OFF))) as machine:
            for line in range(10):
                for byte in f"{line}\n".encode():
                    machine.uarts["uart0"].write(0, 1, byte)
            assert machine.run(expect=["9", "7"], reject=["6"]).status == 0


class TestRealm:
    def test_to_its_end(self, small: None, realm: Path) -> None:
        """The result of a Realm has the end of its output, and how much is missing; ``on_console`` gets all."""
        heard: list[bytes] = []
        with Machine() as machine:
            result = machine.run_realm(realm, on_console=heard.append)
        assert b"".join(heard) == PATTERN
        assert (result.console, result.console_dropped) == (PATTERN[-SMALL:], len(PATTERN) - SMALL)

    def test_snapshot(self, small: None, realm: Path) -> None:
        """A live Realm that goes back to a snapshot sends, keeps and drops the same from there on."""
        with Machine() as machine, machine.realm(realm) as live:
            live.run(max_insns=6 * 1200)  # a store to the UART is emulated
            saved, ends = machine.snapshot(), []
            for _ in range(2):
                progress = live.run(max_insns=6 * 1100)
                rest = live.run()
                assert progress.console_dropped > 0 and rest.console_dropped == 0
                ends.append((progress, rest, live.console, machine.platform.clock.now))
                machine.restore(saved)
            assert ends[0] == ends[1] and ends[0][2] == PATTERN[-SMALL:]

    def test_until(self, small: None, realm: Path) -> None:
        """What a run waits for is seen however much was sent before, and only if this run has sent it."""
        with Machine() as machine, machine.realm(realm) as live:
            for _ in range(70):
                assert live.run(until="xyz").reason == "until"
            assert live.run(until="yzab").console == b"abcdefghijklmnopqrstuvwxyzab"

    def test_command(self, small: None, realm: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Stdout has all of it; --json says what it lacks."""
        assert main(["run", str(realm), "-q"]) == 0
        assert capfd.readouterr().out.encode() == PATTERN
        assert main(["run", str(realm), "--json"]) == 0
        found = json.loads(capfd.readouterr().out)
        assert (found["console"].encode(), found["console_dropped"]) == (PATTERN[-SMALL:], len(PATTERN) - SMALL)


class _Counted:
    """A pattern that counts the characters it looks at."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern)
        self.pattern, self.seen = pattern, 0

    def search(self, text: str, start: int) -> re.Match[str] | None:
        self.seen += len(text) - start
        return self._pattern.search(text, start)


class TestExpect:
    @pytest.mark.parametrize("text", [b"x", b"a line\n", b"\n"], ids=["no line", "lines", "empty lines"])
    @pytest.mark.parametrize("pattern", ["never", "ne\nver"])
    def test_linear(self, text: bytes, pattern: str) -> None:
        """What a byte costs does not grow with what was sent before."""
        unread, costs = bytearray(), []
        expected = Expected(pattern, unread)
        counted = expected.pattern = _Counted(pattern)  # type: ignore[assignment] # has what is used of a pattern
        for _ in range(3):
            before = counted.seen
            for byte in text * (20_000 // len(text)):
                unread.append(byte)
                assert not expected.look()
            costs.append(counted.seen - before)
        assert costs[2] <= 20_000 * console._WINDOW + 10 * 60_000

    @pytest.mark.parametrize("size", [10, 5_000, 12_000])
    def test_long_match(self, size: int) -> None:
        """A match is found that is longer than what is searched with each byte: late, or at the end."""
        unread = bytearray()
        expected = Expected("begin(.|\n)*end", unread)
        for byte in b"..begin" + b"x\n" * (size // 2) + b"end":
            unread.append(byte)
            assert not expected.look() or byte == ord("d")
        assert expected.look(thoroughly=True) and not unread

    def test_anchors(self) -> None:
        """The output begins where it begins, not where a search does."""
        unread = bytearray()
        expected, behind = Expected("^b\n", unread), Expected("(?<!a)b\nc", unread)
        for byte in b"ab\nc" * 2_500:
            unread.append(byte)
            assert not expected.look() and not behind.look()
        assert Expected("(?m)^cab\n", unread).look()

    @pytest.mark.parametrize("late", [False, True])
    def test_at_the_end(self, late: bool) -> None:
        """A long match that the end of a run cuts off from a later search is found."""
        text = "begin" + "." * (9_000 if late else 100) + "\nend"
        code = "".join(f"mov w1, #{byte}; str w1, [x2];" for byte in b"\nend")
        dots = "mov w1, #46; mov x3, #9000; dot: str w1, [x2]; subs x3, x3, #1; b.ne dot;" if late else ""
        start = "".join(f"mov w1, #{byte}; str w1, [x2];" for byte in b"begin")
        source = f"{constant('x2', UART0)} {start} {dots} {code} {FOREVER}"
        with NsMachine(NsImage(assemble(source))) as machine:
            found = machine.expect(r"begin[.]*\nend", max_insns=200_000)
            assert len(found[0]) == (len(text) if late else len("begin\nend"))
            with pytest.raises(NotSeen):
                machine.expect("end", max_insns=1_000)


class TestBuffers:
    def test_screen(self) -> None:
        """A UART whose line never ends does not hold up another for ever."""
        shown: list[bytes] = []
        screen = Screen(shown.append)
        screen.write("uart0", b"prompt> ")
        for _ in range(100_000):
            screen.write("uart1", b"x\n")
        assert sum(map(len, screen._waiting.values())) == 0
        assert b"".join(shown) == b"prompt> \n" + b"x\n" * 100_000

    def test_plugin(self) -> None:
        """The report of a test keeps the last lines alone."""
        recorder = pytest_plugin.Recorder()

        def write(text: str) -> None:
            recorder.write({"event": "console.write", "device": "host-call", "text": text})

        for number in range(1_000):
            write(f"line {number}\nand ")
        write("y" * 100_000)
        ((heading, text),) = recorder.sections()
        lines = text.split("\n")
        assert heading == "Realmlab: console host-call" and len(lines) == pytest_plugin.LINES
        assert lines[0] == "and line 981" and lines[-1] == "y" * pytest_plugin.LINE
        kept: Any = [*recorder._lines["host-call"], recorder._line["host-call"]]
        assert sum(map(len, kept)) < 10_000
