"""Options of the test suite."""

from typing import Any


def pytest_addoption(parser: Any) -> None:
    """How much the tests with random input do."""
    parser.addoption("--rmm-calls", type=int, default=100_000, help="random calls to the RMM (default: 100000)")
    parser.addoption("--realm-seeds", type=int, default=16, help="random programs in a Realm (default: 16)")
    parser.addoption("--ns-seeds", type=int, default=24, help="random programs at Non-secure EL2 (default: 24)")
