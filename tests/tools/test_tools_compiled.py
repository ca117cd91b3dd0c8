"""Compiled modules: which there are, when they run, and that nobody can tell them from their sources."""

import ast
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import realmlab
from cca_arch.smccc import FUNCTION
from cca_arch.sysregs import Pstate
from cca_platform import compiled, tier
from cca_platform.engine import engine, hooks, icc, tables
from cca_platform.errors import MachineError
from cca_platform.native import block, cache
from cca_tools.fast import modules
from cca_tools.fast.adapt import adapt, record_module
from cca_tools.fast.constants import numbers_of, with_numbers
from cca_tools.fast.hot import MODULES
from cca_tools.fast.translate import bare_classes, path_of
from cca_tools.imports import ROOT

DESCRIBE = "from cca_platform import compiled; print(compiled.describe(), '|', compiled.stale())"
PLAIN = {"ABC", "Enum", "Exception", "IntEnum", "NamedTuple", "Protocol", "State", "StrEnum", "Struct"}
"""Bases whose classes are no native ones."""


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """This Python with these modules; an empty word unsets a variable."""
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
    for name in (compiled.PURE, tier.VARIABLE):
        if not environment.get(name):
            given.pop(name, None)
    return subprocess.run([sys.executable, *arguments], env=given, capture_output=True, text=True, check=False)


def described(folder: Path, code: str = DESCRIBE, **environment: str) -> tuple[str, str]:
    """What runs with what is built in ``folder``, and why that is out of date."""
    done = run("-c", code, **{tier.VARIABLE: str(folder), **environment})
    assert not done.stderr
    words, _, stale = done.stdout.strip().partition("|")
    return words.strip(), stale.strip()


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """What looks like modules that fit these sources."""
    (tmp_path / "compiled").mkdir()
    (tmp_path / "compiled" / compiled.NOTE).write_text(compiled.note(["cca_platform.absent"]))
    return tmp_path


def classes(name: str) -> Iterator[ast.ClassDef]:
    """The classes of a module."""
    yield from (node for node in ast.parse(path_of(name).read_text()).body if isinstance(node, ast.ClassDef))


def bases(node: ast.ClassDef) -> set[str]:
    """The last names of the bases of a class."""
    return {ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases}


class TestListed:
    """The modules that are compiled."""

    def test_exist(self) -> None:
        """Each is a module of the checkout, named once."""
        assert len(set(MODULES)) == len(MODULES)
        assert all(path_of(name).is_file() for name in MODULES)

    def test_no_native_code(self) -> None:
        """None has functions that numba compiles: it needs them as Python."""
        assert not set(MODULES) & set(cache.modules())

    def test_no_subclass_in_python(self) -> None:
        """No class of a module that stays Python derives from a compiled one, which cannot be: list its module, too."""
        native = {
            node.name
            for name in MODULES
            for node in classes(name)
            if not bases(node) & PLAIN and not node.keywords and not node.decorator_list
        }
        for source in compiled.sources():
            name = source.partition("/")[2].removesuffix(".py").replace("/", ".")
            if name not in MODULES and not name.endswith("__init__"):
                assert not {node.name for node in classes(name) if bases(node) & native}, name

    def test_no_handler_of_one_name(self) -> None:
        """No function catches two kinds of exception under one name, for which it would have one type when compiled."""
        for name in MODULES:
            for function in ast.walk(ast.parse(path_of(name).read_text())):
                if isinstance(function, ast.FunctionDef):
                    handlers = [
                        node for node in ast.walk(function) if isinstance(node, ast.ExceptHandler) and node.name
                    ]
                    kinds = {(node.name, ast.unparse(node.type) if node.type else "") for node in handlers}
                    assert len(kinds) == len({own for own, _ in kinds}), f"{name}.{function.name}"


class TestNumbers:
    """Numbers in the place of the names of constants."""

    NUMBERS: Final = {"N": 3, "M": -2, "w.X": 44}

    @pytest.mark.parametrize(
        ("line", "found"),
        [
            ("return words[w.X] + N", "return words[44] + 3"),
            ("return M - N.bit_length()", "return (-2) - (3).bit_length()"),
            ("return f'{N}{w.X}', N", "return f'{N}{w.X}', 3"),
            ("return 'ä', N, w.Y, a.w.X", "return 'ä', 3, w.Y, a.w.X"),
            ("N = 1", "N = 1"),
        ],
    )
    def test_places(self, line: str, found: str) -> None:
        """What a function reads is replaced, whatever follows; f-strings, other objects, what it writes are not."""
        source = f"N = 3\ndef f(a, b=N):\n    {line}\n"
        assert with_numbers(source, self.NUMBERS) == f"N = 3\ndef f(a, b=N):\n    {found}\n"

    def test_numbers(self) -> None:
        """A module's own constants, those that it imports and those of the modules that it imports are known."""
        known = numbers_of("cca_platform.pe.running", path_of)
        assert known["w.P_PC"] == block.P_PC and known["_EL_LOW"] == Pstate.el.low
        assert numbers_of("cca_rmm.rmm", path_of)["FUNCTION"] == FUNCTION

    @pytest.mark.parametrize("name", MODULES)
    def test_last(self, name: str) -> None:
        """No number is the address of something: each process has another, and modules are compiled once."""
        addresses = {
            value
            for module in (hooks, icc, tables, engine)
            for one, value in vars(module).items()
            if type(value) is int and value > 1 << 40 and one.isupper() and one != "NO_FAR" and not one.startswith("_")
        }
        assert addresses
        assert not addresses & set(numbers_of(name, path_of).values())


class TestAdapted:
    """What mypyc cannot take."""

    @staticmethod
    def adapted(*lines: str) -> tuple[list[str], str]:
        """The lines of a module ``a.b``, adapted, and its records; no line has moved."""
        found = adapt("a.b", "\n".join(lines) + "\n", lambda module, name: None, {"Bare"})
        assert len(found.source.split("\n")) == len(lines) + 1
        return found.source.split("\n"), found.records or ""

    def test_plain(self) -> None:
        """A module without them is what it was."""
        source = "import os\n\n\nclass A:\n    x = 1\n"
        assert adapt("a.b", source, lambda module, name: None) == (source, None)

    def test_records(self) -> None:
        """A class with keywords or a decorator moves, with what it names, and is imported; its module stays its own."""
        lines, records = self.adapted(
            "from x import State",
            "N = 3",
            "M = 4",
            "class A(State, frozen=True):",
            "    n: int = N",
            "def f(): return M",
        )
        assert lines[1] == f"from {record_module('a.b')} import N as N"
        assert lines[3] == f"from {record_module('a.b')} import A as A"
        assert lines[2] == "M = 4" and lines[4] == "" and lines[5] == "def f(): return M"
        assert records.splitlines()[2] == "from x import State"
        assert "N = 3" in records and "M" not in records and "A.__module__ = 'a.b'" in records

    def test_records_in_strings(self) -> None:
        """A type in quotes is named as well."""
        _, records = self.adapted("@dataclass", "class A:", '    b: "B"', "", "class B:", "    x: int")
        assert "class B:" in records

    def test_marked(self) -> None:
        """A class that its base completes is no native one, and one that ``__new__`` makes alone is told of."""
        lines, _ = self.adapted(
            "from x import Call", "", "class A(Call):", "    a: int", "# why", "class Bare:", "    b: int"
        )
        assert lines[0].endswith("; from realmlab_records import mypyc_attr")
        assert lines[1] == "@mypyc_attr(native_class=False)"
        assert lines[4] == "@mypyc_attr(allow_interpreted_subclasses=True)"

    def test_bases(self) -> None:
        """All that a class derives from which ``__new__`` makes alone is told of, wherever it stands."""
        sources = [
            "class Low(Middle):\n    pass\nmade = Low.__new__(Low)\n",
            "class Middle(High[int], other.Part):\n    pass\n",
            "class High(Generic[T]):\n    pass\nclass Nobody(High):\n    pass\n",
        ]
        assert {"Low", "Middle", "High"} <= bare_classes(sources)
        assert "Nobody" not in bare_classes(sources)

    def test_no_room(self) -> None:
        """Where there is no line to say so, the message names the class."""
        with pytest.raises(MachineError, match=r"^a\.b must have a blank line above the class A to be compiled"):
            self.adapted("from x import Call", "class A(Call):", "    a: int")

    def test_methods(self) -> None:
        """Functions of another module that a class has as methods become methods that call them."""
        functions = ast.parse("def f(one: 'One', n: int = 1, *more: Few) -> Kind: ...\ndef g(one: 'One') -> bool: ...")
        found = {node.name: node for node in functions.body if isinstance(node, ast.FunctionDef)}
        source = "from x import y\n\n\nclass One:\n    f, g = y.f, property(y.g)\n    h = 3\n"
        lines = adapt("a.b", source, lambda module, name: found[name]).source.split("\n")
        assert lines[4:] == [
            "",
            "    h = 3",
            "    def f(one, n: int=1, *more: y.Few) -> y.Kind: return y.f(one, n, *more)",
            "    @property",
            "    def g(one) -> bool: return y.g(one)",
            "",
        ]


class TestUsed:
    """When they run."""

    def test_fit(self, built: Path) -> None:
        """They run if every source is as it was."""
        assert described(built) == ("1 of them compiled", "")

    def test_time(self, built: Path) -> None:
        """A source with another time and the same contents is unchanged."""
        note = built / "compiled" / compiled.NOTE
        lines = note.read_text().splitlines()
        words = [line.split(" ") for line in lines[3:]]
        lines[3:] = [f"{size} 1 {digest} {source}" for size, _, digest, source in words]
        note.write_text("\n".join(lines) + "\n")
        assert described(built) == ("1 of them compiled", "")

    def test_changed(self, built: Path) -> None:
        """One changed source, and none of them runs: the words name it and what to do."""
        note = built / "compiled" / compiled.NOTE
        source = "rmm/cca_rmm/rmm.py"
        lines = note.read_text().splitlines()
        (at,) = [number for number, line in enumerate(lines) if line.endswith(source)]
        lines[at] = f"{lines[at].split()[0]} 1 {'0' * 64} {source}"
        note.write_text("\n".join(lines) + "\n")
        why = f"{source} has changed since they were compiled"
        assert described(built) == (f"pure Python, for {why}; make fast compiles them anew", why)

    def test_one_line(self, built: Path) -> None:
        """A command says in one line that they are out of date, and runs."""
        note = built / "compiled" / compiled.NOTE
        note.write_text(note.read_text() + "0 0 0 rmm/cca_rmm/gone.py\n")
        done = run("-m", "cca_tools", "version", **{tier.VARIABLE: str(built)})
        why = "rmm/cca_rmm/gone.py has changed since they were compiled"
        assert done.stderr == f"realmlab: the compiled modules are not used: {why}; make fast compiles them anew\n"
        assert not done.returncode

    @pytest.mark.parametrize("text", ["", "\n", "x\ny\nz\n", f"{compiled.FORMAT}\n.so\na.b\n", "\x00" * 9])
    def test_damaged(self, built: Path, text: str) -> None:
        """A note of something else: pure Python."""
        (built / "compiled" / compiled.NOTE).write_text(text)
        words, stale = described(built)
        assert stale == "they were compiled for another Python or another version"
        assert words.startswith("pure Python, for they")

    def test_pure(self, built: Path) -> None:
        """REALMLAB_PURE chooses pure Python; it says so, and no line tells of modules that are out of date."""
        words = f"pure Python, for {compiled.PURE} is set"
        assert described(built, **{compiled.PURE: "1"}) == (words, "")

    def test_traced(self, built: Path) -> None:
        """A debugger or a coverage tool finds Python code."""
        code = f"import sys; sys.settrace(lambda *a: None); {DESCRIBE}"
        assert described(built, code)[0] == "pure Python, for a debugger or a coverage tool traces this process"

    def test_too_late(self, built: Path) -> None:
        """What is imported already stays; there is no mixture."""
        code = f"import sys; sys.modules['cca_platform.absent'] = sys; {DESCRIBE}"
        assert described(built, code)[0] == "pure Python, for cca_platform.absent was imported before cca_platform"

    def test_none(self, tmp_path: Path) -> None:
        """Nothing was built: pure Python, without a word on stderr."""
        assert described(tmp_path) == ("pure Python", "")

    def test_other_copy(self, built: Path, tmp_path: Path) -> None:
        """Another copy of a package that stands first in the search path is what runs."""
        copy = tmp_path / "cca_rmm"
        copy.mkdir()
        (copy / "__init__.py").write_text("import cca_platform\n")
        (copy / "rmm.py").write_text("found = 'the copy'\n")
        (built / "compiled" / compiled.NOTE).write_text(compiled.note(["cca_rmm.rmm"]))
        code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from cca_rmm import rmm; print(rmm.found, '|')"
        assert described(built, code) == ("the copy", "")


class TestBuild:
    """How they are made."""

    def test_no_header(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Without Python.h nothing is compiled, and the words name the package that has it."""
        monkeypatch.setattr(modules, "headers", lambda: None)
        version = ".".join(map(str, sys.version_info[:2]))
        assert f"Python.h, which Debian has in python{version}-dev" in modules.build(tmp_path / "compiled")
        assert not [*tmp_path.iterdir()]

    def test_current(self, tmp_path: Path) -> None:
        """There is nothing to do if they were made from the same, by the same."""
        assert not modules.current(tmp_path, "a")
        (tmp_path / "made-from").write_text("a")
        (tmp_path / compiled.NOTE).write_text(compiled.note(MODULES))
        assert modules.current(tmp_path, "a")
        assert not modules.current(tmp_path, "b")
        (tmp_path / compiled.NOTE).write_text(compiled.note(MODULES[1:]))
        assert not modules.current(tmp_path, "a")

    def test_every_source(self) -> None:
        """A change of any module of the five packages counts: compiled code has constants and layouts of the others."""
        counted = set(compiled.sources())
        assert {os.path.relpath(path_of(name), ROOT) for name in MODULES} < counted
        assert "platform/cca_arch/fields.py" in counted
        assert "rmm/cca_rmm/base/command.py" in counted


@pytest.mark.skipif(not compiled.modules(), reason="no modules are compiled: make fast")
class TestSame:
    """Nobody can tell compiled modules from their sources."""

    def test_compiled(self) -> None:
        """They run in this very process."""
        assert compiled.modules() == set(MODULES)
        for name in MODULES:
            if name in sys.modules:
                assert str(sys.modules[name].__file__).endswith(".so"), name

    @pytest.mark.parametrize("payload", ["hello", "attest", "smp"])
    def test_runs(self, payload: str, tmp_path: Path) -> None:
        """A run has the same output and the same trace, to the last byte, its token and measurements included."""
        found = []
        for pure in ("", "1"):
            trace = tmp_path / f"trace{pure}"
            done = run("-m", "cca_tools", "run", payload, "-q", "--trace", str(trace), **{compiled.PURE: pure})
            assert not done.returncode, done.stderr
            found.append((done.stdout, trace.read_bytes()))
        assert found[0] == found[1]

    def test_tracebacks(self) -> None:
        """A traceback names the file and the line of the source."""
        with (
            realmlab.Machine() as machine,
            pytest.raises(ValueError, match="a view must stay inside one page") as found,
        ):
            machine.platform.memory.backdoor.view(0xFFF, 8)
        last = traceback.extract_tb(found.value.__traceback__)[-1]
        path = path_of("cca_platform.memory.ports")
        assert last.filename == str(path)
        assert "a view must stay inside one page" in path.read_text().splitlines()[(last.lineno or 1) - 1]
