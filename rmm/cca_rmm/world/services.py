"""SMCs of a Realm: RSI, PSCI and SMCCC, from one table."""

import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from cca_arch.rsi.v1_0 import RsiStatus
from cca_arch.smccc import FUNCTION, NOT_SUPPORTED, PSCI_FIDS, Fid
from cca_arch.types import INSTRUCTION_SIZE, SecurityState
from cca_platform.pe.refused import Refused, refuse
from cca_platform.trace.events import PsciCall, RsiCall, RsiReturn
from cca_rmm.base.command import Command, Result, execute
from cca_rmm.base.core import Core
from cca_rmm.base.outputs import named

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["serve"]

_SMC64: Final = Fid.smc64.mask
_PSCI: Final = frozenset(fid | bit for fid in PSCI_FIDS for bit in (0, _SMC64))
_REALM: Final = int(SecurityState.REALM)
_SIGN: Final = 31
_QUERIES: Final = ("FEATURES", "SMCCC_ARCH_FEATURES", "ARCH_FEATURES", "SEALING_UID")
_RSI_ERRORS: Final = (RsiStatus.ERROR_INPUT, RsiStatus.ERROR_STATE, RsiStatus.ERROR_UNKNOWN)
_RESULTS: Final = tuple(struct.Struct(f"<{count}Q{8 * max(4 - count, 0)}x") for count in range(18))
"""By the number of results: every service returns X0 to X3, and unused ones are zero."""


def serve(rmm: Core, services: Mapping[int, Command[Any]], pe: "Pe") -> None:
    """Handle an SMC of the Realm; the PC is already past it. Outputs go to X0..X3, or more if the row says so."""
    x = pe.x
    fid = x[0]
    row = services.get(fid & FUNCTION)
    inputs = x[:11].tolist()
    tracing = rmm.trace.on
    if tracing:
        trace_call(rmm, pe, row, inputs)
    failed: str | None = None
    if row is None:
        result: Result = (NOT_SUPPORTED,)
    else:
        if not row.fid & _SMC64:
            inputs = [value & 0xFFFF_FFFF for value in inputs]
        call = row.call(rmm, pe, row, inputs)
        answer = execute(call)
        if answer is None:
            return
        result = answer
        failed = call.failed
    if result[0]:
        _note(pe, row, fid, result[0], failed)
    _RESULTS[len(result)].pack_into(x, 0, *result)
    if tracing:
        trace_return(rmm, pe, row, fid, result, failed)


def _note(pe: "Pe", row: Command[Any] | None, fid: int, status: int, failed: str | None) -> None:
    """Note a call that returns an error: RSI statuses are small numbers, all others are negative."""
    pc = pe.elr - INSTRUCTION_SIZE
    if row is None:
        refuse(pe, Refused(_REALM, pc, fid, "", "NOT_SUPPORTED"))
    elif fid & FUNCTION not in _PSCI and status in _RSI_ERRORS:
        refuse(pe, Refused(_REALM, pc, fid, row.title("RSI_"), RsiStatus(status).name, failed or ""))
    elif status >> _SIGN and row.name not in _QUERIES:
        refuse(pe, Refused(_REALM, pc, fid, f"PSCI_{row.name}", str((status & 0xFFFF_FFFF) - (1 << 32)), failed or ""))


def trace_call(rmm: Core, pe: "Pe", row: Command[Any] | None, x: Sequence[int]) -> None:
    """Emit psci.call or rsi.call with the named arguments."""
    fid, rec = x[0], rmm.running(pe)[0]
    event = PsciCall if fid & FUNCTION in _PSCI else RsiCall
    if row is not None:
        rmm.trace.emit(event(fid=fid, cmd=row.name, args=row.call.told(x), rec=rec), pe)
    else:
        rmm.trace.emit(event(fid=fid, cmd="UNKNOWN", args={}, rec=rec), pe)


def trace_return(rmm: Core, pe: "Pe", row: Command[Any] | None, fid: int, result: Result, failed: str | None) -> None:
    """Emit rsi.return; PSCI functions emit it, too, under their own names."""
    outs = row.outs if row is not None else ()
    results = named(outs, result)
    name = row.name if row is not None else "UNKNOWN"
    event = RsiReturn(fid=fid, cmd=name, status=result[0], results=results, failed=failed, rec=rmm.running(pe)[0])
    rmm.trace.emit(event, pe)
