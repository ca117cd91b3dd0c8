"""The machine of the property tests."""

from collections.abc import Iterator
from typing import Any

import pytest
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
