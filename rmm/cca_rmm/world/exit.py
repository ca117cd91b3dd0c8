"""REC exit: what the Host sees, and what the REC keeps.

Exit records start as zero; only the fields of the exit reason are filled in (DEN0137 "REC exit").
"""

import struct
from typing import TYPE_CHECKING, Final

from cca_arch.rmi.v1_0 import RecExitReason, RmiRecEnter, RmiRecExit
from cca_platform.errors import BusError, GranuleProtectionFault
from cca_platform.isa import frame
from cca_platform.trace.events import RecExit
from cca_platform.trace.forms import UNSET
from cca_rmm.base.command import INPUT
from cca_rmm.base.core import Core
from cca_rmm.objects.rec import LEFT, REC, RecState
from cca_rmm.world import gic, pmu, timers

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["leave", "status", "write_exit"]

_READY: Final = int(RecState.READY)
_EXIT: Final = RmiRecEnter.size  # of run.exit in the run page
_ESR: Final = RmiRecExit.offset("esr")
_SYNDROME: Final = struct.Struct("<3Q")  # esr, far, hpfar
_GPRS: Final = RmiRecExit.offset("gprs")
_IMM: Final = RmiRecExit.offset("imm")


def leave(
    rmm: Core,
    pe: "Pe",
    reason: RecExitReason,
    *,
    esr: int = 0,
    far: int = 0,
    hpfar: int = 0,
    gprs: bytes = b"",
    imm: int = 0,
    ipa: int | None = None,
    state: dict[str, int] | None = None,
    **fields: int,
) -> None:
    """Take the REC off the PE, write run.exit, and complete RMI_REC_ENTER. The caller must return at once.

    ``esr``, ``far``, ``hpfar``, ``gprs`` (words in memory order), ``imm`` and ``fields`` are what the Host may see;
    ``ipa`` is the page concerned, for the trace. ``state`` are words of the REC to set.
    """
    port, tracing = rmm.port, rmm.trace.on
    rec_pa, rec, _ = rmm.running(pe)
    pc = pe.elr if tracing else 0
    pe.save_el1(port.host_address(rec.aux_regs, frame.EL1_FRAME_SIZE))
    now = pe.clock.now
    record = bytearray(gic.EMPTY_EXIT)
    record[0] = reason
    if esr:
        _SYNDROME.pack_into(record, _ESR, esr, far, hpfar)
    if gprs:
        record[_GPRS : _GPRS + len(gprs)] = gprs
    if imm:
        record[_IMM : _IMM + 2] = imm.to_bytes(2, "little")
    if fields:
        RmiRecExit.pack_into(record, **fields)
    if rec.serror and not pe.withdraw_virtual_serror():
        state = {"serror": 0, **(state or {})}  # the Realm has taken it
    used = gic.switch_out(rmm, pe, rec_pa, rec, record)
    if rec.pmu:
        pmu.switch_out(rmm, pe, rec_pa, rec, record)
    fires = timers.store(port, rec.aux_regs, record, now)
    LEFT.write(port, rec_pa, (fires, _READY, used))
    if state:
        REC.write(port, rec_pa, **state)
    result = status(write_exit(rmm, rec.run_ptr, record))
    rmm.restore_host(pe)
    if tracing:
        event = RecExit(
            rec=rec_pa, rd=rec.rd, run=rec.run_ptr, reason=reason, pc=pc, esr=esr, far=far, hpfar=hpfar,
            imm=imm if reason == RecExitReason.HOST_CALL else UNSET,
            ipa=UNSET if ipa is None else ipa,
        )  # fmt: skip
        rmm.trace.emit(event, pe=pe)
    rmm.answer(pe, rmm.enter_row, result, (rec.x4, rec.x5, rec.x6, rec.x7))


def write_exit(rmm: Core, run_ptr: int, record: bytes | bytearray) -> bool:
    """Write run.exit; returns False if the page has left the NS PAS meanwhile."""
    try:
        rmm.ns.write(run_ptr + _EXIT, record)
    except (GranuleProtectionFault, BusError):
        return False
    return True


def status(written: bool) -> tuple[int]:
    """The result of RMI_REC_ENTER, depending on whether the exit record was written."""
    return (0 if written else int(INPUT),)
