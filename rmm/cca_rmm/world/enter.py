"""REC entry: applies the Host's reply to the last exit and loads the PE."""

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cca_arch.emulation import sea_esr
from cca_arch.rmi.v1_0 import RecEnterFlags, RecExitReason, RmiRecEnter, RmiRecExit, RmiResponse, RmiRipas
from cca_arch.rsi.v1_0 import RsiHostCall
from cca_arch.types import SecurityState
from cca_platform.isa import frame
from cca_platform.trace.events import RecEnter
from cca_rmm.base.command import Result
from cca_rmm.base.core import Core
from cca_rmm.objects import rtt
from cca_rmm.objects.realm import Realm
from cca_rmm.objects.rec import ENTERED, SERROR, ExitKind, Rec, RecState
from cca_rmm.world import el2, gic, mmio, pmu, timers
from cca_rmm.world.exit import leave, status, write_exit
from cca_rmm.world.injection import inject
from cca_rmm.world.realm_memory import rtt_abort, walk_data

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["enter", "mmio_invalid"]

_RUNNING, _OTHER = int(RecState.RUNNING), int(ExitKind.OTHER)
_EMULATABLE: Final = int(ExitKind.EMULATABLE)
_REALM: Final = SecurityState.REALM
_VIRTUAL, _PHYSICAL = timers.VIRTUAL, timers.PHYSICAL
_FOUR_ZEROES: Final = bytes(32)
_GPRS: Final = RmiRecEnter.offset("gprs")
_GPRS_SIZE: Final = 31 * 8
_FLAGS: Final = struct.Struct("<Q")
_X: Final = frame.offset("x0")
_PC: Final = frame.offset("pc")
_HOST_CALL_GPRS: Final = RsiHostCall.offset("gprs")
_EMUL_MMIO: Final = RecEnterFlags.emul_mmio.mask
_INJECT_SEA: Final = RecEnterFlags.inject_sea.mask
_REJECT: Final = RecEnterFlags.ripas_response.mask


def enter(
    rmm: Core, pe: "Pe", rec_pa: int, rec: Rec, realm: Realm, run_ptr: int, record: bytes, kept: Sequence[int]
) -> Result | None:
    """Apply the Host's reply to the last exit, then run the Realm; the result comes with the next exit.

    ``record`` is RmiRecEnter; ``kept`` are the Host's X4 and up.
    """
    (flags,), regs = _FLAGS.unpack_from(record), rec.aux_regs
    if rec.host_call:
        stopped = finish_host_call(rmm, rec, realm, record)
        if stopped is not None:
            return abort_record(rmm, run_ptr, stopped, rec.host_call_ipa)
    elif rec.ripas_pending:
        finish_ripas(rmm, rec, flags & _REJECT)
    elif rec.exit_kind == _EMULATABLE and flags & (_EMUL_MMIO | _INJECT_SEA) == _EMUL_MMIO:
        mmio.finish(rmm.port, rec, int.from_bytes(record[_GPRS : _GPRS + 8], "little"))
    uses_gic, uses_pmu = gic.switch_in(rmm, pe, rec_pa, rec, record), pmu.switch_in(rmm, pe, rec_pa, realm)
    words = (_RUNNING, uses_gic, uses_pmu, _OTHER, 0, 0, 0, 0, run_ptr, *kept)
    ENTERED.write(rmm.port, rec_pa, words)
    rmm.start(pe, rec_pa, ENTERED.replace(rec, words), realm)
    if rmm.trace.on:
        pc = rmm.port.read64(regs + _PC)
        rmm.trace.emit(RecEnter(rec=rec_pa, rd=rec.rd, run=run_ptr, pc=pc, flags=flags), pe=pe)
    rmm.save_host(pe)
    el2.load(pe, realm, rec.mpidr, rmm.vmid_bits, flags)
    pe.restore_el1(rmm.port.host_address(regs, frame.EL1_FRAME_SIZE))
    if rec.serror:
        pe.raise_virtual_serror(rec.serror & ~SERROR)
    if flags & _INJECT_SEA and rec.exit_kind != _OTHER:
        inject(rmm, pe, sea_esr(rec.esr, pe.spsr), rec.far)
    told = rec.timers
    pe.mask_timers(told & _VIRTUAL != 0, told & _PHYSICAL != 0)  # what the Host already knows
    if told and timers.asserted(rmm.port, regs, pe.machine.clock.now) != told & timers.ASSERTED:
        leave(rmm, pe, RecExitReason.IRQ)
    else:
        pe.eret(_REALM, 1)
    return None


def mmio_invalid(record: bytes, rec: Rec) -> bool:
    """emul_mmio is set, but the last exit was not an Emulatable Data Abort.

    With inject_sea, which takes precedence, any Data Abort at an Unprotected IPA suffices; after any other exit, both
    together are refused, as in TF-RMM. inject_sea alone then has no effect (DEN0137).
    """
    flags = record[0]
    if not flags & _EMUL_MMIO or rec.exit_kind == _EMULATABLE:
        return False
    return not flags & _INJECT_SEA or rec.exit_kind == _OTHER


def finish_ripas(rmm: Core, rec: Rec, reject: int) -> None:
    """Complete RSI_IPA_STATE_SET with how far the Host got; a change to EMPTY cannot be rejected."""
    rejected = reject and rec.ripas_value == RmiRipas.RAM and rec.ripas_addr != rec.ripas_top
    response = RmiResponse.REJECT if rejected else RmiResponse.ACCEPT
    rmm.port.write(rec.aux_regs + _X, struct.pack("<4Q", 0, rec.ripas_addr, response, 0))


def finish_host_call(rmm: Core, rec: Rec, realm: Realm, record: bytes) -> rtt.Walk | None:
    """Complete RSI_HOST_CALL. If the structure is not mapped now, change nothing and return the failed walk."""
    w = rtt.walk(rmm.port, realm, rec.host_call_ipa, 3)
    target = walk_data(w, rec.host_call_ipa)
    if target is None:
        return w
    if target:  # RIPAS EMPTY: there is nothing to write to, but the call completes
        rmm.port.write(target + _HOST_CALL_GPRS, record[_GPRS : _GPRS + _GPRS_SIZE])
    rmm.port.write(rec.aux_regs + _X, _FOUR_ZEROES)
    return None


def abort_record(rmm: Core, run_ptr: int, w: rtt.Walk, ipa: int) -> Result:
    """Exit from an entry that ended before the Realm ran: the exit record has only the abort."""
    esr, hpfar = rtt_abort(w.level, ipa)
    record = RmiRecExit.pack(exit_reason=RecExitReason.SYNC, esr=esr, hpfar=hpfar)
    return status(write_exit(rmm, run_ptr, record))
