"""What provokes each failure condition of the extensions' commands for the Host, as :mod:`conformance_registry` has it.

:data:`FAILURES` is the order and the status of the conditions, by hand: no document has them but our manual.
"""

from collections.abc import Callable
from typing import Any

from conformance_registry import Bad
from conformance_world import BLOCK, DEVICE, FIRMWARE, STATE, TALL, Facts, World
from rmm_host import PAGE, RAM, Host

from cca_arch.descriptors.rtte import VERSION_BITS
from cca_arch.extensions import Paging
from cca_arch.rmi.v1_0 import RmiStatus
from cca_rmm.extensions.keys import KEYS
from cca_rmm.extensions.paging import PAGES, PAGES_OFFSET

__all__ = ["BAD", "EXCLUSIVE", "FAILURES", "GOOD", "JOINT", "PagingWorld"]

_INPUT, _REALM, _RTT = RmiStatus.ERROR_INPUT, RmiStatus.ERROR_REALM, RmiStatus.ERROR_RTT
OUT = RAM + 7 * PAGE
"""IPA of a page that is out."""


class PagingWorld(World):
    """The World, with a page at OUT that is out: its sealed contents at ``sealed``, with their tag."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.realm.write(OUT, b"contents" * 512)
        self.sealed = host.page()
        _, *self.tag, self.version = host.ok(Paging.PAGE_OUT, self.rd, OUT, self.sealed)


STATE["@version"] = lambda w, value: PAGES.write(w.peek, w.rd + PAGES_OFFSET, version=value)
STATE["@key"] = lambda w, value: KEYS.write(w.peek, w.host.rmm.extension_key_area, boot=value)


def _failures(*groups: tuple[RmiStatus, str]) -> list[tuple[str, RmiStatus]]:
    return [(id, status) for status, ids in groups for id in ids.split()]


FAILURES: dict[str, list[tuple[str, RmiStatus]]] = {
    "PAGE_OUT": _failures(
        (_INPUT, "dst_align dst_bound dst_pas rd_align rd_bound rd_state ipa_bound ipa_align"),
        (_RTT, "rtt_walk rtte_state"), (_REALM, "version_bound"), (_INPUT, "dst_pas_access boot_key"),
    ),
    "PAGE_IN": _failures(
        (_INPUT, "src_align src_bound src_pas data_align data_bound data_state rd_align rd_bound rd_state"),
        (_INPUT, "ipa_bound ipa_align data_bound2"), (_RTT, "rtt_walk rtte_state"),
        (_INPUT, "src_pas_access page_auth"),
    ),
}  # fmt: skip

GOOD: dict[str, Callable[[Any], Facts]] = {
    "PAGE_OUT": lambda w: {"rd": w.rd, "ipa": RAM, "dst": w.ns},
    "PAGE_IN": lambda w: {
        "rd": w.rd, "data": w.spare, "ipa": OUT, "src": w.sealed, "tag0": w.tag[0], "tag1": w.tag[1],
    },
}  # fmt: skip


def _add(name: str, value: int) -> Bad:
    return Bad(change=(name, lambda old: old + value))


def _set(facts: Callable[[Any], Facts], index: int = 0) -> Bad:
    return Bad(facts, index=index)


def _granule(argument: str, other: Callable[[World], int], last: str = "state") -> dict[str, list[Bad]]:
    return {
        f"{argument}_align": [_add(argument, 0x800), _add(argument, 1)],
        f"{argument}_bound": [
            _set(lambda w: {argument: DEVICE + PAGE * len(argument)}),
            _set(lambda w: {argument: FIRMWARE}),
            _set(lambda w: {argument: 1 << 52}),
            _set(lambda w: {argument: -PAGE}),
        ],
        f"{argument}_{last}": [_set(lambda w: {argument: other(w)})],
    }


def _delegated(w: World) -> int:
    return w.spare + 3 * PAGE


def _rd(w: World) -> int:
    return w.rd


_IPA = {
    "ipa_bound": [_set(lambda w: {"ipa": w.top}), _set(lambda w: {"ipa": -BLOCK})],
    "ipa_align": [_add("ipa", 8), _add("ipa", 1)],
    "rtt_walk": [_set(lambda w: {"ipa": RAM + BLOCK}, 2), _set(lambda w: {"ipa": w.gone}, 2)],
}

BAD: dict[str, dict[str, list[Bad]]] = {
    "PAGE_OUT": {
        **_granule("dst", _delegated, "pas"),
        **_granule("rd", _delegated),
        **_IPA,
        "rtte_state": [
            _set(lambda w: {"ipa": RAM + PAGE}, 3), _set(lambda w: {"ipa": RAM + 6 * PAGE}, 3),
            _set(lambda w: {"ipa": OUT}, 3),
        ],
        "version_bound": [_set(lambda w: {"@version": (1 << VERSION_BITS) - 1})],
        "dst_pas_access": [_set(lambda w: {"dst": w.lost})],
        "boot_key": [_set(lambda w: {"@key": 0})],
    },
    "PAGE_IN": {
        **_granule("src", _delegated, "pas"),
        **_granule("data", _rd),
        **_granule("rd", _delegated),
        **_IPA,
        "data_bound2": [_set(lambda w: {"@bank": TALL, "data": TALL})],
        "rtte_state": [_set(lambda w: {"ipa": RAM}, 3), _set(lambda w: {"ipa": RAM + PAGE}, 3)],
        "src_pas_access": [_set(lambda w: {"src": w.lost})],
        "page_auth": [
            _set(lambda w: {"tag0": w.tag[0] ^ 1}), _set(lambda w: {"tag1": w.tag[1] ^ 1 << 63}),
            _set(lambda w: {"src": w.ns}),
        ],
    },
}  # fmt: skip

JOINT: dict[tuple[str, str, str], Bad] = {
    **{(name, "ipa_bound", "rtt_walk"): _set(lambda w: {"ipa": w.top + BLOCK}) for name in FAILURES},
    **{(name, "ipa_bound", "rtte_state"): _set(lambda w: {"ipa": w.top}) for name in FAILURES},
    ("PAGE_OUT", "dst_bound", "dst_pas_access"): _set(lambda w: {"dst": DEVICE}),
    ("PAGE_OUT", "dst_pas", "dst_pas_access"): _set(lambda w: {"dst": _delegated(w)}),
    ("PAGE_IN", "src_bound", "src_pas_access"): _set(lambda w: {"src": DEVICE}),
    ("PAGE_IN", "src_pas", "src_pas_access"): _set(lambda w: {"src": _delegated(w)}),
    ("PAGE_IN", "data_bound", "data_bound2"): _set(lambda w: {"data": 1 << 52}),
    ("PAGE_IN", "data_state", "data_bound2"): _set(lambda w: {"@busy": TALL, "data": TALL}),
}
"""Two conditions of the same facts at once, where the two provokers cannot be combined."""

EXCLUSIVE: dict[tuple[str, str], str] = {
    ("rtt_walk", "rtte_state"): "a walk that stops early has not reached the entry",
}
"""Pairs that cannot hold at once, and why."""
