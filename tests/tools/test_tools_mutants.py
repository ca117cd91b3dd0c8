"""The tool that plants defects: what it plants, how mutants are named, and what a trial tells."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cca_tools.mutants import operators
from cca_tools.mutants.areas import AREAS, sample
from cca_tools.mutants.choose import choose
from cca_tools.mutants.cover import Meter, Runs, read
from cca_tools.mutants.operators import Mutant, find, mutated
from cca_tools.mutants.results import Results, equivalent, seen, stale, summary
from cca_tools.mutants.trial import Result, Status

QUEUE = "cca_platform.machine.events:EventQueue"
SOURCE = '''"""Text, never changed."""
__all__ = ["f"]
LIMIT: int = 7


class Thing:
    def f(self, a: int | None, b: int = 2) -> int:
        """Text."""
        assert a == 4
        if a and not b < 3:
            self.a = a & ~b
            g(a)
        return a << 1 if a else 0
'''
EXPECTED = {
    "<module>:constant:1": ("7", "8"),
    "Thing.f:constant:1": ("2", "3"),
    "Thing.f:branch:1": ("if a and (not b < 3):", "if True:"),
    "Thing.f:branch:2": ("if a and (not b < 3):", "if False:"),
    "Thing.f:boolean:1": ("a and (not b < 3)", "a or not b < 3"),
    "Thing.f:condition:1": ("a and (not b < 3)", "not b < 3"),
    "Thing.f:condition:2": ("a and (not b < 3)", "a"),
    "Thing.f:not:1": ("not b < 3", "b < 3"),
    "Thing.f:compare:1": ("b < 3", "b <= 3"),
    "Thing.f:constant:2": ("3", "4"),
    "Thing.f:drop:1": ("self.a = a & ~b", "pass"),
    "Thing.f:mask:1": ("a & ~b", "a | ~b"),
    "Thing.f:mask:2": ("~b", "b"),
    "Thing.f:drop:2": ("g(a)", "pass"),
    "Thing.f:branch:3": ("a << 1 if a else 0", "a << 1"),
    "Thing.f:branch:4": ("a << 1 if a else 0", "0"),
    "Thing.f:arithmetic:1": ("a << 1", "a >> 1"),
    "Thing.f:constant:3": ("1", "2"),
    "Thing.f:constant:4": ("0", "1"),
}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of two dozen places."""
    path = tmp_path / "made.py"
    path.write_text(SOURCE)
    monkeypatch.setattr(operators, "modules", lambda package: {"made": path})
    find.cache_clear()
    return "made"


class TestOperators:
    """The defects."""

    def test_every_operator(self, module: str) -> None:
        """Each mutant has a name by function and operator, and shows what stood there and what does."""
        found = {mutant.name.removeprefix("made:"): (mutant.before, mutant.after) for mutant in find(module)}
        assert found == EXPECTED

    def test_one_place(self, module: str) -> None:
        """A planted defect changes its place and nothing else."""
        plain = ast.unparse(ast.parse(SOURCE)).splitlines()
        for mutant in find(module):
            path, tree = mutated(mutant.name)
            assert path.read_text() == SOURCE
            lines = ast.unparse(tree).splitlines()
            differ = [new for old, new in zip(plain, lines, strict=True) if old != new]
            assert len(differ) == 1, mutant
            assert mutant.after in differ[0] or "if" in mutant.after or "not b" in mutant.after, mutant

    def test_unknown(self, module: str) -> None:
        """A name that no mutant has is refused."""
        with pytest.raises(ValueError, match="must be a mutant of made"):
            mutated("made:Thing.f:drop:3")


class TestSample:
    """What is tried."""

    def test_size(self) -> None:
        """At least 300 mutants, from every area, each once; the same at each call."""
        chosen = sample()
        assert {name: len(part) for name, part in chosen.items()} == {area.name: area.size for area in AREAS}
        names = [mutant.name for part in chosen.values() for mutant in part]
        assert len(names) == len(set(names)) >= 300
        assert sample() == chosen

    def test_scale(self) -> None:
        """A smaller sample is a part of the larger one."""
        small, large = sample(0.5), sample()
        for name, part in small.items():
            assert part == large[name][: len(part)]

    def test_equivalent(self) -> None:
        """The table names mutants of today, each with a reason."""
        table = equivalent()
        modules = {name.partition(":")[0] for name in table}
        assert not stale(table, [mutant for module in modules for mutant in find(module)])
        assert all(len(row["reason"]) > 20 for row in table.values())


class TestChoice:
    """Which tests a mutant meets."""

    def test_order(self) -> None:
        """Tests of the module's own file come first, then those that run little else; none that misses the function."""
        own = Runs("tests/rmm/test_rmm_rtt.py::a", 1.0, 500)
        narrow = Runs("tests/host/test_host_vm.py::b", 0.1, 10)
        wide = Runs("tests/host/test_host_vmm.py::c", 0.1, 900)
        name = "cca_rmm.commands.rtt:fold"
        covering = {name: [wide, narrow, own], "cca_rmm.rmm:f": [Runs("tests/rmm/test_rmm_boot.py::d", 0.1, 1)]}
        mutant = Mutant(f"{name}:drop:1", "", "", 1)
        assert choose(mutant, covering, 9) == [own.name, narrow.name, wide.name]
        assert choose(mutant, covering, 0.5) == [narrow.name]

    def test_of_a_module(self) -> None:
        """Code that runs at import meets the tests of the whole module."""
        covering = {"cca_rmm.rmm:f": [Runs("a::b", 0.1, 1)], "cca_rmm.rmm:g": [Runs("a::c", 0.1, 2)]}
        assert choose(Mutant("cca_rmm.rmm:<module>:constant:1", "", "", 1), covering, 9) == ["a::b", "a::c"]

    def test_of_names_alone(self) -> None:
        """A module without a function that runs meets the tests of those that import it."""
        covering = {"cca_rmm.commands.attestation:f": [Runs("a::b", 0.1, 1)], "cca_rmm.rmm:g": [Runs("a::c", 0.1, 2)]}
        assert choose(Mutant("cca_arch.cca_token:RealmClaim:constant:1", "", "", 1), covering, 9) == ["a::b"]

    def test_measured(self, tmp_path: Path) -> None:
        """The map has each function of the project that a test ran, by the name that mutants have."""
        path = tmp_path / "map"
        meter = Meter(path)
        item = type("Item", (), {"nodeid": "x::y"})()
        steps = meter.pytest_runtest_protocol(item)
        next(steps)
        sample(0)
        with pytest.raises(StopIteration):
            steps.send(True)
        (test,) = read(path)["cca_tools.mutants.areas:_members"]
        assert test.name == "x::y"


class TestResults:
    """What is kept and what is told."""

    def test_resumed(self, tmp_path: Path) -> None:
        """Another run knows what was killed, and counts rows of the table that are not."""
        first, second, third = (Mutant(f"cca_rmm.costs:<module>:constant:{n}", "1", "2", 1) for n in (1, 2, 3))
        results = Results(tmp_path / "results")
        results.add(first, Result(Status.KILLED, "a::b"), 1.0)
        results.add(second, Result(Status.SURVIVED), 1.0)
        again = Results(tmp_path / "results")
        assert [seen(again.known(mutant)) for mutant in (first, second, third)] == [True, False, False]
        lines, part = summary({"rmm": [first, second, third]}, again, {third.name: {}})
        assert lines[1].split() == ["rmm", "3", "1", "1", "1"]
        assert part == pytest.approx(2 / 3)

    def test_stale(self) -> None:
        """A row whose source has changed is reported."""
        mutant = Mutant("a:f:drop:1", "g()", "pass", 1)
        row = {"before": "g()", "after": "pass", "reason": ""}
        assert stale({mutant.name: row}, [mutant]) == []
        assert stale({mutant.name: row | {"before": "h()"}, "a:f:drop:2": row}, [mutant]) == [mutant.name, "a:f:drop:2"]


class TestTrial:
    """`python -m cca_tools.mutants`, in a process of its own."""

    def test_two_mutants(self, tmp_path: Path) -> None:
        """A test that meets the defect fails, one that does not meet it passes; too many survivors are status 1."""
        test = "tests/platform/test_platform_events.py::TestEventQueue::test_one_place_each"
        line = json.dumps({"test": test, "seconds": 0.01, "functions": [f"{QUEUE}.run"]})
        for name in ("cover", "plain"):
            (tmp_path / f"{name}.jsonl").write_text(f"{line}\n")
        dropped, late = f"{QUEUE}.run:drop:2", f"{QUEUE}.run:compare:2"
        command = [sys.executable, "-m", "cca_tools.mutants", "--folder", str(tmp_path)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        names = ["--name", dropped, "--name", late]
        done = subprocess.run([*command, *names], capture_output=True, text=True, check=False, env=environment)
        lines = done.stdout.splitlines()
        assert lines[0].split()[1:] == ["killed", dropped, "call(now)", "->", "pass"], done.stderr
        assert lines[1].split()[1:] == ["survived", late, "due", "<=", "now", "->", "due", "<", "now"]
        assert lines[-1] == "50.0% killed or equivalent; the bound is 93%"
        assert done.returncode == 1
        rows = [json.loads(row) for row in (tmp_path / "results.jsonl").read_text().splitlines()]
        assert [row["by"] for row in rows] == [test, ""]
