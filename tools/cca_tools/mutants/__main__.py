"""``python -m cca_tools.mutants`` tries the sample; status 1 when too many mutants survive. ``make mutants`` runs it.

The first run measures which test runs which function. Everything is kept in ``build/mutants``: an interrupted run goes
on where it was, and a run after new tests tries only what survived.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cca_tools.imports import ROOT
from cca_tools.mutants import trial
from cca_tools.mutants.areas import AREAS, sample
from cca_tools.mutants.choose import choose
from cca_tools.mutants.cover import Covering, read
from cca_tools.mutants.operators import Mutant, find
from cca_tools.mutants.results import BOUND, Results, equivalent, seen, stale, summary
from cca_tools.mutants.trial import Result, Status

_FIRST: Final = 4.0
"""Seconds of tests against a mutant at first; more follow if it survives."""
_PLAIN: Final = ("tests/platform", "tests/rmm", "tests/firmware")
"""The tests that also run without the compiler."""
_OPTIONS: Final = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist")


def _measure(path: Path, tests: Sequence[str], environment: dict[str, str]) -> Covering:
    """The map in ``path``, measured if there is none."""
    if not path.exists():
        print(f"measuring which test runs which function: {path}", flush=True)
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        command = [sys.executable, "-m", "cca_tools.mutants.cover", str(part), *_OPTIONS, *tests]
        subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=False, stdout=subprocess.DEVNULL)
        part.rename(path)
    return read(path)


class Trials:
    """Tries mutants; keeps what came of them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.results = Results(folder / "results.jsonl")
        self._log = folder / "last.log"
        self._covering = _measure(folder / "cover.jsonl", (), {})
        self._plain = _measure(folder / "plain.jsonl", (*_PLAIN, "--timeout=10"), {"NUMBA_DISABLE_JIT": "1"})
        for native, covering in ((True, self._covering), (False, self._plain)):
            self._sound(native, covering)

    def _sound(self, native: bool, covering: Covering) -> None:
        """Without a defect the tests must pass in a trial."""
        tests = sorted({test for found in covering.values() for test in found}, key=lambda test: test.seconds)
        names = [test.name for test in tests[: len(tests) // 2 + 1 : len(tests) // 20 + 1]]
        result = trial.run("", names, native=native, seconds=300, log=self._log)
        if result.status is not Status.SURVIVED:
            raise RuntimeError(f"the tests must pass, not fail in {result.by}; their output is in {self._log}")

    def attempt(self, mutant: Mutant, seconds: float) -> Result:
        """Try one mutant with few tests, and if it survives with so many that they take ``seconds``."""
        native = not trial.plain(mutant)
        covering = self._covering if native else self._plain
        result = Result(Status.UNCOVERED)
        done: set[str] = set()
        for budget in (min(_FIRST, seconds), seconds):
            tests = [test for test in choose(mutant, covering, budget) if test not in done]
            if tests:
                result = trial.run(mutant.name, tests, native=native, seconds=3 * budget + 20, log=self._log)
                done.update(tests)
            if seen(result):
                break
        return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sample; the process's status."""
    parser = argparse.ArgumentParser(prog="python -m cca_tools.mutants", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "mutants", help="where results are kept")
    parser.add_argument("--area", action="append", choices=[area.name for area in AREAS], help="only this area")
    parser.add_argument("--scale", type=float, default=1.0, help="the size of the sample, times this")
    parser.add_argument("--seconds", type=float, default=60.0, help="of tests against one that survives (default: 60)")
    parser.add_argument("--name", action="append", help="only this mutant, whether in the sample or not")
    given = parser.parse_args(arguments)
    os.chdir(ROOT)
    if given.name:
        chosen = {"named": [one for name in given.name for one in find(name.split(":")[0]) if one.name == name]}
    else:
        chosen = {name: part for name, part in sample(given.scale).items() if not given.area or name in given.area}
    table = equivalent()
    rows = {name.split(":")[0] for name in table}
    for name in stale(table, (mutant for module in sorted(rows) for mutant in find(module))):
        print(f"equivalent.toml: {name} must be what the source says", file=sys.stderr)
    trial.prepare()
    trials = Trials(given.folder)
    every = [mutant for part in chosen.values() for mutant in part]
    for index, mutant in enumerate(every):
        if (seen(trials.results.known(mutant)) or mutant.name in table) and not given.name:
            continue
        start = time.monotonic()
        result = trials.attempt(mutant, given.seconds)
        trials.results.add(mutant, result, time.monotonic() - start)
        place = f"{mutant.name}  {mutant.before} -> {mutant.after}"
        print(f"{index + 1:4}/{len(every)} {result.status:9} {place}", flush=True)
    lines, part = summary(chosen, trials.results, table)
    print("\n".join(lines))
    print(f"{part:.1%} killed or equivalent; the bound is {BOUND:.0%}")
    return int(part < BOUND)


if __name__ == "__main__":
    sys.exit(main())
