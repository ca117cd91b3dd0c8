"""Every trap control on the real machine: without it the instruction runs, with it the right level gets a syndrome."""

from typing import Any

import pytest

from cca_platform.isa.sysinsn import SystemInstruction, SystemKind
from cca_platform.pe.traps import CONTROLS, trap

CODE, VECTORS, VECTORS_EL2, DATA = 0x8010_0000, 0x8011_0000, 0x8013_0000, 0x8012_0000
IL, RW = 1 << 25, 1 << 31
_SCTLR = 0x30D0_0800 | 1 << 9 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 26 | 1 << 10  # EL0 may all that SCTLR_EL1 can forbid
_OPEN = {
    "hcr_el2": RW, "cptr_el2": 0x33FF, "mdcr_el2": 6, "cnthctl_el2": 3, "sctlr_el1": _SCTLR, "cntkctl_el1": 0x303,
    "pmuserenr_el0": 0xF,
}
_SETUP = (
    "msr hcr_el2, x10; msr cptr_el2, x11; msr mdcr_el2, x12; msr cnthctl_el2, x13; msr sctlr_el1, x14; "
    "msr cntkctl_el1, x15; msr pmuserenr_el0, x16; adr x9, lower; msr elr_el2, x9; msr spsr_el2, x17; eret; lower: "
)
_SETUP_SIZE = 11 * 4
_READ, _WRITE = 1, 0
# control -> (source, level, (op0, op1, CRn, CRm, op2), direction); X7 is the register of each
_SAMPLES: dict[str, list[tuple[str, int, tuple[int, int, int, int, int], int]]] = {
    "UMA": [
        ("mrs x7, daif", 0, (3, 3, 4, 2, 1), _READ),
        ("msr daif, x7", 0, (3, 3, 4, 2, 1), _WRITE),
        ("msr daifset, #3", 0, (0, 3, 4, 3, 6), _WRITE),
        ("msr daifclr, #1", 0, (0, 3, 4, 1, 7), _WRITE),
    ],
    "DZE": [("dc zva, x7", 0, (1, 3, 7, 4, 1), _WRITE)],
    "UCT": [("mrs x7, ctr_el0", 0, (3, 3, 0, 0, 1), _READ)],
    "UCI": [
        ("dc cvac, x7", 0, (1, 3, 7, 10, 1), _WRITE),
        ("dc cvau, x7", 0, (1, 3, 7, 11, 1), _WRITE),
        ("dc civac, x7", 0, (1, 3, 7, 14, 1), _WRITE),
        ("ic ivau, x7", 0, (1, 3, 7, 5, 1), _WRITE),
    ],
    "EL0PCTEN": [("mrs x7, cntpct_el0", 0, (3, 3, 14, 0, 1), _READ)],
    "EL0VCTEN": [("mrs x7, cntvct_el0", 0, (3, 3, 14, 0, 2), _READ)],
    "EL0VTEN": [
        ("mrs x7, cntv_ctl_el0", 0, (3, 3, 14, 3, 1), _READ),
        ("msr cntv_cval_el0, x7", 0, (3, 3, 14, 3, 2), _WRITE),
    ],
    "EL0PTEN": [
        ("mrs x7, cntp_ctl_el0", 0, (3, 3, 14, 2, 1), _READ),
        ("msr cntp_tval_el0, x7", 0, (3, 3, 14, 2, 0), _WRITE),
    ],
    "EL1PCTEN": [
        ("mrs x7, cntpct_el0", 1, (3, 3, 14, 0, 1), _READ),
        ("mrs x7, cntpct_el0", 0, (3, 3, 14, 0, 1), _READ),
    ],
    "EL1PCEN": [
        ("mrs x7, cntp_cval_el0", 1, (3, 3, 14, 2, 2), _READ),
        ("msr cntp_ctl_el0, x7", 0, (3, 3, 14, 2, 1), _WRITE),
    ],
    "TID1": [("mrs x7, revidr_el1", 1, (3, 0, 0, 0, 6), _READ), ("mrs x7, aidr_el1", 1, (3, 1, 0, 0, 7), _READ)],
    "TID2": [
        ("mrs x7, ctr_el0", 1, (3, 3, 0, 0, 1), _READ),
        ("mrs x7, ctr_el0", 0, (3, 3, 0, 0, 1), _READ),
        ("mrs x7, ccsidr_el1", 1, (3, 1, 0, 0, 0), _READ),
        ("mrs x7, clidr_el1", 1, (3, 1, 0, 0, 1), _READ),
        ("mrs x7, csselr_el1", 1, (3, 2, 0, 0, 0), _READ),
        ("msr csselr_el1, x7", 1, (3, 2, 0, 0, 0), _WRITE),
    ],
    "TID3": [
        ("mrs x7, id_aa64pfr0_el1", 1, (3, 0, 0, 4, 0), _READ),
        ("mrs x7, s3_0_c0_c7_2", 1, (3, 0, 0, 7, 2), _READ),
        ("mrs x7, s3_0_c0_c7_7", 1, (3, 0, 0, 7, 7), _READ),
        ("mrs x7, s3_0_c0_c1_0", 1, (3, 0, 0, 1, 0), _READ),
    ],
    "TACR": [("mrs x7, actlr_el1", 1, (3, 0, 1, 0, 1), _READ), ("msr actlr_el1, x7", 1, (3, 0, 1, 0, 1), _WRITE)],
    "TSW": [
        ("dc isw, x7", 1, (1, 0, 7, 6, 2), _WRITE),
        ("dc csw, x7", 1, (1, 0, 7, 10, 2), _WRITE),
        ("dc cisw, x7", 1, (1, 0, 7, 14, 2), _WRITE),
    ],
    "TPCP": [
        ("dc ivac, x7", 1, (1, 0, 7, 6, 1), _WRITE),
        ("dc cvac, x7", 1, (1, 3, 7, 10, 1), _WRITE),
        ("dc civac, x7", 0, (1, 3, 7, 14, 1), _WRITE),
    ],
    "TPU": [
        ("ic iallu", 1, (1, 0, 7, 5, 0), _WRITE),
        ("ic ialluis", 1, (1, 0, 7, 1, 0), _WRITE),
        ("ic ivau, x7", 1, (1, 3, 7, 5, 1), _WRITE),
        ("dc cvau, x7", 0, (1, 3, 7, 11, 1), _WRITE),
    ],
    "TTLB": [
        ("tlbi vmalle1", 1, (1, 0, 8, 7, 0), _WRITE),
        ("tlbi vae1is, x7", 1, (1, 0, 8, 3, 1), _WRITE),
        ("tlbi aside1, x7", 1, (1, 0, 8, 7, 2), _WRITE),
    ],
    "TVM": [
        (f"msr {name}, x7", 1, encoding, _WRITE)
        for name, encoding in (
            ("ttbr1_el1", (3, 0, 2, 0, 1)),
            ("tcr_el1", (3, 0, 2, 0, 2)),
            ("esr_el1", (3, 0, 5, 2, 0)),
            ("far_el1", (3, 0, 6, 0, 0)),
            ("afsr0_el1", (3, 0, 5, 1, 0)),
            ("mair_el1", (3, 0, 10, 2, 0)),
            ("amair_el1", (3, 0, 10, 3, 0)),
            ("contextidr_el1", (3, 0, 13, 0, 1)),
        )
    ],
    "TDZ": [("dc zva, x7", 1, (1, 3, 7, 4, 1), _WRITE), ("dc zva, x7", 0, (1, 3, 7, 4, 1), _WRITE)],
    "TRVM": [
        ("mrs x7, sctlr_el1", 1, (3, 0, 1, 0, 0), _READ),
        ("mrs x7, ttbr0_el1", 1, (3, 0, 2, 0, 0), _READ),
        ("mrs x7, far_el1", 1, (3, 0, 6, 0, 0), _READ),
    ],
    "TCPAC": [("mrs x7, cpacr_el1", 1, (3, 0, 1, 0, 2), _READ), ("msr cpacr_el1, x7", 1, (3, 0, 1, 0, 2), _WRITE)],
    "TDA": [
        ("mrs x7, mdscr_el1", 1, (2, 0, 0, 2, 2), _READ),
        ("msr dbgbvr0_el1, x7", 1, (2, 0, 0, 0, 4), _WRITE),
        ("mrs x7, dbgwcr1_el1", 1, (2, 0, 0, 1, 7), _READ),
    ],
    "TDOSA": [("mrs x7, oslsr_el1", 1, (2, 0, 1, 1, 4), _READ), ("msr oslar_el1, x7", 1, (2, 0, 1, 0, 4), _WRITE)],
    "TDRA": [("mrs x7, mdrar_el1", 1, (2, 0, 1, 0, 0), _READ)],
    "EN": [
        ("mrs x7, pmcr_el0", 0, (3, 3, 9, 12, 0), _READ),
        ("msr pmcntenset_el0, x7", 0, (3, 3, 9, 12, 1), _WRITE),
        ("mrs x7, pmceid0_el0", 0, (3, 3, 9, 12, 6), _READ),
        ("msr pmccntr_el0, x7", 0, (3, 3, 9, 13, 0), _WRITE),
        ("msr pmevcntr1_el0, x7", 0, (3, 3, 14, 8, 1), _WRITE),
        ("mrs x7, pmccfiltr_el0", 0, (3, 3, 14, 15, 7), _READ),
    ],
    "EN|SW": [("msr pmswinc_el0, x7", 0, (3, 3, 9, 12, 4), _WRITE)],
    "EN|CR": [("mrs x7, pmccntr_el0", 0, (3, 3, 9, 13, 0), _READ)],
    "EN|ER": [
        ("mrs x7, pmselr_el0", 0, (3, 3, 9, 12, 5), _READ),
        ("msr pmselr_el0, xzr", 0, (3, 3, 9, 12, 5), _WRITE),
        ("mrs x7, pmxevcntr_el0", 0, (3, 3, 9, 13, 2), _READ),
        ("mrs x7, pmevcntr5_el0", 0, (3, 3, 14, 8, 5), _READ),
    ],
    "TPMCR": [
        ("mrs x7, pmcr_el0", 1, (3, 3, 9, 12, 0), _READ),
        ("msr pmcr_el0, x7", 0, (3, 3, 9, 12, 0), _WRITE),
    ],
    "TPM": [
        ("mrs x7, pmcr_el0", 1, (3, 3, 9, 12, 0), _READ),
        ("msr pmswinc_el0, x7", 0, (3, 3, 9, 12, 4), _WRITE),
        ("mrs x7, pmuserenr_el0", 0, (3, 3, 9, 14, 0), _READ),
        ("msr pmuserenr_el0, x7", 1, (3, 3, 9, 14, 0), _WRITE),
        ("msr pmintenset_el1, x7", 1, (3, 0, 9, 14, 1), _WRITE),
        ("mrs x7, s3_0_c9_c14_6", 1, (3, 0, 9, 14, 6), _READ),
        ("mrs x7, pmceid1_el0", 1, (3, 3, 9, 12, 7), _READ),
        ("mrs x7, pmevtyper3_el0", 1, (3, 3, 14, 12, 3), _READ),
    ],
}
_SAMPLES["TDE"] = _SAMPLES["TDA"] + _SAMPLES["TDOSA"] + _SAMPLES["TDRA"]
_SAMPLES_OF_MAX: dict[str, list[tuple[str, int, tuple[int, int, int, int, int], int]]] = {
    "UCI": [(f"sys #3, c7, c{crm}, #1, x7", 0, (1, 3, 7, crm, 1), _WRITE) for crm in (12, 13)],  # DC CVAP, CVADP
    "TPCP": [(f"sys #3, c7, c{crm}, #1, x7", 1, (1, 3, 7, crm, 1), _WRITE) for crm in (12, 13)],
    "EnRCTX": [(f"sys #3, c7, c3, #{op2}, x7", 0, (1, 3, 7, 3, op2), _WRITE) for op2 in (4, 5, 7)],
    "TLOR": [
        ("mrs x7, s3_0_c10_c4_7", 1, (3, 0, 10, 4, 7), _READ),
        ("msr s3_0_c10_c4_1, x7", 1, (3, 0, 10, 4, 1), _WRITE),
    ],
}
"""What the CPU model ``max`` has besides."""
_CONTROLS = {control.name: control for control in CONTROLS}
_CASES = [
    pytest.param(name, *sample, id=f"{name}-{sample[0]}-EL{sample[1]}")
    for name, samples in _SAMPLES.items()
    for sample in samples
]
_CASES_OF_MAX = [
    pytest.param(name, *sample, id=f"{name}-{sample[0]}-EL{sample[1]}")
    for name, samples in _SAMPLES_OF_MAX.items()
    for sample in samples
]


def run(bench: Any, source: str, el: int, **controls: int) -> list[int]:
    """Run ``source`` at EL1 or EL0 under real EL2 code; X24 = 0 when it ran to its end, else the level that got it."""
    for level, vectors in ((1, VECTORS), (2, VECTORS_EL2)):
        report = f"mrs x20, esr_el{level}; mrs x22, elr_el{level}; mrs x23, spsr_el{level}; mov x24, #{level}; smc #0"
        for offset in range(0, 0x800, 0x80):
            bench.place(vectors + offset, report)
        bench.pe.write_sysreg(f"vbar_el{level}", vectors)
    values = _OPEN | controls
    registers = {f"x{10 + place}": value for place, value in enumerate(values.values())}
    registers |= {"x17": 0x3C5 if el else 0x3C0, "x7": DATA, "x24": 0}
    end = "smc #0" if el else "hvc #1" if controls.get("hcr_el2", 0) >> 27 & 1 else "svc #1"
    return list(bench.run(_SETUP + source + f"; {end}", el=2, **registers))


class TestControls:
    """A control traps what it names, and nothing without it."""

    @pytest.mark.parametrize(("name", "source", "el", "encoding", "direction"), _CASES)
    def test_instruction(
        self, bench: Any, name: str, source: str, el: int, encoding: tuple[int, ...], direction: int
    ) -> None:
        """EC 0x18, the instruction's encoding and register, ELR at it, at the level of the control."""
        control = _CONTROLS[name]
        x = run(bench, source, el)
        assert (x[24], x[20]) == ((0, 0) if el else (1, 0x15 << 26 | IL | 1))  # the end of the code: SMC, or SVC #1
        value = _OPEN[control.register] ^ control.mask
        x = run(bench, source, el, **{control.register: value})
        op0, op1, crn, crm, op2 = encoding
        rt = 31 if op0 == 0 or "," not in source or "xzr" in source else 7
        iss = op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | rt << 5 | crm << 1 | direction
        assert x[20] == 0x18 << 26 | IL | iss
        assert x[22] == CODE + _SETUP_SIZE
        assert x[24] == control.target
        assert x[23] & 0xF == (5 if el else 0)

    @pytest.mark.parametrize(("name", "source", "el", "encoding", "direction"), _CASES_OF_MAX)
    def test_instruction_of_max(
        self, benches: Any, name: str, source: str, el: int, encoding: tuple[int, ...], direction: int
    ) -> None:
        """The same, of what only ``max`` has; on ``a72`` it is UNDEFINED, with the control or without."""
        self.test_instruction(benches(cpu="max"), name, source, el, encoding, direction)
        control = _CONTROLS[name]
        for value in (_OPEN[control.register], _OPEN[control.register] ^ control.mask):
            x = run(benches(), source, el, **{control.register: value})
            assert (x[20], x[24]) == (IL, 1)

    @pytest.mark.parametrize("control", CONTROLS, ids=lambda control: f"{control.register}.{control.name}")
    def test_row(self, control: Any) -> None:
        """A control of EL1 traps EL0 to EL1; one of EL2 traps what is below to EL2. Its bits are in its register."""
        own = 2 if control.register.endswith("_el2") else 1
        assert control.target == own
        assert control.levels and max(control.levels) < own
        assert 0 < control.mask < 1 << 64 and control.active in (0, 1)
        assert control.kinds and control.encodings

    def test_complete(self) -> None:
        """Every control is sampled here or below."""
        assert set(_CONTROLS) == {*_SAMPLES, *_SAMPLES_OF_MAX, "nTWI", "TWI", "nTWE", "TWE", "TIDCP"}

    @pytest.mark.parametrize("source", ["mrs x7, s3_1_c11_c0_2", "msr s3_0_c15_c2_0, x7", "mrs x7, s3_7_c15_c15_7"])
    def test_implementation_defined(self, bench: Any, source: str) -> None:
        """An IMPLEMENTATION DEFINED register is undefined, or a trap to EL2 with HCR_EL2.TIDCP."""
        x = run(bench, source, 1)
        assert (x[20], x[24]) == (IL, 1)
        x = run(bench, source, 1, hcr_el2=RW | 1 << 20)
        assert (x[20] >> 26, x[24]) == (0x18, 2)

    @pytest.mark.parametrize(
        ("el", "register", "value", "target"),
        [
            (0, "sctlr_el1", _SCTLR & ~(1 << 16), 1),
            (0, "hcr_el2", RW | 1 << 13, 2),
            (1, "hcr_el2", RW | 1 << 13, 2),
        ],
    )
    def test_wfi(self, bench: Any, el: int, register: str, value: int, target: int) -> None:
        """A trapped WFI is EC 0x01 with a valid condition, always."""
        x = run(bench, "wfi", el, **{register: value})
        assert x[20] == 0x01 << 26 | IL | 1 << 24 | 0xE << 20
        assert (x[22], x[24]) == (CODE + _SETUP_SIZE, target)

    def test_first_level_first(self, bench: Any) -> None:
        """What both EL1 and EL2 forbid EL0 is EL1's."""
        x = run(bench, "dc zva, x7", 0, hcr_el2=RW | 1 << 28, sctlr_el1=_SCTLR & ~(1 << 14))
        assert (x[20] >> 26, x[24]) == (0x18, 1)

    @pytest.mark.parametrize(("control", "ec"), [(0, 0x18), (1, 0x15), (2, 0x15), (0x300, 0x18)])
    def test_frequency(self, bench: Any, control: int, ec: int) -> None:
        """EL0 may read CNTFRQ_EL0 while EL1 lets it read a counter, whatever EL2 says of the physical one."""
        x = run(bench, "mrs x7, cntfrq_el0", 0, cntkctl_el1=control, cnthctl_el2=0)
        assert (x[20] >> 26, x[24]) == (ec, 1)
        assert x[7] == (DATA if ec == 0x18 else 100_000_000)

    def test_timer_control(self, bench: Any) -> None:
        """CNTHCTL_EL2 reads as it was written but for what is RES0, after EL0 has been trapped, too."""
        assert bench.run("msr cnthctl_el2, x0; mrs x1, cnthctl_el2; smc #0", el=2, x0=(1 << 64) - 2)[1] == 0xFE
        assert run(bench, "mrs x7, cntpct_el0", 0, cnthctl_el2=2)[24] == 2
        assert bench.run("mrs x1, cnthctl_el2; smc #0", el=2)[1] == 2

    def test_general_exceptions(self, bench: Any) -> None:
        """With HCR_EL2.TGE what EL1 would get of EL0 is EL2's."""
        tge = {"hcr_el2": RW | 1 << 27}
        x = run(bench, "mrs x7, ctr_el0", 0, sctlr_el1=_SCTLR & ~(1 << 15), **tge)
        assert (x[20] >> 26, x[24]) == (0x18, 2)
        for source, ec in (("svc #5", 0x15), ("brk #5", 0x3C), (".word 0", 0), ("mrs x7, sctlr_el1", 0)):
            x = run(bench, source, 0, **tge)
            assert (x[20] >> 26, x[24], x[23] & 0xF) == (ec, 2, 0)

    def test_calls(self, bench: Any) -> None:
        """HCR_EL2.TSC makes SMC an exception to EL2, at the SMC; HCD is RES0 where EL3 is implemented."""
        hcr = RW | 1 << 29 | 1 << 19
        for source, ec, after in (("hvc #5", 0x16, 4), ("smc #5", 0x17, 0)):
            x = run(bench, source, 1, hcr_el2=hcr)
            assert (x[20], x[22], x[24]) == (ec << 26 | IL | 5, CODE + _SETUP_SIZE + after, 2)


class TestRule:
    """The rows alone."""

    _READ_CTR = SystemInstruction(SystemKind.MRS, 3, 3, 0, 0, 1, 4, True)

    @staticmethod
    def _all_ones(register: str) -> int:
        return (1 << 64) - 1

    def test_without_el2(self) -> None:
        """Where EL2 is not enabled only EL1 traps."""
        iss = 3 << 20 | 1 << 17 | 3 << 14 | 4 << 5 | 1
        assert trap(self._READ_CTR, 0, True, self._all_ones) == (0x18 << 26 | IL | iss, 2)
        assert trap(self._READ_CTR, 0, False, self._all_ones) is None
        assert trap(self._READ_CTR, 0, False, lambda register: 0) is not None

    def test_el2_itself(self) -> None:
        """No control of these is about EL2."""
        assert trap(self._READ_CTR, 2, True, self._all_ones) is None
