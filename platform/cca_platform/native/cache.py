"""The cache of compiled code: one folder per version of the sources.

Compiled code contains the functions that it calls in other files and every constant that it uses: words of ``block``,
fields of ``cca_arch``. So the folder's name is a digest of each file with native functions and of all that those
import.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cca_platform.native.store import Store, places

__all__ = ["FOLDERS", "MARKS", "folder", "modules", "sources", "store"]

_ROOT: Final = str(Path(__file__).parents[2])
FOLDERS: Final = ("engine", "isa", "mmu", "native")
"""The folders of this package that may have native functions: to look into all of them at each start takes too long."""
MARKS: Final = (b"\n@jit(", b"\n@callback(")
"""What tells a native function."""
_NAME: Final = re.compile(r"\w+")


def sources(root: str = _ROOT) -> dict[str, bytes]:
    """The files below ``root`` that compiled code depends on, with their contents."""
    found: dict[str, bytes] = {}
    waiting: list[str] = []
    for path, text in _native(f"{root}/cca_platform"):
        found[path] = text
        waiting += _imported(root, text)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = _read(path)
            waiting += _imported(root, found[path])
    return found


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _native(package: str) -> Iterator[tuple[str, bytes]]:
    """The files with native functions, and those that compile them, with their contents."""
    for folder in FOLDERS:
        for name in os.listdir(f"{package}/{folder}"):
            if name.endswith(".py"):
                path = f"{package}/{folder}/{name}"
                text = _read(path)
                if folder == "native" or any(mark in text for mark in MARKS):
                    yield path, text


def _imported(root: str, text: bytes) -> Iterator[str]:
    """The project's files that a module imports at its top level."""
    for statement in (b"\n" + text).split(b"\nfrom cca_")[1:]:
        module, _, rest = statement.partition(b" import ")
        names = rest.partition(b")" if rest[:1] == b"(" else b"\n")[0]
        place = f"{root}/cca_{module.decode().replace('.', '/')}"
        if os.path.isfile(f"{place}.py"):
            yield f"{place}.py"
        else:
            inner = (f"{place}/{name}.py" for name in _NAME.findall(names.decode()))
            yield from filter(os.path.isfile, (f"{place}/__init__.py", *inner))


def modules() -> list[str]:
    """The names of the modules with native functions."""
    paths = (path for path, _ in _native(f"{_ROOT}/cca_platform"))
    return sorted(os.path.relpath(path, _ROOT)[:-3].replace(os.sep, ".") for path in paths)


def folder() -> str:
    """The name of the folder for the present sources."""
    digest = hashlib.sha256()
    for path, text in sorted(sources().items()):
        digest.update(f"{os.path.relpath(path, _ROOT)} {len(text)}\n".encode() + text)
    return f"native-{digest.hexdigest()[:16]}"


def store() -> Store:
    """The entries for the present sources."""
    name = folder()
    return Store(place / name for place in places(Path(__file__).parents[1]))
