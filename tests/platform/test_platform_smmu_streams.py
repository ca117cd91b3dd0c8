"""From a device's access to a page: stream tables, validity of stream table entries, stage 2, caches, event records."""

from collections.abc import Iterator

import pytest
from smmu_driver import LEAF, STREAM_TABLE, STREAMS, Record, SmmuDriver

from cca_platform.board import Board
from cca_platform.devices.smmu import DmaAborted
from cca_platform.devices.smmu.layout import Event, EventFlags, L1Std, Offset, Opcode, Ste, SteConfig
from cca_platform.machine.machine import Machine

DATA = 0x9000_0000
OTHER = 0x9100_0000
IPA = 0x40_1234_5000
NOWHERE = 0x2_0000_0000
IN = 0b10
STREAM = 5


@pytest.fixture
def smmu() -> Iterator[SmmuDriver]:
    """An SMMU that translates, on a machine whose EL3 lets it make accesses."""
    machine = Machine(Board.load("fvp"))
    driver = SmmuDriver(machine)
    driver.access(1)
    driver.start()
    yield driver
    machine.close()


def refused(smmu: SmmuDriver, iova: int = IPA, write: bool = False, stream: int = STREAM) -> list[Record]:
    """The records of one access that has to be aborted."""
    with pytest.raises(DmaAborted):
        if write:
            smmu.port(stream).write(iova, b"data")
        else:
            smmu.port(stream).read(iova, 4)
    return smmu.records()


def stage2_record(event: Event, iova: int, write: bool = False, address: int | None = None, gpcf: int = 0) -> Record:
    """What a fault of stage 2 is recorded as."""
    flags = EventFlags.make(s2=1, class_=IN, rnw=not write, gpcf=gpcf)
    return Record(event, STREAM, flags, iova, iova & ~0xFFF if address is None else address)


class TestStreamTable:
    """5.1, 6.3.25: where the entry of a stream is."""

    def test_linear(self, smmu: SmmuDriver) -> None:
        """The entry is at 64 times the StreamID."""
        smmu.ste((1 << STREAMS) - 1, SteConfig.BYPASS)
        smmu.memory.write(DATA, b"data")
        assert smmu.port((1 << STREAMS) - 1).read(DATA, 4) == b"data"

    def test_out_of_range(self, smmu: SmmuDriver) -> None:
        """A StreamID beyond LOG2SIZE: C_BAD_STREAMID, which has neither address nor flags."""
        assert refused(smmu, stream=1 << STREAMS) == [Record(Event.C_BAD_STREAMID, 1 << STREAMS, EventFlags(0), 0, 0)]

    def test_the_base_is_aligned_to_the_table(self, smmu: SmmuDriver) -> None:
        """Bits of STRTAB_BASE below the size of the table count as zero."""
        smmu.ste(STREAM, SteConfig.BYPASS)
        smmu.set(Offset.CR0, 0)
        smmu.set(Offset.STRTAB_BASE, STREAM_TABLE | 0x40, 8)
        smmu.start()
        smmu.port(STREAM).write(DATA, b"data")

    @pytest.mark.parametrize("split", [6, 8, 10])
    def test_two_levels(self, smmu: SmmuDriver, split: int) -> None:
        """The upper bits of the StreamID select a descriptor, the lower ones an entry of its array."""
        smmu.start(split=split)
        array = smmu.table(16)
        smmu.memory.write64(STREAM_TABLE + 8 * 3, L1Std.make(span=split + 1, l2ptr=array >> 6))
        stream = 3 << split | (1 << split) - 1
        smmu.write_ste((1 << split) - 1, Ste.make(v=1, config=SteConfig.BYPASS), array)
        smmu.port(stream).write(DATA, b"data")
        assert smmu.memory.read(DATA, 4) == b"data"

    @pytest.mark.parametrize(("span", "index"), [(0, 0), (12, 0), (31, 0), (8, 0), (3, 4)])
    def test_spans(self, smmu: SmmuDriver, span: int, index: int) -> None:
        """No array, a reserved span, one beyond the split, an index beyond the span: C_BAD_STREAMID."""
        smmu.start(split=6)
        smmu.memory.write64(STREAM_TABLE, L1Std.make(span=span, l2ptr=smmu.table() >> 6))
        assert [record.event for record in refused(smmu, stream=index)] == [Event.C_BAD_STREAMID]

    def test_abort_of_a_fetch(self, smmu: SmmuDriver) -> None:
        """F_STE_FETCH has the address that was fetched, and no cause by granule protection."""
        smmu.set(Offset.CR0, 0)
        smmu.start(0)
        smmu.set(Offset.STRTAB_BASE, NOWHERE, 8)
        smmu.set(Offset.CR0, 0b1101)
        found = refused(smmu)
        assert found == [Record(Event.F_STE_FETCH, STREAM, EventFlags(0), 0, NOWHERE + 64 * STREAM)]


class TestEntries:
    """5.2.2: which entries are illegal, and what the others do."""

    def test_invalid(self, smmu: SmmuDriver) -> None:
        """V = 0: C_BAD_STE."""
        assert refused(smmu) == [Record(Event.C_BAD_STE, STREAM, EventFlags(0), 0, 0)]

    @pytest.mark.parametrize("config", range(4))
    def test_abort(self, smmu: SmmuDriver, config: int) -> None:
        """Config 0b0xx terminates without an event."""
        smmu.ste(STREAM, config)
        assert refused(smmu) == []

    def test_bypass(self, smmu: SmmuDriver) -> None:
        """Config 0b100: the address is physical; beyond the output size F_ADDR_SIZE of stage 1."""
        smmu.ste(STREAM, SteConfig.BYPASS)
        smmu.port(STREAM).write(DATA, b"data")
        assert smmu.memory.read(DATA, 4) == b"data"
        flags = EventFlags.make(class_=IN, rnw=1)
        assert refused(smmu, 1 << 48) == [Record(Event.F_ADDR_SIZE, STREAM, flags, 1 << 48, 0)]

    @pytest.mark.parametrize(
        "fields",
        [
            {"config": SteConfig.STAGE1},
            {"config": SteConfig.NESTED},
            {"s2s": 1},
            {"s2aa64": 0},
            {"s2ha": 1},
            {"s2hd": 1},
            {"s2endi": 1},
            {"s2tg": 1},
            {"s2tg": 2},
            {"s2tg": 3},
            {"s2t0sz": 15, "s2sl0": 2},
            {"s2t0sz": 40, "s2sl0": 0},
            {"s2sl0": 3},
            {"s2t0sz": 16, "s2sl0": 1},  # 48 bits are too many from level 1
            {"s2t0sz": 34, "s2sl0": 1},  # 30 bits are too few
            {"s2t0sz": 24, "s2sl0": 2, "s2ps": 0, "s2ttb": 1 << 32 >> 4},  # tables beyond S2PS
            {"s2ttb": 1 << 48 >> 4},
        ],
    )
    def test_illegal(self, smmu: SmmuDriver, fields: dict[str, int]) -> None:
        """What the SMMU does not have, or what contradicts itself: C_BAD_STE."""
        smmu.ste(STREAM, **{"s2ttb": smmu.table(2) >> 4} | fields)
        assert [record.event for record in refused(smmu)] == [Event.C_BAD_STE]

    @pytest.mark.parametrize(("t0sz", "sl0"), [(16, 2), (24, 2), (24, 1), (21, 1), (33, 1), (31, 0), (39, 0)])
    def test_legal_sizes(self, smmu: SmmuDriver, t0sz: int, sl0: int) -> None:
        """Sizes that the start level resolves, up to 16 concatenated tables, translate: empty tables fault."""
        smmu.ste(STREAM, s2t0sz=t0sz, s2sl0=sl0, s2ttb=smmu.table(16) >> 4)
        assert refused(smmu, 0x1000) == [stage2_record(Event.F_TRANSLATION, 0x1000)]


class TestStage2:
    """3.4 and 7.3: translation and its faults."""

    @pytest.mark.parametrize(("level", "size"), [(1, 1 << 30), (2, 1 << 21), (3, 1 << 12)])
    def test_pages_and_blocks(self, smmu: SmmuDriver, level: int, size: int) -> None:
        """The offset into a page or block is kept."""
        root = smmu.stage2(STREAM)
        ipa, pa = IPA & -size, DATA & -size
        smmu.map(root, ipa, pa, level)
        smmu.port(STREAM).write(ipa + size - 8, b"at its end"[:8])
        assert smmu.memory.read(pa + size - 8, 8) == b"at its e"

    def test_a_transfer_crosses_pages(self, smmu: SmmuDriver) -> None:
        """Each page is translated by itself."""
        root = smmu.stage2(STREAM)
        smmu.map(root, IPA, DATA)
        smmu.map(root, IPA + 0x1000, OTHER)
        smmu.port(STREAM).write(IPA + 0xFFE, b"abcd")
        assert smmu.memory.read(DATA + 0xFFE, 2) + smmu.memory.read(OTHER, 2) == b"abcd"
        assert smmu.port(STREAM).read(IPA + 0xFFE, 4) == b"abcd"

    def test_streams_have_their_own_tables(self, smmu: SmmuDriver) -> None:
        """Two streams, two VMIDs, one IPA."""
        for stream, pa in ((1, DATA), (2, OTHER)):
            smmu.map(smmu.stage2(stream, s2vmid=stream), IPA, pa)
            smmu.port(stream).write(IPA, bytes((stream,)))
        assert (smmu.memory.read8(DATA), smmu.memory.read8(OTHER)) == (1, 2)

    def test_translation_fault(self, smmu: SmmuDriver) -> None:
        """F_TRANSLATION has InputAddr whole and the page of the IPA; RnW is the transaction's."""
        smmu.stage2(STREAM)
        assert refused(smmu, IPA | 0x123) == [stage2_record(Event.F_TRANSLATION, IPA | 0x123)]
        assert refused(smmu, IPA, write=True) == [stage2_record(Event.F_TRANSLATION, IPA, write=True)]

    def test_beyond_the_input_size(self, smmu: SmmuDriver) -> None:
        """An IPA beyond S2T0SZ is a translation fault of stage 2, one beyond the output size F_ADDR_SIZE of stage 1."""
        smmu.stage2(STREAM)
        assert refused(smmu, 1 << 40) == [stage2_record(Event.F_TRANSLATION, 1 << 40)]
        found = refused(smmu, 1 << 48)
        assert found == [Record(Event.F_ADDR_SIZE, STREAM, EventFlags.make(class_=IN, rnw=1), 1 << 48, 0)]

    @pytest.mark.parametrize(("leaf", "write"), [(1 << 6, True), (2 << 6, False), (0, False)])
    def test_permission(self, smmu: SmmuDriver, leaf: int, write: bool) -> None:
        """S2AP decides on reads and writes."""
        smmu.map(smmu.stage2(STREAM), IPA, DATA, leaf=1 << 10 | leaf)
        assert refused(smmu, IPA, write) == [stage2_record(Event.F_PERMISSION, IPA, write)]

    def test_access_flag(self, smmu: SmmuDriver) -> None:
        """AF = 0: F_ACCESS."""
        smmu.map(smmu.stage2(STREAM), IPA, DATA, leaf=3 << 6)
        assert refused(smmu) == [stage2_record(Event.F_ACCESS, IPA)]

    @pytest.mark.parametrize("level", [1, 2, 3])
    def test_access_flag_faults_disabled(self, smmu: SmmuDriver, level: int) -> None:
        """S2AFFD: AF is taken as 1, permissions count."""
        size = 1 << 39 - 9 * level
        root = smmu.stage2(STREAM, s2affd=1)
        ipa = IPA & -size
        smmu.map(root, ipa, DATA & -size, level, leaf=1 << 6)
        smmu.memory.write(DATA & -size, b"data")
        assert refused(smmu, ipa + 0x10, write=True) == [stage2_record(Event.F_PERMISSION, ipa + 0x10, write=True)]
        assert smmu.port(STREAM).read(ipa, 4) == b"data"

    def test_output_size(self, smmu: SmmuDriver) -> None:
        """A descriptor beyond S2PS: F_ADDR_SIZE of stage 2."""
        smmu.map(smmu.stage2(STREAM, s2ps=0), IPA, 0x8_8000_0000)
        assert refused(smmu) == [stage2_record(Event.F_ADDR_SIZE, IPA)]

    def test_abort_of_a_walk(self, smmu: SmmuDriver) -> None:
        """F_WALK_EABT has the address of the descriptor that could not be fetched."""
        root = smmu.stage2(STREAM)
        smmu.memory.write64(root + 8 * (IPA >> 30), NOWHERE | 3)
        fetch = NOWHERE + 8 * (IPA >> 21 & 511)
        assert refused(smmu) == [stage2_record(Event.F_WALK_EABT, IPA, address=fetch)]

    @pytest.mark.parametrize("leaf", [None, 1 << 10, 3 << 6])
    def test_faults_without_a_record(self, smmu: SmmuDriver, leaf: int | None) -> None:
        """S2R = 0: the four faults of translation abort without an event."""
        root = smmu.stage2(STREAM, s2r=0)
        if leaf is not None:
            smmu.map(root, IPA, DATA, leaf=leaf)
        assert refused(smmu, write=True) == []

    def test_aborts_of_walks_are_always_recorded(self, smmu: SmmuDriver) -> None:
        """S2R says nothing of F_WALK_EABT."""
        root = smmu.stage2(STREAM, s2r=0)
        smmu.memory.write64(root + 8 * (IPA >> 30), NOWHERE | 3)
        assert [record.event for record in refused(smmu)] == [Event.F_WALK_EABT]


class TestCaches:
    """Entries and translations stay until a command invalidates them."""

    @pytest.fixture
    def entry(self, smmu: SmmuDriver) -> int:
        """A page that the TLB holds and memory does not map any more; the address of its descriptor."""
        at = smmu.map(smmu.stage2(STREAM, s2vmid=9), IPA, DATA)
        smmu.port(STREAM).read(IPA, 1)
        smmu.memory.write64(at, 0)
        return at

    def test_a_translation_stays(self, smmu: SmmuDriver, entry: int) -> None:
        """Without a TLBI the old page is still reached."""
        smmu.port(STREAM).write(IPA, b"stale")
        assert smmu.memory.read(DATA, 5) == b"stale"

    @pytest.mark.parametrize(
        ("opcode", "low", "high", "drops"),
        [
            (Opcode.TLBI_S2_IPA, 9 << 32, IPA, True),
            (Opcode.TLBI_S2_IPA, 9 << 32, IPA | 1, True),  # Leaf
            (Opcode.TLBI_S2_IPA, 8 << 32, IPA, False),
            (Opcode.TLBI_S2_IPA, 9 << 32, IPA + 0x1000, False),
            (Opcode.TLBI_S2_IPA, 9 << 32 | 3 << 12, IPA - 0x3000 | 1 << 10, True),  # four pages, the last is ours
            (Opcode.TLBI_S2_IPA, 9 << 32 | 2 << 12, IPA - 0x3000 | 1 << 10, False),
            (Opcode.TLBI_S2_IPA, 9 << 32 | 9 << 20, IPA & -0x20_0000 | 1 << 10, True),  # 2 MiB by SCALE
            (Opcode.TLBI_S2_IPA, 9 << 32 | 1 << 12, IPA | 2 << 10, False),  # entries of 16 KiB granules
            (Opcode.TLBI_S12_VMALL, 9 << 32, 0, True),
            (Opcode.TLBI_S12_VMALL, 8 << 32, 0, False),
            (Opcode.TLBI_NSNH_ALL, 0, 0, True),
            (Opcode.CFGI_STE, STREAM << 32, 0, False),
        ],
    )
    def test_invalidation(self, smmu: SmmuDriver, entry: int, opcode: int, low: int, high: int, drops: bool) -> None:
        """A command drops what is in its scope: VMID, addresses, granule."""
        smmu.command(opcode, low, high)
        if drops:
            assert [record.event for record in refused(smmu)] == [Event.F_TRANSLATION]
        else:
            smmu.port(STREAM).read(IPA, 1)

    def test_a_block_goes_whole(self, smmu: SmmuDriver) -> None:
        """An address inside a block invalidates every page of it."""
        at = smmu.map(smmu.stage2(STREAM, s2vmid=9), 0x4000_0000, 0x9000_0000, level=2)
        for page in range(3):
            smmu.port(STREAM).read(0x4000_0000 + page * 0x1000, 1)
        smmu.memory.write64(at, 0)
        smmu.command(Opcode.TLBI_S2_IPA, 9 << 32, 0x401F_F000)
        for page in range(3):
            assert len(refused(smmu, 0x4000_0000 + page * 0x1000)) == 1

    def test_permissions_are_cached(self, smmu: SmmuDriver) -> None:
        """More permission in memory is not seen before a TLBI."""
        at = smmu.map(smmu.stage2(STREAM), IPA, DATA, leaf=1 << 10 | 1 << 6)
        smmu.port(STREAM).read(IPA, 1)
        smmu.memory.write64(at, DATA | LEAF | 3)
        assert refused(smmu, write=True) == [stage2_record(Event.F_PERMISSION, IPA, write=True)]
        smmu.command(Opcode.TLBI_NSNH_ALL)
        smmu.port(STREAM).write(IPA, b"x")

    @pytest.mark.parametrize(
        ("opcode", "low", "high", "drops"),
        [
            (Opcode.CFGI_STE, STREAM << 32, 1, True),
            (Opcode.CFGI_STE, 4 << 32, 1, False),
            (Opcode.CFGI_STE_RANGE, 4 << 32, 0, True),  # streams 4 and 5
            (Opcode.CFGI_STE_RANGE, 6 << 32, 0, False),
            (Opcode.CFGI_STE_RANGE, 0, 2, True),  # streams 0 to 7
            (Opcode.CFGI_STE_RANGE, 99 << 32, 31, True),  # CFGI_ALL
            (Opcode.TLBI_NSNH_ALL, 0, 0, False),
        ],
    )
    def test_configuration(self, smmu: SmmuDriver, opcode: int, low: int, high: int, drops: bool) -> None:
        """An entry that was read stays until a CFGI command covers its stream."""
        smmu.ste(STREAM, SteConfig.BYPASS)
        smmu.port(STREAM).read(DATA, 1)
        smmu.write_ste(STREAM, 0)
        smmu.command(opcode, low, high)
        if drops:
            assert [record.event for record in refused(smmu)] == [Event.C_BAD_STE]
        else:
            smmu.port(STREAM).read(DATA, 1)

    def test_caches_are_bounded(self, smmu: SmmuDriver) -> None:
        """More pages than the TLB has entries: the oldest go, and come back by a walk."""
        smmu.map(smmu.stage2(STREAM), 0x4000_0000, 0x8000_0000, level=1)
        smmu.memory.write64(DATA, 0x1234)
        for page in range(1_500):
            smmu.port(STREAM).read(0x4000_0000 + page * 0x1000, 1)
        assert int.from_bytes(smmu.port(STREAM).read(0x4000_0000 + DATA - 0x8000_0000, 8), "little") == 0x1234
