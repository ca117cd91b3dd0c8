"""Who may use which register of the CPU interface, and what traps it."""

import itertools

import pytest
from gic_bench import REGISTERS, Bench

UNDEFINED, TRAP_EL2 = -1, -2
FMO, IMO = 0x8, 0x10
TC, TALL0, TALL1, TDIR = 1 << 10, 1 << 11, 1 << 12, 1 << 14

READ_ONLY = {
    "ICC_IAR0_EL1", "ICC_HPPIR0_EL1", "ICC_RPR_EL1", "ICC_IAR1_EL1", "ICC_HPPIR1_EL1", "ICH_VTR_EL2", "ICH_MISR_EL2",
    "ICH_EISR_EL2", "ICH_ELRSR_EL2",
}  # fmt: skip
SGI = {"ICC_SGI1R_EL1", "ICC_ASGI1R_EL1", "ICC_SGI0R_EL1"}
WRITE_ONLY = {"ICC_EOIR0_EL1", "ICC_EOIR1_EL1", "ICC_DIR_EL1"} | SGI
GROUP0 = {name for name in REGISTERS if name[:-4].endswith("0") or "AP0R0" in name} & {
    "ICC_IAR0_EL1", "ICC_EOIR0_EL1", "ICC_HPPIR0_EL1", "ICC_BPR0_EL1", "ICC_AP0R0_EL1", "ICC_IGRPEN0_EL1",
}  # fmt: skip
GROUP1 = {
    "ICC_IAR1_EL1", "ICC_EOIR1_EL1", "ICC_HPPIR1_EL1", "ICC_BPR1_EL1", "ICC_AP1R0_EL1", "ICC_IGRPEN1_EL1",
}  # fmt: skip
COMMON = {"ICC_PMR_EL1", "ICC_DIR_EL1", "ICC_RPR_EL1", "ICC_CTLR_EL1"}
EL1 = sorted(name for name in REGISTERS if name.endswith("EL1"))
EL2 = sorted(name for name in REGISTERS if name.endswith("EL2"))
EL3 = sorted(name for name in REGISTERS if name.endswith("EL3"))


@pytest.fixture
def bench() -> Bench:
    return Bench().start()


def use(bench: Bench, who: str, register: str, hcr: int = 0) -> int:
    """Read the register, or write it if it cannot be read; the negative answer, or 0."""
    if register in WRITE_ONLY:
        return bench.msr(who, register, 1023, hcr=hcr)
    return min(bench.mrs(who, register, hcr=hcr), 0)


class TestLevels:
    """A register may be used from the level in its name up."""

    @pytest.mark.parametrize("register", REGISTERS)
    def test_el0(self, bench: Bench, register: str) -> None:
        """Nothing at EL0."""
        assert bench.mrs("NS-EL0", register) == bench.msr("NS-EL0", register, 0) == UNDEFINED

    @pytest.mark.parametrize(
        ("registers", "permitted"),
        [
            (sorted(set(EL1) - GROUP0), {"NS-EL1", "R-EL1", "S-EL1", "NS-EL2", "R-EL2", "EL3"}),
            (sorted(GROUP0), {"EL3"}),
            (EL2, {"NS-EL2", "R-EL2", "EL3"}),
            (EL3, {"EL3"}),
        ],
    )
    def test_levels(self, bench: Bench, registers: list[str], permitted: set[str]) -> None:
        """Group 0 belongs to EL3, by SCR_EL3.FIQ; Secure state has no EL2."""
        for register in registers:
            for who in ("NS-EL1", "R-EL1", "S-EL1", "NS-EL2", "R-EL2", "EL3"):
                assert use(bench, who, register) == (0 if who in permitted else UNDEFINED), (register, who)

    @pytest.mark.parametrize("register", REGISTERS)
    def test_direction(self, bench: Bench, register: str) -> None:
        """What cannot be read or written is undefined at every level."""
        assert (bench.mrs("EL3", register) == UNDEFINED) == (register in WRITE_ONLY)
        assert (bench.msr("EL3", register, 0) == UNDEFINED) == (register in READ_ONLY)

    @pytest.mark.parametrize(
        "encoding",
        [(3, 0, 12, 8, 5), (3, 0, 12, 9, 1), (3, 0, 12, 9, 5), (3, 0, 12, 10, 0), (3, 0, 12, 11, 0), (3, 4, 12, 8, 1),
         (3, 4, 12, 9, 1), (3, 4, 12, 11, 4), (3, 4, 12, 12, 4), (3, 4, 12, 13, 0), (3, 0, 12, 0, 0), (0, 0, 0, 0, 0)],
    )  # fmt: skip
    def test_not_there(self, bench: Bench, encoding: tuple[int, int, int, int, int]) -> None:
        """5 bits of priority have one register of active priorities, and there are four list registers."""
        cpu = bench.gic.cpus[0]
        assert cpu.read(encoding, 3, 0, 0) == cpu.write(encoding, 0, 3, 0, 0) == UNDEFINED


class TestVirtual:
    """HCR_EL2.IMO and FMO give EL1 the virtual interface; ICH_HCR_EL2 traps it."""

    @pytest.mark.parametrize("who", ["NS-EL1", "R-EL1"])
    @pytest.mark.parametrize("register", EL1)
    def test_rule(self, bench: Bench, who: str, register: str) -> None:
        """Every combination of HCR_EL2 and ICH_HCR_EL2."""
        traps = TALL0 if register in GROUP0 else TALL1 if register in GROUP1 else TC
        traps |= TDIR if register == "ICC_DIR_EL1" else 0
        routes = FMO if register in GROUP0 else IMO if register in GROUP1 else FMO | IMO
        for hcr, bits in itertools.product((0, FMO, IMO, FMO | IMO), (0, TC, TALL0, TALL1, TDIR)):
            bench.load(hcr=1 | bits)
            expected = 0
            if register == "ICC_SRE_EL1":
                pass
            elif bits & traps or (hcr & routes and register in SGI):
                expected = TRAP_EL2
            elif not hcr & routes and register in GROUP0:
                expected = UNDEFINED
            assert use(bench, who, register, hcr) == expected, (hcr, bits)

    @pytest.mark.parametrize("who", ["S-EL1", "NS-EL2", "R-EL2", "EL3"])
    def test_not_for_others(self, bench: Bench, who: str) -> None:
        """EL2, EL3 and Secure state have the physical one, whatever the bits."""
        bench.load(hcr=1 | TC | TALL0 | TALL1 | TDIR)
        for register in set(EL1) - GROUP0:
            assert use(bench, who, register, FMO | IMO) == 0

    @pytest.mark.parametrize("register", ["ICC_PMR_EL1", "ICC_CTLR_EL1", "ICC_BPR1_EL1", "ICC_IGRPEN1_EL1"])
    def test_separate(self, bench: Bench, register: str) -> None:
        """The state of the virtual interface is not that of the physical one."""
        physical = bench.mrs("NS-EL2", register)
        for value in (0, 0xFF):
            bench.msr("NS-EL1", register, value, hcr=IMO)
            assert bench.mrs("NS-EL2", register) == physical

    def test_undefined_before_trap(self, bench: Bench) -> None:
        """A write to a read-only register is undefined, not trapped."""
        bench.load(hcr=1 | TC | TALL1)
        assert bench.msr("NS-EL1", "ICC_IAR1_EL1", 0, hcr=IMO) == UNDEFINED
        assert bench.mrs("NS-EL1", "ICC_SGI1R_EL1", hcr=IMO) == UNDEFINED
