"""RMI_REALM_CREATE, _ACTIVATE, _DESTROY and RMI_REC_AUX_COUNT."""

import struct
from typing import TYPE_CHECKING, Any

from rmm_model import facts
from rmm_model.entries import NS, Entry, Hipas, Table, destroyable, span
from rmm_model.facts import PAGE, Granule, Realm, RealmState, Status
from rmm_model.measurement import rim_initial
from rmm_model.rules import Call, Command, Rule, fails, granule

if TYPE_CHECKING:
    from rmm_model.model import Model

__all__ = ["COMMANDS", "consistent"]

INPUT = fails(Status.INPUT)
STARTS = {0: (40, 48), 1: (32, 43), 2: (32, 34)}
"""Starting level -> the IPA widths that it allows, without LPA2."""
RESOLVES = {0: 48, 1: 39, 2: 30}
"""Starting level -> the IPA bits that one table of it resolves."""
LPA2, SVE, PMU = 1, 2, 4


def _params(model: "Model", call: Call) -> dict[str, Any]:
    page = model.host_read(call.params_ptr, PAGE)
    words = {"flags": 0, "rtt_base": 0x808, "rtt_level_start": 0x810}
    small = {"s2sz": 0x8, "sve_vl": 0x10, "num_bps": 0x18, "num_wps": 0x20, "pmu_num_ctrs": 0x28, "hash_algo": 0x30}
    found: dict[str, Any] = {name: struct.unpack_from("<Q", page, at)[0] for name, at in words.items()}
    found |= {name: page[at] for name, at in small.items()}
    found |= {"vmid": struct.unpack_from("<H", page, 0x800)[0], "rpv": page[0x400:0x440]}
    return found | {"rtt_num_start": struct.unpack_from("<I", page, 0x818)[0]}


def consistent(s2sz: int, level: int, count: int) -> bool:
    """One starting level table, or so many next to each other that they resolve the IPA width."""
    low, high = STARTS.get(level, (1, 0))
    return low <= s2sz <= high and count == max(1, 2 ** max(0, s2sz - RESOLVES[level]))


def _unsupported(call: Call) -> bool:
    """More than feature register 0 offers."""
    has, p = call.model.platform.features, call.params
    if p["flags"] & LPA2 and not facts.LPA2.of(has):
        return True
    if not 32 <= p["s2sz"] <= facts.S2SZ.of(has):
        return True
    if not 1 <= p["num_bps"] <= facts.NUM_BPS.of(has) or not 1 <= p["num_wps"] <= facts.NUM_WPS.of(has):
        return True
    if p["flags"] & SVE and not (facts.SVE_EN.of(has) and p["sve_vl"] <= facts.SVE_VL.of(has)):
        return True
    if p["flags"] & PMU and not (facts.PMU_EN.of(has) and 1 <= p["pmu_num_ctrs"] <= facts.PMU_NUM_CTRS.of(has)):
        return True
    return not (facts.SHA_256, facts.SHA_512)[p["hash_algo"]].of(has)


def _roots(call: Call) -> list[int]:
    return [call.params["rtt_base"] + PAGE * number for number in range(min(call.params["rtt_num_start"], 16))]


def _not_delegated(call: Call) -> bool:
    model = call.model
    return any(
        not model.platform.tracked(pa) or model.state(pa) is not Granule.DELEGATED for pa in _roots(call)
    )  # fmt: skip


def _create(call: Call) -> tuple[int, ...]:
    model, p = call.model, call.params
    roots = tuple(_roots(call))
    rim = rim_initial(
        p["hash_algo"], p["flags"], p["s2sz"], p["sve_vl"], p["num_bps"], p["num_wps"], p["pmu_num_ctrs"]
    )  # fmt: skip
    realm = Realm(
        call.rd, p["s2sz"], p["rtt_level_start"], roots, p["vmid"], p["flags"], p["hash_algo"], p["rpv"], rim
    )  # fmt: skip
    size = span(realm.start)
    for number, pa in enumerate(roots):
        first = number * 512
        entries = [Entry(Hipas.UNASSIGNED) if (first + at) * size < realm.half else NS for at in range(512)]
        used = min(512, realm.end // size - first)
        model.add_table(pa, Table(realm.start, first * size, entries, used))
    model.realms[call.rd] = realm
    model.move(call.rd, Granule.RD)
    return ()


def _activate(call: Call) -> tuple[int, ...]:
    call.realm.state = RealmState.ACTIVE
    return ()


def _live(call: Call) -> bool:
    return bool(call.realm.recs) or not all(destroyable(call.model.tables[pa]) for pa in call.realm.roots)


def _destroy(call: Call) -> tuple[int, ...]:
    for pa in call.realm.roots:
        call.model.drop_table(pa)
    del call.model.realms[call.rd]
    call.model.move(call.rd, Granule.DELEGATED)
    return ()


def _no_vmid(call: Call) -> bool:
    vmid = call.params["vmid"]
    return vmid >> call.model.platform.vmid_bits != 0 or any(it.vmid == vmid for it in call.model.realms.values())


RD = granule("rd", Granule.RD)
COMMANDS = (
    Command(
        "REALM_CREATE",
        0xC400_0158,
        ("rd", "params_ptr"),
        (
            Rule("params_align", lambda call: call.params_ptr % PAGE != 0, INPUT),
            Rule("params_bound", lambda call: not call.model.platform.tracked(call.params_ptr), INPUT, "params_align"),
            Rule("params_pas", lambda call: not call.model.is_ns(call.params_ptr), INPUT, "params_align params_bound"),
            Rule(
                "params_valid",
                lambda call: call.params["hash_algo"] > 1,
                INPUT,
                "params_align params_bound params_pas",
            ),
            Rule("params_supp", _unsupported, INPUT, "params_*"),
            Rule(
                "rtt_num_level",
                lambda call: (
                    not consistent(*(call.params[name] for name in ("s2sz", "rtt_level_start", "rtt_num_start")))
                ),
                INPUT,
                "params_align params_bound params_pas params_valid",
            ),
            Rule("vmid_valid", _no_vmid, INPUT, "params_align params_bound params_pas params_valid"),
            Rule("alias", lambda call: call.rd in _roots(call), INPUT, "params_* rtt_num_level"),
            *granule("rd", Granule.DELEGATED),
            Rule(
                "rtt_align",
                lambda call: call.params["rtt_base"] % (call.params["rtt_num_start"] * PAGE) != 0,
                INPUT,
                "params_* rtt_num_level",
            ),
            Rule("rtt_state", _not_delegated, INPUT, "params_* rtt_num_level rtt_align"),
        ),
        _create,
        params=_params,
    ),
    Command(
        "REALM_ACTIVATE",
        0xC400_0157,
        ("rd",),
        (
            *RD,
            Rule("realm_state", lambda call: call.realm.state is not RealmState.NEW, fails(Status.REALM), "rd_*"),
        ),
        _activate,
    ),
    Command(
        "REALM_DESTROY",
        0xC400_0159,
        ("rd",),
        (*RD, Rule("realm_live", _live, fails(Status.REALM), "rd_*")),
        _destroy,
    ),
    Command("REC_AUX_COUNT", 0xC400_0167, ("rd",), RD, lambda call: (call.model.platform.aux_count,)),
)
