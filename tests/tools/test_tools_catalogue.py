"""Every event that the sources emit is one of the catalogue, with the catalogue's fields."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from cca_platform.trace.trace import EVENTS

ROOT = Path(__file__).parents[2]
AREAS = ("platform", "firmware", "rmm", "host", "tools")
SOURCES = sorted(path for area in AREAS for path in (ROOT / area).rglob("*.py"))
HEAD = {"pe", "world", "el"}


def emits(path: Path) -> Iterator[tuple[int, str, set[str]]]:
    """Line, event name and fields of every ``trace.emit("name", ...)`` call in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "emit":
            name = node.args[0] if node.args else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value, {word.arg for word in node.keywords if word.arg} - HEAD


class TestCatalogue:
    """The catalogue is the interface between those who emit and those who show."""

    @pytest.mark.parametrize("path", [pytest.param(path, id=str(path.relative_to(ROOT))) for path in SOURCES])
    def test_known(self, path: Path) -> None:
        """A call names an event of the catalogue and only its fields."""
        for line, name, fields in emits(path):
            assert name in EVENTS, f"line {line}: {name}"
            assert fields <= set(EVENTS[name].fields), f"line {line}: {name} has no {fields - set(EVENTS[name].fields)}"
