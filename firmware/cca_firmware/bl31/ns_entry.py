"""The hand-over to Non-secure software: the state in which EL3 leaves a PE, as TF-A does."""

from typing import TYPE_CHECKING, Final

from cca_arch.sysregs import (
    CPTR_EL2_RES1,
    EL1H_MASKED,
    EL2H_MASKED,
    HCR_EL2_OPEN,
    PMU_COUNTERS,
    SCR_EL3_RES1,
    SCTLR_EL1_RES1,
    SCTLR_EL2_RES1,
    Cnthctl,
    Mdcr,
    Scr,
    encodings,
)
from cca_arch.types import SecurityState

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["NsEntry"]

_SPSR: Final = {1: EL1H_MASKED, 2: EL2H_MASKED}
"""PSTATE at the entry, by exception level."""
_SCR_WITHOUT_HCE: Final = int(Scr.make(ns=1, rw=1)) | SCR_EL3_RES1
"""SCR_EL3 of a machine without EL2 software: HVC is UNDEFINED."""
_RESET: Final = {
    "sctlr_el2": SCTLR_EL2_RES1,  # MMU, caches and alignment checks off, little-endian
    "cptr_el2": CPTR_EL2_RES1,  # no traps
    "mdcr_el2": int(Mdcr.make(hpmn=PMU_COUNTERS)),
    "cnthctl_el2": int(Cnthctl.make(el1pcten=1, el1pcen=1)),
    "cntvoff_el2": 0,
    "sctlr_el1": SCTLR_EL1_RES1,
}


class NsEntry:
    """The entry to Non-secure software: at exception level ``el`` (2 or 1), with all registers but X0 zero.

    ``is_code``: it is AArch64 code, whose EL2 registers get their reset values. For entry at EL1 there is no EL2
    software: EL1 is AArch64 without stage 2 or traps, and HVC is UNDEFINED (SCR_EL3.HCE = 0).
    """

    def __init__(self, el: int, is_code: bool) -> None:
        self.el = el
        self.is_code = is_code

    def enter(self, pe: "Pe", entry: int, x0: int) -> None:
        """Leave EL3 for PA ``entry``. The caller must return at once."""
        pe.x[:] = memoryview(bytes(31 * 8)).cast("Q")
        pe.x[0] = x0
        pe.elr, pe.spsr = entry, _SPSR[self.el]
        if self.is_code:
            for name, value in _RESET.items():
                pe.write_sysreg(name, value)
            pe.write_sysreg("vpidr_el2", pe.id_register(*encodings.MIDR_EL1))
            pe.write_sysreg("vmpidr_el2", pe.mpidr)
            if self.el == 1:
                pe.write_sysreg("scr_el3", _SCR_WITHOUT_HCE)
            pe.set_el2(hcr=0 if self.el == 2 else HCR_EL2_OPEN, vtcr=0, vttbr=0, vmpidr=pe.mpidr)
        pe.eret(SecurityState.NON_SECURE, self.el)
