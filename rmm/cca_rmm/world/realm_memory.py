"""The RMM's access to Realm memory on the Realm's behalf: through its RTT, with the Host's help."""

from typing import Final

from cca_arch.descriptors import rtte
from cca_arch.rmi.v1_0 import RmiRipas
from cca_arch.sysregs import AbortEsr, Ec, Fsc, Hpfar
from cca_rmm.objects.rtt import Walk

__all__ = ["fault_ipa", "rtt_abort", "walk_data"]

_PAGE_BITS: Final = 12
_EMPTY: Final = int(RmiRipas.EMPTY)
_FIPA, _FIPA_LOW = Hpfar.fipa.mask, Hpfar.fipa.low


def walk_data(w: Walk, ipa: int) -> int | None:
    """Translate ``ipa`` for the Realm: its PA, 0 if RIPAS is EMPTY, None if the Host must act first."""
    entry = w.entry
    if rtte.valid(entry):
        return rtte.address(entry) | ipa & (rtte.level_size(w.level) - 1)
    return 0 if rtte.ripas(entry) == _EMPTY else None


def rtt_abort(level: int, ipa: int) -> tuple[int, int]:
    """(esr, hpfar) of the stage 2 Data Abort that the Host sees if such an access has no page."""
    esr = AbortEsr.make(ec=Ec.DATA_ABORT, fsc=Fsc.TRANSLATION + level)
    return int(esr), ipa >> _PAGE_BITS << _FIPA_LOW


def fault_ipa(hpfar: int) -> int:
    """The faulting page's IPA from HPFAR_EL2."""
    return (hpfar & _FIPA) >> _FIPA_LOW << _PAGE_BITS
