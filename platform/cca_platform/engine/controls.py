"""Writes of control registers, as native code: what is kept of them, and what follows at once.

Bits that do nothing read as zero, by the masks of the PE (:mod:`cca_platform.unmodelled`). The engine would keep them.
"""

from typing import Final

from cca_arch.sysregs import Cptr, Hcr, encodings
from cca_arch.types import SecurityState
from cca_platform.engine import interrupts, pmu
from cca_platform.engine.registers import PSTATE, get, get_system, put_system
from cca_platform.isa.pstate import level
from cca_platform.native import block as w
from cca_platform.native.jit import jit, load64, store64

__all__ = ["write"]

_HCR_TGE: Final = Hcr.tge.mask
_HCR_RW: Final = Hcr.rw.mask  # RAO/WI: no level has AArch32
_HCR_BITS: Final = (1 << Hcr.e2h.low) - 1 & ~(Hcr.tid0.mask | Hcr.hcd.mask) | Hcr.tea.mask | Hcr.fwb.mask | Hcr.gpf.mask
_HCR_PAUTH: Final = Hcr.apk.mask | Hcr.api.mask
_HCR_TLOR: Final = Hcr.tlor.mask
_HCR_TVM, _TCPAC = Hcr.tvm.mask, Cptr.tcpac.mask
_HCR_EL2: Final = encodings.HCR_EL2.packed
_SCTLR_EL1, _CPACR_EL1 = encodings.SCTLR_EL1.packed, encodings.CPACR_EL1.packed
_CPTR_EL2, _MDCR_EL2 = encodings.CPTR_EL2.packed, encodings.MDCR_EL2.packed
_MASKED: Final = (  # in the order of unmodelled.CONTROLS
    _SCTLR_EL1, encodings.SCTLR_EL2.packed, _CPACR_EL1, _CPTR_EL2, encodings.HSTR_EL2.packed, _MDCR_EL2,
    encodings.CNTKCTL_EL1.packed,
)  # fmt: skip
_SECURE: Final = int(SecurityState.SECURE)


@jit("i8(i8)")
def _masks(encoding: int) -> int:
    """The first word of the masks of a control register, or -1."""
    for number in range(7):
        if encoding == _MASKED[number]:
            return w.P_CONTROLS + 2 * number
    return -1


@jit("i8(i8, i8)")
def _is_trapped(p: int, encoding: int) -> int:
    """True if the engine will trap the write, which must not be done before."""
    el = level(get(p, PSTATE))
    if el != 1 or load64(p + 8 * w.P_SECURITY) == _SECURE:
        return 1 if el == 0 else 0
    if encoding == _SCTLR_EL1:
        return 1 if load64(p + 8 * w.P_HCR) & _HCR_TVM else 0
    return 1 if encoding == _CPACR_EL1 and get_system(p, _CPTR_EL2) & _TCPAC else 0


@jit("i8(i8, i8, i8)")
def _replace(p: int, encoding: int, kept: int) -> int:
    """Write ``kept`` instead of what the engine would write, and have its TLB flushed next. 1."""
    put_system(p, encoding, kept)
    m = load64(p + 8 * w.P_MACHINE)
    store64(m + 8 * w.M_TLBI, load64(m + 8 * w.M_TLBI) + 1)
    store64(p + 8 * w.P_SLICE_END, 0)
    interrupts.set_budget(p)
    return 1


@jit("i8(i8, i8)")
def _set_hcr(p: int, value: int) -> int:
    """HCR_EL2 is written."""
    features, bits = load64(p + 8 * w.P_FEATURES), _HCR_BITS
    if features & w.HAS_PAUTH:
        bits |= _HCR_PAUTH
    if features & w.HAS_LOR:
        bits |= _HCR_TLOR
    kept = value & bits | _HCR_RW
    store64(p + 8 * w.P_HCR, kept)
    if value & _HCR_TGE:
        store64(p + 8 * w.P_SIGNALS, load64(p + 8 * w.P_SIGNALS) | w.SIGNAL_ILLEGAL)
    if kept != value:
        return _replace(p, _HCR_EL2, kept)
    interrupts.set_budget(p)
    return 0


@jit("i8(i8, i8)")
def _set_mdcr(p: int, value: int) -> int:
    """MDCR_EL2 is written, as the last instruction of a block: from here on, other counters may count."""
    pmu.sync(p)
    store64(p + 8 * w.P_MDCR, value)
    pmu.update(p, 2)
    return interrupts.set_budget(p)


@jit("i8(i8, i8, i8)")
def write(p: int, encoding: int, value: int) -> int:
    """A register with CRn = 1, or CNTKCTL_EL1, may be written; returns 1 if that is done, 0 if the engine does it."""
    if encoding == _HCR_EL2:
        return _set_hcr(p, value)
    masks = _masks(encoding)
    if masks < 0 or _is_trapped(p, encoding):
        return 0
    kept = value & load64(p + 8 * masks) | load64(p + 8 * masks + 8)
    if encoding == _MDCR_EL2:
        _set_mdcr(p, kept)
    return _replace(p, encoding, kept) if kept != value else 0
