"""A user's own devices: registered by the API or by a file, on a board of the user's, found by real code."""

from pathlib import Path

import pytest
from ns_code import OFF, UART0, assemble, constant

import realmlab
from cca_tools.cli import main
from realmlab import Board, Device, DeviceRow, MachineError, NsImage, NsMachine, Register, RegisterTable

BASE = 0x1C40_0000
MODULE = '''
from realmlab import Device, Register, RegisterTable

class Answer(Device):
    """Reads 42."""
    registers = RegisterTable(Register("ANSWER", 0x0, reset=42))

DEVICES = {"answer": Answer}
'''
BOARD = f'like = "fvp"\n[[device]]\nname = "oracle"\nkind = "answer"\nbase = {BASE:#x}\nsize = 0x1000\n'
ASK = f"{constant('x3', BASE)} {constant('x2', UART0)} ldr w1, [x3]; str w1, [x2]; {OFF}"


class Adder(Device):
    """SUM grows by what is written to it."""

    registers = RegisterTable(
        Register(
            "SUM", 0x0, writable=0xFF, write=lambda device, value: device.values.update({0: device.values[0] + value})
        )
    )


ADDER = DeviceRow("adder", "adder", BASE, 0x1000)


class TestApi:
    """``devices`` and ``device_modules``."""

    def test_class(self) -> None:
        """Code finds the device on the board, and a snapshot keeps its registers."""
        add = "mov w1, #33; str w1, [x3]; ldr w4, [x3]; str w4, [x2];"
        source = f"{constant('x3', BASE)} {constant('x2', UART0)} {add} {OFF}"
        board = Board.load("fvp").with_device(ADDER)
        with NsMachine(NsImage(assemble(source)), board=board, devices={"adder": Adder}) as machine:
            machine.devices["adder"].write(0, 4, 1)
            saved = machine.snapshot()
            for _ in range(2):
                assert machine.run().console == b'"'
                machine.restore(saved)

    def test_module(self, tmp_path: Path) -> None:
        """A file of devices, and a board file that names them."""
        module, board = tmp_path / "answer.py", tmp_path / "mine.toml"
        module.write_text(MODULE)
        board.write_text(BOARD)
        with realmlab.Machine(str(board), device_modules=[module]) as machine:
            assert machine.platform.bus.read(BASE, 4) == 42
            assert machine.run_realm("hello").status == 0

    def test_stranger(self, tmp_path: Path) -> None:
        """A board file alone loads nothing."""
        board = tmp_path / "mine.toml"
        board.write_text(BOARD)
        with pytest.raises(MachineError, match="kind of device oracle must be one of"):
            realmlab.Machine(str(board))

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            (DeviceRow("x", "adder", 0x1C09_0000, 0x1000), "must not overlap"),
            (DeviceRow("x", "adder", BASE, 100), "must be whole 4 KiB pages"),
        ],
    )
    def test_no_room(self, row: DeviceRow, message: str) -> None:
        """A device that does not fit is refused."""
        with pytest.raises(MachineError, match=message):
            Board.load("fvp").with_device(row)

    def test_like(self, tmp_path: Path) -> None:
        """A board is like one that exists."""
        board = tmp_path / "mine.toml"
        board.write_text('like = "moon"\n')
        with pytest.raises(MachineError, match="like: must be one of fvp, virt, not 'moon'"):
            Board.load(board)
        board.write_text('like = "virt"\nname = "mine"\n')
        assert Board.load(board).devices == Board.load("virt").devices and Board.load(board).name == "mine"


class TestCommand:
    """``--device-module FILE``."""

    def test_run(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Software finds the device."""
        module, board, image = tmp_path / "answer.py", tmp_path / "mine.toml", tmp_path / "ask.bin"
        module.write_text(MODULE)
        board.write_text(BOARD)
        image.write_bytes(assemble(ASK))
        words = ["run", "--world", "ns-el2", "--board", str(board), "--device-module", str(module), str(image), "-q"]
        assert main(words) == 0
        assert capfd.readouterr().out == "*"

    def test_failing(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """A device that fails while software uses it is one line with the place in its file, not a traceback."""
        board, module, image = (tmp_path / name for name in ("board.toml", "failing.py", "code.bin"))
        board.write_text('like = "fvp"\n[[device]]\nname = "mine"\nkind = "mine"\nbase = 0x1C40_0000\nsize = 0x1000\n')
        module.write_text(
            "from realmlab import Device\nclass Mine(Device):\n"
            "    def read(self, offset, size):\n        return 1 / 0\n"
            "DEVICES = {'mine': Mine}\n"
        )
        image.write_bytes(assemble(f"{constant('x1', 0x1C40_0000)} ldr w2, [x1]; {OFF}"))
        words = ["run", "--world", "ns-el2", "--board", str(board), "--device-module", str(module), str(image), "-q"]
        assert main(words) == 2
        err = capfd.readouterr().err
        assert "must run: ZeroDivisionError: division by zero (line 4, in read)" in err and err.count("\n") == 1

    @pytest.mark.parametrize(
        ("text", "message"),
        [("DEVICES = 1", "must define DEVICES"), ("1/0", "must run: ZeroDivisionError"), (None, "does not exist")],
    )
    def test_refused(self, text: str | None, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """A file that is none of devices is one line."""
        module = tmp_path / "odd.py"
        if text is not None:
            module.write_text(text)
        assert main(["run", "hello", "--device-module", str(module)]) == 2
        err = capfd.readouterr().err
        assert message in err and err.count("\n") == 1
