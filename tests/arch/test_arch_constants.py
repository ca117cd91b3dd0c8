"""What ``cca_arch`` declares is defined nowhere else, and the search that says so finds what it has to."""

from pathlib import Path

import pytest
from arch_constants import second_definitions

ROOT = Path(__file__).parents[2]
HOMES = tuple(
    f"platform/cca_arch/{home}"
    for home in (
        "sysregs/", "descriptors/", "gic.py", "types.py", "smccc.py", "smmu.py", "el3.py", "psci.py", "ffa.py",
        "timer_frames.py", "rmi/", "rsi/", "kvm/", "errno.py",
    )
)  # fmt: skip
MODULES = sorted(
    path
    for area in ("platform", "firmware", "rmm", "host", "tools")
    for path in (ROOT / area).rglob("*.py")
    if not path.relative_to(ROOT).as_posix().startswith(HOMES)
)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_defined_once(module: Path) -> None:
    """A module names the register, field, class, code or offset that it means, and writes no number for it."""
    found = [str(finding) for finding in second_definitions(module.read_text())]
    assert not found, f"{module}: cca_arch has a name for each of these: {'; '.join(found)}"


class TestSearch:
    """The search itself."""

    @pytest.mark.parametrize(
        ("source", "declared"),
        [
            ("_HCR_TGE: Final = 1 << 27", "Hcr.tge.mask"),
            ("TGE = 1 << 27", "Hcr.tge.mask"),
            ("_HCR_FMO, _HCR_IMO = 1 << 3, 1 << 4", "Hcr.fmo.mask"),
            ("_UCI = 0x400_0000", "Sctlr.uci.mask"),
            ("_PAN_BIT = 22", "Pstate.pan.low"),
            ("_IL = 1 << 25", ".il.mask"),
            ("_GPC: Final = 1 << 16", "Gpccr.gpc.mask"),
            ("_AF = 1 << 10", ".af.mask"),
            ("esr = 0x25 << 26 | iss", "syndrome(ec, iss)"),
            ("esr = ec << 26 | 1 << 25 | iss", "syndrome(ec, iss)"),
            ("if esr.ec == 0x24: pass", "Ec"),
            ("if esr.ec in (0x20, 0x24): pass", "Ec"),
            ("_SERROR = 0x2F", "Ec.SERROR"),
            ("_GPF: Final = 0x28", "Fsc.GPF"),
            ("reset = {'sctlr_el2': 0x30C5_0830}", "SCTLR_EL2_RES1"),
            ("_RES1 = 0x30D0_0800", "SCTLR_EL1_RES1"),
            ("traps = 0x33FF", "CPTR_EL2_RES1"),
            ("self.midr = 0x410F_D0F0", "MIDR_EL1"),
            ("_MIDR: Final = (3, 0, 0, 0, 0)", "encodings.MIDR_EL1"),
            ("pe.id_register(3, 0, 0, 4, 0); x = (3, 0, 0, 4, 0)", "encodings.ID_AA64PFR0_EL1"),
            ("put_system(p, 0x34110, hcr)", "encodings.HCR_EL2.packed"),
            ("_STRIDE: Final = 0x2_0000", "GICR_STRIDE"),
            ("REDISTRIBUTOR_SIZE = 0x20000", "GICR_STRIDE"),
            ("_GICR_WAKER = 0x14", "Gicr.WAKER"),
            ("_IPRIORITYR: Final = 0x400", "Gicd.IPRIORITYR"),
            ("spsr = 0x3C5", "EL1H_MASKED"),
            ("_SMC64: Final = 1 << 30", "Fid.smc64.mask"),
            ("if fid == 0xC400_018F: pass", "RmmEl3.RMI_REQ_COMPLETE"),
            ("el = pstate >> 2 & 3", "a field of PSTATE"),
            ("el = pe.words[w.P_PSTATE] >> 2 & 3", "a field of PSTATE"),
            ("if load64(p + 8 * w.P_HCR) & 1 << 12: pass", "a field of HCR"),
            ("aff3 = rec.mpidr >> 32 & 0xFF", "a field of MPIDR"),
            ("class Esr(Bits):\n    ec = Field(31, 26)\n    isv = Field(24)\n    dfsc = Field(5, 0)", "DataAbortEsr"),
            ("class Code(IntEnum):\n    SVC = 0x15\n    HVC = 0x16\n    SMC = 0x17", "Ec"),
        ],
    )
    def test_finds(self, source: str, declared: str) -> None:
        """Second definitions as they used to stand in the code."""
        assert any(declared in finding.declared for finding in second_definitions(source))

    @pytest.mark.parametrize(
        "source",
        [
            "_TGE: Final = Hcr.tge.mask",
            "_EC: Final = int(Ec.DATA_ABORT)",
            "esr = syndrome(Ec.SMC)",
            "_PAGE = 1 << 12",
            "_LIMIT: Final = 1 << 20",
            "size = 0x2_0000",
            "rt = word >> 5 & 31",
            "class Offset(IntEnum):\n    DR = 0x00\n    IIDR = 0x08\n    FR = 0x18",
            "class Flags(Bits):\n    enabled = Field(0)\n    mode = Field(3, 1)",
        ],
    )
    def test_leaves_alone(self, source: str) -> None:
        """Uses of the one definition, and numbers that are no one's."""
        assert second_definitions(source) == []
