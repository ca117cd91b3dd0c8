"""Every failure condition of the extensions' commands, alone and two at once; nothing changes by a call that fails."""

from collections.abc import Iterator
from itertools import combinations, product
from typing import Any

import pytest
from conformance_extensions import BAD, EXCLUSIVE, FAILURES, GOOD, JOINT, PagingWorld
from conformance_memory import changed_pages
from conformance_registry import combine
from conformance_world import Facts
from realm_stub import Stub
from rmm_host import Host, machine_host
from test_conformance_rmi import Last

from cca_arch.extensions import EXTENSIONS, Paging, Sealing, VendorEl3
from cca_arch.rmi.v1_0 import RmiReturn
from cca_arch.rsi.v1_0 import RsiStatus
from cca_arch.types import SecurityState
from cca_platform.trace.sinks import Listing
from cca_rmm.extensions.paging import EXTENSION

STATUS = {(name, id): status for name, failures in FAILURES.items() for id, status in failures}
SINGLE = [(name, id, n) for name, id in STATUS for n in range(len(BAD[name][id]))]
PAIRS = [
    (name, one, other) for name, failures in FAILURES.items() for (one, _), (other, _) in combinations(failures, 2)
]


@pytest.fixture(scope="module")
def extended() -> Iterator[Host]:
    """A machine whose RMM has all extensions."""
    host = machine_host(extensions=EXTENSIONS)
    yield host
    host.machine.close()


@pytest.fixture(scope="module")
def built(extended: Host) -> tuple[PagingWorld, Any]:
    """The World, and the state of the machine that belongs to it."""
    world = PagingWorld(extended)
    return world, extended.machine.snapshot()


@pytest.fixture
def world(built: tuple[PagingWorld, Any]) -> PagingWorld:
    """The World as built."""
    world, state = built
    world.host.machine.restore(state)
    return world


def call(world: PagingWorld, name: str, facts: Facts) -> tuple[list[int], Any, dict[int, bytes]]:
    """X0..X4, the condition that the trace names, and the pages that are not as they were before the call."""
    world.arrange(facts)
    machine, fid = world.host.machine, Paging[name]
    routes = machine.program(SecurityState.ROOT, 3)._routes[SecurityState.REALM]
    machine.snapshot()
    sink = Last()
    machine.trace.add(sink)
    kept = routes.pop(int(VendorEl3.GET_BOOT_KEY)) if facts.get("@key") == 0 else None
    try:
        result = world.host.call(fid, *(facts[argument] for argument in EXTENSION.commands[fid].ins))
    finally:
        machine.trace.close()
        if kept is not None:
            routes[int(VendorEl3.GET_BOOT_KEY)] = kept
    return result, sink.record.get("failed"), changed_pages(machine)


def both(world: PagingWorld, name: str, first: str, second: str) -> Facts | None:
    """A situation in which two conditions hold; None when nobody can make one."""
    good = GOOD[name](world)
    joint = JOINT.get((name, first, second))
    if joint is not None:
        return combine(world, good, joint)
    if (first, second) in EXCLUSIVE:
        return None
    for one, other in product(BAD[name][first], BAD[name][second]):
        facts = combine(world, good, one, other)
        if facts is not None:
            return facts
    assert first.endswith("_bound") and second.startswith(first.removesuffix("bound")), (name, first, second)
    return combine(world, good, BAD[name][first][0])  # what is not tracked is in no state


class TestPaging:
    """PAGE_OUT and PAGE_IN."""

    def test_the_table_has_this_order(self) -> None:
        """The rows name the conditions in the order of the registry, which provokes each of them."""
        for name, failures in FAILURES.items():
            row = EXTENSION.commands[Paging[name]]
            assert [(check.id, check.status) for check in row.conditions] == failures
            assert set(BAD[name]) == {id for id, _ in failures}

    @pytest.mark.parametrize("name", sorted(GOOD))
    def test_good(self, world: PagingWorld, name: str) -> None:
        """The situation from which a provoker starts is one in which the command succeeds."""
        result, failed, changed = call(world, name, GOOD[name](world))
        assert (result[0], failed) == (0, None) and changed

    @pytest.mark.parametrize(("name", "id", "n"), SINGLE, ids=[f"{name}-{id}-{n}" for name, id, n in SINGLE])
    def test_alone(self, world: PagingWorld, name: str, id: str, n: int) -> None:
        """Its status and index, zeroes in the outputs, and nothing has changed."""
        bad = BAD[name][id][n]
        facts = combine(world, GOOD[name](world), bad)
        assert facts is not None
        result, failed, changed = call(world, name, facts)
        assert (failed, changed) == (id, {})
        assert RmiReturn(result[0]) == RmiReturn.make(status=STATUS[name, id], index=bad.index)
        assert result[1:4] == [0, 0, 0]

    @pytest.mark.parametrize(("name", "first", "second"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
    def test_pair(self, world: PagingWorld, name: str, first: str, second: str) -> None:
        """The condition that comes first answers."""
        facts = both(world, name, first, second)
        if facts is None:
            assert EXCLUSIVE[first, second]
            return
        result, failed, changed = call(world, name, facts)
        assert (failed, changed) == (first, {})
        assert RmiReturn(result[0]).status == STATUS[name, first]


class TestSealing:
    """SEALING_KEY."""

    @pytest.mark.parametrize(
        ("flags", "failed"),
        [(1 | 1 << 8, "flags_valid"), (1 | 1 << 63, "flags_valid"), (1 << 8, "flags_valid"), (2, "flags_rim")],
    )
    def test_flags(self, world: PagingWorld, flags: int, failed: str) -> None:
        """The condition that comes first answers, with nothing else in the registers, and nothing changes."""
        stub = Stub(world.host)
        machine, rmm, listing = stub.host.machine, stub.host.rmm, Listing()
        machine.snapshot()
        machine.trace.add(listing)
        try:
            got = stub.answer(Sealing.SEALING_KEY, flags, 5)
        finally:
            machine.trace.close()
        assert got[:5] == (RsiStatus.ERROR_INPUT, 0, 0, 0, 0)
        (told,) = (one["failed"] for one in listing if one["event"] == "rsi.return")
        assert told == failed
        own = {stub.recs[0], stub.aux[0][0], stub.runs[0], stub.data[stub.ram + 0x1000], rmm.area(stub.host.pe)}
        assert changed_pages(machine).keys() <= own
