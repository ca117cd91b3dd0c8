"""Options of the test suite, and how hypothesis draws its examples.

Every run draws the same examples, and none has a deadline: how long one takes depends on what else the machine does.
``--hypothesis-profile=random`` draws others.
"""

import os
from typing import Any

import pytest
from hypothesis import settings
from installed import Wheel, install

from cca_platform import compiled

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.register_profile("random", deadline=None, print_blob=True)
settings.load_profile("repeatable")


def pytest_addoption(parser: Any) -> None:
    """How much the tests do."""
    parser.addoption("--rmm-calls", type=int, default=9_000, help="random calls to the RMM (default: 9000)")
    parser.addoption("--realm-seeds", type=int, default=16, help="random programs in a Realm (default: 16)")
    parser.addoption("--all-terminals", action="store_true", help="every terminal and locale, not two of them")
    parser.addoption("--ns-seeds", type=int, default=24, help="random programs at Non-secure EL2 (default: 24)")
    parser.addoption("--both-tiers", action="store_true", help="all payloads and random programs on stock and built")
    parser.addoption("--all-builds", action="store_true", help="payload projects in every way, and every recipe")
    parser.addoption("--linux", action="store_true", help="boot Debian's Linux, which is fetched once")
    parser.addoption("--machines", type=int, default=60, help="machines in one process (default: 60)")


def pytest_configure(config: pytest.Config) -> None:
    """What is compiled runs if it fits the sources; if not, the suite runs pure Python, as all that it starts does."""
    config.addinivalue_line("markers", "pure(reason): the test needs Python code to reach into, not compiled modules")
    if compiled.stale():
        os.environ[compiled.PURE] = "1"


def pytest_report_header() -> str:
    """Which modules run."""
    return f"modules: {compiled.describe()}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What reaches into Python code runs where there is some."""
    marker = item.get_closest_marker("pure")
    if marker is not None and compiled.modules():
        pytest.skip(f"compiled modules run: {marker.args[0]}")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    """The wheel of these sources, installed."""
    return install(tmp_path_factory.mktemp("wheel"))
