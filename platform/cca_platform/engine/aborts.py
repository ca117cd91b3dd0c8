"""Aborts of fetches, loads and stores, taken to real code within the hook of TLB fills.

The same rules, for every access and every level, are in :mod:`cca_platform.pe.aborts`.
"""

from typing import Final

from cca_arch.sysregs import FSC_LEVEL, DataAbortEsr, Ec, Fsc, Hcr, Hpfar, encodings, syndrome
from cca_arch.types import Access, SecurityState
from cca_platform.engine import forms, general, registers
from cca_platform.engine.devices import fetched
from cca_platform.engine.hooks import deliver, note_served, uncount
from cca_platform.engine.registers import PC, PSTATE, get, put_system
from cca_platform.isa.pstate import level
from cca_platform.mmu.walk import EXTERNAL_ABORT_WALK
from cca_platform.native import block as w
from cca_platform.native.jit import jit, load64, store64

__all__ = ["take"]

_DATA: Final = syndrome(Ec.DATA_ABORT)
_INSTRUCTION: Final = syndrome(Ec.INSTRUCTION_ABORT)
_SAME: Final = syndrome(Ec.DATA_ABORT_SAME) ^ _DATA
assert _INSTRUCTION ^ syndrome(Ec.INSTRUCTION_ABORT_SAME) == _SAME
_S1PTW, _WNR = DataAbortEsr.s1ptw.low, DataAbortEsr.wnr.low
_ISV, _SAS, _SSE = DataAbortEsr.isv.mask, DataAbortEsr.sas.low, DataAbortEsr.sse.low
_SRT, _SF = DataAbortEsr.srt.low, DataAbortEsr.sf.low
_HCR_TGE, _HCR_GPF, _HCR_TEA = Hcr.tge.mask, Hcr.gpf.mask, Hcr.tea.mask
_EXTERNAL, _WALK, _LEVEL = int(Fsc.EXTERNAL), int(EXTERNAL_ABORT_WALK), FSC_LEVEL
_SECURE: Final = int(SecurityState.SECURE)
_FETCH: Final = int(Access.FETCH)
_FIPA: Final = Hpfar.fipa.low
_HPFAR_EL2: Final = encodings.HPFAR_EL2.packed
_VA_BITS: Final = (1 << 48) - 1
_PAGE_BITS: Final = 0xFFFF_FFFF_F000
_SP: Final = 31
_SIGNED, _DOUBLE = 2, 8


@jit("i8(i8)")
def _is_external(p: int) -> int:
    """Whether the fault is an external abort, of the access or of a walk."""
    fsc = load64(p + 8 * w.P_FAULT_FSC)
    return 1 if fsc == _EXTERNAL or fsc & ~_LEVEL == _WALK else 0


@jit("i8(i8, i8)")
def _target(p: int, el: int) -> int:
    """The level that gets the abort, 0 if that is Python."""
    gpf = load64(p + 8 * w.P_FAULT_GPF)
    security = load64(p + 8 * w.P_SECURITY)
    hcr = 0 if security == _SECURE else load64(p + 8 * w.P_HCR)
    if gpf > 1:
        return 0
    target = 2 if el == 2 or load64(p + 8 * w.P_FAULT_STAGE) == 2 or hcr & _HCR_TGE else 1
    if (gpf == 1 and hcr & _HCR_GPF) or (hcr & _HCR_TEA and _is_external(p)):
        target = 2
    programs = load64(load64(p + 8 * w.P_MACHINE) + 8 * w.M_PROGRAMS)
    return 0 if programs >> 4 * security + target & 1 else target


@jit("i8(i8, i8)")
def _iss(p: int, word: int) -> int:
    """The ISS of a data abort: with the register of the access, if stage 2 refuses the access itself."""
    s1ptw, opc = load64(p + 8 * w.P_FAULT_S1PTW), word >> 22 & 3
    value = s1ptw << _S1PTW | load64(p + 8 * w.P_ACCESS_WRITES) << _WNR | load64(p + 8 * w.P_FAULT_FSC)
    if load64(p + 8 * w.P_FAULT_STAGE) != 2 or s1ptw or _is_external(p) or load64(p + 8 * w.P_ACCESS_DESCRIBED) == 0:
        return value
    value |= _ISV | (word >> 30 & 3) << _SAS | (word & 31) << _SRT
    if opc & _SIGNED:
        value |= 1 << _SSE
    if opc == _SIGNED or load64(p + 8 * w.P_ACCESS_SIZE) == _DOUBLE:
        value |= 1 << _SF
    return value


@jit("i8(i8, i8)")
def _decoded(p: int, word: int) -> int:
    """Decode the access with the engine's registers; 0 if it is not one that this module deals with."""
    for number in (forms.base(word), forms.index(word)):
        store64(p + 8 * (w.P_SP if number == _SP else w.P_X + number), get(p, registers.general(number)))
    if word < 0 or forms.decode(p, word) == 0:
        return 0
    unaligned = load64(p + 8 * w.P_ACCESS_AT) & load64(p + 8 * w.P_ACCESS_SIZE) - 1
    return 0 if unaligned and load64(p + 8 * w.P_OUT_DEVICE) else 1


@jit("i8(i8)")
def _touched(p: int) -> int:
    """The distance from the address of the access to its first byte in the page that was refused; -1 if it has none."""
    distance = (load64(p + 8 * w.P_FAULT_VA) & ~0xFFF) - load64(p + 8 * w.P_ACCESS_AT) & _VA_BITS
    if (load64(p + 8 * w.P_FAULT_VA) ^ load64(p + 8 * w.P_ACCESS_AT)) & _PAGE_BITS == 0:
        return 0
    return distance if distance < load64(p + 8 * w.P_ACCESS_TOTAL) else -1


@jit("i8(i8)")
def take(p: int) -> int:
    """Take the abort of what a TLB fill has just refused; 0 if that is for Python, and nothing is done.

    Python has what may be exceptions without end, from the second one without an instruction between them.
    """
    store64(p + 8 * w.P_PC, get(p, PC))
    store64(p + 8 * w.P_PSTATE, get(p, PSTATE))
    el, is_fetch = level(load64(p + 8 * w.P_PSTATE)), load64(p + 8 * w.P_FAULT_ACCESS) == _FETCH
    target = _target(p, el)
    if target == 0 or load64(p + 8 * w.P_NESTED) >= w.NESTED_SUSPECT:
        return 0
    if is_fetch:
        far = load64(p + 8 * w.P_PC)
        esr = _INSTRUCTION | load64(p + 8 * w.P_FAULT_S1PTW) << _S1PTW | load64(p + 8 * w.P_FAULT_FSC)
        if far & 3:
            return 0
    else:
        word = fetched(p)
        if _decoded(p, word) == 0:
            return 0
        distance = _touched(p)
        if distance < 0:
            return 0
        uncount(p)
        far = load64(p + 8 * w.P_ACCESS_AT) + distance
        esr = _DATA | _iss(p, word)
    if load64(p + 8 * w.P_RETIRED) == load64(p + 8 * w.P_TAKEN):
        return 0
    if load64(p + 8 * w.P_FAULT_STAGE) == 2 and target == 2 and _is_external(p) == 0:
        put_system(p, _HPFAR_EL2, load64(p + 8 * w.P_FAULT_IPA) >> 12 << _FIPA)
    general.read_state(p)
    note_served(p)
    deliver(p, target, esr | (_SAME if el == target else 0), far)
    return 1
