"""Fixtures of the conformance tests, and the report "coverage by condition" at the end of a run."""

from collections.abc import Iterator
from typing import Any

import pytest
from conformance_report import lines
from conformance_world import World
from rmm_host import Host, machine_host


@pytest.fixture(scope="module")
def conformance_host() -> Iterator[Host]:
    """One machine for the tests of a module."""
    host = machine_host()
    yield host
    host.machine.close()


@pytest.fixture(scope="module")
def built(conformance_host: Host) -> tuple[World, Any]:
    """The World, and the state of the machine that belongs to it."""
    world = World(conformance_host)
    return world, conformance_host.machine.snapshot()


@pytest.fixture
def world(built: tuple[World, Any]) -> World:
    """The World as built."""
    world, state = built
    world.host.machine.restore(state)
    return world


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many failure conditions were provoked, alone and in pairs, of how many there are."""
    seen: dict[str, set[str]] = {}
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name.startswith("conformance."):
                seen.setdefault(name[12:], set()).add(value)
    if not seen:
        return
    terminalreporter.write_sep("-", "conformance: coverage by condition")
    for line in lines(seen):
        terminalreporter.write_line(line)
