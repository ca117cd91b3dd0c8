"""From a refused access to its exception: ESR, FAR and HPFAR, and the level it belongs to."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from cca_platform import access as la
from cca_platform import block as w
from cca_platform.decoder import decode
from cca_platform.types import Access

__all__ = ["Abort", "abort"]

_EC_INSTRUCTION: Final = 0x20
_EC_DATA: Final = 0x24
_EC_GPC: Final = 0x1E
_IL: Final = 1 << 25
_HCR_TGE: Final = 1 << 27
_HCR_GPF: Final = 1 << 48
_U64: Final = (1 << 64) - 1


class Abort(NamedTuple):
    """An instruction or data abort: the level it is taken to, and its syndrome."""

    target: int
    esr: int
    far: int
    hpfar: int


def abort(words: Sequence[int], x: Sequence[int], el: int, word: int) -> Abort:
    """The exception that the P_FAULT words of a PE block describe.

    ``words`` is the PE block, ``el`` the level of the interrupted code, ``word`` its instruction or -1.
    """
    fsc, stage2, s1ptw = words[w.P_FAULT_FSC], words[w.P_FAULT_STAGE] == 2, words[w.P_FAULT_S1PTW]
    gpf, hcr = words[w.P_FAULT_GPF], words[w.P_HCR]
    hpfar = words[w.P_FAULT_IPA] >> 12 << 4 if stage2 else 0
    to_el2 = el == 2 or stage2 or (el == 0 and hcr & _HCR_TGE) or (gpf == 1 and hcr & _HCR_GPF)
    target = 3 if gpf == 2 else 2 if to_el2 else 1
    same = target == el
    if words[w.P_FAULT_ACCESS] == Access.FETCH:
        ec, decoded = _EC_INSTRUCTION | same, None
        iss, far = s1ptw << 7 | fsc, words[w.P_PC]
    else:
        decoded = None if word < 0 else decode(word)
        ec = _EC_DATA | same
        if decoded is None:  # the code vanished under the access: what is known is the page
            iss, far = s1ptw << 7 | fsc | (words[w.P_FAULT_ACCESS] == Access.WRITE) << 6, words[w.P_FAULT_VA]
        else:
            base = la.address(decoded, x, words[w.P_SP], words[w.P_PC])
            far = la.faulting_address(decoded, base, words[w.P_FAULT_VA])
            iss = la.iss(decoded, fsc, s1ptw=s1ptw, stage2=stage2)
    if target == 3:
        write = words[w.P_FAULT_ACCESS] == Access.WRITE
        ec, iss = _EC_GPC, (decoded is None) << 20 | s1ptw << 7 | write << 6 | fsc
    return Abort(target, ec << 26 | _IL | iss, far & _U64, hpfar)
