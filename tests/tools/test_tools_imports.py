"""The picture of the imports: it is what the sources say, and no arrow leads up."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from cca_tools import imports

PICTURE = Path(__file__).parents[2] / "docs" / "imports.svg"


class TestPicture:
    """`docs/imports.svg`."""

    def test_current(self) -> None:
        """A picture that differs is out of date: run `make picture` and commit."""
        assert PICTURE.read_text(encoding="utf-8") == imports.draw()

    def test_well_formed(self) -> None:
        """It is XML, with a title for those who do not see it."""
        root = ElementTree.fromstring(imports.draw())
        assert [node.text for node in root if node.tag.endswith("title")] == [
            "Which folder imports which: every arrow leads down"
        ]

    def test_a_circle_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Folders in a circle have no picture."""
        monkeypatch.setattr(imports, "folders", lambda edges: {"cca_rmm.a": {"cca_rmm.b"}, "cca_rmm.b": {"cca_rmm.a"}})
        with pytest.raises(ValueError, match="must stand on each other in one direction"):
            imports.draw()
