"""The granule protection check against the rules of the architecture, written as a table; every observer agrees.

Tables are valid and malformed alike: reserved bits and values, misaligned tables, tables that nobody answers for.
The file is also run with NUMBA_DISABLE_JIT=1 (test_platform_mmu_plain.py): the same source as plain Python.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mmu_bench import Bench

from cca_arch.types import Access, Gpi, Pas, SecurityState
from cca_platform.devices.smmu.granules import GranuleProtection
from cca_platform.errors import BusError, GranuleProtectionFault
from cca_platform.mmu.gpc import GPC_ADDRESS_SIZE, GPC_EXTERNAL_ABORT, GPC_GPF, GPC_WALK_FAULT, granule_protection_check
from cca_platform.mmu.translate import DEVICE, OK, REFUSED

DRAM = (range(0x8000_0000, 0x1_0000_0000), range(0x8_8000_0000, 0x9_0000_0000))
SIZES = {0: 32, 1: 36, 2: 40, 3: 42, 4: 44, 5: 48, 6: 52}
COVERED = {0: 30, 4: 34, 6: 36, 9: 39}
ADMITS = {0b0000: (), 0b1000: (0,), 0b1001: (1,), 0b1010: (2,), 0b1011: (3,), 0b1111: (0, 1, 2, 3)}
GPF, WALK, SIZE, ABORT = GPC_GPF, GPC_WALK_FAULT, GPC_ADDRESS_SIZE, GPC_EXTERNAL_ABORT


def bits(value: int, high: int, low: int) -> int:
    """Bits ``high`` down to ``low``."""
    return value // 2**low % 2 ** (high - low + 1)


class Case(NamedTuple):
    """Controls, the two entries that the address selects, and the access."""

    pps: int
    l0gptsz: int
    base: int  # of the level 0 table, aligned
    l0: int
    l1: int
    pa: int
    pas: int

    @property
    def limit(self) -> int:
        return 2 ** SIZES[self.pps]

    @property
    def l0_at(self) -> int:
        return self.base + self.pa // 2 ** COVERED[self.l0gptsz] * 8

    @property
    def l1_table(self) -> int:
        return bits(self.l0, 51, 12) * 4096

    @property
    def l1_at(self) -> int:
        return self.l1_table + self.pa % 2 ** COVERED[self.l0gptsz] // 65536 * 8

    @property
    def l1_size(self) -> int:
        return 2 ** COVERED[self.l0gptsz] // 65536 * 8

    @property
    def gpi(self) -> int:
        """That of the entry which governs the address."""
        if self.l0 % 16 == 0b0001:
            return bits(self.l0, 7, 4)
        if self.l1 % 16 == 0b0001:
            return bits(self.l1, 7, 4)
        return self.l1 // 16 ** (self.pa // 4096 % 16) % 16


def answers(pa: int) -> bool:
    return any(pa in bank for bank in DRAM)


def block(case: Case) -> bool:
    return case.l0 % 16 == 0b0001


def contiguous(case: Case) -> bool:
    return case.l1 % 16 == 0b0001


RULES: tuple[tuple[str, Callable[[Case], bool], int], ...] = (
    ("GPCCR_EL3.PPS is reserved: GPT walk fault", lambda c: c.pps not in SIZES, WALK),
    ("beyond PPS, Non-secure: passes", lambda c: c.pa >= c.limit and c.pas == 1, 0),
    ("beyond PPS, any other PAS: granule protection fault", lambda c: c.pa >= c.limit, GPF),
    ("the level 0 table is beyond PPS: address size fault", lambda c: c.base >= c.limit, SIZE),
    ("nobody answers for the level 0 table: external abort", lambda c: not answers(c.l0_at), ABORT),
    ("level 0 entry neither block nor table: walk fault", lambda c: c.l0 % 16 not in (0b0001, 0b0011), WALK),
    ("block with RES0 bits 63:8: walk fault", lambda c: block(c) and bits(c.l0, 63, 8) != 0, WALK),
    ("block with a reserved GPI: walk fault", lambda c: block(c) and c.gpi not in ADMITS, WALK),
    ("block that admits the PAS: passes", lambda c: block(c) and c.pas in ADMITS[c.gpi], 0),
    ("block that does not: granule protection fault", block, GPF),
    ("table with RES0 bits 63:52: walk fault", lambda c: bits(c.l0, 63, 52) != 0, WALK),
    ("table with RES0 bits 11:4: walk fault", lambda c: bits(c.l0, 11, 4) != 0, WALK),
    ("level 1 table not aligned to its size: walk fault", lambda c: c.l1_table % c.l1_size != 0, WALK),
    ("level 1 table beyond PPS: address size fault", lambda c: c.l1_table >= c.limit, SIZE),
    ("nobody answers for the level 1 table: external abort", lambda c: not answers(c.l1_at), ABORT | 1),
    ("contiguous with RES0 bits 63:10: walk fault", lambda c: contiguous(c) and bits(c.l1, 63, 10) != 0, WALK | 1),
    ("contiguous with Contig 0: walk fault", lambda c: contiguous(c) and bits(c.l1, 9, 8) == 0, WALK | 1),
    ("reserved GPI at level 1: walk fault", lambda c: c.gpi not in ADMITS, WALK | 1),
    ("level 1 entry that admits the PAS: passes", lambda c: c.pas in ADMITS[c.gpi], 0),
    ("level 1 entry that does not: granule protection fault", lambda c: True, GPF | 1),
)
"""In the order of the architecture (DDI 0487, GranuleProtectionCheck and GPTWalk): the first that holds decides."""


def expected(case: Case) -> int:
    """0 or ``GPC_*`` plus the level by the rules."""
    return next(result for _, holds, result in RULES if holds(case))


GPIS = st.sampled_from([*ADMITS] * 3 + [*range(16)])
FLIPS = st.sampled_from((0, 0, 0)) | st.integers(4, 63).map(lambda bit: 1 << bit)


@st.composite
def cases(draw: st.DrawFn, l0gptsz: tuple[int, ...] = (0, 4, 6, 9), pps: int = 7) -> Case:
    """Mostly well-formed tables in DRAM, each with at most a bit or two out of place."""
    size = draw(st.integers(0, pps))
    covered = draw(st.sampled_from(l0gptsz))
    width = SIZES.get(size, 52)
    pa = draw(st.integers(0, 2**width - 1) | st.integers(0x8000_0000, 0x8FFF_FFFF) | st.integers(0, 2**52 - 1))
    alignment = max(4096, 8 * 2 ** max(0, width - COVERED[covered]))
    base = draw(st.sampled_from((0x8000_0000, 0x8000_0000, 0x8_8000_0000, 0x1000, 2**40)))
    l1_size = 2 ** COVERED[covered] // 65536 * 8
    table = draw(st.sampled_from((0xC000_0000, 0xC000_0000, 0x8_C000_0000, 0x1_0000_0000, 2**44)))
    entry = draw(GPIS) << 4 | 1 if draw(st.integers(0, 3)) == 0 else table // l1_size * l1_size | 3
    l0 = draw(st.integers(0, 2**64 - 1)) if draw(st.integers(0, 15)) == 0 else entry ^ draw(FLIPS)
    if draw(st.integers(0, 2)) == 0:
        l1 = (draw(GPIS) << 4 | draw(st.integers(0, 3)) << 8 | 1) ^ draw(FLIPS)
    else:
        l1 = sum(draw(GPIS) << 4 * slot for slot in range(16))
    return Case(size, covered, base // alignment * alignment, l0, l1, pa, draw(st.sampled_from(list(Pas))))


class Tables:
    """A bench whose granule protection is that of one case after another."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.memory = self.bench.memory
        self.smmu = GranuleProtection(self.memory)

    def load(self, case: Case) -> Callable[[], None]:
        """Write the entries and controls; gives what takes them back."""
        words = {at: value for at, value in ((case.l1_at, case.l1), (case.l0_at, case.l0)) if answers(at)}
        for at, value in words.items():
            self.memory.backdoor.write64(at, value)
        self.memory.gptbr = case.base >> 12
        self.memory.gpccr = case.pps | case.l0gptsz << 20 | 1 << 16
        self.memory.tlbi_paall()

        def undo() -> None:
            for at in words:
                self.memory.backdoor.write64(at, 0)

        return undo


@pytest.fixture(scope="module")
def tables() -> Iterator[Tables]:
    tables = Tables()
    yield tables
    tables.memory.close()


REALM_BLOCK, L1 = 0xB << 4 | 1, 0xC000_0000
PLAIN = Case(1, 0, 0x8000_0000, L1 | 3, 0xBBBB_BBBB_BBBB_BBBB, 0x9000_0000, Pas.REALM)  # passes at level 1
EXAMPLES = [
    (text, case)
    for (text, _, _), case in zip(
        RULES,
        (
            PLAIN._replace(pps=7),
            PLAIN._replace(pa=1 << 36, pas=Pas.NON_SECURE),
            PLAIN._replace(pa=1 << 36),
            PLAIN._replace(base=1 << 40),
            PLAIN._replace(base=0x1000),
            PLAIN._replace(l0=0),
            PLAIN._replace(l0=1 << 8 | REALM_BLOCK),
            PLAIN._replace(l0=0x4 << 4 | 1),
            PLAIN._replace(l0=REALM_BLOCK),
            PLAIN._replace(l0=0xA << 4 | 1),
            PLAIN._replace(l0=1 << 52 | L1 | 3),
            PLAIN._replace(l0=1 << 11 | L1 | 3),
            PLAIN._replace(l0=L1 + 0x1_0000 | 3),
            PLAIN._replace(l0=1 << 36 | 3),
            PLAIN._replace(l0=0x1_0000_0000 | 3),
            PLAIN._replace(l1=1 << 10 | 1 << 8 | REALM_BLOCK),
            PLAIN._replace(l1=REALM_BLOCK),
            PLAIN._replace(l1=0xBBBB_BBBB_BBBB_BBB5),
            PLAIN,
            PLAIN._replace(pas=Pas.ROOT),
        ),
        strict=True,
    )
]
MALFORMED = {
    "L0 table, reserved bit 4": Case(1, 0, 0x8000_0000, L1 | 1 << 4 | 3, 0, 0x9000_0000, 1),
    "L0 table, reserved bit 63": Case(1, 0, 0x8000_0000, 1 << 63 | L1 | 3, 0, 0x9000_0000, 1),
    "L0 table, misaligned L1": Case(1, 0, 0x8000_0000, L1 + 0x1000 | 3, 2**64 - 1, 0x9000_0000, 1),
    "L0 block, reserved bit 8": Case(1, 0, 0x8000_0000, 1 << 8 | REALM_BLOCK, 0, 0x9000_0000, 3),
    "L1 contiguous, reserved bit 12": Case(1, 0, 0x8000_0000, L1 | 3, 1 << 12 | 1 << 8 | REALM_BLOCK, 0x9000_0000, 3),
    "L1 table beyond PPS": Case(1, 0, 0x8000_0000, 1 << 40 | 3, 0, 0x9000_0000, 1),
}


def undecided(case: Case) -> bool:
    """Whether the two entries are one word of memory, so that the case says two things of it."""
    return case.l0 % 16 == 3 and case.pps in SIZES and case.l0_at // 8 == case.l1_at // 8


class TestRules:
    """The check answers as the first rule that holds."""

    @pytest.mark.parametrize("case", MALFORMED.values(), ids=MALFORMED)
    def test_malformed(self, tables: Tables, case: Case) -> None:
        """Tables that used to be judged in two ways."""
        undo = tables.load(case)
        assert granule_protection_check(tables.bench.m, case.pa, case.pas) == expected(case) != 0
        undo()

    @pytest.mark.parametrize("bit", range(64))
    @pytest.mark.parametrize(
        ("l0", "l1"),
        [(REALM_BLOCK, 0), (L1 | 3, 0xBBBB_BBBB_BBBB_BBBB), (L1 | 3, 1 << 8 | REALM_BLOCK)],
        ids=["block", "table", "contiguous"],
    )
    def test_every_bit(self, tables: Tables, l0: int, l1: int, bit: int) -> None:
        """An entry with one bit flipped: reserved ones fault, in fields they change what the field says."""
        flipped = (l0, l1 ^ 1 << bit) if l1 & 15 == 1 else (l0 ^ 1 << bit, l1)
        case = Case(1, 0, 0x8000_0000, *flipped, 0x9000_0000, Pas.REALM)
        undo = tables.load(case)
        assert granule_protection_check(tables.bench.m, case.pa, case.pas) == expected(case)
        undo()

    @settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(case=cases())
    @example(case=MALFORMED["L0 block, reserved bit 8"])
    def test_any_tables(self, tables: Tables, case: Case) -> None:
        """Whatever the tables hold."""
        if undecided(case):
            return
        undo = tables.load(case)
        assert granule_protection_check(tables.bench.m, case.pa, case.pas) == expected(case)
        undo()

    @pytest.mark.parametrize(("text", "case"), EXAMPLES, ids=[text for text, _ in EXAMPLES])
    def test_every_rule(self, tables: Tables, text: str, case: Case) -> None:
        """A case that each rule of the table, and none before it, decides."""
        assert next(rule for rule, holds, _ in RULES if holds(case)) == text
        undo = tables.load(case)
        assert granule_protection_check(tables.bench.m, case.pa, case.pas) == expected(case)
        undo()


class TestObservers:
    """A PE, an SMMU, a port and whoever only looks agree, for they ask the same check."""

    @settings(max_examples=300)
    @given(case=cases(l0gptsz=(0,), pps=5))
    def test_agree(self, tables: Tables, case: Case) -> None:
        """The same access passes everywhere, or is refused with one kind of fault at one level."""
        if undecided(case):
            return
        undo = tables.load(case)
        result = expected(case)
        self.smmu(tables, case, result)
        self.port(tables, case, result)
        self.inspection(tables, case, result)
        if case.pas != Pas.ROOT and case.pa < 2**48:
            self.pe(tables, case, result)
        undo()

    @staticmethod
    def smmu(tables: Tables, case: Case, result: int) -> None:
        """Accesses enabled, GPC enabled, inner shareable write-back tables."""
        tables.smmu.configure(0b11, case.base, case.pps | 1 << 8 | 1 << 10 | 3 << 12)
        assert tables.smmu.code(case.pa, case.pas) == result

    @staticmethod
    def port(tables: Tables, case: Case, result: int) -> None:
        port = tables.memory.port(SecurityState(case.pas))
        try:
            port.read(case.pa, 1)
        except GranuleProtectionFault as fault:
            assert (result & 0xFF, True) == (fault.level, result != 0)
        except BusError:
            assert result == 0 and not answers(case.pa)
        else:
            assert result == 0

    @staticmethod
    def inspection(tables: Tables, case: Case, result: int) -> None:
        found = tables.memory.gpi(case.pa)
        if result in (0, GPF, GPF | 1):
            assert found is not None
            assert (found in (8 | case.pas, Gpi.ANY)) == (result == 0)
        else:
            assert found is None

    @staticmethod
    def pe(tables: Tables, case: Case, result: int) -> None:
        """With its MMU off the PE accesses the PAS of its own security state."""
        bench = tables.bench
        bench.set(SECURITY=case.pas, EL=2, SCTLR=0, HCR=0)
        status = bench.translate(Access.READ, case.pa)
        assert status == (REFUSED if result else OK if answers(case.pa) else DEVICE)
        if result:
            assert (bench.get("FAULT_GPF") << 8 | bench.get("FAULT_GPT_LEVEL"), bench.get("FAULT_FSC")) == (
                result,
                0x28,
            )
