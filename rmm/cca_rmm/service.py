"""SMCs of a Realm: one table of RSI, PSCI and SMCCC, its dispatch and its traces."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cca_arch.rsi.v1_0 import Rsi
from cca_arch.smccc import NOT_SUPPORTED, PSCI_FIDS, SVE_HINT
from cca_platform.trace.events import PsciCall, RsiCall, RsiReturn
from cca_rmm.command import Call, Command, Result, execute
from cca_rmm.commands import attestation, psci, rsi
from cca_rmm.objects.realm import Realm
from cca_rmm.objects.rec import Rec

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe
    from cca_rmm.rmm import Rmm

__all__ = ["SERVICES", "realm_smc"]


def current_rec(call: Call) -> Rec:
    """Context of every service: the calling REC."""
    return call.rmm.running(call.pe)[1]


def current_realm(call: Call) -> Realm:
    """Context of every service: its Realm."""
    return call.rmm.running(call.pe)[2]


def _with_context(row: Command) -> Command:
    return replace(row, context={**row.context, "rec_": current_rec, "realm": current_realm})


SERVICES: Final = {int(row.fid): _with_context(row) for row in (*rsi.COMMANDS, *attestation.COMMANDS, *psci.COMMANDS)}
"""FID -> row; every RSI FID of the ABI and the whole PSCI range are here."""
assert all(int(fid) in SERVICES for fid in Rsi), "every RSI function must have a row"

_FID_MASK: Final = 0xFFFF_FFFF & ~SVE_HINT
_SMC64: Final = 1 << 30
_PSCI: Final = frozenset(fid | bit for fid in PSCI_FIDS for bit in (0, 1 << 30))


def realm_smc(rmm: "Rmm", pe: "Pe") -> None:
    """Serve an SMC of the Realm; the PC is already after it. Outputs go to X0..X3, more where a row says so."""
    x = pe.x
    fid = x[0]
    row = SERVICES.get(fid & _FID_MASK)
    tracing = rmm.trace.on
    if row is None or row.handler is None:
        result: Result = (NOT_SUPPORTED,)
        failed: str | None = None
        if tracing:
            trace_call(rmm, pe, row, fid)
    else:
        arguments = x[1:11].tolist()
        if not row.fid & _SMC64:
            arguments = [value & 0xFFFF_FFFF for value in arguments]
        call = Call(rmm, pe, row, arguments)
        if tracing:
            trace_call(rmm, pe, row, fid)
        answer = execute(call)
        if answer is None:
            return
        result = answer
        failed = call.failed if tracing else None
    count = len(result)
    for register in range(count):
        x[register] = result[register]
    for register in range(count, 4):
        x[register] = 0
    if tracing:
        trace_return(rmm, pe, row, fid, result, failed)


def trace_call(rmm: "Rmm", pe: "Pe", row: Command | None, fid: int) -> None:
    """psci.call or rsi.call, with the arguments under their names."""
    ins = row.ins if row is not None else ()
    args = dict(zip(ins, pe.x[1:11].tolist(), strict=False))
    name = row.name if row is not None else "UNKNOWN"
    event = PsciCall if fid & _FID_MASK in _PSCI else RsiCall
    rmm.trace.emit(event(fid=fid, cmd=name, args=args, rec=rmm.current(pe)), pe=pe)


def trace_return(rmm: "Rmm", pe: "Pe", row: Command | None, fid: int, result: Result, failed: str | None) -> None:
    """rsi.return; PSCI answers the same way under its own names."""
    outs = row.outs if row is not None else ()
    event = RsiReturn(
        fid=fid, cmd=row.name if row is not None else "UNKNOWN",
        status=result[0], results=dict(zip(outs, result[1:], strict=False)), failed=failed, rec=rmm.current(pe),
    )  # fmt: skip
    rmm.trace.emit(event, pe=pe)
