"""What every test of the tools needs."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))


@pytest.fixture(autouse=True)
def thaw() -> Iterator[None]:
    """The command freezes what a process has loaded; here many commands share one process."""
    yield
    gc.unfreeze()
