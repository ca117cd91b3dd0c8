"""The machine of the property tests."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from rmm_host import Host, machine_host


@pytest.fixture(scope="module")
def property_host() -> Iterator[Host]:
    """One machine."""
    host = machine_host()
    yield host
    host.machine.close()


@pytest.fixture
def rmm_calls(request: Any) -> int:
    """How many calls the long test makes."""
    return int(request.config.getoption("--rmm-calls"))
