"""Random calls of several hosts to several Realms: every answer is the model's (:mod:`rmm_model`), and after each call

* a call that failed has changed nothing, and one that did not has changed nothing that is not its business;
* the states of the RMM, the GPT and the model agree;
* a DATA granule and a table are in exactly one table entry; tables hold the descriptors of what the model has there;
* a DELEGATED granule is zero, and so is one that the Host has got back;
* no page that the Host can read holds the secret that every DATA granule, REC and Realm register holds.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs
from rmm_coverage import missing
from rmm_host import Host
from rmm_hosts import STARTS, Hosts
from rmm_shrink import replay, script, shrunk
from rmm_watched import SECRET, Broken

from cca_arch.descriptors import rtte
from cca_arch.rmi.v1_0 import Rmi
from cca_platform.errors import InternalError, MachineStopped
from cca_platform.memory.ports import Port
from cca_rmm.base.command import Command
from cca_rmm.commands.calls import RealmCall
from cca_rmm.objects import measurement, rtt
from cca_rmm.objects.granule import Granules
from cca_rmm.rmm import Rmm
from cca_rmm.versions.v1_0 import V1_0
from cca_rmm.world import enter, exit, mmio

SEQUENCE = 1_500
LAST_RESORT = 40
"""Sequences more, at most, until every condition has been seen."""


class Differs(Exception):
    """A sequence that ends in a difference, with the steps that led to it."""

    def __init__(self, what: str, hosts: Hosts) -> None:
        super().__init__(what)
        self.steps = list(hosts.done)


def play(host: Host, source: Any, calls: int, start: Any = None, focus: list[str] | None = None) -> Hosts:
    """A sequence of so many random calls from the state after boot, or from what ``start`` makes."""
    hosts = Hosts(host, source)
    try:
        if start is not None:
            start(hosts)
        hosts.focus = focus or []
        scripted, steps = hosts.calls, 0
        while hosts.calls < scripted + calls and steps < 4 * calls:
            hosts.step()
            steps += 1
        hosts.everything()
        hosts.random_calls = hosts.calls - scripted
    except (Broken, MachineStopped) as broken:
        raise Differs(str(broken), hosts) from broken
    finally:
        hosts.finish()
    return hosts


class TestRandomCalls:
    """Calls with seeds: the failing ones can be had again, and are few."""

    def test_many(self, part_host: Host, rmm_part: tuple[int, int], record_property: Any) -> None:
        """None of the calls is answered otherwise than the model says; each condition that can hold has decided one."""
        part, calls = rmm_part
        seen: Counter[tuple[str, str]] = Counter()
        total = number = 0
        while total < calls or (missing(seen) and number < calls // SEQUENCE + LAST_RESORT):
            seed = part * 1_000 + number
            focus = ["rec_enter", *(name.lower() for name, _ in missing(seen))] if total >= calls else []
            start = STARTS[number % len(STARTS)]
            try:
                hosts = play(part_host, random.Random(seed), SEQUENCE, start, focus)
            except Differs as differs:
                steps = shrunk(part_host, differs.steps)
                pytest.fail(f"seed {seed}: {differs}\n{len(steps)} of {len(differs.steps)} steps do:\n{script(steps)}")
            total += hosts.random_calls
            number += 1
            seen.update(hosts.seen)
        assert not missing(seen), "these conditions decided no call"
        record_property("rmm.calls", total)
        record_property("rmm.least", min(seen.items(), key=lambda item: item[1]))

    @given(source=st.randoms(use_true_random=False))
    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    def test_shrinking(self, property_host: Host, source: random.Random) -> None:
        """Few calls at a time, drawn by hypothesis."""
        play(property_host, source, 60)


def no_scrub(self: Granules, pe: Any, pa: int, event: str) -> None:
    """A granule leaves an object with its contents."""
    self.move(pe, pa, event)


def other_entry(port: Port, trace: Any, pe: Any, cmd: str, rd: int, ipa: int, w: Any, new: int) -> None:
    """A command that edits the entry next to the one it means."""
    port.write64(w.pa ^ 8, new)


def eager(self: Rmm, vmid: int) -> bool:
    """A check that takes what it looks at, whether the command succeeds or not."""
    free = _vmid_free(self, vmid)
    self.set_vmid(vmid & 0xFF, True)
    return free


def careless(rmm: Rmm, run_ptr: int, record: bytes | bytearray) -> bool:
    """An exit that shows a register of the Realm."""
    return _write_exit(rmm, run_ptr, bytes(record[:0x7F8]) + SECRET.to_bytes(8, "little"))


def first_counts(port: Port, at: int, level: int) -> int | None:
    """A table is what its first entry is."""
    return port.read64(at)


def empty_children(entry: int, level: int) -> bytes:
    """A new table forgets the RIPAS that was above it."""
    return _children(entry if rtte.live(entry) else entry & ~(3 << 5), level)


_vmid_free, _write_exit, _children = Rmm.vmid_free, exit.write_exit, rtt.children
_rim_ripas, _finish_ripas = measurement.rim_ripas, enter.finish_ripas
PATCHES = {
    "no_scrub": (Granules, "release", no_scrub, "is DELEGATED and not zero"),
    "other_entry": (rtt, "edit", other_entry, "(has 0x|other entries)"),
    "no_top": (rtt, "skip_top", lambda *args, edited=False: 0, "(DESTROY|UNPROTECTED) with X0"),
    "half_done": (Rmm, "vmid_free", eager, "REALM_CREATE failed and changed"),
    "leak": (exit, "write_exit", careless, "the exit is not"),
    "fold_anything": (rtt, "common", first_counts, "RTT_FOLD gave 0x0"),
    "lost_ripas": (rtt, "children", empty_children, "RTT_CREATE: the RTT"),
    "short_measurement": (
        measurement, "rim_ripas", lambda algo, rim, base, top: _rim_ripas(algo, rim, base, base), "the RD .* must say"
    ),
    "stale_translations": (RealmCall, "invalidate", lambda self, ipa, level: None, "(the exit is not|not zero)"),
    "no_rejection": (enter, "finish_ripas", lambda rmm, rec, reject: _finish_ripas(rmm, rec, 0), "the exit is not"),
    "wrong_load": (mmio, "emulated_value", lambda esr, value: value & 0xFFFF_FFFF, "the exit is not"),
}  # fmt: skip
"""Defect -> where it is planted, and what says so."""


def without(command: Command[Any], *ids: str) -> Command[Any]:
    """A command that does not ask everything."""
    return replace(command, checks=tuple(check for check in command.checks if check.id not in ids))


def first(command: Command[Any], id: str) -> Command[Any]:
    """A command that asks one thing too soon."""
    rest = tuple(check for check in command.checks if check.id != id)
    named = next(at for at, check in enumerate(rest) if check.id.startswith(("realm_new", "ipa_bound")))
    return replace(command, checks=(*rest[:named], command.check(id), *rest[named:]))


def one_level_up(command: Command[Any], id: str) -> Command[Any]:
    """A command that answers with the level above."""
    check = command.check(id)
    wrong = structs.replace(check, result_index=lambda call: check.result_index(call) - 1)
    return replace(command, checks=tuple(wrong if it is check else it for it in command.checks))


ROWS: dict[str, tuple[Rmi, Callable[[Command[Any]], Command[Any]]]] = {
    "order": (Rmi.REC_ENTER, lambda row: first(row, "rec_runnable")),
    "wrong_order": (Rmi.DATA_DESTROY, lambda row: first(row, "rtt_walk")),
    "missing": (Rmi.RTT_SET_RIPAS, lambda row: without(row, "top_bound")),
    "alias": (Rmi.REC_CREATE, lambda row: without(row, "aux_alias")),
    "target": (Rmi.PSCI_COMPLETE, lambda row: without(row, "target")),
    "fold_level": (Rmi.RTT_FOLD, lambda row: one_level_up(row, "rtt_homo")),
    "walk_level": (Rmi.RTT_CREATE, lambda row: one_level_up(row, "rtt_walk")),
    "block_level": (Rmi.RTT_FOLD, lambda row: one_level_up(row, "rtt_block_level")),
}
"""Defect -> the row that has it. What is said names the command, unless the RMM comes to grief."""
OPEN = "the specification leaves that open"
"""What is said where only the fact book fixes the order."""


class TestDefects:
    """The run sees what it is there for: a wrong RMM does not survive a few sequences."""

    def found(self, host: Host, says: str) -> None:
        """Some sequence ends in a difference."""
        before = host.machine.snapshot()
        with pytest.raises((Differs, InternalError), match=says):
            for seed in range(12):
                play(host, random.Random(seed), 600, STARTS[seed % len(STARTS)])
        host.machine.restore(before)

    @pytest.mark.parametrize("defect", PATCHES)
    def test_patched(self, property_host: Host, monkeypatch: Any, defect: str) -> None:
        """A function of the RMM does something else."""
        target, name, wrong, says = PATCHES[defect]
        monkeypatch.setattr(target, name, wrong)
        self.found(property_host, says)

    @pytest.mark.parametrize("defect", ROWS)
    def test_rows(self, property_host: Host, monkeypatch: Any, defect: str) -> None:
        """A row of the command table has another order, misses a check, or answers with another level."""
        command, wrong = ROWS[defect]
        monkeypatch.setitem(V1_0.commands, command, wrong(V1_0.commands[command]))
        self.found(
            property_host, f"{command.name} gave.*{OPEN}" if defect == "order" else f"{command.name}|internal error"
        )

    def test_shrunk(self, property_host: Host, monkeypatch: Any) -> None:
        """What is left of a sequence that differs is enough to differ, and no step of it can be left out."""
        command, wrong = ROWS["walk_level"]
        monkeypatch.setitem(V1_0.commands, command, wrong(V1_0.commands[command]))
        with pytest.raises(Differs) as caught:
            for seed in range(4):
                play(property_host, random.Random(seed), 600)
        steps = shrunk(property_host, caught.value.steps)
        assert len(steps) < len(caught.value.steps) // 4
        scope: dict[str, Any] = {}
        exec(script(steps), scope)
        assert replay(property_host, scope["STEPS"]) is not None
        for at in range(len(steps)):
            assert replay(property_host, steps[:at] + steps[at + 1 :]) is None
