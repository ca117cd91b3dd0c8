"""Commands print by one door: nothing else writes to stdout or stderr, or draws with a library of its own."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from cca_tools.imports import PACKAGES

ROOTS: Final = [next(iter(__import__(name).__path__)) for name in PACKAGES]
DOORS: Final = {
    "cca_host/kvmtool/mend.py": "a process of its own, whose stdout is a pipe for its parent",
    "cca_platform/native/compiler.py": "a process of its own, whose stdout is a pipe for its parent",
    "cca_platform/printer.py": "the door itself",
    "cca_tools/bench/scale/__main__.py": "a process of its own, whose stdout is a pipe for its parent",
    "cca_tools/cli/output.py": "the streams of commands, and what consoles send",
    "cca_tools/cli/help.py": "the help, which has no text of strangers",
    "cca_tools/start.py": "before there is a door",
    "cca_tools/__main__.py": "sys.exit",
}
"""Files that may, and why."""
OURS: Final = ("cca_tools/imports", "cca_tools/mutants/", "cca_tools/picture.py", "cca_tools/reference")
"""Tools of those who develop Realmlab, on its own files."""
CALLS: Final = {"print", "echo", "secho", "style", "print_exc", "print_exception", "print_stack"}
STREAMS: Final = {"stdout", "stderr", "__stdout__", "__stderr__"}


def ways_round(tree: ast.AST) -> Iterator[str]:
    """What a file does that prints past the door."""
    given = [
        argument
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Printer"
        for argument in node.args
    ]
    for node in ast.walk(tree):
        if node in given:
            continue
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in CALLS:
                yield f"line {node.lineno}: {name}()"
            case ast.Attribute(value=ast.Name(id="sys"), attr=name) if name in STREAMS:
                yield f"line {node.lineno}: sys.{name}"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr="write"), args=[ast.Constant(), *_]):
                yield f"line {node.lineno}: os.write to a number"
            case ast.ImportFrom(module=str(module)) | ast.Import(names=[ast.alias(name=module), *_]) if (
                module.partition(".")[0] == "rich"
            ):
                yield f"line {node.lineno}: rich"
            case ast.ImportFrom(module="sys", names=names) if STREAMS & {one.name for one in names}:
                yield f"line {node.lineno}: a stream of sys"


def files() -> Iterator[tuple[str, Path]]:
    """Every file of the packages, by its place."""
    for root in ROOTS:
        for path in sorted(Path(root).rglob("*.py")):
            yield path.relative_to(Path(root).parent).as_posix(), path


class TestDoor:
    def test_nothing_goes_round_it(self) -> None:
        """A command, a sink or a report that prints does it with a Printer, which escapes what is foreign."""
        found = {
            name: ways
            for name, path in files()
            if name not in DOORS and not name.startswith(OURS)
            if (ways := list(ways_round(ast.parse(path.read_text(encoding="utf-8")))))
        }
        assert not found

    def test_doors(self) -> None:
        """Each exception is a file."""
        assert set(DOORS) <= {name for name, _ in files()}

    @pytest.mark.parametrize(
        "source",
        [
            "print(1)", "typer.echo(x)", "import sys; sys.stderr.write(x)", "os.write(2, x)", "import rich.table",
            "from rich import print", "from sys import stdout", "traceback.print_exc()",
        ],
    )  # fmt: skip
    def test_finds_them(self, source: str) -> None:
        """The ways that there are."""
        assert list(ways_round(ast.parse(source)))

    @pytest.mark.parametrize(
        "source", ["page.line(x)", "out().json(x)", "sys.stdin.buffer", "os.write(fd, x)", "Printer(sys.stderr)"]
    )
    def test_and_nothing_else(self, source: str) -> None:
        """What commands do."""
        assert not list(ways_round(ast.parse(source)))
