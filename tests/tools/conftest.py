"""What every test of the tools needs."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def thaw() -> Iterator[None]:
    """The command freezes what a process has loaded; here many commands share one process."""
    yield
    gc.unfreeze()
