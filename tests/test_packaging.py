"""The distribution as its build sees it."""

import re
import tomllib
from pathlib import Path

from cca_platform.version import __version__

_ROOT = Path(__file__).resolve().parents[1]
_PROJECT = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
_VERSION = re.compile(r"^__version__(?: ?: ?str)? *= *(['\"])(.+?)\1", re.MULTILINE)  # what hatchling looks for


class TestProject:
    """pyproject.toml names what is there."""

    def test_version(self) -> None:
        """The build finds the version in the file that it is told to read."""
        text = (_ROOT / _PROJECT["tool"]["hatch"]["version"]["path"]).read_text(encoding="utf-8")
        found = _VERSION.search(text)
        assert found is not None and found[2] == __version__

    def test_packages(self) -> None:
        """The wheel has every package, and each is one."""
        packages = _PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
        folders = {path.parent.name for path in _ROOT.glob("*/*/__init__.py") if path.parents[1].name != "tests"}
        assert {Path(name).name for name in packages} == folders
        assert all((_ROOT / name / "py.typed").is_file() for name in packages)

    def test_entry_points(self) -> None:
        """The command and the pytest plugin can be imported."""
        for group in (_PROJECT["project"]["scripts"], *_PROJECT["project"]["entry-points"].values()):
            for target in group.values():
                module, _, name = target.partition(":")
                loaded = __import__(module, fromlist=["_"])
                assert not name or callable(getattr(loaded, name))
