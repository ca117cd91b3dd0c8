"""Converts a refused access to its exception: ESR, FAR and HPFAR, and the target level."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from cca_arch.sysregs import FSC_LEVEL, DataAbortEsr, Ec, Fsc, GpcEsr, Hcr, Hpfar, syndrome
from cca_arch.types import Access, SecurityState
from cca_platform.isa import access as la
from cca_platform.isa.decoder import decode
from cca_platform.mmu.gpc import GPC_ADDRESS_SIZE, GPC_EXTERNAL_ABORT, GPC_GPF, GPC_WALK_FAULT
from cca_platform.mmu.walk import EXTERNAL_ABORT_WALK
from cca_platform.native import block as w

__all__ = ["EXTERNAL_ABORT", "Abort", "abort"]

EXTERNAL_ABORT: Final = int(Fsc.EXTERNAL)
_INSTRUCTION: Final = int(Ec.INSTRUCTION_ABORT)
_DATA: Final = int(Ec.DATA_ABORT)
_S1PTW, _WNR = DataAbortEsr.s1ptw.low, DataAbortEsr.wnr.low
_HCR_TGE: Final = Hcr.tge.mask
_HCR_GPF: Final = Hcr.gpf.mask
_HCR_TEA: Final = Hcr.tea.mask
_SECURE: Final = int(SecurityState.SECURE)
_FIPA: Final = Hpfar.fipa.low
_U64: Final = (1 << 64) - 1
_GPCSC: Final = {GPC_ADDRESS_SIZE: 0x00, GPC_WALK_FAULT: 0x04, GPC_GPF: 0x0C, GPC_EXTERNAL_ABORT: 0x14}


class Abort(NamedTuple):
    """An abort: its target level and syndrome; ``hpfar`` is None if there is no faulting IPA."""

    target: int
    esr: int
    far: int
    hpfar: int | None


def abort(words: Sequence[int], x: Sequence[int], el: int, word: int, wnr: bool | None = None) -> Abort:
    """The exception that the P_FAULT words of a PE block describe.

    ``words`` is the PE block, ``el`` the level of the interrupted code, ``word`` its instruction or -1; ``wnr`` as in
    ``access.iss``.
    """
    fsc, stage2, s1ptw = words[w.P_FAULT_FSC], words[w.P_FAULT_STAGE] == 2, words[w.P_FAULT_S1PTW]
    gpf, hcr = words[w.P_FAULT_GPF], words[w.P_HCR]
    is_fetch, is_write = (words[w.P_FAULT_ACCESS] == kind for kind in (Access.FETCH, Access.WRITE))
    is_external = fsc == EXTERNAL_ABORT or fsc & ~FSC_LEVEL == EXTERNAL_ABORT_WALK
    hpfar = words[w.P_FAULT_IPA] >> 12 << _FIPA if stage2 and not is_external else None
    if words[w.P_SECURITY] == _SECURE:
        hcr = 0
    routed = (el == 0 and hcr & _HCR_TGE) or (gpf == 1 and hcr & _HCR_GPF) or (is_external and hcr & _HCR_TEA)
    target = 3 if gpf > 1 else 2 if el == 2 or stage2 or routed else 1
    same = target == el
    cm = False
    if is_fetch:
        ec = _INSTRUCTION | same
        iss, far = s1ptw << _S1PTW | fsc, words[w.P_PC]
    else:
        decoded = None if word < 0 else decode(word)
        base = 0 if decoded is None else la.address(decoded, x, words[w.P_SP], words[w.P_PC])
        ec = _DATA | same
        # The instruction is read after the fact. If it has gone, or another one is there, what is known is the page.
        if decoded is None or not la.touches(decoded, base, words[w.P_FAULT_VA]):
            iss, far = s1ptw << _S1PTW | fsc | is_write << _WNR, words[w.P_FAULT_VA]
        else:
            far = la.faulting_address(decoded, base, words[w.P_FAULT_VA])
            iss = la.iss(decoded, fsc, wnr=wnr, s1ptw=s1ptw, stage2=stage2 and not is_external)
            cm = decoded.cm
    if target == 3:
        ec, hpfar = int(Ec.GPC), None
        gpcsc = _GPCSC[gpf << 8] | words[w.P_FAULT_GPT_LEVEL]
        s2ptw = stage2 and fsc != Fsc.GPF
        iss = GpcEsr.make(s2ptw=s2ptw, ind=is_fetch, gpcsc=gpcsc, cm=cm, s1ptw=s1ptw, wnr=is_write, xfsc=fsc)
    return Abort(target, syndrome(ec, iss), far & _U64, hpfar)
