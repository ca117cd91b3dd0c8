"""Guests of Debian: only where they are asked for, and where the archive can be reached."""

import pytest

from cca_platform.errors import MachineError


@pytest.fixture(scope="session")
def debian(request: pytest.FixtureRequest) -> None:
    """Debian's newest kernel is in the cache, or the test is skipped with the reason."""
    if not request.config.getoption("--linux"):
        pytest.skip("--linux boots Debian's Linux")
    from cca_tools.linux.job import Request, prepare

    try:
        prepare(Request(), lambda what: None)
    except MachineError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def _debian(request: pytest.FixtureRequest) -> None:
    if request.path.stem.startswith("test_guests_linux"):
        request.getfixturevalue("debian")
