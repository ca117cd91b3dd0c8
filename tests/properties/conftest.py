"""The machine of the property tests, the parts of the long test, and what they have come to."""

from collections.abc import Iterator
from typing import Any

import pytest
from rmm_host import Host, machine_host

PART = 12_500
MACHINES = (("fvp", "a72"), ("virt", "max"))
"""Board and PEs of the parts, in turn."""


@pytest.fixture(scope="module")
def property_host() -> Iterator[Host]:
    """One machine."""
    host = machine_host()
    yield host
    host.machine.close()


@pytest.fixture
def part_host(rmm_part: tuple[int, int]) -> Iterator[Host]:
    """The machine of a part."""
    board, cpu = MACHINES[rmm_part[0] % len(MACHINES)]
    host = machine_host(board=board, cpu=cpu)
    yield host
    host.machine.close()


def pytest_generate_tests(metafunc: Any) -> None:
    """The random calls in parts, which workers share."""
    if "rmm_part" in metafunc.fixturenames:
        calls = int(metafunc.config.getoption("--rmm-calls"))
        parts = [(number, min(PART, calls - number * PART)) for number in range(-(-calls // PART))]
        metafunc.parametrize("rmm_part", parts, ids=[f"part{number}" for number, _ in parts])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many random calls were compared, and the condition that was met least."""
    made = [dict(report.user_properties) for report in terminalreporter.stats.get("passed", [])]
    made = [properties for properties in made if "rmm.calls" in properties]
    if made:
        (name, condition), count = min((properties["rmm.least"] for properties in made), key=lambda least: least[1])
        terminalreporter.write_line(
            f"RMM and model: {sum(properties['rmm.calls'] for properties in made):,} random calls in {len(made)} "
            f"parts, none different; in each every condition was met, {name} {condition} {count} times"
        )
