"""Hooks do not disturb a run: with hooks in the middle of its code, a payload leaves the same trace."""

import random
from typing import Any

import pytest

import realmlab
from cca_host.kvmtool.analysis import analyse


def places(payload: str) -> list[int]:
    """Addresses all over the code of a payload, the same each time."""
    found = analyse(realmlab.find_payload(payload).read_bytes())
    text = next(section for section in found.sections if section.name == ".text")
    chance = random.Random(payload)
    return [chance.randrange(text.address, text.address + text.size, 4) for _ in range(25)]


def in_realm(payload: str, hooked: list[int], **options: Any) -> tuple[list[Any], int]:
    """The trace of a Realm, and how often its hooks were reached."""
    listing = realmlab.Listing()
    with realmlab.Machine(trace=realmlab.Trace(listing)) as machine, machine.realm(payload, **options) as realm:
        hooks = [realm.hook(address, lambda cpu: None) for address in hooked]
        realm.run()
    return list(listing), sum(hook.hits for hook in hooks)


def at_el2(payload: str, hooked: list[int], until: str | None, **options: Any) -> tuple[list[Any], int]:
    """The same for the software of Non-secure EL2."""
    listing = realmlab.Listing()
    with realmlab.NsMachine(payload, trace=realmlab.Trace(listing), **options) as machine:
        hooks = [machine.hook(address, lambda cpu: None) for address in hooked]
        machine.run(until=until)
    return list(listing), sum(hook.hits for hook in hooks)


class TestUndisturbed:
    """Timers, interrupts and turns of PEs come where they come without hooks."""

    @pytest.mark.parametrize(("payload", "vcpus"), [("irq", 1), ("idle", 1), ("smp", 4), ("faults", 1)])
    def test_realm(self, payload: str, vcpus: int) -> None:
        """A Realm with timers, and one with several vCPUs."""
        plain, _ = in_realm(payload, [], vcpus=vcpus)
        hooked, hits = in_realm(payload, places(payload), vcpus=vcpus)
        assert hits > 10 and hooked == plain

    @pytest.mark.parametrize(
        ("payload", "until", "options"), [("board", "PASS pes 33", {}), ("secure_call", None, {"secure": "secure"})]
    )
    def test_el2(self, payload: str, until: str | None, options: dict[str, Any]) -> None:
        """Four PEs at Non-secure EL2, and one that calls the Secure world."""
        plain, _ = at_el2(payload, [], until, **options)
        hooked, hits = at_el2(payload, places(payload), until, **options)
        assert hits > 5 and hooked == plain
