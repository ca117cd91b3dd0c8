"""Realmlab's DMA engine: registers, transfers, aborts, its interrupt; driven over the bus and by real code."""

from collections.abc import Iterator
from typing import Any

import pytest
from smmu_driver import SmmuDriver

from cca_platform.board import Board
from cca_platform.devices.dma import LENGTH_LIMIT, DmaCommand, DmaOffset, DmaStatus
from cca_platform.devices.smmu.layout import Event
from cca_platform.machine.machine import Machine

SOURCE, TARGET = 0x9000_0000, 0x9100_0000
IPA = 0x4000_0000
COPY, FILL = DmaCommand.COPY, DmaCommand.FILL


class Engine:
    """The engine of a machine, as a driver uses it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.smmu = SmmuDriver(machine)
        self.smmu.access(1)
        self.device = machine.board.device("dma")
        self.lines: list[tuple[int, bool]] = []
        machine.bus.signal = lambda intid, level: self.lines.append((intid, level))

    def get(self, offset: int, size: int = 4) -> int:
        return self.machine.bus.read(self.device.base + offset, size)

    def set(self, offset: int, value: int, size: int = 4) -> None:
        self.machine.bus.write(self.device.base + offset, size, value)

    def run(self, command: int, source: int = SOURCE, target: int = TARGET, length: int = 16) -> int:
        """One transfer; gives and clears STATUS."""
        self.set(DmaOffset.SOURCE, source, 8)
        self.set(DmaOffset.TARGET, target, 8)
        self.set(DmaOffset.LENGTH, length)
        self.set(DmaOffset.COMMAND, command)
        status = self.get(DmaOffset.STATUS)
        self.set(DmaOffset.CLEAR, status)
        return status


@pytest.fixture(params=["fvp", "virt"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The DMA engine of a board whose EL3 lets the SMMU make accesses."""
    machine = Machine(Board.load(request.param))
    yield Engine(machine)
    machine.close()


class TestRegisters:
    """What a driver finds."""

    def test_identification(self, engine: Engine) -> None:
        """ID spells RLDM, STREAM is the StreamID of the board's row; neither can be written."""
        for offset in (DmaOffset.ID, DmaOffset.STREAM):
            engine.set(offset, 0)
        assert engine.get(DmaOffset.ID).to_bytes(4, "little") == b"RLDM"
        assert engine.get(DmaOffset.STREAM) == engine.device.options["stream"]

    def test_addresses_in_halves(self, engine: Engine) -> None:
        """A 64-bit register takes two words."""
        engine.set(DmaOffset.SOURCE + 4, 0x12)
        engine.set(DmaOffset.SOURCE, 0x3456_7890)
        assert engine.get(DmaOffset.SOURCE, 8) == 0x12_3456_7890

    @pytest.mark.parametrize(("offset", "size"), [(0x18, 1), (0x19, 4), (0x1C, 8)])
    def test_illegal_accesses(self, engine: Engine, offset: int, size: int) -> None:
        """Unaligned accesses and other sizes do nothing and read as zero."""
        engine.set(DmaOffset.LENGTH, 5)
        engine.set(DmaOffset.VALUE, 5)
        engine.set(offset, 0, size)
        assert engine.get(offset, size) == 0
        assert (engine.get(DmaOffset.LENGTH), engine.get(DmaOffset.VALUE)) == (5, 5)


class TestTransfers:
    """Copies and fills."""

    @pytest.mark.parametrize("length", [0, 1, 0xFFF, 0x1000, 0x3001])
    @pytest.mark.parametrize("offset", [0, 0x801])
    def test_copy(self, engine: Engine, length: int, offset: int) -> None:
        """LENGTH bytes go, no more."""
        data = bytes(range(256)) * 64
        memory = engine.smmu.memory
        memory.write(SOURCE, data)
        assert engine.run(COPY, SOURCE + offset, TARGET, length) == DmaStatus.DONE
        assert memory.read(TARGET, length + 1) == data[offset : offset + length] + b"\0"

    def test_fill(self, engine: Engine) -> None:
        """Every byte becomes VALUE."""
        engine.set(DmaOffset.VALUE, 0x5A)
        assert engine.run(FILL, length=0x1801) == DmaStatus.DONE
        assert engine.smmu.memory.read(TARGET, 0x1802) == b"\x5a" * 0x1801 + b"\0"

    @pytest.mark.parametrize(("command", "length"), [(0, 1), (3, 1), (COPY, LENGTH_LIMIT + 1), (FILL, 0xFFFF_FFFF)])
    def test_rejected(self, engine: Engine, command: int, length: int) -> None:
        """Commands and lengths that do not exist."""
        assert engine.run(command, length=length) == DmaStatus.REJECTED

    def test_aborted(self, engine: Engine) -> None:
        """FAULT has the address at which the SMMU, or nobody, answered."""
        nowhere = 0x2_0000_0000
        assert engine.run(COPY, nowhere + 0x10) == DmaStatus.ABORTED
        assert engine.get(DmaOffset.FAULT, 8) == nowhere + 0x10
        assert engine.run(FILL, target=(1 << 64) - 8) == DmaStatus.ABORTED
        assert engine.get(DmaOffset.FAULT, 8) == (1 << 64) - 8

    def test_translated(self, engine: Engine) -> None:
        """The stream of the engine goes through its tables; what they do not map is an event."""
        smmu, stream = engine.smmu, engine.device.options["stream"]
        smmu.start()
        root = smmu.stage2(stream)
        smmu.map(root, IPA, SOURCE)
        smmu.map(root, IPA + 0x1000, TARGET, leaf=1 << 10 | 1 << 6)
        smmu.memory.write(TARGET, b"from the device's page")
        assert engine.run(COPY, IPA + 0x1000, IPA, 22) == DmaStatus.DONE
        assert smmu.memory.read(SOURCE, 22) == b"from the device's page"
        assert engine.run(COPY, IPA, IPA + 0x1000, 4) == DmaStatus.ABORTED
        (found,) = smmu.records()
        assert (found.event, found.stream, found.iova) == (Event.F_PERMISSION, stream, IPA + 0x1000)


class TestInterrupt:
    """The line is a level: STATUS and IRQ_ENABLE."""

    def test_level(self, engine: Engine) -> None:
        """Up when a transfer is over, down when STATUS is cleared."""
        engine.set(DmaOffset.IRQ_ENABLE, 1)
        engine.set(DmaOffset.COMMAND, FILL)
        assert engine.lines[-1] == (engine.device.irq, True)
        engine.set(DmaOffset.CLEAR, DmaStatus.DONE)
        assert engine.lines[-1] == (engine.device.irq, False)

    def test_masked(self, engine: Engine) -> None:
        """Without IRQ_ENABLE it stays down."""
        engine.set(DmaOffset.COMMAND, FILL)
        assert not any(level for _, level in engine.lines)


class TestState:
    """Snapshots and reset."""

    def test_snapshot(self, engine: Engine) -> None:
        """Registers come back."""
        engine.set(DmaOffset.LENGTH, 77)
        before = engine.machine.snapshot()
        engine.set(DmaOffset.LENGTH, 78)
        engine.machine.restore(before)
        assert engine.get(DmaOffset.LENGTH) == 77

    def test_reset(self, engine: Engine) -> None:
        """Everything is zero."""
        engine.set(DmaOffset.LENGTH, 77)
        engine.machine.bus.reset()
        assert engine.get(DmaOffset.LENGTH) == 0


class TestCode:
    """Real code and the device."""

    def test_code_that_dma_writes(self, bench: Any) -> None:
        """A PE executes what the engine put in place of code that it had executed before."""
        engine = Engine(bench.machine)
        routine, other = 0x8013_0000, 0x8014_0000
        bench.place(routine, "mov x0, #1; ret")
        bench.place(other, "mov x0, #2; ret")
        engine.set(DmaOffset.SOURCE, other, 8)
        engine.set(DmaOffset.TARGET, routine, 8)
        engine.set(DmaOffset.LENGTH, 8)
        x = bench.run(
            "mov x9, #0x80130000; blr x9; mov x5, x0; mov x6, #0x1c300000; mov w7, #1; str w7, [x6, #0x20]; "
            "ldr w8, [x6, #0x28]; isb; blr x9; smc #0"
        )
        assert (x[5], x[8], x[0]) == (1, DmaStatus.DONE, 2)
