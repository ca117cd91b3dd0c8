"""Exceptions that a running Realm takes to R-EL2: injected into the Realm, emulated, or an exit to the Host.

:mod:`cca_rmm.world.services` handles SMCs.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cca_arch.descriptors import rtte
from cca_arch.emulation import RT_NONE, sea_esr
from cca_arch.rmi.v1_0 import RecExitReason, RmiRipas
from cca_arch.sysregs import Aet, DataAbortEsr, Ec, Esr, Fsc, SErrorEsr, SysregEsr, WfxEsr, encodings
from cca_arch.types import INSTRUCTION_SIZE
from cca_rmm.base.core import Core
from cca_rmm.objects import rtt
from cca_rmm.objects.rec import SERROR, ExitKind
from cca_rmm.world.exit import leave
from cca_rmm.world.id_registers import id_register
from cca_rmm.world.injection import UNDEFINED, inject
from cca_rmm.world.mmio import stored
from cca_rmm.world.pmu import has_pmu
from cca_rmm.world.realm_memory import fault_ipa
from cca_rmm.world.syndrome import SERROR_VIEW, VIEWS

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["HANDLERS", "synchronous"]

_EC, _EC_LOW = Esr.ec.mask, Esr.ec.low
_FSC: Final = DataAbortEsr.fsc.mask
_ISV, _WNR = DataAbortEsr.isv.mask, DataAbortEsr.wnr.mask
_ISS: Final = Esr.iss.mask
_EXTERNAL: Final = frozenset({Fsc.EXTERNAL, *range(Fsc.EXTERNAL_WALK - 1, Fsc.EXTERNAL_WALK + 4)})
"""Fault status codes of an external abort: of the access, and of a table walk from level -1 on."""
_BROKEN: Final = (Aet.UNRECOVERABLE, Aet.RECOVERABLE)
_CONTAINED: Final = (*_BROKEN, Aet.RESTARTABLE, Aet.CORRECTED)
_READ: Final = SysregEsr.direction.mask
_WFE: Final = int(WfxEsr.make(ti=1))
_WFX_VIEW: Final = _EC | _WFE
_SGI: Final[frozenset[tuple[int, ...]]] = frozenset(
    {encodings.ICC_SGI1R_EL1, encodings.ICC_ASGI1R_EL1, encodings.ICC_SGI0R_EL1, encodings.ICC_DIR_EL1}
)
"""Left to the Host, which owns the distributor."""
_ID_REGISTERS: Final = (3, 0, 0)  # op0, op1, CRn; CRm 0 is the MIDR group


def synchronous(rmm: Core, pe: "Pe", esr: int, far: int, hpfar: int) -> None:
    """Handle one exception; a class that a Realm cannot raise exits with an empty record."""
    handler = HANDLERS.get((esr & _EC) >> _EC_LOW)
    if handler is None:
        leave(rmm, pe, RecExitReason.SYNC)
    else:
        handler(rmm, pe, esr, far, hpfar)


def hvc(rmm: Core, pe: "Pe", esr: int, far: int, hpfar: int) -> None:
    """HVC is UNDEFINED in a Realm; the exception is taken at the instruction itself."""
    pe.elr -= INSTRUCTION_SIZE
    inject(rmm, pe, UNDEFINED)


def undefined(rmm: Core, pe: "Pe", esr: int, far: int, hpfar: int) -> None:
    """Features that a Realm does not have: SVE, SME."""
    inject(rmm, pe, UNDEFINED)


def abort(rmm: Core, pe: "Pe", esr: int, far: int, hpfar: int) -> None:
    """Handle a stage 2 abort according to the IPA, its RIPAS, and the access (DEN0137 "Realm memory access")."""
    ipa = fault_ipa(hpfar)
    realm = rmm.running(pe)[2]
    is_data = (esr & _EC) >> _EC_LOW == Ec.DATA_ABORT
    if esr & _FSC in _EXTERNAL:
        kind: str | None = "external"
    elif ipa >= realm.ipa_top:
        kind = None
    elif ipa >= realm.protected_top:
        kind = ("emulatable" if esr & _ISV else "unprotected") if is_data else None
    else:
        w = rtt.walk(rmm.port, realm, ipa, 3)
        empty = rtte.ripas(w.entry) == RmiRipas.EMPTY
        kind = None if empty else "protected" if is_data else "instruction"
    if kind is None:
        inject(rmm, pe, sea_esr(esr, pe.spsr), far)
    else:
        exit_abort(rmm, pe, kind, esr, far, hpfar)


_KIND: Final = {"emulatable": ExitKind.EMULATABLE, "unprotected": ExitKind.UNPROTECTED}


def exit_abort(rmm: Core, pe: "Pe", kind: str, esr: int, far: int, hpfar: int) -> None:
    """Exit with what the Host may see; the REC keeps the full syndrome for the next entry."""
    view = VIEWS[kind]
    gprs = stored(pe, esr) if kind == "emulatable" and esr & _WNR else b""
    if kind == "external" and not DataAbortEsr(esr).set:  # recoverable (UER): the Realm takes it, too
        inject(rmm, pe, sea_esr(esr, pe.spsr), far)
    leave(
        rmm, pe, RecExitReason.SYNC, esr=esr & view.esr, far=far & view.far, hpfar=hpfar & view.hpfar, gprs=gprs,
        ipa=fault_ipa(hpfar) if view.hpfar else None,
        state={"exit_kind": _KIND.get(kind, ExitKind.OTHER), "esr": esr, "far": far, "hpfar": hpfar},
    )  # fmt: skip


def serror(rmm: Core, pe: "Pe", esr: int, far: int, hpfar: int) -> None:
    """Exit to the Host on a physical SError; the affected Realm gets a virtual one (DEN0137 "REC exit due to ...").

    If the error is uncontained, the RMM's own state may be corrupt, and the RMM stops.
    """
    found, aet = SErrorEsr(esr), (esr & SErrorEsr.aet.mask) >> SErrorEsr.aet.low  # which may be a reserved value
    asynchronous = found.dfsc == Fsc.ASYNCHRONOUS
    if found.ids or (asynchronous and aet not in _CONTAINED):
        pe.machine.stop(f"RMM panic: an SError that is not contained, ESR {esr:#x}, on PE {pe.index}")
        return
    broken = asynchronous and aet in _BROKEN
    state = {"serror": SERROR | esr & _ISS} if broken else None
    leave(rmm, pe, RecExitReason.SERROR, esr=esr & SERROR_VIEW, state=state)


def wfx(rmm: Core, pe: "Pe", esr: int, far: int, hpfar: int) -> None:
    """WFI or WFE, trapped at the Host's request; the instruction completes."""
    pe.elr += INSTRUCTION_SIZE
    leave(rmm, pe, RecExitReason.SYNC, esr=esr & _WFX_VIEW)


def system_register(rmm: Core, pe: "Pe", esr: int, far: int, hpfar: int) -> None:
    """Trapped MSR and MRS: SGIs exit to the Host, ID registers return the Realm's values, all others are RAZ/WI."""
    iss = SysregEsr(esr)
    rt = iss.rt
    is_read = esr & _READ
    encoding = (iss.op0, iss.op1, iss.crn, iss.crm, iss.op2)
    pe.elr += INSTRUCTION_SIZE
    if not is_read and encoding in _SGI:
        value = 0 if rt == RT_NONE else pe.x[rt]
        leave(rmm, pe, RecExitReason.SYNC, esr=esr & ~SysregEsr.rt.mask, gprs=value.to_bytes(8, "little"))
        return
    if is_read and rt != RT_NONE:
        is_id = encoding[:3] == _ID_REGISTERS and encoding[3] > 0
        value = 0
        if is_id:
            value = id_register(encoding, pe.id_register(*encoding), has_pmu(rmm.running(pe)[2]))
        pe.x[rt] = value


HANDLERS: Final[dict[int, Callable[[Core, "Pe", int, int, int], None]]] = {
    Ec.WFX: wfx,
    Ec.HVC: hvc,
    Ec.SYSREG: system_register,
    Ec.SVE: undefined,
    Ec.SME: undefined,
    Ec.INSTRUCTION_ABORT: abort,
    Ec.DATA_ABORT: abort,
    Ec.SERROR: serror,
}
"""ESR_EL2.EC -> handler."""
