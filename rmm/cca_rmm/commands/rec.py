"""RMI_REC_AUX_COUNT, RMI_REC_CREATE, RMI_REC_DESTROY and RMI_PSCI_COMPLETE. ``rec_enter`` has RMI_REC_ENTER."""

import struct
from typing import Any, Final

from cca_arch.fields import Record
from cca_arch.psci import AffinityInfo, PsciStatus
from cca_arch.rmi.v1_0 import MAX_AUX, RecCreateFlags, RecMpidr, Rmi, RmiRecParams, rec_index
from cca_arch.smccc import Fid
from cca_arch.sysregs import Sctlr
from cca_arch.types import GRANULE_SIZE
from cca_platform.isa import frame
from cca_rmm.base.command import Call, Check, Command, Result, loaded
from cca_rmm.commands.calls import RealmCall, read_ns
from cca_rmm.commands.conditions import RD, REALM_ERROR, REALM_NEW, REC_ERROR, granule
from cca_rmm.commands.psci import CPU_ON_FIDS
from cca_rmm.costs import HASH_PAGE, spend
from cca_rmm.objects import measurement
from cca_rmm.objects.granule import State
from cca_rmm.objects.realm import REALM
from cca_rmm.objects.rec import AUX_COUNT, REC, REC_RESET, Rec, RecState, psci_index

__all__ = ["COMMANDS"]

_MPIDR_MASK: Final = sum(field.mask for field in RecMpidr.fields().values())
_SCTLR_EE: Final = Sctlr.ee.mask
_GPRS: Final = struct.Struct("<4Q")
_SMC64: Final = Fid.smc64.mask


class CreateCall(RealmCall):
    """RMI_REC_CREATE."""

    rd: int
    rec: int
    params_ptr: int

    @loaded
    def content(self) -> bytes | None:
        """RmiRecParams, or None if they cannot be read."""
        return read_ns(self.rmm, self.params_ptr)

    @loaded
    def params(self) -> Record:
        """RmiRecParams, which are known to be readable."""
        assert self.content is not None
        return RmiRecParams.unpack(self.content)


class DestroyCall(Call):
    """RMI_REC_DESTROY."""

    rec: int

    @loaded
    def record(self) -> Rec:
        """The REC."""
        return REC.load(self.rmm.port, self.rec)


class CompleteCall(Call):
    """RMI_PSCI_COMPLETE."""

    calling_rec: int
    target_rec: int
    status: int

    @loaded
    def calling(self) -> Rec:
        """The REC whose PSCI call the Host completes."""
        return REC.load(self.rmm.port, self.calling_rec)

    @loaded
    def target(self) -> Rec:
        """The REC that the PSCI call targets."""
        return REC.load(self.rmm.port, self.target_rec)

    @loaded
    def requested(self) -> tuple[int, ...]:
        """X0..X3 of the calling REC, which still hold the PSCI call; SMC32 arguments have 32 bits."""
        regs = self.calling.aux_regs + frame.offset("x0")
        mask = -1 if self.calling.psci_pending & _SMC64 else 0xFFFF_FFFF
        return tuple(value & mask for value in _GPRS.unpack(self.rmm.port.read(regs, _GPRS.size)))


def aux(call: CreateCall) -> tuple[int, ...]:
    """The auxiliary granules that the Host named."""
    return tuple(call.params.aux[: call.params.num_aux])


def aux_alias(call: CreateCall) -> bool:
    """An auxiliary granule is repeated, or is the REC."""
    named = aux(call)
    return len({*named, call.rec}) != len(named) + 1


def rec_aux_count(call: RealmCall) -> Result:
    """Return the number of auxiliary granules, which is the same for every Realm."""
    return 0, AUX_COUNT


def rec_create(call: CreateCall) -> Result:
    """Create a REC, and measure it if it is runnable. The Host can enter it once the Realm is active."""
    rmm, realm, params, pa = call.rmm, call.realm, call.params, call.rec
    named = aux(call)
    rec = Rec(
        rd=call.rd, rec_index=realm.rec_index, mpidr=params.mpidr, state=RecState.READY,
        runnable=RecCreateFlags(params.flags).runnable, psci_pending=0, host_call=0, host_call_ipa=0,
        ripas_pending=0, ripas_addr=0, ripas_top=0, ripas_value=0,
        ripas_destroyed=0, exit_kind=0, esr=0, far=0, hpfar=0, timers=0, serror=0, gic=0, pmu=0, run_ptr=0,
        x4=0, x5=0, x6=0, x7=0, aux_regs=named[0], aux_attest=named[1],
    )  # fmt: skip
    REC.create(rmm.port, pa, rec)
    rmm.port.write(rec.aux_regs + frame.offset("x0"), struct.pack("<8Q", *params.gprs))
    for name, value in REC_RESET.items():
        rmm.port.write64(rec.aux_regs + frame.offset(name), value)
    rmm.port.write64(rec.aux_regs + frame.offset("pc"), params.pc)
    for granule_pa in named:
        rmm.granules.move(call.pe, granule_pa, "REC_CREATE.aux")
    rmm.granules.move(call.pe, pa, "REC_CREATE")
    REALM.write(rmm.port, call.rd, rec_index=realm.rec_index + 1, num_recs=realm.num_recs + 1)
    if rec.runnable:
        spend(call.pe.clock, HASH_PAGE[realm.hash_algo])
        content = measurement.rec_digest(realm.hash_algo, params)
        rim = measurement.rim_rec(realm.hash_algo, measurement.load(rmm.port, call.rd, 0), content)
        measurement.store(rmm.port, rmm.trace, call.pe, call.rd, realm, 0, rim, "REC_CREATE", content=content)
    return (0,)


def rec_destroy(call: DestroyCall) -> Result:
    """Return the REC and its auxiliary granules to DELEGATED."""
    rmm, rec = call.rmm, call.record
    realm = REALM.load(rmm.port, rec.rd)
    for granule_pa in (rec.aux_regs, rec.aux_attest, call.rec):
        rmm.granules.release(call.pe, granule_pa, "REC_DESTROY")
    REALM.write(rmm.port, rec.rd, num_recs=realm.num_recs - 1)
    return (0,)


# -- PSCI_COMPLETE ------------------------------------------------------------------------------------------------
def target_on(call: CompleteCall) -> bool:
    """The target REC is running or runnable."""
    target = call.target
    return bool(target.runnable or target.state == RecState.RUNNING)


def status_not_permitted(call: CompleteCall) -> bool:
    """The status is not permitted: CPU_ON may be denied only if the target is off; AFFINITY_INFO only granted."""
    if call.status == PsciStatus.SUCCESS:
        return False
    return not (call.status == PsciStatus.DENIED and call.calling.psci_pending in CPU_ON_FIDS and not target_on(call))


def psci_complete(call: CompleteCall) -> Result:
    """Complete the call of the calling REC; CPU_ON starts the target at the entry point with the context ID in X0."""
    rmm, target = call.rmm, call.target
    on = target_on(call)
    if call.calling.psci_pending not in CPU_ON_FIDS:
        answer = int(AffinityInfo.ON if on else AffinityInfo.OFF)
    elif on:
        answer = int(PsciStatus.ALREADY_ON)
    else:
        answer = call.status
        if answer == PsciStatus.SUCCESS:
            cpu_on(call, target)
    rmm.port.write(call.calling.aux_regs + frame.offset("x0"), _GPRS.pack(answer, 0, 0, 0))
    REC.write(rmm.port, call.calling_rec, psci_pending=0)
    return (0,)


def cpu_on(call: CompleteCall, target: Rec) -> None:
    """Reset the target: MMU off, EL1h with DAIF masked, the caller's endianness."""
    rmm, caller = call.rmm, call.calling.aux_regs
    _, _, entry, context = call.requested
    endian = rmm.port.read64(caller + frame.offset("sctlr_el1")) & _SCTLR_EE
    values = {"x0": context, "pc": entry, "pstate": REC_RESET["pstate"], "sctlr_el1": REC_RESET["sctlr_el1"] | endian}
    for name, value in values.items():
        rmm.port.write64(target.aux_regs + frame.offset(name), value)
    REC.write(rmm.port, call.target_rec, runnable=1)


_PARAMS_ALIGN, _PARAMS_BOUND, _PARAMS_STATE = granule("params_ptr", State.UNDELEGATED, "params", "pas")

COMMANDS: Final[tuple[Command[Any], ...]] = (
    Command[RealmCall](
        Rmi.REC_AUX_COUNT, "REC_AUX_COUNT", RealmCall, rec_aux_count, outs=("aux_count",), checks=RD,
    ),
    Command[CreateCall](
        Rmi.REC_CREATE, "REC_CREATE", CreateCall, rec_create,
        checks=(
            _PARAMS_ALIGN,
            _PARAMS_BOUND,
            Check("params_pas", lambda c: _PARAMS_STATE.fails(c) or c.content is None),
            Check("num_aux_max", lambda c: c.params.num_aux > MAX_AUX),
            Check("aux_align", lambda c: any(pa % GRANULE_SIZE for pa in aux(c))),
            Check("aux_state", lambda c: any(c.rmm.granules.state(pa) != State.DELEGATED for pa in aux(c))),
            Check("aux_alias", aux_alias),
            *granule("rec", State.DELEGATED, last="gran_state"),
            *RD,
            Check("num_recs", lambda c: c.realm.num_recs >= c.rmm.facts.offer.max_recs, REALM_ERROR),
            REALM_NEW,
            Check("params_valid", lambda c: c.params.mpidr & ~_MPIDR_MASK),
            Check("mpidr_index", lambda c: rec_index(c.params.mpidr) != c.realm.rec_index),
            Check("num_aux", lambda c: c.params.num_aux != AUX_COUNT),
        ),
    ),
    Command[DestroyCall](
        Rmi.REC_DESTROY, "REC_DESTROY", DestroyCall, rec_destroy,
        checks=(
            *granule("rec", State.REC, last="gran_state"),
            Check("rec_state", lambda c: c.record.state == RecState.RUNNING, REC_ERROR),
        ),
    ),
    Command[CompleteCall](
        Rmi.PSCI_COMPLETE, "PSCI_COMPLETE", CompleteCall, psci_complete,
        checks=(
            Check("alias", lambda c: c.calling_rec == c.target_rec),
            *granule("calling_rec", State.REC, "calling"),
            *granule("target_rec", State.REC, "target"),
            Check("calling_running", lambda c: c.calling.state == RecState.RUNNING),
            Check("pending", lambda c: not c.calling.psci_pending),
            Check("owner", lambda c: c.calling.rd != c.target.rd),
            Check("target", lambda c: psci_index(c.requested[1]) != c.target.rec_index),
            Check("status", status_not_permitted),
        ),
    ),
)  # fmt: skip
