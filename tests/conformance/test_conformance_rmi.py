"""Every failure condition of every RMI command, alone and two at once, made from the tables and the registry."""

import json
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
from conformance_memory import changed_pages
from conformance_registry import BAD, EXEMPT, GOOD, JOINT, combine, exclusive
from conformance_world import Facts, World

from cca_arch.rmi.v1_0 import Rmi, RmiReturn, RmiStatus
from cca_platform.trace.trace import Record
from cca_rmm.versions.v1_0 import V1_0

RMI = V1_0.commands

SPEC = json.loads((Path(__file__).parents[1] / "rmm" / "vectors" / "rmm10.json").read_text())["commands"]
ORDER = {
    name: [id for id in dict.fromkeys(failure[0] for failure in row["failures"]) if (name, id) not in EXEMPT]
    for name, row in SPEC.items()
}
STATUS = {(name, id): RmiStatus[status[4:]] for name, row in SPEC.items() for id, status in row["failures"]}
SINGLE = [(name, id, n) for name, ids in ORDER.items() for id in ids for n in range(len(BAD.get(name, {}).get(id, [])))]
PAIRS = [(name, *pair) for name, ids in ORDER.items() for pair in combinations(ids, 2)]


class Last:
    """A sink that keeps the last rmi.return."""

    def __init__(self) -> None:
        self.record: Record = {}

    def write(self, record: Record) -> None:
        """Keep one."""
        if record["event"] == "rmi.return":
            self.record = record

    def close(self) -> None:
        """Nothing to close."""


def call(world: World, name: str, facts: Facts) -> tuple[list[int], str | None, dict[int, bytes]]:
    """X0..X4, the condition that the trace names, and the pages that are not as they were before the call."""
    machine = world.host.machine
    world.arrange(facts)
    machine.snapshot()
    sink = Last()
    machine.trace.add(sink)
    try:
        ins = [argument for argument in RMI[Rmi[name]].ins if argument in facts]
        result = world.host.call(Rmi[name], *(facts[argument] for argument in ins))
    finally:
        machine.trace.close()
    return result, sink.record.get("failed"), changed_pages(machine)


def both(world: World, name: str, first: str, second: str) -> Facts | None:
    """A situation in which two conditions hold; None when nobody can make one."""
    good = GOOD[name](world)
    joint = JOINT.get((name, first, second))
    if joint is not None:
        return combine(world, good, joint)
    if exclusive(name, first, second):
        return None
    for one, other in product(BAD[name][first], BAD[name][second]):
        facts = combine(world, good, one, other)
        if facts is not None:
            return facts
    prefix, _, last = first.rpartition("_")
    if last == "bound" and second.startswith(f"{prefix}_"):  # what is not tracked is in no state, thus in none required
        return combine(world, good, BAD[name][first][0])
    return None


class TestRegistry:
    """The registry covers the fact book, and the fact book covers the registry."""

    def test_every_condition_has_a_provoker(self) -> None:
        """What is not in the registry is exempt, with a reason."""
        missing = {(name, id) for name, ids in ORDER.items() for id in ids if not BAD.get(name, {}).get(id)}
        assert not missing

    def test_no_provoker_without_a_condition(self) -> None:
        """A provoker of a condition that the specification does not have is a mistake."""
        assert {(name, id) for name, bads in BAD.items() for id in bads} <= set(STATUS)

    def test_the_table_has_this_order(self) -> None:
        """The command table and the fact book name the same conditions in the same order."""
        for name, ids in ORDER.items():
            assert list(dict.fromkeys(check.id for check in RMI[Rmi[name]].conditions)) == ids

    @pytest.mark.parametrize("name", sorted(GOOD))
    def test_good(self, world: World, name: str) -> None:
        """The situation from which a provoker starts is one in which the command succeeds."""
        if name == "REC_ENTER":  # no code at all: the first fetch aborts, and that is an exit
            world.realm.write(world.realm.ram + 64 * 0x1000, b"")
        result, failed, _ = call(world, name, GOOD[name](world))
        assert (result[0], failed) == (0, None)


class TestAlone:
    """One condition holds."""

    @pytest.mark.parametrize(("name", "id", "n"), SINGLE, ids=[f"{name}-{id}-{n}" for name, id, n in SINGLE])
    def test_condition(self, world: World, name: str, id: str, n: int, record_property: Any) -> None:
        """Its status and index, outputs where they are defined and zeroes elsewhere, and nothing has changed."""
        bad = BAD[name][id][n]
        facts = combine(world, GOOD[name](world), bad)
        assert facts is not None
        result, failed, changed = call(world, name, facts)
        assert failed == id
        assert RmiReturn(result[0]) == RmiReturn.make(status=STATUS[name, id], index=bad.index)
        x = bad.x(world, facts)
        assert tuple(result[1:4]) == (*x, 0, 0, 0)[:3]
        assert not changed
        record_property("conformance.rmi", f"{name}.{id}")


class TestOrder:
    """Two conditions hold."""

    @pytest.mark.parametrize(("name", "first", "second"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
    def test_pair(self, world: World, name: str, first: str, second: str, record_property: Any) -> None:
        """The one that the specification names first answers; some pairs exclude each other by what they say."""
        facts = both(world, name, first, second)
        if facts is None:
            assert exclusive(name, first, second), "a pair that cannot be made must be exclusive for a reason"
            record_property("conformance.exclusive", f"{name}.{first}.{second}")
            return
        result, failed, changed = call(world, name, facts)
        assert failed == first
        assert RmiReturn(result[0]).status == STATUS[name, first]
        assert not changed
        record_property("conformance.pairs", f"{name}.{first}.{second}")
