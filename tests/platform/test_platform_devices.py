"""The base of device models, and the kinds that a board can name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cca_platform.board import Board, DeviceRow
from cca_platform.devices.base import WORD, Device, Register, RegisterTable
from cca_platform.devices.kinds import Kinds
from cca_platform.devices.wiring import Wiring
from cca_platform.errors import MachineError
from cca_platform.machine.machine import Machine

_BASE = 0x1100_0000
_INTID = 77
_CODE = """
from cca_platform.devices.base import Device, Register, RegisterTable

class Scratch(Device):
    registers = RegisterTable(Register("SCRATCH", 0x0, reset=7, writable=0xFF))

DEVICES = {"my-scratch": Scratch}
"""


class Alarm(Device):
    """Interrupts LIMIT ticks after LIMIT was written, until STATUS is cleared."""

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        self.due: int | None = None

    @property
    def deadline(self) -> int | None:
        return self.due

    def settle(self) -> None:
        if self.due is not None and self.wiring.now() >= self.due:
            self.due = None
            self.values[0x4] = 1

    def drive(self) -> None:
        self.wiring.line(bool(self.values[0x4]))

    def _limit(self, value: int) -> None:
        self.due = self.wiring.now() + value

    registers = RegisterTable(
        Register("LIMIT", 0x0, write=_limit),
        Register("STATUS", 0x4, writable=WORD),
        Register("TIME", 0x8, read=lambda alarm: alarm.wiring.now()),
        Register("MODE", 0xC, reset=0x12, writable=0xF0),
        Register("ID", 0x10, reset=0xA1A7),
    )


def machine_with(kind: str, kinds: Kinds) -> Machine:
    """A machine of the default board and one device of this kind more."""
    board = Board.load("fvp")
    row = DeviceRow("mine", kind, _BASE, 0x1000, irq=_INTID)
    return Machine(replace(board, devices=(*board.devices, row)), kinds=kinds)


@pytest.fixture
def kinds() -> Kinds:
    """The kinds of Realmlab and the alarm."""
    found = Kinds()
    found.register("my-alarm", Alarm)
    return found


@pytest.fixture
def machine(kinds: Kinds) -> Any:
    """A machine with an alarm."""
    made = machine_with("my-alarm", kinds)
    yield made
    made.close()


class TestRegisters:
    """The register table."""

    def test_kept(self, machine: Machine) -> None:
        """A register keeps the bits of a write that its row names, and starts with its reset value."""
        assert machine.bus.read(_BASE + 0xC, 4) == 0x12
        machine.bus.write(_BASE + 0xC, 4, WORD)
        assert machine.bus.read(_BASE + 0xC, 4) == 0xF0

    def test_constant(self, machine: Machine) -> None:
        """A register without writable bits reads its reset value whatever is written; unknown ones read as zero."""
        for offset, value in ((0x10, 0xA1A7), (0x14, 0)):
            machine.bus.write(_BASE + offset, 4, 5)
            assert machine.bus.read(_BASE + offset, 4) == value

    def test_read(self, machine: Machine) -> None:
        """A row's function gives the value of a register."""
        machine.clock.skip_to(123)
        assert machine.bus.read(_BASE + 0x8, 4) == 123

    def test_offsets(self) -> None:
        """Two registers cannot be at one offset."""
        with pytest.raises(ValueError, match="registers must have an offset of their own each: A, B"):
            RegisterTable(Register("A", 4), Register("B", 4))


class TestDevice:
    """What the base does for a model."""

    def test_deadline(self, machine: Machine) -> None:
        """The bus knows when a device acts next, and what is due is then done."""
        machine.bus.write(_BASE, 4, 1000)
        assert machine.events.next == 1000
        machine.clock.skip_to(1000)
        machine.events.run(1000)
        assert (machine.events.next, machine.bus.read(_BASE + 4, 4)) == (None, 1)

    def test_state(self, machine: Machine) -> None:
        """Registers that keep a value are in a snapshot; a reset sets them back."""
        machine.bus.write(_BASE + 0xC, 4, 0x30)
        before = machine.snapshot()
        machine.bus.write(_BASE + 0xC, 4, 0x40)
        machine.restore(before)
        assert machine.bus.read(_BASE + 0xC, 4) == 0x30
        machine.bus.reset()
        assert machine.bus.read(_BASE + 0xC, 4) == 0x12

    def test_line(self, machine: Machine) -> None:
        """After each write the interrupt line follows the registers."""
        levels: list[tuple[int, bool]] = []
        machine.bus.signal = lambda intid, level: levels.append((intid, level))
        machine.bus.write(_BASE + 4, 4, 1)
        machine.bus.write(_BASE + 4, 4, 0)
        assert levels == [(_INTID, True), (_INTID, False)]

    def test_defaults(self, kinds: Kinds) -> None:
        """A model that says nothing has no registers, no interrupt and no event of its own."""
        kinds.register("my-nothing", Device)
        machine = machine_with("my-nothing", kinds)
        before = machine.snapshot()
        machine.bus.write(_BASE, 4, 1)
        assert (machine.bus.read(_BASE, 4), machine.events.next) == (0, None)
        machine.restore(before)
        machine.close()


class TestKinds:
    """The registry of kinds."""

    def test_scope(self, kinds: Kinds) -> None:
        """A kind is known to the machines that are given it, and to no other."""
        machine_with("my-alarm", kinds).close()
        with pytest.raises(
            MachineError, match=r"device mine must be one of .*pl011.*, not 'my-alarm': .*`device_modules`"
        ):
            machine_with("my-alarm", Kinds())

    @pytest.mark.parametrize("kind", ["", "My-Alarm", "my alarm", " alarm"])
    def test_name(self, kinds: Kinds, kind: str) -> None:
        """The name of a kind is one word in lower case."""
        with pytest.raises(MachineError, match="a kind of device must be one word in lower case"):
            kinds.register(kind, Alarm)

    @pytest.mark.parametrize("kind", ["pl011", "window", "my-alarm"])
    def test_taken(self, kinds: Kinds, kind: str) -> None:
        """No kind can be replaced."""
        with pytest.raises(MachineError, match=f"kind of device '{kind}' exists already: take another name"):
            kinds.register(kind, Alarm)

    @pytest.mark.parametrize(
        ("kind", "given", "key"),
        [("generic-timer-frame", {}, "control"), ("generic-timer-frame", {"control": "timer-control"}, "frame"),
         ("smmuv3-root", {}, "smmu")],
    )  # fmt: skip
    def test_missing_key(self, kind: str, given: dict[str, object], key: str) -> None:
        """A row without a key that its kind needs is refused by the key's name."""
        row = DeviceRow("mine", kind, _BASE, 0x1000, options=given)
        with pytest.raises(MachineError, match=f"device mine of kind '{kind}' must have the key '{key}': "):
            Machine(Board.load("fvp").with_device(row))

    def test_factory(self, kinds: Kinds) -> None:
        """What makes a model is callable, and makes a Device."""
        wrong: Any = 3
        with pytest.raises(MachineError, match="must be a class or function of"):
            kinds.register("my-number", wrong)
        kinds.register("my-text", lambda row, wiring: wrong)
        with pytest.raises(MachineError, match="the model of 'my-text' must derive from Device; int does not"):
            machine_with("my-text", kinds)


class TestModule:
    """Kinds from a Python file of a user."""

    def test_load(self, tmp_path: Path) -> None:
        """Its DEVICES are registered; a board names them as any other kind."""
        kinds = Kinds()
        (tmp_path / "scratch.py").write_text(_CODE, encoding="utf-8")
        kinds.load(tmp_path / "scratch.py")
        machine = machine_with("my-scratch", kinds)
        assert machine.bus.read(_BASE, 4) == 7
        machine.close()

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            ("1 +", r"must run: SyntaxError"),
            ("import no_such_module", r"must run: ModuleNotFoundError: No module named 'no_such_module'"),
            ("DEVICES = []", r"must define DEVICES, a dictionary from kind to model, such as DEVICES = \{"),
            ("x = 1", r"must define DEVICES"),
            ("DEVICES = {'pl011': int}", r"kind of device 'pl011' exists already"),
            ("DEVICES = {1: int}", r"a kind of device must be one word in lower case, such as my-timer, not 1"),
            ("raise SystemExit(7)", r"must run: SystemExit: 7"),
        ],
    )
    def test_wrong(self, tmp_path: Path, code: str, message: str) -> None:
        """A file that cannot be used says why."""
        (tmp_path / "wrong.py").write_text(code, encoding="utf-8")
        with pytest.raises(MachineError, match=message):
            Kinds().load(tmp_path / "wrong.py")

    @pytest.mark.parametrize(
        ("model", "message"),
        [("lambda: None", "TypeError"), ("lambda row, wiring: 1 / 0", "ZeroDivisionError: division by zero")],
    )
    def test_failing(self, tmp_path: Path, model: str, message: str) -> None:
        """A model that fails while a device is made says which device, and what its author did wrong."""
        (tmp_path / "failing.py").write_text(f"DEVICES = {{'failing': {model}}}", encoding="utf-8")
        kinds = Kinds()
        kinds.load(tmp_path / "failing.py")
        with pytest.raises(MachineError, match=f"device mine must be made by the model of 'failing': {message}"):
            machine_with("failing", kinds)

    def test_unfinished(self, tmp_path: Path) -> None:
        """A model that leaves out what every device has says what to call."""
        code = "from realmlab import Device\nclass Mine(Device):\n    def __init__(self, row, wiring): pass\n"
        (tmp_path / "unfinished.py").write_text(code + "DEVICES = {'unfinished': Mine}", encoding="utf-8")
        kinds = Kinds()
        kinds.load(tmp_path / "unfinished.py")
        with pytest.raises(MachineError, match=r"the model of 'unfinished' must call Device.__init__\(row, wiring\)"):
            machine_with("unfinished", kinds)

    def test_missing(self, tmp_path: Path) -> None:
        """So does one that is not there."""
        with pytest.raises(MachineError, match=r"missing\.py does not exist: check the path"):
            Kinds().load(tmp_path / "missing.py")

    def test_board(self, tmp_path: Path) -> None:
        """A board file cannot bring code: its kinds are those that are known."""
        path = tmp_path / "scratch.py"
        path.write_text(_CODE, encoding="utf-8")
        with pytest.raises(MachineError, match="kind of device mine must be one of"):
            machine_with(str(path), Kinds())
