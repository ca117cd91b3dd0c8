"""The programming interface of the SMMUv3: registers, command queue, event queue, interrupts, snapshots."""

from collections.abc import Iterator

import pytest
from smmu_driver import ACCESSEN, COMMANDS, EVENTS, SIZE, STREAMS, SmmuDriver

from cca_arch.types import Access, Pas
from cca_platform.board import Board
from cca_platform.devices.smmu import DmaAborted
from cca_platform.devices.smmu.layout import CommandError, Cr0, Event, Gerror, Offset, Opcode, SteConfig
from cca_platform.devices.smmu.model import SmmuState
from cca_platform.machine.machine import Machine
from cca_platform.state import decode, encode

DATA = 0x9000_0000
NOWHERE = 0x2_0000_0000


@pytest.fixture(params=["fvp", "virt"])
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A bare machine."""
    made = Machine(Board.load(request.param))
    yield made
    made.close()


@pytest.fixture
def smmu(machine: Machine) -> SmmuDriver:
    """Its SMMU, which EL3 lets make accesses."""
    driver = SmmuDriver(machine)
    driver.access(ACCESSEN)
    return driver


@pytest.fixture
def edges(machine: Machine) -> list[int]:
    """The INTIDs that were raised, in order."""
    raised: list[int] = []
    machine.bus.signal = lambda intid, level: raised.append(intid) if level else None
    return raised


class TestRegisters:
    """6.3: what software sees of the registers."""

    def test_identification_claims_what_works(self, smmu: SmmuDriver) -> None:
        """IDR0: stage 2, AArch64 tables, coherent, 2-level stream tables, no stalls, RME; no stage 1."""
        idr0 = smmu.get(Offset.IDR0)
        assert idr0 & 3 == 1
        assert idr0 >> 2 & 3 == 2
        assert idr0 >> 24 & 3 == 1
        assert idr0 >> 27 & 3 == 1
        assert idr0 >> 30 == 1
        assert smmu.get(Offset.IDR5) == 1 << 4 | 5
        assert smmu.get(Offset.AIDR) == 3
        assert [smmu.get(0xFF0 + 4 * n) for n in range(4)] == [0x0D, 0xF0, 0x05, 0xB1]

    def test_identification_is_read_only(self, smmu: SmmuDriver) -> None:
        """A write to an ID register is ignored."""
        before = smmu.get(Offset.IDR0)
        smmu.set(Offset.IDR0, 0)
        assert smmu.get(Offset.IDR0) == before

    def test_an_update_of_cr0_completes(self, smmu: SmmuDriver) -> None:
        """CR0ACK shows the fields of CR0 that exist."""
        smmu.set(Offset.CR0, 0xFFFF_FFFF)
        assert smmu.get(Offset.CR0ACK) == Cr0.SMMUEN | Cr0.EVENTQEN | Cr0.CMDQEN

    def test_the_pages_are_aliases(self, smmu: SmmuDriver) -> None:
        """EVENTQ_CONS of page 1 is the register at the same offset of page 0."""
        smmu.set(Offset.EVENTQ_CONS + 0x1_0000, 5)
        assert smmu.get(Offset.EVENTQ_CONS) == 5

    def test_base_registers_take_64_bits_or_halves(self, smmu: SmmuDriver) -> None:
        """A 64-bit register may be written whole or by halves."""
        smmu.set(Offset.STRTAB_BASE, 0x1_2345_67C0, 8)
        assert smmu.get(Offset.STRTAB_BASE, 8) == 0x1_2345_67C0
        smmu.set(Offset.STRTAB_BASE + 4, 0x2)
        assert smmu.get(Offset.STRTAB_BASE, 8) == 0x2_2345_67C0

    @pytest.mark.parametrize(
        ("offset", "guard"),
        [
            (Offset.STRTAB_BASE, Cr0.SMMUEN),
            (Offset.STRTAB_BASE_CFG, Cr0.SMMUEN),
            (Offset.CMDQ_BASE, Cr0.CMDQEN),
            (Offset.CMDQ_CONS, Cr0.CMDQEN),
            (Offset.EVENTQ_BASE, Cr0.EVENTQEN),
            (Offset.EVENTQ_PROD, Cr0.EVENTQEN),
        ],
    )
    def test_guarded_registers(self, smmu: SmmuDriver, offset: int, guard: int) -> None:
        """A guarded register is read-only while its guard is set."""
        smmu.set(Offset.CR0, guard)
        smmu.set(offset, 0x40)
        assert smmu.get(offset) == 0
        smmu.set(Offset.CR0, 0)
        smmu.set(offset, 0x40)
        assert smmu.get(offset) == 0x40

    def test_gbpa_needs_update(self, smmu: SmmuDriver) -> None:
        """A write of GBPA without Update is ignored; with it the update is complete at once."""
        smmu.set(Offset.GBPA, 1 << 20)
        assert smmu.get(Offset.GBPA) == 0
        smmu.set(Offset.GBPA, 1 << 20 | 1 << 31)
        assert smmu.get(Offset.GBPA) == 1 << 20

    @pytest.mark.parametrize(("offset", "size"), [(0x20, 1), (0x20, 2), (0x22, 4), (0x24, 8)])
    def test_illegal_accesses(self, smmu: SmmuDriver, offset: int, size: int) -> None:
        """An access that is unaligned or of another size reads as zero and writes nothing."""
        smmu.set(Offset.CR0, Cr0.SMMUEN)
        smmu.set(offset, 0, size)
        assert smmu.get(Offset.CR0) == Cr0.SMMUEN
        assert smmu.get(offset, size) == 0


class TestDisabled:
    """6.3.9.6: SMMUEN = 0."""

    def test_traffic_passes(self, smmu: SmmuDriver) -> None:
        """With GBPA.ABORT = 0 addresses are physical."""
        smmu.port(1).write(DATA, b"device")
        assert smmu.memory.read(DATA, 6) == b"device"
        assert smmu.port(1).read(DATA, 6) == b"device"

    def test_traffic_aborts(self, smmu: SmmuDriver) -> None:
        """With GBPA.ABORT = 1 every transaction is terminated."""
        smmu.set(Offset.GBPA, 1 << 20 | 1 << 31)
        with pytest.raises(DmaAborted):
            smmu.port(1).read(DATA, 4)

    @pytest.mark.parametrize("iova", [1 << 48, (1 << 64) - 4, NOWHERE])
    def test_where_nothing_answers(self, smmu: SmmuDriver, iova: int) -> None:
        """Beyond the output size, or where the bus has no memory, a transaction aborts without an event."""
        smmu.start(Cr0.EVENTQEN)
        with pytest.raises(DmaAborted) as abort:
            smmu.port(1).read(iova, 4)
        assert (abort.value.iova, abort.value.stream) == (iova, 1)
        assert smmu.records() == []


class TestCommands:
    """Chapter 4 and 7.1: the command queue."""

    @pytest.mark.parametrize(
        ("opcode", "low", "high"),
        [
            (Opcode.PREFETCH_CONFIG, 0, 0),
            (Opcode.PREFETCH_ADDR, 0, 0),
            (Opcode.CFGI_STE, 7 << 32, 1),
            (Opcode.CFGI_STE_RANGE, 0, 31),
            (Opcode.CFGI_STE_RANGE, 7 << 32, 2),
            (Opcode.TLBI_S12_VMALL, 9 << 32, 0),
            (Opcode.TLBI_S2_IPA, 9 << 32, DATA),
            (Opcode.TLBI_S2_IPA, 9 << 32 | 3 << 12 | 2 << 20, DATA | 1 << 10),
            (Opcode.TLBI_NSNH_ALL, 0, 0),
            (Opcode.SYNC, 0, 0),
            (Opcode.SYNC, 2 << 12, 0),
        ],
    )
    def test_commands_are_consumed(self, smmu: SmmuDriver, opcode: int, low: int, high: int) -> None:
        """A legal command is consumed without an error."""
        smmu.start()
        smmu.command(opcode, low, high)
        assert smmu.get(Offset.CMDQ_CONS) == 1
        assert smmu.get(Offset.GERROR) == 0

    @pytest.mark.parametrize(
        ("opcode", "low", "high"),
        [
            (0x00, 0, 0),
            (0x05, 0, 0),  # CFGI_CD: no stage 1
            (0x06, 0, 0),
            (0x10, 0, 0),  # TLBI_NH_ALL: no stage 1
            (0x12, 0, 0),
            (0x18, 0, 0),  # TLBI_EL3_ALL
            (0x20, 0, 0),  # TLBI_EL2_ALL: no EL2 stream worlds
            (0x40, 0, 0),  # ATC_INV
            (0x44, 0, 0),  # RESUME: no stalls
            (0x45, 0, 0),
            (0x58, 0, 0),  # Secure
            (0xFF, 0, 0),
            (Opcode.CFGI_STE, 1 << 10, 0),  # SSec on the Non-secure queue
            (Opcode.CFGI_STE_RANGE, 1 << 10, 31),
            (Opcode.SYNC, 3 << 12, 0),
            (Opcode.TLBI_S2_IPA, 0, 1 << 10),  # a granule, but neither range nor level
        ],
    )
    def test_illegal_commands(self, smmu: SmmuDriver, edges: list[int], opcode: int, low: int, high: int) -> None:
        """CERROR_ILL: the queue stops at the command and GERROR.CMDQ_ERR becomes active."""
        smmu.start()
        smmu.sync()
        smmu.command(opcode, low, high)
        assert smmu.get(Offset.CMDQ_CONS) == 1 | CommandError.ILL << 24
        assert smmu.get(Offset.GERROR) == Gerror.CMDQ_ERR
        assert edges == [smmu.machine.board.device("smmu").options["gerror_irq"]]

    def test_recovery(self, smmu: SmmuDriver) -> None:
        """Consumption goes on, with the command mended, when the error is acknowledged in GERRORN."""
        smmu.start()
        smmu.command(0xFF)
        smmu.command(Opcode.SYNC)
        assert smmu.get(Offset.CMDQ_CONS) & 0xFF == 0
        smmu.memory.write64(COMMANDS, Opcode.SYNC)
        smmu.set(Offset.GERRORN, Gerror.CMDQ_ERR)
        assert smmu.get(Offset.CMDQ_CONS) & 0xFF_FFFF == 2

    def test_an_error_while_one_is_active(self, smmu: SmmuDriver) -> None:
        """A flag of GERROR toggles once until it is acknowledged."""
        smmu.start()
        smmu.command(0xFF)
        smmu.set(Offset.CR0, 0)
        smmu.set(Offset.CR0, Cr0.CMDQEN)
        assert smmu.get(Offset.GERROR) == Gerror.CMDQ_ERR

    def test_abort_of_a_fetch(self, smmu: SmmuDriver) -> None:
        """CERROR_ABT: the queue is where no memory is."""
        smmu.start(0)
        smmu.set(Offset.CMDQ_BASE, NOWHERE | SIZE, 8)
        smmu.set(Offset.CMDQ_PROD, 1)
        smmu.set(Offset.CR0, Cr0.CMDQEN)
        assert smmu.get(Offset.CMDQ_CONS) == CommandError.ABT << 24

    def test_the_queue_wraps(self, smmu: SmmuDriver) -> None:
        """Twice the size of the queue in commands: indexes wrap and the wrap bit toggles."""
        smmu.start()
        for _ in range(2 << SIZE):
            smmu.sync()
        assert smmu.get(Offset.CMDQ_PROD) == smmu.get(Offset.CMDQ_CONS) == 0

    def test_a_disabled_queue_waits(self, smmu: SmmuDriver) -> None:
        """Commands are done when CMDQEN is set."""
        smmu.start(0)
        smmu.command(Opcode.SYNC)
        assert smmu.get(Offset.CMDQ_CONS) == 0
        smmu.set(Offset.CR0, Cr0.CMDQEN)
        assert smmu.get(Offset.CMDQ_CONS) == 1

    def test_sync_interrupts(self, smmu: SmmuDriver, edges: list[int]) -> None:
        """CMD_SYNC with SIG_IRQ raises the cmdq-sync interrupt."""
        smmu.start()
        smmu.sync(1)
        assert edges == [smmu.machine.board.device("smmu").options["cmd_sync_irq"]]

    def test_any_pointer_ends(self, smmu: SmmuDriver) -> None:
        """Whatever PROD says, at most two rounds of the queue are consumed."""
        smmu.start()
        smmu.memory.write(COMMANDS, Opcode.TLBI_NSNH_ALL.to_bytes(16, "little") * (1 << SIZE))
        smmu.set(Offset.CMDQ_PROD, 0xF_FFFF)
        assert smmu.get(Offset.CMDQ_CONS) == (2 << SIZE) - 1


class TestEvents:
    """7.2 to 7.4: the event queue."""

    def test_the_first_event_interrupts(self, smmu: SmmuDriver, edges: list[int]) -> None:
        """An edge when the queue becomes non-empty, none while it is."""
        smmu.start()
        for _ in range(3):
            with pytest.raises(DmaAborted):
                smmu.port(1).read(DATA, 4)
        assert edges == [smmu.machine.board.device("smmu").irq]
        assert [record.event for record in smmu.records()] == [Event.C_BAD_STE] * 3
        with pytest.raises(DmaAborted):
            smmu.port(1).read(DATA, 4)
        assert len(edges) == 2

    def test_irq_ctrl_masks(self, smmu: SmmuDriver, edges: list[int]) -> None:
        """No edge without EVENTQ_IRQEN or GERROR_IRQEN; IRQ_CTRLACK follows."""
        smmu.start()
        smmu.set(Offset.IRQ_CTRL, 0)
        assert smmu.get(Offset.IRQ_CTRLACK) == 0
        smmu.command(0xFF)
        with pytest.raises(DmaAborted):
            smmu.port(1).read(DATA, 4)
        assert edges == []

    def test_overflow(self, smmu: SmmuDriver) -> None:
        """A full queue drops events and toggles OVFLG once, until OVACKFLG acknowledges it."""
        smmu.start()
        for _ in range((1 << SIZE) + 5):
            with pytest.raises(DmaAborted):
                smmu.port(1).read(DATA, 4)
        assert smmu.get(Offset.EVENTQ_PROD) == 1 << 31 | 1 << SIZE
        assert len(smmu.records()) == 1 << SIZE
        smmu.set(Offset.EVENTQ_CONS, 1 << 31 | smmu.get(Offset.EVENTQ_CONS))
        with pytest.raises(DmaAborted):
            smmu.port(1).read(DATA, 4)
        assert len(smmu.records()) == 1

    def test_a_disabled_queue_drops(self, smmu: SmmuDriver) -> None:
        """EVENTQEN = 0: no record and no overflow."""
        smmu.start(Cr0.SMMUEN)
        with pytest.raises(DmaAborted):
            smmu.port(1).read(DATA, 4)
        assert smmu.get(Offset.EVENTQ_PROD) == 0

    def test_abort_of_a_write(self, smmu: SmmuDriver) -> None:
        """A queue where no memory is: GERROR.EVENTQ_ABT_ERR, and no record until it is acknowledged."""
        smmu.start(0)
        smmu.set(Offset.EVENTQ_BASE, NOWHERE | SIZE, 8)
        smmu.set(Offset.CR0, Cr0.SMMUEN | Cr0.EVENTQEN)
        for _ in range(2):
            with pytest.raises(DmaAborted):
                smmu.port(1).read(DATA, 4)
        assert smmu.get(Offset.GERROR) == Gerror.EVENTQ_ABT_ERR
        assert smmu.get(Offset.EVENTQ_PROD) == 0

    def test_invalid_streams_are_recorded_on_demand(self, smmu: SmmuDriver) -> None:
        """CR2.RECINVSID = 0: no C_BAD_STREAMID."""
        smmu.start()
        smmu.set(Offset.CR2, 0)
        with pytest.raises(DmaAborted):
            smmu.port(1 << STREAMS).read(DATA, 4)
        assert smmu.records() == []
        smmu.set(Offset.CR2, 1 << 1)
        with pytest.raises(DmaAborted):
            smmu.port(1 << STREAMS).read(DATA, 4)
        assert smmu.records()[0][:2] == (Event.C_BAD_STREAMID, 1 << STREAMS)


class TestInterruptController:
    """The lines end at the GIC."""

    def test_an_event_is_pending(self, smmu: SmmuDriver) -> None:
        """An edge of the event queue makes its SPI pending, as the Secure view of the distributor has it."""
        board, bus = smmu.machine.board, smmu.machine.bus
        intid, distributor = board.device("smmu").irq, board.gic.distributor
        bus.write(distributor + 0xC00 + intid // 16 * 4, 4, 2 << intid % 16 * 2, Pas.SECURE)  # GICD_ICFGR: edge
        pending = distributor + 0x200 + intid // 32 * 4  # GICD_ISPENDR
        smmu.start()
        assert bus.read(pending, 4, Pas.SECURE) == 0
        with pytest.raises(DmaAborted):
            smmu.port(1).read(DATA, 4)
        assert bus.read(pending, 4, Pas.SECURE) == 1 << intid % 32


class TestState:
    """Snapshots and reset."""

    def test_a_snapshot_keeps_registers(self, smmu: SmmuDriver) -> None:
        """Registers come back, and tables that were rolled back are read again."""
        smmu.start()
        root = smmu.stage2(3)
        before = smmu.machine.snapshot()
        smmu.map(root, 0x4000_0000, DATA)
        smmu.port(3).write(0x4000_0000, b"x")
        smmu.set(Offset.CR2, 0)
        smmu.machine.restore(before)
        assert smmu.get(Offset.CR2) == 1 << 1
        with pytest.raises(DmaAborted):
            smmu.port(3).read(0x4000_0000, 1)
        assert [record.event for record in smmu.records()] == [Event.F_TRANSLATION]

    def test_a_snapshot_keeps_caches(self, smmu: SmmuDriver) -> None:
        """A translation that software should have invalidated is still there, in a fresh machine, too."""
        smmu.start()
        smmu.map(smmu.stage2(3), 0x4000_0000, DATA)
        smmu.port(3).write(0x4000_0000, b"x")
        state = decode(encode(smmu.model.save()), SmmuState)
        assert len(state.streams) == len(state.tlb) == 1
        smmu.machine.bus.reset()
        assert smmu.model.save().tlb == ()
        smmu.model.restore(state)
        assert smmu.model.save() == state
        assert smmu.model.translate(3, 0x4000_0000, Access.READ) == DATA

    def test_reset(self, smmu: SmmuDriver) -> None:
        """After reset the SMMU is off and the Root Control Page lets no access through."""
        smmu.start()
        smmu.ste(3, SteConfig.BYPASS)
        smmu.machine.bus.reset()
        assert smmu.get(Offset.CR0) == smmu.get(Offset.EVENTQ_BASE, 8) == 0
        with pytest.raises(DmaAborted):
            smmu.port(3).read(EVENTS, 1)
