"""RMI_RTT_INIT_RIPAS and RMI_RTT_SET_RIPAS: how far one call gets in one table."""

from collections.abc import Callable

from rmm_model.entries import Entry, Hipas, Ripas, Table, span
from rmm_model.facts import PAGE, Granule, RealmState, RipasRequest, Status
from rmm_model.measurement import rim_after_ripas
from rmm_model.rules import Call, Command, Rule, fails, granule, rtt_fails

__all__ = ["COMMANDS"]

INPUT = fails(Status.INPUT)
RD = granule("rd", Granule.RD)
SIZE = Rule("size_valid", lambda call: call.top <= call.base, INPUT)
TOP_ALIGN = Rule("top_gran_align", lambda call: call.top % PAGE != 0, INPUT)
REFUSED = rtt_fails(lambda call: call.walk.level)


def _crooked(call: Call) -> bool:
    return call.base % span(call.walk.level) != 0


def _no_room(call: Call) -> bool:
    return call.base + span(call.walk.level) > call.top


def _first(call: Call) -> Entry:
    return call.walk.entry


def _may_init(entry: Entry) -> bool:
    return entry.hipas is Hipas.UNASSIGNED and entry.ripas in (Ripas.EMPTY, Ripas.RAM)


def _may_set(entry: Entry, request: RipasRequest | None) -> bool:
    if entry.hipas not in (Hipas.UNASSIGNED, Hipas.ASSIGNED, Hipas.SEALED):
        return False
    return entry.ripas is not Ripas.DESTROYED or (request is not None and request.destroyed)


def _advance(call: Call, may: Callable[[Entry], bool], each: Callable[[Table, int], None]) -> int:
    """Entry by entry to ``top``, to one that may not change, or to the end of the table; how far it got."""
    table, slot = call.model.tables[call.walk.table], call.walk.slot
    while slot < 512 and table.ipa(slot + 1) <= call.top and may(table.entries[slot]):
        each(table, slot)
        slot += 1
    return table.ipa(slot)


def _init(call: Call) -> tuple[int, ...]:
    realm = call.realm

    def each(table: Table, slot: int) -> None:
        call.model.put_at(call.walk.table, slot, Entry(Hipas.UNASSIGNED, Ripas.RAM))
        realm.rim = rim_after_ripas(realm.hash_algo, realm.rim, table.ipa(slot), table.ipa(slot + 1))

    return (_advance(call, _may_init, each),)


def _set(call: Call) -> tuple[int, ...]:
    request = call.owner.ripas
    assert request is not None

    def each(table: Table, slot: int) -> None:
        call.model.put_at(call.walk.table, slot, table.entries[slot]._replace(ripas=Ripas(request.value)))

    request.reached = _advance(call, lambda entry: _may_set(entry, request), each)
    return (request.reached,)


def _not_asked_from(call: Call) -> bool:
    """Where the Realm's request has got to; without one, that is 0."""
    return call.base != (call.owner.ripas.reached if call.owner.ripas is not None else 0)


def _not_asked_to(call: Call) -> bool:
    return call.top > (call.owner.ripas.top if call.owner.ripas is not None else 0)


INIT_PLACE = "size_valid top_gran_align base_gran_align rd_* top_bound realm_state"
SET_PLACE = "size_valid top_gran_align rd_* rec_* base_bound top_bound"
COMMANDS = (
    Command(
        "RTT_INIT_RIPAS",
        0xC400_0168,
        ("rd", "base", "top"),
        (
            SIZE,
            *RD,
            TOP_ALIGN,
            Rule("base_gran_align", lambda call: call.base % PAGE != 0, INPUT),
            Rule(
                "top_bound",
                lambda call: not (call.realm.protected(call.base) and call.realm.protected(call.top - PAGE)),
                INPUT,
                "rd_* size_valid",
            ),
            Rule("realm_state", lambda call: call.realm.state is not RealmState.NEW, fails(Status.REALM), "rd_*"),
            Rule("base_align", _crooked, REFUSED, INIT_PLACE),
            Rule("no_progress", _no_room, REFUSED, INIT_PLACE),
            Rule("rtte_state", lambda call: not _may_init(_first(call)), REFUSED, INIT_PLACE),
        ),
        _init,
        walk=lambda call: (call.base, 3),
    ),
    Command(
        "RTT_SET_RIPAS",
        0xC400_0169,
        ("rd", "rec", "base", "top"),
        (
            SIZE,
            TOP_ALIGN,
            *RD,
            *(rule._replace(id=rule.id.replace("rec_state", "rec_gran_state")) for rule in granule("rec", Granule.REC)),
            Rule(
                "rec_state",
                lambda call: call.owner.running,
                fails(Status.REC),
                "rd_* rec_align rec_bound rec_gran_state",
            ),
            Rule(
                "rec_owner",
                lambda call: call.owner.rd != call.rd,
                fails(Status.REC),
                "rd_* rec_align rec_bound rec_gran_state",
            ),
            Rule("base_bound", _not_asked_from, INPUT, "rec_*"),
            Rule("top_bound", _not_asked_to, INPUT, "rec_*"),
            Rule("base_align", _crooked, REFUSED, SET_PLACE),
            Rule("no_progress", _no_room, REFUSED, SET_PLACE),
            Rule("rtte_ripas", lambda call: not _may_set(_first(call), call.owner.ripas), REFUSED, SET_PLACE),
        ),
        _set,
        walk=lambda call: (call.base, 3),
    ),
)
