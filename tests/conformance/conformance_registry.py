"""What provokes each failure condition of the RMI: the registry from which the conformance tests are made.

:data:`GOOD` is a situation in which a command succeeds. A :class:`Bad` changes as little of it as makes one condition
hold: ``set`` replaces facts, ``change`` alters one that may have been replaced already, ``tie`` makes one follow from
the others. So two conditions of one argument can hold at once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from conformance_world import BLOCK, CPU_ON, DEVICE, FIRMWARE, GIB, TALL, Facts, World
from rmm_host import PAGE, RAM

from cca_arch.descriptors.rtte import HOST_NORMAL, Rtte
from cca_arch.rmi.v1_0 import RecEnterFlags
from cca_rmm.objects.realm import RealmState
from cca_rmm.objects.rec import RecState
from cca_rmm.versions.v1_0 import V1_0

__all__ = ["BAD", "EXCLUSIVE", "EXEMPT", "GOOD", "JOINT", "Bad", "combine", "exclusive"]


class Bad(NamedTuple):
    """A provoker. ``index`` is that of the return code; ``x`` are X1.. where the specification defines them."""

    set: Callable[[World], Facts] = lambda w: {}
    change: tuple[str, Callable[[int], int]] | None = None
    tie: tuple[str, Callable[[Facts], Any]] | None = None
    index: int = 0
    x: Callable[[World, Facts], tuple[int, ...]] = lambda w, facts: ()


def combine(world: World, facts: Facts, *bads: Bad) -> Facts | None:
    """The situation with every change made; None when two of them want the same fact to be different things."""
    result = dict(facts)
    set_by_one: Facts = {}
    for bad in bads:
        for name, value in bad.set(world).items():
            if set_by_one.setdefault(name, value) != value:
                return None
    result.update(set_by_one)
    names = [bad.change[0] for bad in bads if bad.change is not None]
    if len(set(names)) != len(names):
        return None
    for bad in bads:
        if bad.change is not None:
            result[bad.change[0]] = bad.change[1](result[bad.change[0]])
    for bad in bads:
        if bad.tie is not None:
            if bad.tie[0] in (*set_by_one, *names):
                return None
            result[bad.tie[0]] = bad.tie[1](result)
    return result


def _add(name: str, value: int) -> Bad:
    return Bad(change=(name, lambda old: old + value))


def _version(req: int) -> Bad:
    return Bad(lambda w: {"req": req}, x=_top(0x10000, 0x10000))


def _granule(argument: str, prefix: str, other: Callable[[World], int], last: str = "state") -> dict[str, list[Bad]]:
    """The three conditions of a granule argument; ``other`` is a granule in another state."""
    return {
        f"{prefix}_align": [_add(argument, 0x800), _add(argument, 1)],
        f"{prefix}_bound": [
            Bad(lambda w: {argument: DEVICE + PAGE * len(argument)}),
            Bad(lambda w: {argument: FIRMWARE}),
            Bad(lambda w: {argument: 1 << 52}),
            Bad(lambda w: {argument: (1 << 64) - PAGE}),
        ],
        f"{prefix}_{last}": [Bad(lambda w: {argument: other(w)})],
    }


def _delegated(w: World) -> int:
    return w.spare + 3 * PAGE


def _rd(w: World) -> int:
    return w.rd


_RD = _granule("rd", "rd", _delegated)
_REALM = {
    "realm_state": [Bad(lambda w: {"@realm": RealmState.ACTIVE}), Bad(lambda w: {"@realm": RealmState.SYSTEM_OFF})]
}


def _ipa(top: Callable[[World], int], *, level: bool = False) -> dict[str, list[Bad]]:
    """Bounds and alignment of an IPA."""
    return {
        "ipa_bound": [Bad(lambda w: {"ipa": top(w)}), Bad(lambda w: {"ipa": -BLOCK})],
        "ipa_align": [_add("ipa", 8 if not level else PAGE)],
    }


_DATA = {
    "rtt_walk": [Bad(lambda w: {"ipa": RAM + BLOCK}, index=2)],
    "rtte_state": [Bad(lambda w: {"ipa": RAM}, index=3)],
}
_TALL = Bad(lambda w: {"@bank": TALL})
_STRUCTURE = {
    "level_bound": [Bad(lambda w: {"level": 2}), Bad(lambda w: {"level": 4}), Bad(lambda w: {"level": -1})],
    **_ipa(lambda w: 1 << 33, level=True),
    "rtt_walk": [Bad(lambda w: {"rd": w.deep.rd, "ipa": GIB, "level": 3}, index=1)],
    "rtte_state": [Bad(lambda w: {"ipa": RAM + BLOCK}, index=2)],
}
_UNPROTECTED = {
    "level_bound": [Bad(lambda w: {"level": 4}), Bad(lambda w: {"level": 0}), Bad(lambda w: {"level": -1})],
    **_ipa(lambda w: 1 << 33),
    "ipa_prot": [Bad(lambda w: {"ipa": RAM}), Bad(lambda w: {"ipa": w.top - PAGE})],
    "rtt_walk": [Bad(lambda w: {"ipa": w.top + BLOCK}, index=2)],
}


_SIZE = [Bad(tie=("top", lambda facts: facts["base"])), Bad(lambda w: {"top": PAGE}), Bad(lambda w: {"top": 0})]


def _top(*x: int) -> Callable[[World, Facts], tuple[int, ...]]:
    return lambda w, facts: x


def _skip(size: int) -> Callable[[World, Facts], tuple[int, ...]]:
    """X1 = 0, X2 = the end of what ``size`` bytes around the IPA hold."""
    return lambda w, facts: (0, (facts["ipa"] & -size) + size)


_DATA_COMMANDS = ("DATA_CREATE", "DATA_CREATE_UNKNOWN", "DATA_DESTROY")
_STRUCTURE_COMMANDS = ("RTT_CREATE", "RTT_DESTROY", "RTT_FOLD")
_MAP_COMMANDS = ("RTT_MAP_UNPROTECTED", "RTT_UNMAP_UNPROTECTED")
_STOPPED = "a walk that stops early has not reached the entry"
_NO_REALM = "without an RD there is no Realm whose state could be wrong"
_OF_REALM = ("realm_live", "rtt_walk", "rtt_block_level")

GOOD: dict[str, Callable[[World], Facts]] = {
    "VERSION": lambda w: {"req": 0x10000},
    "GRANULE_DELEGATE": lambda w: {"addr": w.ns},
    "GRANULE_UNDELEGATE": lambda w: {"addr": w.spare},
    "DATA_CREATE": lambda w: {"rd": w.rd, "data": w.spare, "ipa": RAM + 4 * PAGE, "src": w.ns, "flags": 1},
    "DATA_CREATE_UNKNOWN": lambda w: {"rd": w.rd, "data": w.spare, "ipa": RAM + 4 * PAGE},
    "DATA_DESTROY": lambda w: {"rd": w.rd, "ipa": RAM},
    "REALM_ACTIVATE": lambda w: {"rd": w.rd},
    "REALM_CREATE": lambda w: {
        "rd": w.spare, "params_ptr": w.params, **{f"params.{name}": value for name, value in w.realm_params().items()}
    },
    "REALM_DESTROY": lambda w: {"rd": w.empty.rd},
    "REC_AUX_COUNT": lambda w: {"rd": w.rd},
    "REC_CREATE": lambda w: {
        "rd": w.rd, "rec": w.spare, "params_ptr": w.params,
        **{f"params.{name}": value for name, value in w.rec_params().items()},
    },
    "REC_DESTROY": lambda w: {"rec": w.rec},
    "REC_ENTER": lambda w: {"rec": w.rec, "run_ptr": w.enter, "enter.flags": 0, "@realm": RealmState.ACTIVE},
    "RTT_CREATE": lambda w: {"rd": w.rd, "rtt": w.spare, "ipa": RAM + BLOCK, "level": 3},
    "RTT_DESTROY": lambda w: {"rd": w.rd, "ipa": w.top, "level": 3},
    "RTT_FOLD": lambda w: {"rd": w.rd, "ipa": w.fold, "level": 3},
    "RTT_MAP_UNPROTECTED": lambda w: {"rd": w.rd, "ipa": w.top + PAGE, "level": 3, "desc": RAM | HOST_NORMAL},
    "RTT_UNMAP_UNPROTECTED": lambda w: {"rd": w.rd, "ipa": w.top, "level": 3},
    "RTT_READ_ENTRY": lambda w: {"rd": w.rd, "ipa": RAM, "level": 3},
    "RTT_INIT_RIPAS": lambda w: {"rd": w.rd, "base": RAM + 3 * PAGE, "top": RAM + 5 * PAGE},
    "RTT_SET_RIPAS": lambda w: {"rd": w.rd, "rec": w.rec, **w.ripas_request(RAM + 3 * PAGE, RAM + 4 * PAGE)},
    "PSCI_COMPLETE": lambda w: {
        "calling_rec": w.rec, "target_rec": w.rec1, "status": 0, "@pending": CPU_ON, "@call": (CPU_ON, 1, RAM, 0),
    },
}  # fmt: skip

BAD: dict[str, dict[str, list[Bad]]] = {
    "VERSION": {"req": [_version(0), _version(0x10001), _version(0x20000), _version(1 << 63)]},
    "FEATURES": {},
    "GRANULE_DELEGATE": {
        **_granule("addr", "gran", _rd),
        "gran_gpt": [Bad(lambda w: {"addr": w.lost})],
    },
    "GRANULE_UNDELEGATE": _granule("addr", "gran", _rd),
    "DATA_CREATE": {
        "flags_valid": [Bad(lambda w: {"flags": 2}), Bad(lambda w: {"flags": 1 << 63})],
        **_granule("src", "src", _delegated, "pas"),
        **_granule("data", "data", _rd),
        **_RD,
        **_REALM,
        **_ipa(lambda w: w.top),
        **_DATA,
        "data_bound2": [Bad(lambda w: {"@bank": TALL, "data": TALL})],
        "src_pas_access": [Bad(lambda w: {"src": w.lost})],
    },
    "DATA_CREATE_UNKNOWN": {
        **_granule("data", "data", _rd),
        **_RD,
        **_ipa(lambda w: w.top),
        "data_bound2": [Bad(lambda w: {"@bank": TALL, "data": TALL})],
        **_DATA,
    },
    "DATA_DESTROY": {
        **_RD,
        **_ipa(lambda w: w.top),
        "rtt_walk": [Bad(lambda w: {"ipa": RAM + BLOCK}, index=2, x=lambda w, facts: (0, w.fold))],
        "rtte_state": [
            Bad(lambda w: {"ipa": RAM + PAGE}, index=3, x=_top(0, RAM + BLOCK)),
            Bad(lambda w: {"ipa": RAM + 6 * PAGE}, index=3, x=_top(0, RAM + BLOCK)),
        ],
    },
    "REALM_ACTIVATE": {**_RD, **_REALM},
    "REALM_CREATE": {
        **_granule("params_ptr", "params", _delegated, "pas"),
        "params_pas": [Bad(lambda w: {"params_ptr": _delegated(w)}), Bad(lambda w: {"params_ptr": w.lost})],
        "params_valid": [Bad(lambda w: {"params.hash_algo": 2}), Bad(lambda w: {"params.hash_algo": 255})],
        "params_supp": [
            Bad(lambda w: {"params.num_bps": 6}),
            Bad(lambda w: {"params.num_wps": 4}),
            Bad(lambda w: {"params.num_bps": 0}),
            Bad(lambda w: {"params.flags": 1}),
            Bad(lambda w: {"params.flags": 2}),
            Bad(lambda w: {"params.flags": 4}),
            Bad(lambda w: {"params.s2sz": 49}),
            Bad(lambda w: {"params.s2sz": 31}),
        ],
        "rtt_num_level": [
            Bad(lambda w: {"params.rtt_num_start": 4}),
            Bad(lambda w: {"params.rtt_num_start": 0}),
            Bad(lambda w: {"params.rtt_level_start": 3}),
            Bad(lambda w: {"params.rtt_level_start": -1}),
            Bad(lambda w: {"params.s2sz": 35}),
        ],
        "vmid_valid": [Bad(lambda w: {"params.vmid": w.realm.params["vmid"]})],
        "alias": [
            Bad(tie=("rd", lambda facts: facts["params.rtt_base"] + 3 * PAGE)),
            Bad(tie=("params.rtt_base", lambda facts: facts["rd"] & -PAGE)),
            Bad(lambda w: {"rd": w.tables}),
        ],
        **_granule("rd", "rd", lambda w: w.ns),
        "rtt_align": [
            Bad(lambda w: {"params.rtt_base": w.tables + PAGE}), Bad(lambda w: {"params.rtt_base": w.tables + 0x800})
        ],
        "rtt_state": [
            Bad(lambda w: {"params.rtt_base": 0xA000_0000}),
            Bad(lambda w: {"params.rtt_base": w.realm.rtt_base}),
            Bad(lambda w: {"params.rtt_base": DEVICE & -0x8000}),
        ],
    },
    "REALM_DESTROY": {**_RD, "realm_live": [Bad(lambda w: {"rd": w.rd}), Bad(lambda w: {"rd": w.huge.rd})]},
    "REC_AUX_COUNT": _RD,
    "REC_CREATE": {
        **_granule("params_ptr", "params", _delegated, "pas"),
        "params_pas": [Bad(lambda w: {"params_ptr": _delegated(w)}), Bad(lambda w: {"params_ptr": w.lost})],
        "num_aux_max": [Bad(lambda w: {"params.num_aux": 17}), Bad(lambda w: {"params.num_aux": 1 << 63})],
        "aux_align": [Bad(lambda w: {"params.aux": (w.spare + PAGE, w.spare + 0x2800, w.extra)})],
        "aux_state": [
            Bad(lambda w: {"params.aux": (w.spare + PAGE, w.ns, w.extra)}),
            Bad(lambda w: {"params.aux": (DEVICE, w.spare + PAGE, w.extra)}),
        ],
        "aux_alias": [
            Bad(lambda w: {"params.aux": (w.spare + PAGE, w.spare + PAGE, w.extra)}),
            Bad(lambda w: {"params.aux": (w.spare + PAGE, w.spare, w.extra)}),
        ],
        **_granule("rec", "rec", _rd, "gran_state"),
        **_RD,
        "num_recs": [Bad(lambda w: {"@num_recs": V1_0.offer.max_recs})],
        **_REALM,
        "params_valid": [Bad(lambda w: {"params.mpidr": 0x13}), Bad(lambda w: {"params.mpidr": 3 | 1 << 32})],
        "mpidr_index": [Bad(lambda w: {"params.mpidr": 2}), Bad(lambda w: {"params.mpidr": 0x103})],
        "num_aux": [
            Bad(lambda w: {"params.num_aux": 3}),
            Bad(lambda w: {"params.num_aux": 1}),
            Bad(lambda w: {"params.num_aux": 0}),
        ],
    },
    "REC_DESTROY": {
        **_granule("rec", "rec", _rd, "gran_state"),
        "rec_state": [Bad(lambda w: {"@state": RecState.RUNNING})],
    },
    "REC_ENTER": {
        **_granule("run_ptr", "run", _delegated, "pas"),
        **_granule("rec", "rec", _rd, "gran_state"),
        "rec_state": [Bad(lambda w: {"@state": RecState.RUNNING})],
        "run_pas_access": [Bad(lambda w: {"run_ptr": w.lost})],
        "realm_new": [Bad(lambda w: {"@realm": RealmState.NEW})],
        "system_off": [Bad(lambda w: {"@realm": RealmState.SYSTEM_OFF}, index=1)],
        "rec_runnable": [Bad(lambda w: {"@runnable": 0})],
        "rec_psci": [Bad(lambda w: {"@pending": CPU_ON})],
        "rec_gicv3": [
            Bad(lambda w: {"enter.gicv3_hcr": 1 << 8}),
            Bad(lambda w: {"enter.gicv3_hcr": 1}),
            Bad(lambda w: {"enter.gicv3_lrs": (1 << 62 | 1 << 61 | 27, *(0,) * 15)}),
        ],
        "rec_mmio": [
            Bad(lambda w: {"enter.flags": RecEnterFlags.make(emul_mmio=1)}),
            Bad(lambda w: {"enter.flags": RecEnterFlags.make(emul_mmio=1, inject_sea=1)}),
        ],
    },
    "RTT_CREATE": {
        **_granule("rtt", "rtt", _rd),
        **_RD,
        **_STRUCTURE,
        "rtt_bound2": [Bad(lambda w: {"@bank": TALL, "rtt": TALL})],
        "rtte_state": [Bad(lambda w: {"ipa": RAM}, index=2)],
    },
    "RTT_DESTROY": {
        **_RD,
        **_STRUCTURE,
        "rtt_walk": [
            Bad(lambda w: {"rd": w.deep.rd, "ipa": GIB, "level": 3}, index=1, x=_top(0, RAM)),
        ],
        "rtte_state": [Bad(lambda w: {"ipa": RAM + BLOCK}, index=2, x=lambda w, facts: (0, w.fold))],
        "rtt_live": [Bad(lambda w: {"ipa": RAM}, index=3, x=_top(0, RAM))],
    },
    "RTT_MAP_UNPROTECTED": {
        **_UNPROTECTED,
        **_RD,
        "level_bound": [*_UNPROTECTED["level_bound"], Bad(lambda w: {"level": 1})],
        "desc_valid": [
            *(_add("desc", 1 << bit) for bit in (8, 9, 10, 11, 48, 51, 52, 0, 1, 55, 63)),
            Bad(change=("desc", lambda old: Rtte(old).replace(host_memattr=4))),  # MemAttr 0b100 is reserved
        ],
        "rtte_state": [Bad(lambda w: {"ipa": w.top}, index=3)],
    },
    "RTT_READ_ENTRY": {
        **_RD,
        **_ipa(lambda w: 1 << 33),
        "level_bound": [Bad(lambda w: {"level": 1}), Bad(lambda w: {"level": 4}), Bad(lambda w: {"level": -1})],
    },
    "RTT_UNMAP_UNPROTECTED": {
        **_RD,
        **_UNPROTECTED,
        "rtt_walk": [Bad(lambda w: {"ipa": w.top + BLOCK}, index=2, x=lambda w, facts: (w.top + GIB,))],
        "rtte_state": [Bad(lambda w: {"ipa": w.top + PAGE}, index=3, x=lambda w, facts: (w.top + BLOCK,))],
    },
    "PSCI_COMPLETE": {
        "alias": [
            Bad(tie=("target_rec", lambda facts: facts["calling_rec"])),
            Bad(tie=("calling_rec", lambda facts: facts["target_rec"])),
        ],
        **_granule("calling_rec", "calling", _rd),
        **_granule("target_rec", "target", _delegated),
        "calling_running": [Bad(lambda w: {"@state": RecState.RUNNING})],
        "pending": [Bad(lambda w: {"@pending": 0})],
        "owner": [Bad(lambda w: {"target_rec": w.other_rec, "@call": (CPU_ON, 0, RAM, 0)})],
        "target": [Bad(lambda w: {"target_rec": w.rec2})],
        "status": [Bad(lambda w: {"status": -1}), Bad(lambda w: {"status": -4}), Bad(lambda w: {"status": 1})],
    },
    "RTT_FOLD": {
        **_RD,
        **_STRUCTURE,
        "rtt_block_level": [Bad(lambda w: {"rd": w.huge.rd, "ipa": w.huge_top, "level": 1}, index=0)],
        "rtt_homo": [
            Bad(lambda w: {"ipa": RAM}, index=3),
            Bad(lambda w: {"rd": w.huge.rd, "ipa": w.huge_top, "level": 1, "@scatter": 3}, index=1),
        ],
    },
    "RTT_INIT_RIPAS": {
        "size_valid": _SIZE,
        **_RD,
        "top_gran_align": [_add("top", 8)],
        "base_gran_align": [_add("base", 8)],
        "top_bound": [
            Bad(lambda w: {"top": w.top + PAGE}), Bad(lambda w: {"base": w.top + PAGE, "top": w.top + 2 * PAGE})
        ],
        **_REALM,
        "base_align": [Bad(lambda w: {"base": RAM + BLOCK + PAGE, "top": RAM + 3 * BLOCK}, index=2)],
        "no_progress": [Bad(lambda w: {"base": RAM + BLOCK, "top": RAM + BLOCK + PAGE}, index=2)],
        "rtte_state": [
            Bad(lambda w: {"base": RAM}, index=3),
            Bad(lambda w: {"base": RAM + 6 * PAGE, "top": RAM + 7 * PAGE}, index=3),
        ],
    },
    "RTT_SET_RIPAS": {
        "size_valid": _SIZE,
        "top_gran_align": [_add("top", -8)],
        **_RD,
        **_granule("rec", "rec", _rd, "gran_state"),
        "rec_state": [Bad(lambda w: {"@state": RecState.RUNNING})],
        "rec_owner": [Bad(lambda w: {"rd": w.other.rd}), Bad(lambda w: {"@owner": w.other.rd})],
        "base_bound": [_add("base", -PAGE), Bad(lambda w: {"@ripas": (0, 0)})],
        "top_bound": [_add("top", PAGE)],
        "base_align": [Bad(lambda w: w.ripas_request(RAM + BLOCK + PAGE, RAM + 3 * BLOCK), index=2)],
        "no_progress": [Bad(lambda w: w.ripas_request(RAM + BLOCK, RAM + BLOCK + PAGE), index=2)],
        "rtte_ripas": [Bad(lambda w: w.ripas_request(RAM + 6 * PAGE, RAM + 7 * PAGE), index=3)],
    },
}  # fmt: skip

JOINT: dict[tuple[str, str, str], Bad] = {
    **{(name, "ipa_bound", "rtt_walk"): Bad(lambda w: {"ipa": w.top + BLOCK}) for name in _DATA_COMMANDS},
    **{(name, "ipa_bound", "rtte_state"): Bad(lambda w: {"ipa": w.top}) for name in _DATA_COMMANDS[:2]},
    ("DATA_DESTROY", "ipa_bound", "rtte_state"): Bad(lambda w: {"ipa": w.top + PAGE}),
    **{
        (name, "ipa_bound", "rtt_walk"): Bad(lambda w: {"rd": w.deep.rd, "ipa": 1 << 33, "level": 3})
        for name in (*_STRUCTURE_COMMANDS, *_MAP_COMMANDS)
    },
    **{
        (name, "ipa_bound", "rtte_state"): Bad(lambda w: {"rd": w.deep.rd, "ipa": 1 << 33, "level": 2})
        for name in _STRUCTURE_COMMANDS[1:]
    },
    **{
        (name, "level_bound", "rtt_walk"): Bad(lambda w: {"rd": w.deep.rd, "ipa": GIB, "level": 4})
        for name in _STRUCTURE_COMMANDS
    },
    **{
        (name, "ipa_bound", "rtte_state"): Bad(lambda w: {"rd": w.deep.rd, "ipa": 1 << 33, "level": 1, "desc": GIB})
        for name in _MAP_COMMANDS
    },
    **{(name, "ipa_prot", "rtt_walk"): Bad(lambda w: {"ipa": RAM + BLOCK}) for name in _MAP_COMMANDS},
    **{(name, "ipa_prot", "rtte_state"): Bad(lambda w: {"ipa": RAM}) for name in _MAP_COMMANDS},
    ("RTT_CREATE", "rtt_state", "rtt_bound2"): Bad(lambda w: {"@busy": TALL, "rtt": TALL}),
    ("RTT_CREATE", "rtt_bound", "rtt_bound2"): Bad(lambda w: {"rtt": 1 << 52}),
    **{
        (name, "data_state", "data_bound2"): Bad(lambda w: {"@busy": TALL, "data": TALL})
        for name in _DATA_COMMANDS[:2]
    },
    **{(name, "data_bound", "data_bound2"): Bad(lambda w: {"data": 1 << 52}) for name in _DATA_COMMANDS[:2]},
    ("DATA_CREATE", "src_bound", "src_pas_access"): Bad(lambda w: {"src": DEVICE}),
    ("DATA_CREATE", "src_pas", "src_pas_access"): Bad(lambda w: {"src": _delegated(w)}),
    ("REC_ENTER", "run_bound", "run_pas_access"): Bad(lambda w: {"run_ptr": DEVICE}),
    ("REC_ENTER", "run_pas", "run_pas_access"): Bad(lambda w: {"run_ptr": _delegated(w)}),
    ("GRANULE_DELEGATE", "gran_state", "gran_gpt"): Bad(lambda w: {"addr": w.rd}),
    ("GRANULE_DELEGATE", "gran_bound", "gran_gpt"): Bad(lambda w: {"addr": FIRMWARE}),
    ("REALM_CREATE", "rtt_align", "rtt_state"): Bad(lambda w: {"params.rtt_base": 0xA000_0000 + PAGE}),
    ("REC_CREATE", "aux_align", "aux_state"): Bad(lambda w: {"params.aux": (w.ns + 0x800, w.spare + PAGE)}),
    ("REC_CREATE", "aux_align", "aux_alias"): Bad(lambda w: {"params.aux": (w.spare + 0x1800, w.spare + 0x1800)}),
    ("REC_CREATE", "aux_state", "aux_alias"): Bad(lambda w: {"params.aux": (w.ns, w.ns)}),
    ("REC_CREATE", "num_aux_max", "num_aux"): Bad(lambda w: {"params.num_aux": 17}),
    ("REC_CREATE", "params_valid", "mpidr_index"): Bad(lambda w: {"params.mpidr": 0x12}),
    ("PSCI_COMPLETE", "owner", "target"): Bad(lambda w: {"target_rec": w.other_rec}),
    ("RTT_INIT_RIPAS", "size_valid", "top_bound"): Bad(lambda w: {"base": w.top + PAGE, "top": w.top + PAGE}),
    ("RTT_INIT_RIPAS", "size_valid", "base_align"): Bad(
        lambda w: {"base": RAM + BLOCK + PAGE, "top": RAM + BLOCK + PAGE}
    ),
    ("RTT_INIT_RIPAS", "size_valid", "no_progress"): Bad(lambda w: {"base": RAM + BLOCK, "top": RAM + BLOCK}),
    ("RTT_INIT_RIPAS", "top_bound", "base_align"): Bad(lambda w: {"base": RAM + BLOCK + PAGE, "top": w.top + PAGE}),
    ("RTT_INIT_RIPAS", "top_bound", "no_progress"): Bad(
        lambda w: {"base": w.top + BLOCK, "top": w.top + BLOCK + PAGE}
    ),
    ("RTT_INIT_RIPAS", "top_bound", "rtte_state"): Bad(lambda w: {"base": w.top, "top": w.top + PAGE}),
    ("RTT_INIT_RIPAS", "base_align", "no_progress"): Bad(
        lambda w: {"base": RAM + BLOCK + PAGE, "top": RAM + BLOCK + 2 * PAGE}, index=2
    ),
    ("RTT_INIT_RIPAS", "base_align", "rtte_state"): Bad(
        lambda w: {"base": w.gone + PAGE, "top": w.gone + 2 * BLOCK}, index=2
    ),
    ("RTT_INIT_RIPAS", "no_progress", "rtte_state"): Bad(lambda w: {"base": w.gone, "top": w.gone + PAGE}, index=2),
    ("RTT_SET_RIPAS", "size_valid", "base_align"): Bad(
        lambda w: {**w.ripas_request(RAM + BLOCK + PAGE, RAM + 3 * BLOCK), "top": RAM + BLOCK}
    ),
    ("RTT_SET_RIPAS", "size_valid", "no_progress"): Bad(
        lambda w: {**w.ripas_request(RAM + BLOCK, RAM + 3 * BLOCK), "top": RAM + BLOCK}
    ),
    ("RTT_SET_RIPAS", "size_valid", "rtte_ripas"): Bad(
        lambda w: {**w.ripas_request(RAM + 6 * PAGE, RAM + 7 * PAGE), "top": RAM + 6 * PAGE}
    ),
    ("RTT_SET_RIPAS", "top_gran_align", "top_bound"): _add("top", PAGE + 8),
    ("RTT_SET_RIPAS", "rec_owner", "rtte_ripas"): Bad(
        lambda w: {**w.ripas_request(RAM + 6 * PAGE, RAM + 7 * PAGE), "@owner": w.other.rd}
    ),
    ("RTT_SET_RIPAS", "base_bound", "base_align"): Bad(
        lambda w: {**w.ripas_request(RAM + BLOCK, RAM + 3 * BLOCK), "base": RAM + BLOCK + PAGE}
    ),
    ("RTT_SET_RIPAS", "base_bound", "no_progress"): Bad(
        lambda w: {"base": RAM + BLOCK, "top": RAM + BLOCK + PAGE, "@ripas": (RAM + 3 * PAGE, RAM + 3 * BLOCK)}
    ),
    ("RTT_SET_RIPAS", "base_bound", "rtte_ripas"): Bad(
        lambda w: {"base": RAM + 6 * PAGE, "top": RAM + 7 * PAGE, "@ripas": (RAM + 3 * PAGE, RAM + 7 * PAGE)}
    ),
    ("RTT_SET_RIPAS", "base_align", "no_progress"): Bad(
        lambda w: w.ripas_request(RAM + BLOCK + PAGE, RAM + BLOCK + 2 * PAGE), index=2
    ),
    ("RTT_SET_RIPAS", "base_align", "rtte_ripas"): Bad(
        lambda w: w.ripas_request(w.gone + PAGE, w.gone + 2 * BLOCK), index=2
    ),
    ("RTT_SET_RIPAS", "no_progress", "rtte_ripas"): Bad(lambda w: w.ripas_request(w.gone, w.gone + PAGE), index=2),
}
"""Two conditions of the same facts at once, where the two provokers cannot be combined."""

EXCLUSIVE: dict[tuple[str, str], str] = {
    **dict.fromkeys([("rtt_walk", "rtte_state"), ("rtt_walk", "rtt_live"), ("rtt_walk", "rtt_homo")], _STOPPED),
    ("rtt_walk", "rtt_block_level"): _STOPPED,
    **dict.fromkeys(
        [("rtte_state", "rtt_live"), ("rtte_state", "rtt_homo"), ("rtte_state", "rtt_block_level")],
        "an entry that is no TABLE has no table below it",
    ),
    **dict.fromkeys(
        [("ipa_bound", "rtt_live"), ("ipa_bound", "rtt_homo"), ("ipa_bound", "rtt_block_level")],
        "nothing can be mapped outside the IPA space",
    ),
    ("rtt_block_level", "rtt_homo"): "a table that is not homogeneous makes no block of any size",
    ("level_bound", "rtt_block_level"): "there is no table of a level outside the bounds",
    ("ipa_bound", "ipa_prot"): "what is outside the IPA space is not in its protected half",
    ("alias", "owner"): "a REC has the owner that it has",
    ("realm_new", "system_off"): "a Realm is in one state",
    ("size_valid", "top_bound"): "a request that ends before it begins has been completed",
    ("no_progress", "rtte_ripas"): _STOPPED,
    **{(f"rd_{last}", other): _NO_REALM for last in ("bound", "state") for other in _OF_REALM},
    **{
        (f"{prefix}_{last}", other): "a granule that is no REC has neither an owner nor an index"
        for prefix in ("calling", "target") for last in ("bound", "state") for other in ("owner", "target")
    },
}  # fmt: skip
"""Pairs that cannot hold at once in any command, and why."""


def exclusive(name: str, first: str, second: str) -> str | None:
    """Why two conditions of a command cannot hold at once; None when they can."""
    if (name, first, second) in (("RTT_CREATE", "ipa_bound", "rtte_state"),):
        return EXCLUSIVE["ipa_bound", "rtt_live"]
    return EXCLUSIVE.get((first, second))


EXEMPT: dict[tuple[str, str], str] = {
    ("REC_ENTER", "rec_sea"): "a condition of TF-RMM alone; DEN0137 gives inject_sea no effect then",
}
"""Conditions of the fact book that this RMM does not have, with the reason."""
