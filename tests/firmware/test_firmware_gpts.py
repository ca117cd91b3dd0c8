"""The granule protection tables: what boot builds, and the transitions, against a model."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cca_arch.descriptors import gpt
from cca_arch.el3 import RmmEl3Status
from cca_arch.types import GRANULE_SIZE, Gpi, Pas, SecurityState
from cca_firmware.base.carveout import Carveout, required_region
from cca_firmware.base.errors import BootError
from cca_firmware.bl2.gpts import L0_BITS, _fill, build, dram_map
from cca_firmware.bl31.gpts import GranuleTables
from cca_platform.board import Bank, Board, Region, names
from cca_platform.errors import GranuleProtectionFault
from cca_platform.memory.memory import Memory

OK, BAD_ADDR, BAD_PAS = RmmEl3Status.OK, RmmEl3Status.BAD_ADDR, RmmEl3Status.BAD_PAS
GRANULE = 0x9000_3000  # an NS granule of both boards


def built(board: Board) -> tuple[Memory, GranuleTables]:
    memory = Memory(board)
    build(board, memory, Carveout(board, "root"))
    return memory, GranuleTables(memory)


def gpi_of(memory: Memory, pa: int) -> Gpi:
    found = memory.gpi(pa)
    assert found is not None
    return found


def expected(board: Board, pa: int) -> Gpi:
    """The GPI of ``pa`` after boot by the board file alone."""
    result = Gpi.ANY
    for base, size, gpi in dram_map(board):
        if base <= pa < base + size:
            result = gpi
    return result


@pytest.fixture(params=names())
def board(request: pytest.FixtureRequest) -> Board:
    return Board.load(request.param)


class TestBuild:
    def test_every_boundary(self, board: Board) -> None:
        """On both sides of every bank, region, device and GiB boundary the GPI is the one of the board file."""
        memory, _ = built(board)
        edges = {gib << L0_BITS for gib in range(1 << (board.pps_bits - L0_BITS))}
        for part in (*board.banks, *board.regions, *board.devices):
            edges |= {part.base, part.base + part.size}
        limit = 1 << board.pps_bits
        granules = {(edge + delta) & -GRANULE_SIZE for edge in edges for delta in (-1, 0, GRANULE_SIZE)}
        for pa in sorted(pa for pa in granules if 0 <= pa < limit):
            assert gpi_of(memory, pa) == expected(board, pa), hex(pa)

    def test_tables_are_root(self, board: Board) -> None:
        """Every table lies in the Root PAS, aligned to its size; nobody but Root reads it."""
        memory, tables = built(board)
        size = gpt.l1_table_size(L0_BITS)
        for table in (tables.l0, *tables.l1.values()):
            assert gpi_of(memory, table) == Gpi.ROOT
            for state in (SecurityState.NON_SECURE, SecurityState.SECURE, SecurityState.REALM):
                with pytest.raises(GranuleProtectionFault):
                    memory.port(state).read64(table)
        assert all(table % size == 0 for table in tables.l1.values())
        assert memory.gptbr == tables.l0 >> 12

    def test_levels(self, board: Board) -> None:
        """Only a GiB that holds DRAM has a level 1 table; devices are level 0 blocks of GPI any."""
        memory, tables = built(board)
        for gib in range(1 << (board.pps_bits - L0_BITS)):
            entry = memory.backdoor.read64(tables.l0 + 8 * gib)
            assert entry & 0xF == (gpt.TABLE if gib in tables.l1 else gpt.BLOCK)
        assert set(tables.l1) == {pa >> L0_BITS for bank in board.banks for pa in range(bank.base, bank.top, 1 << 30)}

    def test_control(self, board: Board) -> None:
        """GPCCR_EL3: check on, 4 KiB granules, the board's protected space, inner shareable write-back."""
        memory, _ = built(board)
        control = gpt.Gpccr(memory.gpccr)
        assert (control.gpc, control.pgs, control.l0gptsz) == (1, 0, 0)
        assert gpt.PPS_BITS[control.pps] == board.pps_bits
        assert (control.sh, control.irgn, control.orgn) == (3, 1, 1)

    def test_odd_boundaries(self) -> None:
        """Banks and regions need only granule alignment: a nibble of the table can be a boundary."""
        fvp = Board.load("fvp")
        regions = (
            Region("root", 0x8000_0000, 0x40_0000, Pas.ROOT),
            Region("realm_image", 0x8050_1000, 0x1000, Pas.REALM),
            Region("secure", 0x8050_3000, 0x2000, Pas.SECURE),
        )
        odd = Board(**{
            **{name: getattr(fvp, name) for name in Board.__slots__},
            "banks": (Bank(0x8000_0000, 0x60_1000),),
            "regions": regions,
        })  # fmt: skip
        memory, _ = built(odd)
        for pa in range(0x8000_0000, 0x8080_0000, GRANULE_SIZE):
            assert gpi_of(memory, pa) == expected(odd, pa), hex(pa)

    def test_carveout_too_small(self) -> None:
        """A Root region without room for the tables is an error that says what to change."""
        fvp = Board.load("fvp")
        small = Region("root", 0xFFC0_0000, 0x1_0000, Pas.ROOT)
        values = {name: getattr(fvp, name) for name in Board.__slots__}
        with pytest.raises(BootError, match=r"region root must have room for GPT level 1 .* make the region larger"):
            built(Board(**{**values, "regions": (*fvp.regions[:2], small)}))

    @pytest.mark.parametrize("name", ["root", "realm_image"])
    def test_missing_region(self, name: str) -> None:
        """A board without a region that the firmware needs is refused by the region's name."""
        fvp = Board.load("fvp")
        values = {slot: getattr(fvp, slot) for slot in Board.__slots__}
        bare = Board(**{**values, "regions": tuple(region for region in fvp.regions if region.name != name)})
        with pytest.raises(BootError, match=f"board fvp must have a region named '{name}'"):
            required_region(bare, name)


class TestTransitions:
    @pytest.mark.parametrize(("caller", "gpi"), [(SecurityState.REALM, Gpi.REALM), (SecurityState.SECURE, Gpi.SECURE)])
    def test_there_and_back(self, caller: SecurityState, gpi: Gpi) -> None:
        """A delegated granule belongs to the caller's PAS alone; undelegated it is NS again. EL3 wipes nothing."""
        memory, tables = built(Board.load("fvp"))
        ns, own = memory.port(SecurityState.NON_SECURE), memory.port(caller)
        ns.write64(GRANULE, 0x1234)
        assert tables.delegate(GRANULE, caller) == OK
        assert gpi_of(memory, GRANULE) == gpi
        with pytest.raises(GranuleProtectionFault):
            ns.read64(GRANULE)
        own.write64(GRANULE + 8, 0x5EC2E7)
        assert tables.undelegate(GRANULE, caller) == OK
        assert gpi_of(memory, GRANULE) == Gpi.NON_SECURE
        with pytest.raises(GranuleProtectionFault):
            own.read64(GRANULE)
        assert (ns.read64(GRANULE), ns.read64(GRANULE + 8)) == (0x1234, 0x5EC2E7)

    @pytest.mark.parametrize("operation", ["delegate", "undelegate"])
    @pytest.mark.parametrize(
        "pa",
        [
            GRANULE + 1,  # unaligned
            GRANULE + 0x800,
            1 << 36,  # at the end of the protected space
            (1 << 36) - 0x1000,  # its last granule: TF-A refuses it too
            2**64 - 0x1000,
            2**64 - 1,
            0x1C09_0000,  # under a level 0 block
            0x1_0000_0000,  # between the banks
            0xFFC0_0001,  # BAD_ADDR comes before BAD_PAS
        ],
    )
    def test_bad_addr(self, operation: str, pa: int) -> None:
        """Unaligned, outside the protected space or not under a level 0 table: BAD_ADDR."""
        memory, tables = built(Board.load("fvp"))
        before = memory.backdoor.read(tables.l0, 512)
        assert getattr(tables, operation)(pa) == BAD_ADDR
        assert memory.backdoor.read(tables.l0, 512) == before

    @pytest.mark.parametrize("caller", [SecurityState.REALM, SecurityState.SECURE])
    @pytest.mark.parametrize("operation", ["delegate", "undelegate"])
    @pytest.mark.parametrize("region", ["secure", "realm_image", "root", None])
    def test_pas_rules(self, caller: SecurityState, operation: str, region: str | None) -> None:
        """Only NS granules are delegated, only the caller's are given back: every PAS, both callers."""
        board = Board.load("fvp")
        memory, tables = built(board)
        pa = GRANULE if region is None else board.region(region).base
        pas = Pas.NON_SECURE if region is None else board.region(region).pas
        needed = Pas.NON_SECURE if operation == "delegate" else Pas(caller)
        before = gpi_of(memory, pa)
        assert getattr(tables, operation)(pa, caller) == (OK if pas == needed else BAD_PAS)
        assert (gpi_of(memory, pa) == before) == (pas != needed)

    @pytest.mark.parametrize("caller", [SecurityState.NON_SECURE, SecurityState.ROOT])
    @pytest.mark.parametrize("operation", ["delegate", "undelegate"])
    def test_no_such_caller(self, caller: SecurityState, operation: str) -> None:
        """Non-secure and Root have no PAS to delegate to: every granule is BAD_PAS for them."""
        board = Board.load("fvp")
        _, tables = built(board)
        for pa in (GRANULE, *(region.base for region in board.regions)):
            assert getattr(tables, operation)(pa, caller) == BAD_PAS

    def test_twice(self) -> None:
        """A granule cannot be delegated twice, nor undelegated twice."""
        _, tables = built(Board.load("fvp"))
        assert [tables.delegate(GRANULE), tables.delegate(GRANULE)] == [OK, BAD_PAS]
        assert [tables.undelegate(GRANULE), tables.undelegate(GRANULE)] == [OK, BAD_PAS]

    @settings(max_examples=30)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["delegate", "undelegate"]),
                st.sampled_from([SecurityState.REALM, SecurityState.SECURE]),
                st.sampled_from([GRANULE + index * GRANULE_SIZE for index in range(20)] + [0x8_8000_0000, 0xFFC0_0000]),
            ),
            max_size=60,
        )
    )
    def test_model(self, steps: list[tuple[str, SecurityState, int]]) -> None:
        """Any sequence of transitions leaves the tables as a dictionary of granules says, neighbours included."""
        board = Board.load("fvp")
        memory, tables = built(board)
        watched = {pa + delta for _, _, pa in steps for delta in (-GRANULE_SIZE, 0, GRANULE_SIZE)}
        model = {pa: expected(board, pa) for pa in watched}
        for operation, caller, pa in steps:
            own = Gpi(8 | caller)
            old, new = (Gpi.NON_SECURE, own) if operation == "delegate" else (own, Gpi.NON_SECURE)
            allowed = model[pa] == old
            assert getattr(tables, operation)(pa, caller) == (OK if allowed else BAD_PAS)
            if allowed:
                model[pa] = new
        assert {pa: gpi_of(memory, pa) for pa in watched} == model


class TestFill:
    """Parts of a table, in any order and from any granule on."""

    @given(
        st.lists(st.tuples(st.integers(0, 31), st.integers(0, 32), st.sampled_from([0, 8, 9, 10, 11, 15])), max_size=6)
    )
    def test_model(self, parts: list[tuple[int, int, Gpi]]) -> None:
        """Each granule has what was said of it last; an odd end spares the neighbour."""
        table, model = bytearray(16), [0] * 32
        for first, count, gpi in parts:
            size = min(count, 32 - first)
            _fill(table, first, size, gpi)
            model[first : first + size] = [gpi] * size
        assert [table[number >> 1] >> 4 * (number & 1) & 15 for number in range(32)] == model
