"""The committed reference is what the tables say."""

from pathlib import Path

import pytest

from cca_tools.reference import PAGES

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


class TestReference:
    """`make docs` writes what is committed."""

    @pytest.mark.parametrize("name", PAGES)
    def test_current(self, name: str) -> None:
        """A page that differs is out of date: run `make docs` and commit."""
        assert (FOLDER / name).read_text() == PAGES[name]()

    def test_no_others(self) -> None:
        """Nothing else is in the folder."""
        assert {path.name for path in FOLDER.iterdir()} == set(PAGES)
