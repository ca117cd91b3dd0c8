"""Compiled modules: which of the project's modules run as machine code, made by ``make fast`` from the same sources.

They take the places of the Python modules as one set, or none of them does: they call each other directly, and their
code contains constants and layouts of the modules that they import. So the set is used only if every source that it was
made from is unchanged, by its size and time or else by its contents, and if nobody needs Python code to look into: a
debugger or a coverage tool that traces this process, or ``REALMLAB_PURE``.

The note beside them is text, quick to read: a format, the suffix of the files, the modules, then the sources.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from pathlib import Path
from typing import Final

from cca_platform import tier

__all__ = ["FORMAT", "NOTE", "PURE", "RECORDS", "describe", "fits", "install", "modules", "note", "sources", "stale"]

PURE: Final = "REALMLAB_PURE"
"""The environment variable that chooses pure Python for a run, unless it is empty."""
NOTE: Final = "modules.txt"
"""What the compiled modules were made from."""
FORMAT: Final = "realmlab compiled modules 1"
RECORDS: Final = "realmlab_records"
"""The package of the classes that stay Python, of compiled modules."""
LIBRARY: Final = "realmlab__mypyc"
"""The library that all compiled modules are in."""
_ROOT: Final = Path(__file__).parents[2]
_ROOTS: Final = ("platform/cca_arch", "platform/cca_platform", "firmware/cca_firmware", "rmm/cca_rmm", "host/cca_host")
_HERE: Final = f"{_ROOT}{os.sep}"
_SUFFIX: Final = EXTENSION_SUFFIXES[0]

_modules: frozenset[str] = frozenset()
_reason = "pure Python"
_stale = ""


def sources() -> Iterator[str]:
    """The sources that count, relative to the root of the checkout: those of every world."""
    for root in _ROOTS:
        for folder, inner, names in os.walk(_ROOT / root):
            inner[:] = sorted(name for name in inner if name != "__pycache__")
            yield from (os.path.relpath(f"{folder}/{name}", _ROOT) for name in sorted(names) if name.endswith(".py"))


def _digest(path: str) -> str:
    import hashlib  # slow, and rarely needed

    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def note(modules: Iterable[str]) -> str:
    """The note of modules that were compiled from the present sources."""
    lines = [FORMAT, _SUFFIX, " ".join(modules)]
    for source in sources():
        path = f"{_ROOT}/{source}"
        found = os.stat(path)
        lines.append(f"{found.st_size} {found.st_mtime_ns} {_digest(path)} {source}")
    return "\n".join(lines) + "\n"


def fits(text: str) -> str:
    """The first source that is not as the note says, or empty: the compiled modules fit the sources."""
    for line in text.splitlines()[3:]:
        size, time, digest, source = [*line.split(" ", 3), "", "", "", ""][:4]
        path = f"{_ROOT}/{source}"
        try:
            found = os.stat(path)
            same = str(found.st_size) == size and (str(found.st_mtime_ns) == time or _digest(path) == digest)
        except OSError:
            same = False
        if not same:
            return source or NOTE
    return ""


class _Finder:
    """Finds the compiled modules before the path finder finds their sources."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """The compiled module, the library of all, or a module of the records.

        Another copy of the sources, which stands before these in the search path, is what it is.
        """
        if name == LIBRARY or (name in _modules and path and path[0].startswith(_HERE)):
            file = f"{self._folder}/{name}{_SUFFIX}"
            spec = ModuleSpec(name, ExtensionFileLoader(name, file), origin=file)
            spec.has_location = True
            return spec
        if name.partition(".")[0] == RECORDS:
            from importlib.util import spec_from_file_location

            inside = [f"{self._folder}/{RECORDS}"] if name == RECORDS else None
            file = f"{self._folder}/{name.replace('.', '/')}{'/__init__' if inside else ''}.py"
            return spec_from_file_location(name, file, submodule_search_locations=inside)
        return None


def install() -> None:
    """Have the compiled modules found from now on, if there are any and if they fit. The first import calls this."""
    global _modules, _reason
    folder = tier.folder()
    if folder is None:
        _reason = f"pure Python, for {tier.VARIABLE} is empty"
        return
    try:
        text = (folder / "compiled" / NOTE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    form, suffix, listed, *_ = [*text.splitlines(), "", "", ""]
    names = frozenset(listed.split())
    if form != FORMAT or suffix != _SUFFIX:
        _tell("they were compiled for another Python or another version")
    elif os.environ.get(PURE):
        _reason = f"pure Python, for {PURE} is set"
    elif _traced():
        _reason = "pure Python, for a debugger or a coverage tool traces this process"
    elif already := sorted(names & sys.modules.keys()):
        _reason = f"pure Python, for {already[0]} was imported before cca_platform"
    elif changed := fits(text):
        _tell(f"{changed} has changed since they were compiled")
    else:
        _modules = names
        sys.meta_path.insert(0, _Finder(str(folder / "compiled")))


def _tell(why: str) -> None:
    global _reason, _stale
    _stale = why
    _reason = f"pure Python, for {why}; make fast compiles them anew"


def _traced() -> bool:
    """Whether something follows the Python code of this process line by line."""
    if sys.gettrace() is not None:
        return True
    monitoring = getattr(sys, "monitoring", None)  # Python 3.12
    return monitoring is not None and any(monitoring.get_tool(number) for number in range(2))  # debugger, coverage


def modules() -> frozenset[str]:
    """The modules that run compiled in this process; empty: pure Python."""
    return _modules


def stale() -> str:
    """Why modules that were compiled are of no use any more, in words; empty if there are none or if none must."""
    return "" if os.environ.get(PURE) else _stale


def describe() -> str:
    """How many modules run compiled, or why none does."""
    return f"{len(_modules)} of them compiled" if _modules else _reason
