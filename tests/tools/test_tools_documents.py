"""What the documents show works as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_DOCUMENTS = [_ROOT / "README.md", *sorted((_ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
_PROGRAMS = [
    (path.name, number, text)
    for path in _DOCUMENTS
    if path.parent.name != "reference"
    for number, text in enumerate(_BLOCK.findall(path.read_text(encoding="utf-8")))
    if "import realmlab" in text
]


class TestPrograms:
    """Every Python program in the documents."""

    @pytest.mark.parametrize(("name", "number", "text"), _PROGRAMS, ids=[f"{name}-{n}" for name, n, _ in _PROGRAMS])
    def test_runs(self, name: str, number: int, text: str, tmp_path: Path) -> None:
        """It runs to its end and prints something."""
        paths = [str(_ROOT / folder) for folder in ("platform", "firmware", "rmm", "host", "tools")]
        code = f"import sys\nsys.path[:0] = {paths!r}\n{text}"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


class TestLinks:
    """Links between the documents."""

    @pytest.mark.parametrize("path", _DOCUMENTS, ids=lambda path: path.name)
    def test_targets(self, path: Path) -> None:
        """Every relative link leads to a file."""
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), target
