"""Random calls of several hosts to several Realms: every answer is the model's, and after each call

* a call that failed has changed nothing, and one that did not has changed nothing that is not its business;
* the states of the RMM, the GPT and the model agree;
* a DATA granule and a table are in exactly one table entry, and tables say only what commands put there;
* a DELEGATED granule is zero, and so is one that the Host has got back;
* no page that the Host can read holds the secret that every DATA granule, REC and Realm register holds.
"""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rmm_actions import NAMES, Hosts
from rmm_driver import SECRET, Broken
from rmm_host import Host

from cca_platform.errors import MachineStopped
from cca_platform.memory.ports import Port
from cca_rmm.objects import rtt
from cca_rmm.objects.granule import Granules
from cca_rmm.rmm import Rmm
from cca_rmm.world import exit

SEQUENCE = 2000
STARTS = {2: Hosts.make_gigabytes, 4: Hosts.make_block}
"""Seed modulo 5 -> what a sequence starts with: tables that no random calls would fill."""


def written(word: int | str) -> str:
    """A word of the log."""
    return word if isinstance(word, str) else f"{word:#x}"


def play(
    host: Host,
    source: Any,
    calls: int,
    answers: Counter[tuple[str, int]] | None = None,
    start: Callable[[Hosts], None] | None = None,
) -> int:
    """A sequence from the state after boot, or from what ``start`` makes; the calls made. Broken carries the last."""
    hosts = Hosts(host, source)
    try:
        steps = 0
        if start is not None:
            start(hosts)
        while hosts.calls < calls and steps < 3 * calls:
            hosts.step()
            steps += 1
        hosts.everything()
    except (Broken, MachineStopped) as broken:
        last = "\n".join(" ".join(map(written, line)) for line in hosts.log[-8:])
        raise Broken(f"{broken}\nafter {hosts.calls} calls, the last:\n{last}") from broken
    finally:
        hosts.finish()
    if answers is not None:
        answers.update(hosts.answers)
    return hosts.calls


class TestRandomCalls:
    """Calls with seeds: the failing one can be had again."""

    def test_many(self, property_host: Host, rmm_calls: int, record_property: Any) -> None:
        """At least --rmm-calls of them; all commands succeed and fail in every way that they have."""
        total, seed = 0, 0
        answers: Counter[tuple[str, int]] = Counter()
        while total < rmm_calls:
            try:
                calls = min(SEQUENCE, rmm_calls - total)
                total += play(property_host, random.Random(seed), calls, answers, STARTS.get(seed % 5))
            except Broken as broken:
                pytest.fail(f"seed {seed}: {broken}")
            seed += 1
        record_property("properties.calls", total)
        if rmm_calls >= 20 * SEQUENCE:
            for name in {name.upper() for name in NAMES}:
                assert answers[name, 0] >= 10, f"{name} must succeed now and then"
            statuses = {(name, status & 0xFF) for name, status in answers}
            assert len(statuses) >= 2 * len(set(NAMES))

    @given(source=st.randoms(use_true_random=False))
    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    def test_shrinking(self, property_host: Host, source: random.Random) -> None:
        """Few calls at a time, drawn by hypothesis: a failure is made small."""
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


_vmid_free, _write_exit = Rmm.vmid_free, exit.write_exit


class TestMutants:
    """The invariants see what they are there for."""

    @pytest.mark.parametrize(
        ("target", "name", "mutant", "found"),
        [
            (Granules, "release", no_scrub, "is DELEGATED and not zero"),
            (rtt, "edit", other_entry, "other entries into the RTT"),
            (rtt, "skip_top", lambda *args, edited=False: 0, "(DESTROY|UNPROTECTED) gave"),
            (Rmm, "vmid_free", eager, "REALM_CREATE failed and changed"),
            (exit, "write_exit", careless, "REC_ENTER shows the secret"),
        ],
        ids=["no_scrub", "other_entry", "no_top", "half_done", "leak"],
    )
    def test_caught(
        self, property_host: Host, monkeypatch: Any, target: Any, name: str, mutant: Any, found: str
    ) -> None:
        """A wrong RMM does not survive a few sequences."""
        before = property_host.machine.snapshot()
        monkeypatch.setattr(target, name, mutant)
        with pytest.raises(Broken, match=found):
            for seed in range(10):
                play(property_host, random.Random(seed), SEQUENCE)
        property_host.machine.restore(before)
