"""Exceptions that a running Realm takes to R-EL2: answered here, injected into the Realm, or an exit to the Host."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cca_arch.descriptors import rtte
from cca_arch.rmi.v1_0 import RecExitReason, RmiRipas
from cca_arch.sysregs import DataAbortEsr, Ec, Esr, Fsc, SysregEsr, encodings, syndrome
from cca_rmm.features import id_register
from cca_rmm.objects import rtt
from cca_rmm.objects.rec import ExitKind
from cca_rmm.service import realm_smc
from cca_rmm.world.run import inject, leave
from cca_rmm.world.syndrome import VIEWS, fault_ipa, sea_esr

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe
    from cca_rmm.rmm import Rmm

__all__ = ["HANDLERS", "synchronous"]

_EC: Final = Esr.ec.low
_DATA_ABORT: Final = int(Ec.DATA_ABORT)
_EXTERNAL: Final = int(Fsc.EXTERNAL)
_WFE: Final = 1  # in ISS.TI
_RT_NONE: Final = 31
_UNDEFINED: Final = syndrome(Ec.UNKNOWN)
_SGI: Final = frozenset(
    {encodings.ICC_SGI1R_EL1, encodings.ICC_ASGI1R_EL1, encodings.ICC_SGI0R_EL1, encodings.ICC_DIR_EL1}
)
"""The Host owns the distributor."""


def synchronous(rmm: "Rmm", pe: "Pe", esr: int, far: int, hpfar: int) -> None:
    """Serve one exception; a class that a Realm cannot raise exits with an empty record."""
    handler = HANDLERS.get(esr >> _EC & 0x3F)
    if handler is None:
        leave(rmm, pe, RecExitReason.SYNC)
    else:
        handler(rmm, pe, esr, far, hpfar)


def smc(rmm: "Rmm", pe: "Pe", esr: int, far: int, hpfar: int) -> None:
    """RSI, PSCI, SMCCC: the preferred return address is the SMC itself."""
    pe.elr += 4
    realm_smc(rmm, pe)


def hvc(rmm: "Rmm", pe: "Pe", esr: int, far: int, hpfar: int) -> None:
    """HVC is Undefined in a Realm, at the instruction itself."""
    pe.elr -= 4
    inject(rmm, pe, _UNDEFINED)


def undefined(rmm: "Rmm", pe: "Pe", esr: int, far: int, hpfar: int) -> None:
    """What a Realm does not have: SVE, SME."""
    inject(rmm, pe, _UNDEFINED)


def abort(rmm: "Rmm", pe: "Pe", esr: int, far: int, hpfar: int) -> None:
    """A stage 2 abort: by the IPA, its RIPAS, and whether data or an instruction (DEN0137 "Realm memory access")."""
    ipa = fault_ipa(hpfar)
    realm = rmm.running(pe)[2]
    is_data = esr >> _EC & 0x3F == _DATA_ABORT
    if esr & DataAbortEsr.fsc.mask == _EXTERNAL:
        kind: str | None = "external"
    elif ipa >= realm.ipa_top:
        kind = None
    elif ipa >= realm.protected_top:
        kind = ("emulatable" if esr & DataAbortEsr.isv.mask else "unprotected") if is_data else None
    else:
        w = rtt.walk(rmm.port, realm, ipa, 3)
        empty = rtte.ripas(w.entry) == RmiRipas.EMPTY
        kind = None if empty else "protected" if is_data else "instruction"
    if kind is None:
        inject(rmm, pe, sea_esr(esr, pe.spsr), far)
    else:
        exit_abort(rmm, pe, kind, esr, far, hpfar)


_KIND: Final = {"emulatable": ExitKind.EMULATABLE, "unprotected": ExitKind.UNPROTECTED}


def exit_abort(rmm: "Rmm", pe: "Pe", kind: str, esr: int, far: int, hpfar: int) -> None:
    """Exit with what the Host may see; the REC keeps the whole syndrome for the next entry."""
    view = VIEWS[kind]
    gprs = b""
    if kind == "emulatable" and esr & DataAbortEsr.wnr.mask:
        syndrome = DataAbortEsr(esr)
        value = 0 if syndrome.srt == _RT_NONE else pe.x[syndrome.srt]
        gprs = (value & ((1 << (8 << syndrome.sas)) - 1)).to_bytes(8, "little")
    if kind == "external" and not DataAbortEsr(esr).set:  # recoverable (UER): the Realm takes it too
        inject(rmm, pe, sea_esr(esr, pe.spsr), far)
    leave(
        rmm, pe, RecExitReason.SYNC, esr=esr & view.esr, far=far & view.far, hpfar=hpfar & view.hpfar, gprs=gprs,
        ipa=fault_ipa(hpfar) if view.hpfar else None,
        state={"exit_kind": _KIND.get(kind, ExitKind.OTHER), "esr": esr, "far": far, "hpfar": hpfar},
    )  # fmt: skip


def wfx(rmm: "Rmm", pe: "Pe", esr: int, far: int, hpfar: int) -> None:
    """WFI or WFE, trapped because the Host asked for it: the instruction is done."""
    pe.elr += 4
    leave(rmm, pe, RecExitReason.SYNC, esr=esr & (Esr.ec.mask | _WFE))


def system_register(rmm: "Rmm", pe: "Pe", esr: int, far: int, hpfar: int) -> None:
    """Trapped MSR and MRS: SGIs go to the Host, ID registers read as the Realm's, everything else is RAZ/WI."""
    iss = SysregEsr(esr)
    rt = iss.rt
    is_read = esr & 1
    encoding = (iss.op0, iss.op1, iss.crn, iss.crm, iss.op2)
    pe.elr += 4
    if not is_read and encoding in _SGI:
        value = 0 if rt == _RT_NONE else pe.x[rt]
        leave(rmm, pe, RecExitReason.SYNC, esr=esr & ~SysregEsr.rt.mask, gprs=value.to_bytes(8, "little"))
        return
    if is_read and rt != _RT_NONE:
        is_id = encoding[:3] == (3, 0, 0) and encoding[3] > 0
        pe.x[rt] = id_register(iss.crm, iss.op2, pe.id_register(*encoding)) if is_id else 0


HANDLERS: Final[dict[int, Callable[["Rmm", "Pe", int, int, int], None]]] = {
    Ec.WFX: wfx,
    Ec.HVC: hvc,
    Ec.SMC: smc,
    Ec.SYSREG: system_register,
    Ec.SVE: undefined,
    Ec.SME: undefined,
    Ec.INSTRUCTION_ABORT: abort,
    Ec.DATA_ABORT: abort,
}
"""ESR_EL2.EC -> what the RMM does."""
