"""The recipes are what they say: a reader who copies each file and types each command sees what the page shows.

The reader has only the wheel, and begins in an empty folder. With ``--all-builds``, every recipe is followed with zig
and with gcc; without, those that end in one payload are, with zig.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from installed import Wheel
from walkthrough import Command, File, follow, steps

from realmlab.projects.compilers import GCC_NAMES

_RECIPES = Path(__file__).resolve().parents[2] / "docs" / "recipes"
_ALONE = ("index", "print", "exit", "mmu-and-fp")
_COMBINED = ("timer", "second-vcpu", "share", "token", "together")
"""The recipes whose files the last of them needs."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The recipes to follow, and with which compiler."""
    if "pages" in metafunc.fixturenames:
        all_builds = metafunc.config.getoption("--all-builds")
        chains = [(name,) for name in _ALONE] if all_builds else []
        chosen = [(pages, cc) for cc in ("zig", "gcc")[: 1 + all_builds] for pages in [*chains, _COMBINED]]
        metafunc.parametrize(("pages", "cc"), chosen, ids=[f"{pages[-1]}-{cc}" for pages, cc in chosen])


class TestRecipes:
    """Every page of the recipes."""

    def test_all_are_followed(self) -> None:
        """Each page is in one of the lists, and each block of code in one of its steps."""
        assert {path.stem for path in _RECIPES.glob("*.md")} == {*_ALONE, *_COMBINED}
        for path in _RECIPES.glob("*.md"):
            found = list(steps(path))
            blocks = path.read_text().count("\n```c\n") + path.read_text().count("\n```python\n")
            assert blocks == sum(isinstance(step, File) for step in found), path.name
            assert any(isinstance(step, Command) and "realmlab run" in step.text for step in found), path.name

    def test_works_as_it_stands(self, pages: tuple[str, ...], cc: str, tmp_path: Path, wheel: Wheel) -> None:
        """Every command prints what the page shows, and succeeds."""
        if find_spec("ziglang") is None if cc == "zig" else not any(map(shutil.which, GCC_NAMES)):
            pytest.skip(f"{cc} is not installed")
        for page in pages:
            follow(_RECIPES / f"{page}.md", tmp_path, wheel.environment, cc)
