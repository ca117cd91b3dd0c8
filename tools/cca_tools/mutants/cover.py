"""Which test runs which function: a plugin of pytest that measures it once, and the map that it writes.

The interpreter's own profiler counts the calls of each code object, test by test. It costs less than a tenth of the
time of the suite. Functions are named as mutants name them: ``module:function``.
"""

import _lsprof
import json
import sys
from collections.abc import Generator
from pathlib import Path
from types import CodeType
from typing import Any, Final, NamedTuple

import pytest

from cca_tools.imports import PACKAGES, ROOT

__all__ = ["Covering", "Meter", "Runs", "read"]

_ROOTS: Final = tuple(f"{ROOT / root / package}/" for package, root in PACKAGES.items())


class Runs(NamedTuple):
    """A test that passed: its node id, its seconds and how many functions it runs."""

    name: str
    seconds: float
    functions: int


Covering = dict[str, list[Runs]]
"""Function -> the tests that run it."""


def _function(code: CodeType | str) -> str | None:
    """The function as mutants name it, when it is one of the project's."""
    if isinstance(code, str) or not code.co_filename.startswith(_ROOTS):
        return None
    parts = Path(code.co_filename).with_suffix("").parts
    start = max(index for index, part in enumerate(parts) if part in PACKAGES)
    names = code.co_qualname.replace("<locals>.", "").split(".")
    outer = ".".join(name for name in names if not name.startswith("<"))
    return f"{'.'.join(parts[start:])}:{outer or '<module>'}"


class Meter:
    """The plugin: ``path`` becomes a line of JSON for each test that passes, as soon as it has."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._passed = False
        self._seconds = 0.0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Generator[None, bool | None, bool | None]:
        """Profile one test with its fixtures."""
        profiler = _lsprof.Profiler(subcalls=False, builtins=False)
        self._passed, self._seconds = True, 0.0
        profiler.enable()
        try:
            return (yield)
        finally:
            profiler.disable()
            if self._passed:
                found = {_function(entry.code) for entry in profiler.getstats()} - {None}
                line = {"test": item.nodeid, "seconds": round(self._seconds, 4), "functions": sorted(map(str, found))}
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A test counts when set-up, call and end passed."""
        self._passed = self._passed and report.outcome == "passed"
        self._seconds += report.duration


def read(path: Path) -> Covering:
    """The map that a :class:`Meter` wrote."""
    covering: Covering = {}
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            test = Runs(row["test"], row["seconds"], len(row["functions"]))
            for function in row["functions"]:
                covering.setdefault(function, []).append(test)
    return covering


if __name__ == "__main__":
    sys.exit(pytest.main(sys.argv[2:], plugins=[Meter(Path(sys.argv[1]))]))
