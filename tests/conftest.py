"""Options of the test suite."""

from typing import Any


def pytest_addoption(parser: Any) -> None:
    """``--rmm-calls N``: the number of random calls that the property test of the RMM makes."""
    parser.addoption("--rmm-calls", type=int, default=100_000, help="random calls to the RMM (default: 100000)")
