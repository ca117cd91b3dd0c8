"""A trial: one mutant against some tests, in a process of its own that a prepared one forks.

The parent has imported what the tests need from outside the project, and nothing of the project. The child plants the
defect when the module is imported: no file changes, and trials do not meet. Native code would come from the compiler's
cache without the defect, so mutants of native functions run as plain Python.
"""

import ast
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final, NamedTuple

import pytest

from cca_tools.mutants.operators import MODULE, Mutant, mutated, source

__all__ = ["Result", "Status", "plain", "prepare", "run"]

_OUTSIDE: Final = (
    "_pytest.assertion.rewrite", "capstone", "cbor2", "cryptography.hazmat.primitives.asymmetric.ec", "cwt", "elftools",
    "hypothesis.stateful", "keystone", "msgspec", "numba", "numpy", "rich", "structlog", "typer.testing", "unicorn",
)  # fmt: skip
_OPTIONS: Final = (
    "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--timeout=0", "--tb=short",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip
_NATIVE: Final = ("jit", "callback")
_BROKEN: Final = 70  # the status of a child that could not start its tests


class Status(StrEnum):
    """What became of a mutant. Only one that survived has passed its tests."""

    KILLED = "killed"
    TIMEOUT = "timeout"
    SURVIVED = "survived"
    UNCOVERED = "uncovered"


class Result(NamedTuple):
    """The outcome, and the test that saw the mutant."""

    status: Status
    by: str = ""


def prepare() -> None:
    """Import what every trial needs from outside the project."""
    for name in _OUTSIDE:
        importlib.import_module(name)


def plain(mutant: Mutant) -> bool:
    """Whether a mutant is in native code, or in what native code is made of: it runs as plain Python."""
    tree = ast.parse(source(mutant.module).read_text(encoding="utf-8"))
    native = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and _is_native(node)}
    return bool(native) and mutant.function.partition(":")[2] in {*native, MODULE}


def _is_native(function: ast.FunctionDef) -> bool:
    """Whether a function is compiled."""
    names = (one.func for one in function.decorator_list if isinstance(one, ast.Call))
    return any(isinstance(name, ast.Name) and name.id in _NATIVE for name in names)


class _Planted(importlib.machinery.SourceFileLoader):
    """A loader that compiles another tree than the file's."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        super().__init__(name, str(path))
        self._tree = tree

    def get_code(self, fullname: str) -> CodeType:
        """The tree, compiled."""
        return compile(self._tree, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module: the one with the defect."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self._name, self._path, self._tree = name, path, tree

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        """The module's spec, or ``None`` for every other."""
        if fullname != self._name:
            return None
        folder = [str(self._path.parent)] if self._path.name == "__init__.py" else None
        loader = _Planted(fullname, self._path, self._tree)
        return importlib.util.spec_from_file_location(
            fullname, self._path, loader=loader, submodule_search_locations=folder
        )


class _Chosen:
    """The plugin of a trial: runs only the chosen tests, in the order given, and notes the first that fails."""

    def __init__(self, names: Sequence[str], note: Callable[[str], object]) -> None:
        self._order = {name: index for index, name in enumerate(names)}
        self._note = note

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Keep the chosen tests."""
        items[:] = sorted(
            (item for item in items if item.nodeid in self._order), key=lambda item: self._order[item.nodeid]
        )

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note a failure."""
        if report.failed:
            self._note(report.nodeid)


def _child(name: str, tests: Sequence[str], native: bool, pipe: int, log: Path) -> None:
    """The forked process: plant, run, exit with pytest's status."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(out, number)
    if not native:
        os.environ["NUMBA_DISABLE_JIT"] = "1"
    if name:
        path, tree = mutated(name)
        for loaded in [loaded for loaded in sys.modules if loaded.split(".")[0].startswith("cca_")]:
            del sys.modules[loaded]  # those of this tool, and of what it reads
        sys.meta_path.insert(0, _Finder(name.partition(":")[0], path, tree))
    files = list(dict.fromkeys(test.split("::")[0] for test in tests))
    options = [*_OPTIONS, *files]
    status = pytest.main(options, plugins=[_Chosen(tests, lambda test: os.write(pipe, test.encode() + b"\n"))])
    os._exit(int(status))


def run(name: str, tests: Sequence[str], *, native: bool, seconds: float, log: Path) -> Result:
    """Try a mutant (or, with an empty name, the sources as they are) for at most ``seconds`` of CPU time."""
    if not tests:
        return Result(Status.UNCOVERED)
    reader, writer = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        try:
            os.close(reader)
            resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 5))
            _child(name, tests, native, writer, log)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(_BROKEN)
    os.close(writer)
    until = time.monotonic() + 4 * seconds  # for one that sleeps
    by = b""
    while select.select([reader], [], [], max(0, until - time.monotonic()))[0]:
        part = os.read(reader, 4096)
        if not part:
            break
        by += part
    else:
        os.kill(child, signal.SIGKILL)
    os.close(reader)
    _, status = os.waitpid(child, 0)
    return _result(status, by.decode(errors="replace").partition("\n")[0], log)


def _result(status: int, by: str, log: Path) -> Result:
    """What the end of a trial says."""
    if os.WIFSIGNALED(status):
        late = os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
        return Result(Status.TIMEOUT) if late else Result(Status.KILLED, by or f"signal {os.WTERMSIG(status)}")
    code = os.WEXITSTATUS(status)
    if code in (_BROKEN, pytest.ExitCode.INTERNAL_ERROR):
        raise RuntimeError(f"a trial must be possible; its output is in {log}")
    if code == pytest.ExitCode.OK:
        return Result(Status.SURVIVED)
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        return Result(Status.UNCOVERED)
    return Result(Status.KILLED, by or "import")
