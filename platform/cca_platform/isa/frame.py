"""Register files in memory: the layout that world switches save and restore, register by register.

A frame is plain memory of the level that owns it (a REC granule of the RMM, a context of the monitor). Every register
takes 8 bytes, a vector register 16, in the order of the tables below.
"""

from typing import Final

__all__ = [
    "CONTROLS",
    "EL1_FRAME",
    "EL1_FRAME_SIZE",
    "EL2_FRAME",
    "EL2_FRAME_SIZE",
    "EL2_REPLACED",
    "SYSTEM_REGISTERS",
    "Encoding",
    "offset",
    "offset_el2",
]

Encoding = tuple[int, int, int, int, int]

SYSTEM_REGISTERS: Final[dict[str, Encoding]] = {
    # name: (op0, op1, CRn, CRm, op2), DDI 0487 section D24
    "mdscr_el1": (2, 0, 0, 2, 2),
    "csselr_el1": (3, 2, 0, 0, 0),
    "sctlr_el1": (3, 0, 1, 0, 0),
    "cpacr_el1": (3, 0, 1, 0, 2),
    "ttbr0_el1": (3, 0, 2, 0, 0),
    "ttbr1_el1": (3, 0, 2, 0, 1),
    "tcr_el1": (3, 0, 2, 0, 2),
    "spsr_el1": (3, 0, 4, 0, 0),
    "elr_el1": (3, 0, 4, 0, 1),
    "afsr0_el1": (3, 0, 5, 1, 0),
    "afsr1_el1": (3, 0, 5, 1, 1),
    "esr_el1": (3, 0, 5, 2, 0),
    "far_el1": (3, 0, 6, 0, 0),
    "par_el1": (3, 0, 7, 4, 0),
    "mair_el1": (3, 0, 10, 2, 0),
    "amair_el1": (3, 0, 10, 3, 0),
    "vbar_el1": (3, 0, 12, 0, 0),
    "contextidr_el1": (3, 0, 13, 0, 1),
    "tpidr_el1": (3, 0, 13, 0, 4),
    "tpidr_el0": (3, 3, 13, 0, 2),
    "tpidrro_el0": (3, 3, 13, 0, 3),
    "cntkctl_el1": (3, 0, 14, 1, 0),
    "sctlr_el2": (3, 4, 1, 0, 0),
    "hcr_el2": (3, 4, 1, 1, 0),
    "mdcr_el2": (3, 4, 1, 1, 1),
    "cptr_el2": (3, 4, 1, 1, 2),
    "ttbr0_el2": (3, 4, 2, 0, 0),
    "tcr_el2": (3, 4, 2, 0, 2),
    "vttbr_el2": (3, 4, 2, 1, 0),
    "vtcr_el2": (3, 4, 2, 1, 2),
    "spsr_el2": (3, 4, 4, 0, 0),
    "elr_el2": (3, 4, 4, 0, 1),
    "esr_el2": (3, 4, 5, 2, 0),
    "far_el2": (3, 4, 6, 0, 0),
    "hpfar_el2": (3, 4, 6, 0, 4),
    "mair_el2": (3, 4, 10, 2, 0),
    "vbar_el2": (3, 4, 12, 0, 0),
    "tpidr_el2": (3, 4, 13, 0, 2),
    "cnthctl_el2": (3, 4, 14, 1, 0),
    "cntvoff_el2": (3, 4, 14, 0, 3),
    "vpidr_el2": (3, 4, 0, 0, 0),
    "vmpidr_el2": (3, 4, 0, 0, 5),
    "scr_el3": (3, 6, 1, 1, 0),
    "mdcr_el3": (3, 6, 1, 3, 1),
}

_GENERAL: Final = tuple(f"x{number}" for number in range(31))
_TIMERS: Final = ("cntv_ctl_el0", "cntv_cval_el0", "cntp_ctl_el0", "cntp_cval_el0")
_VECTORS: Final = tuple(f"v{number}" for number in range(32))

EL1_FRAME: Final[tuple[str, ...]] = (
    *_GENERAL,
    *("sp_el0", "sp_el1", "pc", "pstate"),
    *(name for name in SYSTEM_REGISTERS if not name.endswith(("_el2", "_el3"))),
    *_TIMERS,
    *("fpcr", "fpsr"),
    *_VECTORS,
)
CONTROLS: Final = ("hcr", "vtcr", "vttbr", "cnthctl", "cntvoff")
"""EL2 controls as software wrote them, which the PE keeps beside the engine's copies."""
EL2_FRAME: Final[tuple[str, ...]] = (
    "sp_el2",
    *CONTROLS,
    *(name for name in SYSTEM_REGISTERS if name.endswith("_el2")),
)
EL2_REPLACED: Final = ("sp_el2", *CONTROLS, "hcr_el2", "mdcr_el2", "cptr_el2", "vmpidr_el2", "vpidr_el2")
"""What of the EL2 frame an EL2 in Python puts its own values in place of."""


def _layout(names: tuple[str, ...]) -> tuple[dict[str, int], int]:
    offsets, at = {}, 0
    for name in names:
        if name in _VECTORS:
            at = at + 15 & ~15
        offsets[name] = at
        at += 16 if name in _VECTORS else 8
    return offsets, at


_EL1_OFFSETS, EL1_FRAME_SIZE = _layout(EL1_FRAME)
_EL2_OFFSETS, EL2_FRAME_SIZE = _layout(EL2_FRAME)


def offset(name: str) -> int:
    """Byte offset of a register in the EL1&0 frame."""
    return _EL1_OFFSETS[name]


def offset_el2(name: str) -> int:
    """Byte offset of a register in the EL2 frame."""
    return _EL2_OFFSETS[name]
