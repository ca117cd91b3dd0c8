"""Every event that the sources emit is one of the catalogue, with the fields of its class."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from cca_platform.trace.events import EVENTS

ROOT = Path(__file__).parents[2]
AREAS = ("platform", "firmware", "rmm", "host", "tools")
SOURCES = sorted(path for area in AREAS for path in (ROOT / area).rglob("*.py"))
BY_CLASS = {event.__name__: event for event in EVENTS.values()}


def made(tree: ast.AST) -> Iterator[tuple[int, str, set[str]]]:
    """Line, class and fields of every event that is made in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BY_CLASS:
            yield node.lineno, node.func.id, {word.arg or "**" for word in node.keywords}


def emits(tree: ast.AST) -> Iterator[ast.Call]:
    """Every call of a trace's ``emit`` in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            if name == "emit":
                yield node


class TestCatalogue:
    """The catalogue is the interface between those who emit and those who show."""

    @pytest.mark.parametrize("path", [pytest.param(path, id=str(path.relative_to(ROOT))) for path in SOURCES])
    def test_known(self, path: Path) -> None:
        """Who makes an event gives it only the fields of its class, each by its name."""
        for line, name, fields in made(ast.parse(path.read_text())):
            unknown = fields - set(BY_CLASS[name].__struct_fields__)
            assert not unknown, f"line {line}: {name} has no {unknown}"

    @pytest.mark.parametrize("path", [pytest.param(path, id=str(path.relative_to(ROOT))) for path in SOURCES])
    def test_typed(self, path: Path) -> None:
        """What is emitted is an event, not a name with fields."""
        for call in emits(ast.parse(path.read_text())):
            assert call.args and not isinstance(call.args[0], ast.Constant), f"line {call.lineno}"
            assert {word.arg for word in call.keywords} <= {"pe", "world", "el"}, f"line {call.lineno}"

    def test_everything_is_made(self) -> None:
        """No event of the catalogue is without an emitter."""
        used = {
            node.id
            for path in SOURCES
            if path.name != "events.py"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        assert not set(BY_CLASS) - used
