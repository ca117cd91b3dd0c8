"""RMI_REC_ENTER and the way back: what goes into a REC at entry and what the Host gets to see of an exit.

Every exit record is built from zeroes; only what an exit reason names is filled in (DEN0137 "REC exit").
"""

import struct
from typing import TYPE_CHECKING, Final

from cca_arch.descriptors import rtte
from cca_arch.rmi.v1_0 import RecEnterFlags, RecExitReason, Rmi, RmiRecEnter, RmiRecExit, RmiResponse, RmiRipas
from cca_arch.rsi.v1_0 import RsiHostCall
from cca_arch.sysregs import DataAbortEsr, Ec, Fsc, Hpfar
from cca_arch.types import SecurityState
from cca_platform.errors import BusError, GranuleProtectionFault
from cca_platform.isa import frame
from cca_platform.trace.events import ExceptionTake, RecEnter, RecExit
from cca_platform.trace.forms import UNSET
from cca_rmm.command import (
    INPUT,
    REALM_ERROR,
    REC_ERROR,
    Call,
    Check,
    Command,
    Result,
    granule,
    ns_page,
    rec_at,
)
from cca_rmm.features import HCR_REALM, MDCR_REALM, Hcr, vtcr
from cca_rmm.objects import rtt
from cca_rmm.objects.granule import State
from cca_rmm.objects.realm import REALM, Realm, RealmState
from cca_rmm.objects.rec import GIC_OFFSET, REC, ExitKind, Rec, RecState, vmpidr
from cca_rmm.world import gic
from cca_rmm.world.syndrome import emulated_value, sea_esr

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe
    from cca_rmm.rmm import Rmm

__all__ = ["COMMANDS", "inject", "leave", "rtt_abort", "walk_data"]

_ENTER_SIZE: Final = RmiRecEnter.size
_GPRS: Final = RmiRecEnter.offset("gprs")
_GPRS_SIZE: Final = 31 * 8
_GIC: Final = slice(gic.ENTER, gic.ENTER + gic.ENTER_SIZE)
_TIMERS: Final = struct.Struct("<4Q")  # CNTV_CTL, CNTV_CVAL, CNTP_CTL, CNTP_CVAL: the order of the frame
_X: Final = frame.offset("x0")
_PC: Final = frame.offset("pc")
_TIMER: Final = frame.offset("cntv_ctl_el0")
_ENABLE, _IMASK, _ISTATUS = 1, 2, 4
_FIRES: Final = _ENABLE | _ISTATUS  # the timer's interrupt is asserted
_ASSERTED, _ENABLED = 0b11, 0b100  # bits of Rec.timers
_ESR: Final = RmiRecExit.offset("esr")
_SYNDROME: Final = struct.Struct("<3Q")  # esr, far, hpfar
_IMM: Final = RmiRecExit.offset("imm")
_EXIT_TIMERS: Final = RmiRecExit.offset("cntp_ctl")
_EMUL_MMIO: Final = RecEnterFlags.emul_mmio.mask
_INJECT_SEA: Final = RecEnterFlags.inject_sea.mask
_TRAP_WFI: Final = RecEnterFlags.trap_wfi.mask
_TRAP_WFE: Final = RecEnterFlags.trap_wfe.mask
_REJECT: Final = RecEnterFlags.ripas_response.mask
_RT_NONE: Final = 31


# -- entry --------------------------------------------------------------------------------------------------------
def rec_enter(call: Call) -> Result | None:
    """Apply what the Host answers to the last exit, then run the Realm; the result comes with the next exit."""
    rmm, pe, rec, enter, flags = call.rmm, call.pe, call.rec_, call.content, call.flags
    assert enter is not None
    realm, regs = call.realm, rec.aux_regs
    if rec.host_call:
        stopped = finish_host_call(rmm, rec, realm, enter)
        if stopped is not None:
            return abort_record(rmm, call.run_ptr, stopped, rec.host_call_ipa)
    elif rec.ripas_pending:
        finish_ripas(rmm, rec, flags & _REJECT)
    elif rec.exit_kind == ExitKind.EMULATABLE and flags & (_EMUL_MMIO | _INJECT_SEA) == _EMUL_MMIO:
        finish_mmio(rmm, rec, enter)
    running = REC.replace(
        rec, state=RecState.RUNNING, exit_kind=ExitKind.OTHER, host_call=0, ripas_pending=0, ripas_addr=0, ripas_top=0,
        gic=load_gic(rmm, pe, call.rec, rec, enter), run_ptr=call.run_ptr, x4=call.x4,
    )  # fmt: skip
    REC.create(rmm.port, call.rec, running)
    rmm.start(pe, call.rec, running, realm)
    if rmm.trace.on:
        pc = rmm.port.read64(regs + _PC)
        rmm.trace.emit(RecEnter(rec=call.rec, rd=rec.rd, run=call.run_ptr, pc=pc, flags=flags), pe=pe)
    rmm.save_host(pe)
    hcr = HCR_REALM | (flags & _TRAP_WFI and Hcr.twi.mask) | (flags & _TRAP_WFE and Hcr.twe.mask)
    control = vtcr(realm.s2sz, realm.rtt_level_start, rmm.vmid_bits)
    pe.set_el2(hcr, control, realm.rtt_base | realm.vmid << 48, vmpidr(rec.mpidr), MDCR_REALM)
    pe.restore_el1(rmm.port.host_address(regs, frame.EL1_FRAME_SIZE))
    if flags & _INJECT_SEA and rec.exit_kind != ExitKind.OTHER:
        inject(rmm, pe, sea_esr(rec.esr, pe.spsr), rec.far)
    pe.mask_timers(bool(rec.timers & 1), bool(rec.timers & 2))  # what the Host knows does not interrupt again
    if rec.timers and asserted(rmm, pe, regs) != rec.timers & _ASSERTED:
        leave(rmm, pe, RecExitReason.IRQ)
    else:
        pe.eret(SecurityState.REALM, 1)
    return None


def load_gic(rmm: "Rmm", pe: "Pe", rec_pa: int, rec: Rec, enter: bytes) -> int:
    """Load the virtual CPU interface of the PE, unless all of it is as after reset; Rec.gic while it runs."""
    virtual, state = rmm.machine.gic.cpus[pe.index].virtual, 0
    if not gic.is_reset(virtual):
        gic.save_host(virtual, rmm.port, rmm.host_gic(pe))
        state = gic.HOSTS | gic.USED
    if rec.gic or enter[_GIC] != gic.NOTHING:
        state |= gic.USED
    if state:
        gic.load(virtual, gic.enter_words(enter), rmm.port, rec_pa + GIC_OFFSET if rec.gic else 0)
    return state


def inject(rmm: "Rmm", pe: "Pe", esr: int, far: int | None = None) -> None:
    """Let the Realm take a synchronous exception at EL1 instead of what it has done."""
    elr, spsr = pe.elr, pe.spsr
    pe.inject(esr, far)
    if rmm.trace.on:
        event = ExceptionTake(kind="injected", esr=esr, far=far, elr=elr, spsr=spsr, target=1, vector=pe.elr)
        rmm.trace.emit(event, pe=pe)


def finish_ripas(rmm: "Rmm", rec: Rec, reject: int) -> None:
    """RSI_IPA_STATE_SET returns how far the Host got; a change to EMPTY cannot be rejected."""
    rejected = reject and rec.ripas_value == RmiRipas.RAM and rec.ripas_addr != rec.ripas_top
    response = RmiResponse.REJECT if rejected else RmiResponse.ACCEPT
    rmm.port.write(rec.aux_regs + _X, struct.pack("<4Q", 0, rec.ripas_addr, response, 0))


def finish_mmio(rmm: "Rmm", rec: Rec, enter: bytes) -> None:
    """An emulated access is done: a load gets its value, and the PC moves on."""
    esr, regs = DataAbortEsr(rec.esr), rec.aux_regs
    if not esr.wnr and esr.srt != _RT_NONE:
        value = int.from_bytes(enter[_GPRS : _GPRS + 8], "little")
        rmm.port.write64(regs + _X + 8 * esr.srt, emulated_value(esr, value))
    rmm.port.write64(regs + _PC, rmm.port.read64(regs + _PC) + 4)


def finish_host_call(rmm: "Rmm", rec: Rec, realm: Realm, enter: bytes) -> rtt.Walk | None:
    """RSI_HOST_CALL returns; a structure that is not mapped now gives the walk that found this, and nothing changes."""
    w = rtt.walk(rmm.port, realm, rec.host_call_ipa, 3)
    target = walk_data(w, rec.host_call_ipa)
    if target is None:
        return w
    if target:  # RIPAS EMPTY: nothing to write to, and the call ends all the same
        rmm.port.write(target + RsiHostCall.offset("gprs"), enter[_GPRS : _GPRS + _GPRS_SIZE])
    rmm.port.write(rec.aux_regs + _X, bytes(32))
    return None


def walk_data(w: rtt.Walk, ipa: int) -> int | None:
    """Where the RMM accesses ``ipa`` for the Realm: its PA, 0 for RIPAS EMPTY, None when the Host has to act first."""
    if rtte.valid(w.entry):
        return rtte.address(w.entry) | ipa & (rtte.level_size(w.level) - 1)
    return 0 if rtte.ripas(w.entry) == RmiRipas.EMPTY else None


def rtt_abort(level: int, ipa: int) -> tuple[int, int]:
    """(esr, hpfar) of the stage 2 Data Abort that the Host sees when such an access has no page."""
    return int(DataAbortEsr.make(ec=Ec.DATA_ABORT, fsc=Fsc.TRANSLATION + level)), int(Hpfar.make(fipa=ipa >> 12))


def abort_record(rmm: "Rmm", run_ptr: int, w: rtt.Walk, ipa: int) -> Result:
    """The exit of an entry that ended before the Realm ran: nothing but the abort is in it."""
    esr, hpfar = rtt_abort(w.level, ipa)
    record = RmiRecExit.pack(exit_reason=RecExitReason.SYNC, esr=esr, hpfar=hpfar)
    return (0 if write_exit(rmm, run_ptr, record) else int(INPUT),)


def asserted(rmm: "Rmm", pe: "Pe", regs: int) -> int:
    """Which of the REC's timers assert their interrupt: bit 0 virtual, bit 1 physical."""
    cntv_ctl, cntv_cval, cntp_ctl, cntp_cval = _TIMERS.unpack(rmm.port.read(regs + _TIMER, _TIMERS.size))
    now = pe.machine.clock.now
    return (raw_ctl(cntv_ctl, cntv_cval, now) == _FIRES) | (raw_ctl(cntp_ctl, cntp_cval, now) == _FIRES) << 1


# -- exit ---------------------------------------------------------------------------------------------------------
def leave(
    rmm: "Rmm",
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
    """Take the REC off the PE, write run.exit, and complete RMI_REC_ENTER: the caller must return at once.

    ``esr``, ``far``, ``hpfar``, ``gprs`` (words in memory order), ``imm`` and ``fields`` are what the Host may see;
    ``ipa`` is for the trace: the page that it is about. ``state`` are words of the REC to set.
    """
    port = rmm.port
    rec_pa, rec, _ = rmm.running(pe)
    pc = pe.elr
    pe.save_el1(port.host_address(rec.aux_regs, frame.EL1_FRAME_SIZE))
    cntv_ctl, cntv_cval, cntp_ctl, cntp_cval = _TIMERS.unpack(port.read(rec.aux_regs + _TIMER, _TIMERS.size))
    now = pe.machine.clock.now
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
    used = store_gic(rmm, pe, rec_pa, rec, record)
    fires = 0
    if (cntv_ctl | cntp_ctl) & _ENABLE:
        cntp_ctl, cntv_ctl = raw_ctl(cntp_ctl, cntp_cval, now), raw_ctl(cntv_ctl, cntv_cval, now)
        fires = (cntv_ctl == _FIRES) | (cntp_ctl == _FIRES) << 1 | _ENABLED
    _TIMERS.pack_into(record, _EXIT_TIMERS, cntp_ctl, cntp_cval, cntv_ctl, cntv_cval)
    REC.write(port, rec_pa, state=RecState.READY, timers=fires, gic=used, **(state or {}))
    written = write_exit(rmm, rec.run_ptr, record)
    rmm.restore_host(pe)
    if rmm.trace.on:
        event = RecExit(
            rec=rec_pa, rd=rec.rd, run=rec.run_ptr, reason=reason, pc=pc, esr=esr, far=far, hpfar=hpfar,
            imm=imm if reason == RecExitReason.HOST_CALL else UNSET,
            ipa=UNSET if ipa is None else ipa,
        )  # fmt: skip
        rmm.trace.emit(event, pe=pe)
    rmm.complete(pe, COMMANDS[0], (0 if written else int(INPUT),), rec.x4)


def store_gic(rmm: "Rmm", pe: "Pe", rec_pa: int, rec: Rec, record: bytearray) -> int:
    """Take the virtual CPU interface from the REC, into ``record`` and the REC, and give it back to the Host.

    Rec.gic for the next entry.
    """
    virtual = rmm.machine.gic.cpus[pe.index].virtual
    if not rec.gic and virtual.vmcr == gic.VMCR_RESET:
        return 0
    used = gic.store(virtual, record, rmm.port, rec_pa + GIC_OFFSET)
    if rec.gic & gic.HOSTS:
        gic.load_host(virtual, rmm.port, rmm.host_gic(pe))
    else:
        virtual.load(0, ())
    return gic.USED if used else 0


def raw_ctl(ctl: int, cval: int, now: int) -> int:
    """CNT*_CTL_EL0 with ISTATUS as the hardware shows it."""
    return ctl & (_ENABLE | _IMASK) | (_ISTATUS if ctl & _ENABLE and now >= cval else 0)


def write_exit(rmm: "Rmm", run_ptr: int, record: bytes | bytearray) -> bool:
    """Write run.exit; False when the page has left the NS PAS meanwhile."""
    try:
        rmm.ns.write(run_ptr + _ENTER_SIZE, record)
    except (GranuleProtectionFault, BusError):
        return False
    return True


# -- row ----------------------------------------------------------------------------------------------------------
def enter_flags(call: Call) -> int:
    """Context: RmiRecEnter.flags."""
    assert call.content is not None
    return int.from_bytes(call.content[:8], "little")


def realm_of_rec(call: Call) -> Realm:
    """Context: the Realm that owns the REC."""
    return REALM.load(call.rmm.port, call.rec_.rd)


def gic_invalid(call: Call) -> bool:
    """ICH_HCR or a list register holds what the Host may not set."""
    assert call.content is not None
    if call.content[_GIC] == gic.NOTHING:
        return False
    hcr, *lrs = gic.enter_words(call.content)
    return bool(hcr & ~gic.HCR_PERMITTED) or not gic.lrs_valid(lrs)


def mmio_invalid(call: Call) -> bool:
    """emul_mmio without an Emulatable Data Abort; inject_sea wins over emul_mmio."""
    return call.flags & (_EMUL_MMIO | _INJECT_SEA) == _EMUL_MMIO and call.rec_.exit_kind != ExitKind.EMULATABLE


COMMANDS: Final = (
    Command(
        Rmi.REC_ENTER, "REC_ENTER", rec_enter, ins=("rec", "run_ptr", "x3", "x4"),
        context={
            "rec_": rec_at("rec"), "realm": realm_of_rec, "content": ns_page("run_ptr", 0, _ENTER_SIZE),
            "flags": enter_flags,
        },
        checks=(
            *granule("run_ptr", State.UNDELEGATED, "run", "pas"),
            *granule("rec", State.REC, last="gran_state"),
            Check("rec_state", lambda c: c.rec_.state == RecState.RUNNING, REC_ERROR),
            Check("run_pas_access", lambda c: c.content is None),
            Check("realm_new", lambda c: c.realm.state == RealmState.NEW, REALM_ERROR, lambda c: 0),
            Check("system_off", lambda c: c.realm.state == RealmState.SYSTEM_OFF, REALM_ERROR, lambda c: 1),
            Check("rec_runnable", lambda c: not c.rec_.runnable, REC_ERROR),
            Check("rec_psci", lambda c: c.rec_.psci_pending, REC_ERROR),
            Check("rec_gicv3", gic_invalid, REC_ERROR),
            Check("rec_mmio", mmio_invalid, REC_ERROR),
        ),
    ),
)  # fmt: skip
