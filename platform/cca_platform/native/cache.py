"""Where compiled code is kept: a folder for exactly the sources that are in it.

Numba compiles again when the file of a function changes. But compiled code also holds what the function calls in other
files and every constant that it names: words of ``block``, fields of ``cca_arch``. So the folder's name is a digest of
each file with native functions and of all that those import.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["folder", "sources"]

_ROOT: Final = Path(__file__).parents[2]
_NATIVE: Final = re.compile(rb"^@(?:jit|callback)\(", re.MULTILINE)
_IMPORT: Final = re.compile(rb"^(?:from|import) (cca_[\w.]+)(?: import (\([^)]*\)|.*))?", re.MULTILINE)


def sources(root: Path = _ROOT) -> dict[Path, bytes]:
    """The files below ``root`` that compiled code depends on, with their content."""
    contents = {path: path.read_bytes() for path in root.glob("cca_platform/**/*.py")}
    found: dict[Path, bytes] = {}
    waiting = [path for path, text in contents.items() if _NATIVE.search(text) or path.parent.name == "native"]
    while waiting:
        path = waiting.pop()
        if path not in found:
            text = found[path] = contents.get(path) or path.read_bytes()
            waiting += _imported(root, text)
    return found


def _imported(root: Path, text: bytes) -> Iterator[Path]:
    """The files of ours that a module imports when it is loaded."""
    for module, names in _IMPORT.findall(text):
        place = root.joinpath(*module.decode().split("."))
        wanted = [place / f"{name}.py" for name in re.findall(r"\w+", names.decode())]
        yield from filter(Path.is_file, (place.with_suffix(".py"), place / "__init__.py", *wanted))


def folder() -> str:
    """The folder for the sources as they are now."""
    digest = hashlib.sha256()
    for path, text in sorted(sources().items()):
        digest.update(f"{path.relative_to(_ROOT)} {len(text)}\n".encode() + text)
    given = os.environ.get("NUMBA_CACHE_DIR")
    package = Path(__file__).parents[1]
    base = Path(given) if given else package / "__pycache__"
    if not given and not os.access(package, os.W_OK):
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "realmlab"
    return str(base / f"native-{digest.hexdigest()[:16]}")
