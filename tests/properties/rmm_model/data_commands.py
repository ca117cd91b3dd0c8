"""RMI_DATA_CREATE, _CREATE_UNKNOWN and _DESTROY."""

from rmm_model.entries import Entry, Hipas, Ripas, skip_top
from rmm_model.facts import PAGE, Granule, RealmState, Status
from rmm_model.measurement import rim_after_data
from rmm_model.rules import Call, Command, Rule, fails, granule, rtt_fails

__all__ = ["BACKED", "BEFORE_WALK", "COMMANDS", "PLACE"]

INPUT = fails(Status.INPUT)
RD = granule("rd", Granule.RD)


def _top(call: Call) -> int:
    return skip_top(call.model.tables[call.walk.table], call.ipa)


PLACE = (
    Rule("ipa_bound", lambda call: not call.realm.protected(call.ipa), INPUT, "rd_*"),
    Rule("ipa_align", lambda call: call.ipa % PAGE != 0, INPUT),
)
BACKED = Rule("data_bound2", lambda call: call.data >> call.model.platform.pa_bits != 0, INPUT, "data_align data_bound")
"""Addresses of more than 48 bits need LPA2, which no Realm has here."""
BEFORE_WALK = "rd_* ipa_bound ipa_align"
FREE = (
    Rule("rtt_walk", lambda call: call.walk.level < 3, rtt_fails(lambda call: call.walk.level), BEFORE_WALK),
    Rule(
        "rtte_state",
        lambda call: call.walk.entry.hipas is not Hipas.UNASSIGNED,
        rtt_fails(lambda call: call.walk.level),
        f"{BEFORE_WALK} rtt_walk",
    ),
)


def _create(call: Call) -> tuple[int, ...]:
    model, realm = call.model, call.realm
    content = model.host_read(call.src, PAGE)
    realm.rim = rim_after_data(realm.hash_algo, realm.rim, call.ipa, call.flags, content)
    model.put(call.walk, Entry(Hipas.ASSIGNED, Ripas.RAM, call.data))
    model.move(call.data, Granule.DATA)
    model.contents[call.data] = bytearray(content)
    return ()


def _create_unknown(call: Call) -> tuple[int, ...]:
    model = call.model
    model.put(call.walk, Entry(Hipas.ASSIGNED, call.walk.entry.ripas, call.data))
    model.move(call.data, Granule.DATA)
    model.contents[call.data] = bytearray(PAGE)
    return ()


def _destroy(call: Call) -> tuple[int, ...]:
    entry = call.walk.entry
    left = Ripas.EMPTY if entry.ripas is Ripas.EMPTY else Ripas.DESTROYED
    call.model.put(call.walk, Entry(Hipas.UNASSIGNED, left))
    if entry.hipas is Hipas.ASSIGNED:
        call.model.move(entry.pa, Granule.DELEGATED)
    return entry.pa, _top(call)


COMMANDS = (
    Command(
        "DATA_CREATE",
        0xC400_0153,
        ("rd", "data", "ipa", "src", "flags"),
        (
            Rule(
                "flags_valid",
                lambda call: call.flags > 1,
                INPUT,
                doubt="reserved bits should be zero; whether a command has to refuse them is not said",
            ),
            *granule("src", Granule.UNDELEGATED, last="pas"),
            *granule("data", Granule.DELEGATED),
            *RD,
            Rule("realm_state", lambda call: call.realm.state is not RealmState.NEW, fails(Status.REALM), "rd_*"),
            *PLACE,
            BACKED,
            *FREE,
            Rule("src_pas_access", lambda call: call.src in call.model.foreign, INPUT, "src_*"),
        ),
        _create,
        walk=lambda call: (call.ipa, 3),
    ),
    Command(
        "DATA_CREATE_UNKNOWN",
        0xC400_0154,
        ("rd", "data", "ipa"),
        (*granule("data", Granule.DELEGATED), *RD, *PLACE, BACKED, *FREE),
        _create_unknown,
        walk=lambda call: (call.ipa, 3),
    ),
    Command(
        "DATA_DESTROY",
        0xC400_0155,
        ("rd", "ipa"),
        (
            *RD,
            *PLACE,
            Rule(
                "rtt_walk",
                lambda call: call.walk.level < 3,
                rtt_fails(lambda call: call.walk.level, lambda call: (0, _top(call))),
                BEFORE_WALK,
            ),
            Rule(
                "rtte_state",
                lambda call: call.walk.entry.hipas not in (Hipas.ASSIGNED, Hipas.SEALED),
                rtt_fails(lambda call: call.walk.level, lambda call: (0, _top(call))),
                f"{BEFORE_WALK} rtt_walk",
            ),
        ),
        _destroy,
        walk=lambda call: (call.ipa, 3),
    ),
)
