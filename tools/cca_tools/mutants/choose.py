"""The tests to run against a mutant: those that run its function, the likeliest killers first."""

from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Final

from cca_tools.imports import PACKAGES, graph
from cca_tools.mutants.cover import Covering, Runs
from cca_tools.mutants.operators import Mutant

__all__ = ["choose"]

_MOST: Final = 1500
_WAVE: Final = 8  # tests of a file
_START: Final = 0.3  # seconds that a further file of tests costs


def _file(test: Runs) -> str:
    return test.name.split("::")[0]


def _mirrors(test: Runs, module: str) -> bool:
    """Whether the test's file is named after the module: test_rmm_rtt.py for cca_rmm.commands.rtt."""
    package, *parts = module.removeprefix("cca_").split(".")
    name = _file(test).rsplit("/", 1)[-1]
    area = "attest" if package == "realmlab" else package
    return area in name and parts[-1] in name


def _ranked(tests: Iterable[Runs], module: str) -> list[Runs]:
    """Some tests of every file, then some more of every file.

    Tests of the module's own file come first, then those that run little else and are quick.
    """
    count: Counter[str] = Counter()
    waves: list[tuple[int, bool, int, Runs]] = []
    for test in sorted(tests, key=lambda test: test.functions * (test.seconds + 0.05)):
        own = _mirrors(test, module)
        waves.append((count[_file(test)] // (_WAVE * (4 if own else 1)), not own, len(waves), test))
        count[_file(test)] += 1
    return [test for *_, test in sorted(waves)]


def _of(modules: set[str], covering: Covering) -> set[Runs]:
    """The tests that run a function of these modules."""
    return {test for name, tests in covering.items() if name.partition(":")[0] in modules for test in tests}


@cache
def _importers(module: str) -> set[str]:
    """The modules that import this one."""
    return {name for name, targets in graph(*PACKAGES).items() if module in targets}


def choose(mutant: Mutant, covering: Covering, seconds: float) -> list[str]:
    """Node ids of tests that take at most ``seconds``, file by file."""
    found = set(covering.get(mutant.function, ()))
    if not found:  # it runs at import, or never
        found = _of({mutant.module}, covering) or _of(_importers(mutant.module), covering)
    files: dict[str, list[str]] = {}
    spent = 0.0
    count = 0
    for test in _ranked(sorted(found), mutant.module):
        cost = test.seconds + _START * (_file(test) not in files)
        if count < _MOST and spent + cost <= seconds:
            files.setdefault(_file(test), []).append(test.name)
            spent += cost
            count += 1
    return [name for names in files.values() for name in names]
