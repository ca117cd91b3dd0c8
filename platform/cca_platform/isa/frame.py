"""Register files in memory: the layout in which world switches save and restore registers.

A frame is plain memory of the level that owns it (a REC granule of the RMM, a context of the monitor). Every register
takes 8 bytes, a vector register 16, in the order of the tables below.
"""

from typing import Final

from cca_arch.sysregs import PMU_COUNTERS

__all__ = [
    "CONTROLS",
    "EL1_FRAME",
    "EL1_FRAME_SIZE",
    "EL2_FRAME",
    "EL2_FRAME_SIZE",
    "EL2_REPLACED",
    "KEYS",
    "PMU_FRAME",
    "PMU_FRAME_SIZE",
    "SAVED",
    "SAVED_OF_MAX",
    "SAVED_SIZE",
    "VECTORS",
    "offset",
    "offset_el2",
    "offset_saved",
]

_GENERAL: Final = tuple(f"x{number}" for number in range(31))
_EL1: Final = (
    "mdscr_el1", "csselr_el1", "sctlr_el1", "cpacr_el1", "ttbr0_el1", "ttbr1_el1", "tcr_el1", "spsr_el1", "elr_el1",
    "afsr0_el1", "afsr1_el1", "esr_el1", "far_el1", "par_el1", "mair_el1", "amair_el1", "vbar_el1", "contextidr_el1",
    "tpidr_el1", "tpidr_el0", "tpidrro_el0", "cntkctl_el1",
)  # fmt: skip
KEYS: Final = tuple(f"ap{key}key{half}_el1" for key in ("ia", "ib", "da", "db", "ga") for half in ("lo", "hi"))
"""The keys of pointer authentication. A CPU model without FEAT_PAuth leaves their places zero."""
_EL2: Final = (
    "sctlr_el2", "hcr_el2", "mdcr_el2", "cptr_el2", "ttbr0_el2", "tcr_el2", "vttbr_el2", "vtcr_el2", "spsr_el2",
    "elr_el2", "esr_el2", "far_el2", "hpfar_el2", "mair_el2", "vbar_el2", "tpidr_el2", "cnthctl_el2", "cntvoff_el2",
    "vpidr_el2", "vmpidr_el2",
)  # fmt: skip
_NOT_SWITCHED: Final = (
    "scr_el3", "mdcr_el3", "hstr_el2", "dacr32_el2", "ifsr32_el2", "fpexc32_el2",
    "spsr_irq", "spsr_abt", "spsr_und", "spsr_fiq",
    *(f"dbgb{kind}r{number}_el1" for number in range(6) for kind in "vc"),
    *(f"dbgw{kind}r{number}_el1" for number in range(4) for kind in "vc"),
)  # fmt: skip
_TIMERS: Final = ("cntv_ctl_el0", "cntv_cval_el0", "cntp_ctl_el0", "cntp_cval_el0")
VECTORS: Final = tuple(f"v{number}" for number in range(32))

EL1_FRAME: Final[tuple[str, ...]] = (
    *_GENERAL,
    *("sp_el0", "sp_el1", "pc", "pstate"),
    *_EL1,
    *KEYS,
    *_TIMERS,
    *("fpcr", "fpsr"),
    *VECTORS,
)
CONTROLS: Final = ("hcr", "vtcr", "vttbr", "cnthctl", "cntvoff", "mdcr")
"""EL2 controls as written by software, which the PE keeps in addition to the engine's copies."""
EL2_FRAME: Final[tuple[str, ...]] = ("sp_el2", *CONTROLS, *_EL2)
EL2_REPLACED: Final = ("sp_el2", *CONTROLS, "hcr_el2", "mdcr_el2", "cptr_el2", "vmpidr_el2", "vpidr_el2")
"""The part of the EL2 frame that a Python EL2 replaces with its own values."""

PMU_FRAME: Final[tuple[str, ...]] = (
    "pmcr_el0", "pmcntenset_el0", "pmintenset_el1", "pmovsset_el0", "pmselr_el0", "pmuserenr_el0", "pmccfiltr_el0",
    "pmccntr_el0",
    *(f"pmevcntr{number}_el0" for number in range(PMU_COUNTERS)),
    *(f"pmevtyper{number}_el0" for number in range(PMU_COUNTERS)),
)  # fmt: skip
"""The registers of the performance monitors. PMCR_EL0 is what software has set of it."""
PMU_FRAME_SIZE: Final = 8 * len(PMU_FRAME)

SAVED_OF_MAX: Final = ("ttbr1_el2", "contextidr_el2", "cnthv_cval_el2", "zcr_el2")
"""Registers that only the CPU model "max" has, of features that its identification registers do not report here."""
SAVED: Final[tuple[str, ...]] = (
    *("sp_el0", "sp_el1", "sp_el2"),
    *_EL1,
    *KEYS,
    *_EL2,
    *_NOT_SWITCHED,
    *SAVED_OF_MAX,
    *("fpcr", "fpsr"),
    *VECTORS,
)
"""The engine registers in saved state besides the PE block: all that code, or EL3 on its behalf, can write."""


def _layout(names: tuple[str, ...]) -> tuple[dict[str, int], int]:
    offsets, at = {}, 0
    for name in names:
        if name in VECTORS:
            at = at + 15 & ~15
        offsets[name] = at
        at += 16 if name in VECTORS else 8
    return offsets, at


_EL1_OFFSETS, EL1_FRAME_SIZE = _layout(EL1_FRAME)
_EL2_OFFSETS, EL2_FRAME_SIZE = _layout(EL2_FRAME)
_SAVED_OFFSETS, SAVED_SIZE = _layout(SAVED)


def offset(name: str) -> int:
    """The byte offset of a register in the EL1&0 frame."""
    return _EL1_OFFSETS[name]


def offset_el2(name: str) -> int:
    """The byte offset of a register in the EL2 frame."""
    return _EL2_OFFSETS[name]


def offset_saved(name: str) -> int:
    """The byte offset of a register in the saved state."""
    return _SAVED_OFFSETS[name]
