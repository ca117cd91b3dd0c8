"""RMI_RTT_CREATE, _DESTROY, _FOLD, _READ_ENTRY, _MAP_UNPROTECTED and _UNMAP_UNPROTECTED."""

from rmm_model.entries import (
    NS,
    Entry,
    Hipas,
    Ripas,
    Table,
    TooLarge,
    common,
    destroyable,
    host_bits,
    read_back,
    skip_top,
    span,
    unfold,
)
from rmm_model.facts import Granule, Status
from rmm_model.rules import Call, Command, Rule, fails, granule, rtt_fails

__all__ = ["COMMANDS"]

INPUT = fails(Status.INPUT)
RD = granule("rd", Granule.RD)
ATTRIBUTES = 0b111 << 2 | 0b11 << 6
RESERVED_MEMATTR = 0b100
PLACE = "rd_* level_bound ipa_bound ipa_align"
WALKED = f"{PLACE} rtt_walk"


def _bounds(above: int) -> tuple[Rule, ...]:
    """An IPA and a level; the IPA is aligned to what an entry ``above`` levels up covers."""

    def no_level(call: Call) -> bool:
        return not call.realm.start + above <= call.depth <= 3

    return (
        Rule("level_bound", no_level, INPUT, "rd_*"),
        Rule("ipa_bound", lambda call: call.ipa >= call.realm.end, INPUT, "rd_*"),
        Rule("ipa_align", lambda call: call.ipa % span(call.depth - above) != 0, INPUT, "rd_* level_bound"),
    )


def _reached(call: Call) -> int:
    return call.walk.level


def _top(call: Call) -> int:
    return skip_top(call.model.tables[call.walk.table], call.ipa)


def _is_table(call: Call) -> bool:
    return call.walk.entry.hipas is Hipas.TABLE


def _below(call: Call) -> Table:
    """The table that the entry points to."""
    return call.model.tables[call.walk.entry.pa]


def _to_parent(call: Call) -> tuple[int, int]:
    return call.ipa, call.depth - 1


# -- tables
def _create(call: Call) -> tuple[int, ...]:
    w = call.walk
    call.model.add_table(call.rtt, Table(call.depth, call.ipa, unfold(w.entry, call.depth)))
    call.model.put(w, Entry(Hipas.TABLE, pa=call.rtt))
    return ()


def _destroy(call: Call) -> tuple[int, ...]:
    rtt = call.walk.entry.pa
    left = Entry(Hipas.UNASSIGNED, Ripas.DESTROYED) if call.realm.protected(call.ipa) else NS
    call.model.put(call.walk, left)
    call.model.drop_table(rtt)
    return rtt, _top(call)


def _fold(call: Call) -> tuple[int, ...]:
    rtt = call.walk.entry.pa
    entry = common(_below(call).entries, call.depth)
    assert isinstance(entry, Entry)
    call.model.put(call.walk, entry)
    call.model.drop_table(rtt)
    return (rtt,)


# -- the Host's own memory
def _bad_descriptor(call: Call) -> bool:
    """A bit that is none of its, also one of the address below the entry's size."""
    return bool(call.desc & ~host_bits(call.depth)) or call.desc >> 2 & 0b111 == RESERVED_MEMATTR


def _map(call: Call) -> tuple[int, ...]:
    call.model.put(call.walk, Entry(Hipas.ASSIGNED_NS, pa=call.desc & ~ATTRIBUTES, attributes=call.desc & ATTRIBUTES))
    return ()


def _unmap(call: Call) -> tuple[int, ...]:
    call.model.put(call.walk, NS)
    return (_top(call),)


UNPROTECTED = (
    Rule("ipa_bound", lambda call: call.ipa >= call.realm.end, INPUT, "rd_*"),
    Rule("ipa_align", lambda call: call.ipa % span(call.depth) != 0, INPUT, "level_bound"),
    Rule("ipa_prot", lambda call: call.realm.protected(call.ipa), INPUT, "rd_*"),
)
LEVELS = (1, 2, 3)


def _map_level(call: Call) -> bool:
    """Level 1 to 3, and not above the starting level, if there is a Realm to have one."""
    realm = call.model.realms.get(call.rd)
    return call.depth not in LEVELS or (realm is not None and call.depth < realm.start)


LEVEL = Rule("level_bound", _map_level, INPUT)
MAP_PLACE = "rd_* level_bound ipa_bound ipa_align ipa_prot"

COMMANDS = (
    Command(
        "RTT_CREATE",
        0xC400_015D,
        ("rd", "rtt", "ipa", "level"),
        (
            *granule("rtt", Granule.DELEGATED),
            *RD,
            *_bounds(1),
            Rule("rtt_bound2", lambda call: call.rtt >> call.model.platform.pa_bits != 0, INPUT, "rtt_bound"),
            Rule("rtt_walk", lambda call: call.walk.level < call.depth - 1, rtt_fails(_reached), PLACE),
            Rule("rtte_state", _is_table, rtt_fails(_reached), WALKED),
        ),
        _create,
        walk=_to_parent,
    ),
    Command(
        "RTT_DESTROY",
        0xC400_015E,
        ("rd", "ipa", "level"),
        (
            *RD,
            *_bounds(1),
            Rule(
                "rtt_walk",
                lambda call: call.walk.level < call.depth - 1,
                rtt_fails(_reached, lambda call: (0, _top(call))),
                PLACE,
            ),
            Rule(
                "rtte_state",
                lambda call: not _is_table(call),
                rtt_fails(_reached, lambda call: (0, _top(call))),
                WALKED,
            ),
            Rule(
                "rtt_live",
                lambda call: not destroyable(_below(call)),
                rtt_fails(lambda call: call.depth, lambda call: (0, call.ipa)),
                f"{WALKED} rtte_state",
            ),
        ),
        _destroy,
        walk=_to_parent,
    ),
    Command(
        "RTT_FOLD",
        0xC400_0166,
        ("rd", "ipa", "level"),
        (
            *RD,
            *_bounds(1),
            Rule("rtt_walk", lambda call: call.walk.level < call.depth - 1, rtt_fails(_reached), PLACE),
            Rule("rtte_state", lambda call: not _is_table(call), rtt_fails(_reached), WALKED),
            Rule(
                "rtt_block_level",
                lambda call: isinstance(common(_below(call).entries, call.depth), TooLarge),
                rtt_fails(_reached),
                f"{WALKED} rtte_state",
            ),
            Rule(
                "rtt_homo",
                lambda call: common(_below(call).entries, call.depth) is None,
                rtt_fails(lambda call: call.depth),
                f"{WALKED} rtte_state",
            ),
        ),
        _fold,
        walk=_to_parent,
    ),
    Command(
        "RTT_READ_ENTRY",
        0xC400_0161,
        ("rd", "ipa", "level"),
        tuple(rule._replace(answer=fails(Status.INPUT, 0, 0, 0, 0, 0)) for rule in (*RD, *_bounds(0))),
        lambda call: (call.walk.level, *read_back(call.walk.entry)),
        walk=lambda call: (call.ipa, call.depth),
    ),
    Command(
        "RTT_MAP_UNPROTECTED",
        0xC400_015F,
        ("rd", "ipa", "level", "desc"),
        (
            LEVEL,
            *RD,
            Rule("desc_valid", _bad_descriptor, INPUT, "level_bound"),
            *UNPROTECTED,
            Rule("rtt_walk", lambda call: call.walk.level < call.depth, rtt_fails(_reached), MAP_PLACE),
            Rule(
                "rtte_state",
                lambda call: call.walk.entry.hipas is not Hipas.UNASSIGNED_NS,
                rtt_fails(_reached),
                f"{MAP_PLACE} rtt_walk desc_valid",
            ),
        ),
        _map,
        walk=lambda call: (call.ipa, call.depth),
    ),
    Command(
        "RTT_UNMAP_UNPROTECTED",
        0xC400_0162,
        ("rd", "ipa", "level"),
        (
            LEVEL,
            *RD,
            *UNPROTECTED,
            Rule(
                "rtt_walk",
                lambda call: call.walk.level < call.depth,
                rtt_fails(_reached, lambda call: (_top(call),)),
                MAP_PLACE,
            ),
            Rule(
                "rtte_state",
                lambda call: call.walk.entry.hipas is not Hipas.ASSIGNED_NS,
                rtt_fails(_reached, lambda call: (_top(call),)),
                f"{MAP_PLACE} rtt_walk",
            ),
        ),
        _unmap,
        walk=lambda call: (call.ipa, call.depth),
    ),
)
