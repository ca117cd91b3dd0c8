"""Granule protection of the SMMU: every access it makes and lets through, by the Root Control Page."""

from collections.abc import Iterator

import pytest
from smmu_driver import ACCESSEN, COMMANDS, EVENTS, GPCEN, STREAM_TABLE, SmmuDriver

from cca_arch.descriptors import gpt
from cca_arch.smmu import RootOffset
from cca_arch.types import Gpi, Pas
from cca_platform.board import Board
from cca_platform.devices.smmu import DmaAborted
from cca_platform.devices.smmu.granules import Reason
from cca_platform.devices.smmu.layout import CommandError, Event, EventFlags, Gerror, Offset, Opcode, SteConfig
from cca_platform.machine.machine import Machine
from cca_platform.trace.trace import Trace

L0, L1 = 0xFFC0_0000, 0xFFC2_0000  # level 1 for the GiB from 0x8000_0000
DATA = 0x9000_0000
IPA = 0x40_1234_5000
STREAM = 5
FORBIDDEN = [gpi for gpi in Gpi if gpi not in (Gpi.NON_SECURE, Gpi.ANY)]


class Records:
    """A trace sink that keeps the records."""

    def __init__(self) -> None:
        self.records: list[dict[str, object]] = []

    def write(self, record: dict[str, object]) -> None:
        self.records.append(record)

    def close(self) -> None:
        """Nothing to close."""


class Protected(SmmuDriver):
    """An SMMU under granule protection tables built by hand: everything Non-secure but for what ``assign`` says."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.raw = machine.memory.backdoor
        for index in range(64):
            self.raw.write64(L0 + 8 * index, gpt.l0_block(Gpi.NON_SECURE))
        self.raw.write64(L0 + 8 * 2, gpt.l0_table(L1))
        self.raw.write(L1, gpt.l1_granules(Gpi.NON_SECURE).to_bytes(8, "little") * (gpt.l1_table_size(30) // 8))
        machine.memory.gptbr = L0 >> 12
        machine.memory.gpccr = gpt.Gpccr.make(pps=1, gpc=1, sh=3, irgn=1, orgn=1)
        self.access(GPCEN | ACCESSEN)
        self.start()

    def assign(self, pa: int, gpi: int, invalidate: bool = True) -> None:
        """EL3 gives a granule a GPI."""
        at, shift = L1 + gpt.l1_entry_offset(pa, 30), gpt.gpi_shift(pa)
        self.raw.write64(at, self.raw.read64(at) & ~(15 << shift) | gpi << shift)
        if invalidate:
            self.machine.memory.tlbi_pa(pa, 0x1000)

    def refused(self, iova: int, write: bool = False) -> None:
        """An access has to be aborted."""
        with pytest.raises(DmaAborted):
            if write:
                self.port(STREAM).write(iova, b"data")
            else:
                self.port(STREAM).read(iova, 4)


def far(pa: int, reason: Reason) -> int:
    """A fault address register for a Non-secure access of ``pa``."""
    return 1 << 62 | pa & ~0xFFF | reason | 1


@pytest.fixture
def trace() -> Records:
    """Where the trace goes."""
    return Records()


@pytest.fixture
def smmu(trace: Records) -> Iterator[Protected]:
    """An SMMU under granule protection."""
    machine = Machine(Board.load("fvp"), Trace(trace))
    yield Protected(machine)
    machine.close()


class TestRootPage:
    """6.3.110 to 6.3.117: the registers of EL3."""

    def test_identification(self, smmu: Protected) -> None:
        """ROOT_IMPL and BGPTM; no Realm interface, no TLBI by register."""
        assert smmu.root(RootOffset.IDR0) == 0b11

    @pytest.mark.parametrize("pas", [Pas.NON_SECURE, Pas.SECURE, Pas.REALM])
    def test_root_only(self, smmu: Protected, pas: Pas) -> None:
        """RAZ/WI in every other physical address space."""
        bus = smmu.machine.bus
        assert bus.read(smmu.root_base, 4, pas) == 0
        bus.write(smmu.root_base + RootOffset.CR0, 4, 0, pas)
        assert smmu.root(RootOffset.CR0) & 0xFFFF_FFFF == GPCEN | ACCESSEN

    def test_cr0ack(self, smmu: Protected) -> None:
        """CR0ACK follows CR0."""
        assert smmu.machine.bus.read(smmu.root_base + RootOffset.CR0ACK, 4, Pas.ROOT) == GPCEN | ACCESSEN

    def test_tables_are_guarded(self, smmu: Protected) -> None:
        """GPT_BASE and GPT_BASE_CFG are read-only while GPCEN = 1."""
        before = smmu.root(RootOffset.GPT_BASE), smmu.root(RootOffset.GPT_BASE_CFG)
        smmu.set_root(RootOffset.GPT_BASE, 0)
        smmu.set_root(RootOffset.GPT_BASE_CFG, 0)
        assert (smmu.root(RootOffset.GPT_BASE), smmu.root(RootOffset.GPT_BASE_CFG)) == before == (L0, 0x3501)

    def test_the_first_fault_stays(self, smmu: Protected) -> None:
        """A second fault does not overwrite the first; writing FAULT = 0 clears it, writing 1 does nothing."""
        for page in range(2):
            smmu.assign(DATA + page * 0x1000, Gpi.REALM)
        smmu.ste(STREAM, SteConfig.BYPASS)
        smmu.refused(DATA)
        smmu.refused(DATA + 0x1000)
        assert smmu.root(RootOffset.GPF_FAR) == far(DATA, Reason.TRANSACTION)
        smmu.set_root(RootOffset.GPF_FAR, 1)
        assert smmu.root(RootOffset.GPF_FAR) == far(DATA, Reason.TRANSACTION)
        smmu.set_root(RootOffset.GPF_FAR, 0)
        assert smmu.root(RootOffset.GPF_FAR) == 0
        smmu.refused(DATA + 0x1000)
        assert smmu.root(RootOffset.GPF_FAR) == far(DATA + 0x1000, Reason.TRANSACTION)

    def test_snapshot(self, smmu: Protected) -> None:
        """The registers come back, and with them the checks."""
        smmu.assign(DATA, Gpi.REALM)
        smmu.ste(STREAM, SteConfig.BYPASS)
        before = smmu.machine.snapshot()
        smmu.access(ACCESSEN)
        smmu.port(STREAM).read(DATA, 4)
        smmu.machine.restore(before)
        smmu.refused(DATA)


class TestTransactions:
    """3.25.1: what devices reach."""

    @pytest.mark.parametrize("gpi", list(Gpi))
    @pytest.mark.parametrize("write", [False, True])
    @pytest.mark.parametrize("way", ["off", "bypass", "stage 2"])
    def test_matrix(self, smmu: Protected, gpi: Gpi, write: bool, way: str) -> None:
        """A device reaches Non-secure granules and those of any PAS, however its address came about."""
        smmu.raw.write(DATA, b"keep")
        smmu.assign(DATA, gpi)
        iova = DATA
        if way == "off":
            smmu.start(0)
        elif way == "bypass":
            smmu.ste(STREAM, SteConfig.BYPASS)
        else:
            smmu.map(smmu.stage2(STREAM), IPA, DATA)
            iova = IPA
        if gpi in FORBIDDEN:
            smmu.refused(iova, write)
            assert smmu.raw.read(DATA, 4) == b"keep"
            assert smmu.root(RootOffset.GPF_FAR) == far(DATA, Reason.TRANSACTION)
        elif write:
            smmu.port(STREAM).write(iova, b"data")
            assert smmu.raw.read(DATA, 4) == b"data"
        else:
            assert smmu.port(STREAM).read(iova, 4) == b"keep"
        assert smmu.records() == []  # 3.25.1: a fault of the output address is not in the Event queue
        assert smmu.root(RootOffset.GPT_CFG_FAR) == 0

    def test_the_trace_tells(self, smmu: Protected, trace: Records) -> None:
        """An event says which stream reached for which granule."""
        smmu.assign(DATA, Gpi.REALM)
        smmu.ste(STREAM, SteConfig.BYPASS)
        smmu.refused(DATA, write=True)
        event = next(record for record in trace.records if record["event"] == "smmu.abort")
        assert (event["stream"], event["pa"], event["access"], event["gpf"]) == (hex(STREAM), hex(DATA), "WRITE", True)

    def test_delegation_needs_a_tlbi(self, smmu: Protected) -> None:
        """What was checked once stays reachable until EL3's TLBI by PA, even if the SMMU's TLB holds the page."""
        smmu.map(smmu.stage2(STREAM), IPA, DATA)
        smmu.port(STREAM).write(IPA, b"mine")
        smmu.assign(DATA, Gpi.REALM, invalidate=False)
        assert smmu.port(STREAM).read(IPA, 4) == b"mine"
        smmu.machine.memory.tlbi_pa(DATA, 0x1000)
        smmu.refused(IPA)
        smmu.assign(DATA, Gpi.NON_SECURE)
        assert smmu.port(STREAM).read(IPA, 4) == b"mine"

    def test_a_transfer_stops_at_the_granule(self, smmu: Protected) -> None:
        """A write over two granules leaves the forbidden one alone."""
        smmu.assign(DATA + 0x1000, Gpi.ROOT)
        smmu.ste(STREAM, SteConfig.BYPASS)
        with pytest.raises(DmaAborted) as abort:
            smmu.port(STREAM).write(DATA + 0xFFE, b"abcd")
        assert abort.value.iova == DATA + 0x1000
        assert smmu.raw.read(DATA + 0xFFE, 4) == b"ab\0\0"

    def test_nothing_before_accessen(self, smmu: Protected) -> None:
        """ACCESSEN = 0: every access is a granule protection fault, checks on or off."""
        smmu.ste(STREAM, SteConfig.BYPASS)
        smmu.port(STREAM).read(DATA, 4)
        for control in (0, GPCEN):
            smmu.access(control)
            smmu.set_root(RootOffset.GPF_FAR, 0)
            smmu.refused(DATA)
            assert smmu.root(RootOffset.GPF_FAR) == far(DATA, Reason.TRANSACTION)

    def test_checks_off(self, smmu: Protected) -> None:
        """GPCEN = 0: granules do not matter."""
        smmu.assign(DATA, Gpi.ROOT)
        smmu.access(ACCESSEN)
        smmu.ste(STREAM, SteConfig.BYPASS)
        smmu.port(STREAM).read(DATA, 4)


class TestOwnAccesses:
    """3.25.3: what the SMMU itself reads and writes."""

    @pytest.mark.parametrize("gpi", FORBIDDEN)
    def test_stream_table(self, smmu: Protected, gpi: Gpi) -> None:
        """F_STE_FETCH with GPCF = 1."""
        smmu.assign(STREAM_TABLE, gpi)
        smmu.refused(DATA)
        (found,) = smmu.records()
        assert (found.event, found.flags) == (Event.F_STE_FETCH, EventFlags.make(gpcf=1))
        assert found.address == STREAM_TABLE + 64 * STREAM
        assert smmu.root(RootOffset.GPF_FAR) == far(STREAM_TABLE, Reason.STE_FETCH)

    @pytest.mark.parametrize("gpi", FORBIDDEN)
    @pytest.mark.parametrize("level", [1, 2, 3])
    def test_translation_tables(self, smmu: Protected, gpi: Gpi, level: int) -> None:
        """F_WALK_EABT with GPCF = 1 and the address of the descriptor."""
        root = smmu.stage2(STREAM)
        leaf = smmu.map(root, IPA, DATA)
        middle = smmu.memory.read64(root + 8 * (IPA >> 30)) & 0xFFFF_FFFF_F000
        fetch = {1: root + 8 * (IPA >> 30), 2: middle + 8 * (IPA >> 21 & 511), 3: leaf}[level]
        smmu.assign(fetch, gpi)
        smmu.refused(IPA)
        (found,) = smmu.records()
        assert (found.event, found.address, found.iova) == (Event.F_WALK_EABT, fetch, IPA)
        assert found.flags == EventFlags.make(gpcf=1, s2=1, class_=0b10, rnw=1)
        assert smmu.root(RootOffset.GPF_FAR) == far(fetch, Reason.WALK)

    def test_command_queue(self, smmu: Protected) -> None:
        """CERROR_ABT, and the fault with REASON GERROR."""
        smmu.assign(COMMANDS, Gpi.REALM)
        smmu.set(Offset.CMDQ_PROD, 1)
        assert smmu.get(Offset.CMDQ_CONS) == CommandError.ABT << 24
        assert smmu.get(Offset.GERROR) == Gerror.CMDQ_ERR
        assert smmu.root(RootOffset.GPF_FAR) == far(COMMANDS, Reason.CMDQ)

    def test_event_queue(self, smmu: Protected) -> None:
        """EVENTQ_ABT_ERR; the granule keeps what it had."""
        smmu.assign(EVENTS, Gpi.SECURE)
        smmu.raw.write(EVENTS, b"keep")
        smmu.refused(DATA)
        assert smmu.get(Offset.GERROR) == Gerror.EVENTQ_ABT_ERR
        assert smmu.get(Offset.EVENTQ_PROD) == 0
        assert smmu.raw.read(EVENTS, 4) == b"keep"
        assert smmu.root(RootOffset.GPF_FAR) == far(EVENTS, Reason.EVENTQ)

    def test_walks_before_accessen(self, smmu: Protected) -> None:
        """With ACCESSEN = 0 and a cached entry the walk is what fails."""
        root = smmu.stage2(STREAM)
        smmu.refused(IPA)
        smmu.records()
        smmu.access(0)
        smmu.refused(IPA)
        assert smmu.root(RootOffset.GPF_FAR) == far(root, Reason.WALK)


class TestLookupErrors:
    """3.25.4: when the tables themselves are wrong."""

    @pytest.mark.parametrize(
        ("configuration", "base", "error"),
        [
            (0x3507, L0, 0x0),  # PPS is reserved
            (0x3506, L0, 0x0),  # PPS exceeds the output size
            (0x7501, L0, 0x0),  # PGS
            (0x1501, L0, 0x0),  # SH is reserved
            (0x3001, L0, 0x0),  # Non-cacheable, but not Outer Shareable
            (0x3501, 1 << 40, 0x1),  # the base exceeds PPS
            (0x3501, 0x2_0000_0000, 0x2),  # no memory there
            (0x3501, 0x9000_0000, 0x3),  # entries that are none
        ],
    )
    def test_configuration(self, smmu: Protected, configuration: int, base: int, error: int) -> None:
        """GPT_CFG_FAR says what is wrong, and GPF_FAR stays clear."""
        smmu.set_root(RootOffset.CR0, ACCESSEN)
        smmu.set_root(RootOffset.GPT_BASE, base)
        smmu.set_root(RootOffset.GPT_BASE_CFG, configuration)
        smmu.set_root(RootOffset.CR0, GPCEN | ACCESSEN)
        smmu.start(0)
        smmu.refused(DATA)
        assert smmu.root(RootOffset.GPT_CFG_FAR) == far(DATA, Reason.TRANSACTION) | error << 56
        assert smmu.root(RootOffset.GPF_FAR) == 0
        smmu.set_root(RootOffset.GPT_CFG_FAR, 0)
        assert smmu.root(RootOffset.GPT_CFG_FAR) == 0

    def test_a_reserved_entry(self, smmu: Protected) -> None:
        """A GPI that does not exist."""
        smmu.assign(DATA, 0b0111)
        smmu.start(0)
        smmu.refused(DATA)
        assert smmu.root(RootOffset.GPT_CFG_FAR) == far(DATA, Reason.TRANSACTION) | 3 << 56

    def test_a_table_beyond_the_protected_space(self, smmu: Protected) -> None:
        """The next-level address exceeds PPS."""
        smmu.raw.write64(L0 + 8 * 2, gpt.l0_table(1 << 40))
        smmu.machine.memory.tlbi_paall()
        smmu.start(0)
        smmu.refused(DATA)
        assert smmu.root(RootOffset.GPT_CFG_FAR) == far(DATA, Reason.TRANSACTION) | 4 << 56

    def test_sync_still_works(self, smmu: Protected) -> None:
        """One fault does not stop what passes the check."""
        smmu.assign(DATA, Gpi.REALM)
        smmu.ste(STREAM, SteConfig.BYPASS)
        smmu.refused(DATA)
        smmu.command(Opcode.TLBI_NSNH_ALL)
        smmu.sync()
