"""RMI_REC_CREATE, _DESTROY, RMI_PSCI_COMPLETE, and the conditions of RMI_REC_ENTER."""

import struct
from typing import TYPE_CHECKING, Any

from rmm_model import facts
from rmm_model.facts import PAGE, Granule, RealmState, Rec, Status, mpidr_index, signed
from rmm_model.measurement import rim_after_rec
from rmm_model.rules import Call, Command, Rule, fails, granule

if TYPE_CHECKING:
    from rmm_model.model import Model

__all__ = ["COMMANDS", "EMUL_MMIO", "INJECT_SEA", "REJECT"]

INPUT = fails(Status.INPUT)
MPIDR_BITS = 0xFFFF_FF0F
RUNNABLE = 1
EMUL_MMIO, INJECT_SEA, REJECT = 1 << 0, 1 << 1, 1 << 4
HCR_BITS = 0x40FE
"""What a Host may set in ICH_HCR_EL2: UIE, LRENPIE, NPIE, the four group interrupts, TDIR."""
CPU_ON, AFFINITY_INFO = (0x8400_0003, 0xC400_0003), (0x8400_0004, 0xC400_0004)
SUCCESS, DENIED, ALREADY_ON = 0, -3, -4


# -- RMI_REC_CREATE
def _rec_params(model: "Model", call: Call) -> dict[str, Any]:
    page = model.host_read(call.params_ptr, PAGE)
    words = struct.unpack("<512Q", page)
    count = words[0x800 // 8]
    return {
        "flags": words[0],
        "mpidr": words[0x100 // 8],
        "pc": words[0x200 // 8],
        "gprs": words[0x300 // 8 : 0x340 // 8],
        "num_aux": count,
        "aux": words[0x808 // 8 : 0x808 // 8 + min(count, 16)],
    }


def _rec_index(mpidr: int) -> int:
    """RmiRecMpidr: Aff0 has four bits, the others eight each; here Aff3 is next to Aff2."""
    return mpidr & 0xF | (mpidr >> 8 & 0xFF) << 4 | (mpidr >> 16 & 0xFF) << 12 | (mpidr >> 24 & 0xFF) << 20


def _aux_not_delegated(call: Call) -> bool:
    model = call.model
    return any(
        not model.platform.tracked(pa) or model.state(pa) is not Granule.DELEGATED for pa in call.params["aux"]
    )  # fmt: skip


def _aux_alias(call: Call) -> bool:
    aux = call.params["aux"]
    return len({*aux, call.rec}) != len(aux) + 1


def _create(call: Call) -> tuple[int, ...]:
    model, realm, p = call.model, call.realm, call.params
    if p["flags"] & RUNNABLE:
        realm.rim = rim_after_rec(realm.hash_algo, realm.rim, p["flags"], p["pc"], p["gprs"])
    model.recs[call.rec] = Rec(
        realm.rd, realm.next_index, bool(p["flags"] & RUNNABLE), tuple(p["aux"]), p["pc"], [*p["gprs"], *(0,) * 23]
    )
    realm.next_index += 1
    realm.recs.add(call.rec)
    model.move(call.rec, Granule.REC)
    for pa in p["aux"]:
        model.move(pa, Granule.REC_AUX)
    return ()


def _too_many(call: Call) -> bool:
    return len(call.realm.recs) == (1 << facts.MAX_RECS_ORDER.of(call.model.platform.features)) - 1


# -- RMI_REC_DESTROY
def _destroy(call: Call) -> tuple[int, ...]:
    model, rec = call.model, call.model.recs.pop(call.rec)
    model.realms[rec.rd].recs.remove(call.rec)
    for pa in (call.rec, *rec.aux):
        model.move(pa, Granule.DELEGATED)
    return ()


# -- RMI_PSCI_COMPLETE
def _calling(call: Call) -> Rec:
    return call.model.recs[call.calling_rec]


def _target(call: Call) -> Rec:
    return call.model.recs[call.target_rec]


def _is_on(rec: Rec) -> bool:
    return rec.runnable or rec.running


def _asked(call: Call) -> tuple[int, int, int, int]:
    asked = _calling(call).psci
    assert asked is not None
    return asked


def _bad_status(call: Call) -> bool:
    status = signed(call.status)
    if status == DENIED:
        return _asked(call)[0] not in CPU_ON or _is_on(_target(call))
    return status != SUCCESS


def _complete(call: Call) -> tuple[int, ...]:
    calling, target = _calling(call), _target(call)
    fid, _, entry, context = _asked(call)
    if fid in AFFINITY_INFO:
        answer = 0 if _is_on(target) else 1
    elif _is_on(target):
        answer = ALREADY_ON
    else:
        answer = signed(call.status)
        if answer == SUCCESS:
            target.pc, target.x[0], target.runnable, target.phase = entry, context, True, ""
            target.abort = None
    calling.psci = None
    calling.x[:4] = [answer & facts.ONES, 0, 0, 0]
    return ()


# -- RMI_REC_ENTER
def _enter_params(model: "Model", call: Call) -> dict[str, Any]:
    page = model.host_read(call.run_ptr, PAGE)
    words = struct.unpack("<512Q", page)
    return {
        "flags": words[0],
        "gprs": words[0x200 // 8 : 0x200 // 8 + 31],
        "gicv3_hcr": words[0x300 // 8],
        "gicv3_lrs": words[0x308 // 8 : 0x308 // 8 + 16],
    }


def _bad_list_register(value: int) -> bool:
    """A list register with an interrupt in it; its group and state are free."""
    physical, priority, intid = value >> 32 & 0x1FFF, value >> 48 & 0xFF, value & 0xFFFF_FFFF
    if value >> 61 & 1 or physical & ~(1 << 9) or priority & 7:
        return True
    return not (intid <= 1019 or 8192 <= intid < 1 << 16)


def _bad_gic(call: Call) -> bool:
    has = facts.NUM_LRS.of(call.model.platform.features) + 1
    full = [value for value in call.params["gicv3_lrs"][:has] if value >> 62]
    if call.params["gicv3_hcr"] & ~HCR_BITS or any(map(_bad_list_register, full)):
        return True
    return len({value & 0xFFFF_FFFF for value in full}) != len(full)


def _bad_mmio(call: Call) -> bool:
    """No access waits for a value.

    With inject_sea after an abort that it answers, emul_mmio is passed over. With inject_sea after any other exit the
    fact book's words let the REC run; an answer without a question is refused here, as other RMMs do.
    """
    flags, abort = call.params["flags"], call.owner.abort
    if not flags & EMUL_MMIO or (abort is not None and abort.emulatable):
        return False
    return not (flags & INJECT_SEA and abort is not None)


def _realm_is(state: RealmState) -> "Any":
    return lambda call: call.model.realms[call.owner.rd].state is state


NAMED = "rec_align rec_bound rec_gran_state"
RUN = "run_align run_bound run_pas"
REC = tuple(
    rule._replace(id=rule.id.replace("rec_state", "rec_gran_state")) for rule in granule("rec", Granule.REC)
)  # fmt: skip
NEW_REC = tuple(
    rule._replace(id=rule.id.replace("rec_state", "rec_gran_state")) for rule in granule("rec", Granule.DELEGATED)
)
PARAMS = "params_align params_bound params_pas num_aux_max"
COMMANDS = (
    Command(
        "REC_CREATE",
        0xC400_015A,
        ("rd", "rec", "params_ptr"),
        (
            Rule("params_align", lambda call: call.params_ptr % PAGE != 0, INPUT),
            Rule("params_bound", lambda call: not call.model.platform.tracked(call.params_ptr), INPUT, "params_align"),
            Rule("params_pas", lambda call: not call.model.is_ns(call.params_ptr), INPUT, "params_align params_bound"),
            Rule(
                "num_aux_max",
                lambda call: call.params["num_aux"] > 16,
                INPUT,
                "params_align params_bound params_pas",
            ),
            Rule("aux_align", lambda call: any(pa % PAGE for pa in call.params["aux"]), INPUT, PARAMS),
            Rule("aux_state", _aux_not_delegated, INPUT, f"{PARAMS} aux_align"),
            Rule("aux_alias", _aux_alias, INPUT, PARAMS),
            *NEW_REC,
            *granule("rd", Granule.RD),
            Rule("num_recs", _too_many, fails(Status.REALM), "rd_*"),
            Rule("realm_state", lambda call: call.realm.state is not RealmState.NEW, fails(Status.REALM), "rd_*"),
            Rule("params_valid", lambda call: call.params["mpidr"] & ~MPIDR_BITS != 0, INPUT, PARAMS),
            Rule(
                "mpidr_index",
                lambda call: _rec_index(call.params["mpidr"]) != call.realm.next_index,
                INPUT,
                f"{PARAMS} rd_* params_valid",
            ),
            Rule(
                "num_aux",
                lambda call: call.params["num_aux"] != call.model.platform.aux_count,
                INPUT,
                f"{PARAMS} rd_*",
            ),
        ),
        _create,
        params=_rec_params,
    ),
    Command(
        "REC_DESTROY",
        0xC400_015B,
        ("rec",),
        (*REC, Rule("rec_state", lambda call: call.owner.running, fails(Status.REC), NAMED)),
        _destroy,
    ),
    Command(
        "PSCI_COMPLETE",
        0xC400_0164,
        ("calling_rec", "target_rec", "status"),
        (
            Rule("alias", lambda call: call.calling_rec == call.target_rec, INPUT),
            *granule("calling_rec", Granule.REC, prefix="calling"),
            *granule("target_rec", Granule.REC, prefix="target"),
            Rule("calling_running", lambda call: _calling(call).running, INPUT, "calling_*"),
            Rule("pending", lambda call: _calling(call).psci is None, INPUT, "calling_*"),
            Rule(
                "owner",
                lambda call: _calling(call).rd != _target(call).rd,
                INPUT,
                "calling_* target_align target_bound target_state",
            ),
            Rule(
                "target",
                lambda call: mpidr_index(_asked(call)[1]) != _target(call).index,
                INPUT,
                "calling_* pending owner target_align target_bound target_state",
            ),
            Rule("status", _bad_status, INPUT, "calling_* pending owner target_* target"),
        ),
        _complete,
    ),
    Command(
        "REC_ENTER",
        0xC400_015C,
        ("rec", "run_ptr"),
        (
            *granule("run_ptr", Granule.UNDELEGATED, prefix="run", last="pas"),
            *REC,
            Rule("rec_state", lambda call: call.owner.running, fails(Status.REC), NAMED),
            Rule("run_pas_access", lambda call: call.run_ptr in call.model.foreign, INPUT, RUN),
            Rule("realm_new", _realm_is(RealmState.NEW), fails(Status.REALM, 0), f"{RUN} {NAMED}"),
            Rule("system_off", _realm_is(RealmState.SYSTEM_OFF), fails(Status.REALM, 1), f"{RUN} {NAMED}"),
            Rule("rec_runnable", lambda call: not call.owner.runnable, fails(Status.REC), f"{RUN} {NAMED}"),
            Rule("rec_psci", lambda call: call.owner.psci is not None, fails(Status.REC), NAMED),
            Rule("rec_gicv3", _bad_gic, fails(Status.REC), f"{RUN} run_pas_access {NAMED}"),
            Rule("rec_mmio", _bad_mmio, fails(Status.REC), f"{RUN} run_pas_access {NAMED}"),
        ),
        lambda call: (),
        params=_enter_params,
    ),
)
