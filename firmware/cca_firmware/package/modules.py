"""The modules that a program runs: its root module and what it imports, directly or indirectly.

The image of a component written in Python consists of these modules, so that a measurement covers exactly what runs:
moving a module, or importing it from another place, changes exactly the images that run it. The source counts, not
compiled code. Modules are found by the imports in the source, including those within functions; imports for type
checkers (``if TYPE_CHECKING:``) do not count. A package that is imported from counts with its ``__init__``.
"""

import os
import re
import sys
from collections.abc import Collection, Iterator
from functools import cache
from typing import Final, NamedTuple

__all__ = ["Module", "closure", "imports"]

_STRING: Final = re.compile(
    r"""
    \"\"\"(?:[^\\]|\\.)*?\"\"\" | \'\'\'(?:[^\\]|\\.)*?\'\'\' | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' | \#[^\n]*
    """,
    re.VERBOSE | re.DOTALL,
)
_LIST: Final = r"(?:[^\n\\;\#]|\\\n)+"
_STATEMENT: Final = re.compile(
    rf"""
    \n (?P<indent>[ \t]*)
    (?: from [ \t]+ (?P<base>[.\w]+) [ \t]+ import [ \t]* (?: \((?P<many>[^)]*)\) | (?P<names>{_LIST}) )
      | import [ \t]+ (?P<plain>{_LIST})
      | if [ \t]+ (?:typing\.)? TYPE_CHECKING [ \t]* : [^\n]*
        (?: \n (?: (?P=indent)[ \t]+[^\n]* | [ \t]* (?=\n|\Z) ) )* )
    """,
    re.VERBOSE,
)
"""An import, or a block for type checkers, whose imports do not count."""
_INIT: Final = "__init__.py"
_PACKAGE: Final = f"{os.sep}{_INIT}"
_DOCSTRING: Final = '"""'
_QUOTED: Final = re.compile("[\"'#]")
_COMMENT: Final = re.compile(r"#[^\n]*")


class Module(NamedTuple):
    """A module by its dotted name; ``archived`` is the name of its file in an image, which holds its ``source``."""

    name: str
    path: str
    archived: str

    @property
    def source(self) -> bytes:
        """The file as it is."""
        return _read(self.path)


def imports(source: str, package: str) -> Iterator[str]:
    """Dotted names that a module of ``package`` imports; of ``from a import b`` both ``a`` and ``a.b``.

    Much faster than parsing, which would be too slow at the start of a run, and tested to find the same.
    """
    for found in _STATEMENT.finditer("\n" + _without_text(source)):
        if found["base"] is not None:
            base = _absolute(found["base"], package)
            yield base
            names = found["many"] if found["many"] is not None else found["names"]
            yield from (f"{base}.{name}" for name in _names(names))
        elif found["plain"] is not None:
            yield from _names(found["plain"])


def _without_text(source: str) -> str:
    """The source without docstrings, whose lines are not statements.

    Removes only docstrings, the fast way, if no other string can use their quotes; otherwise all strings.
    """
    parts = source.split(_DOCSTRING)
    before = (part.rpartition("\n")[2] for part in parts[:-1:2])
    if "'''" in source or f"\\{_DOCSTRING}" in source or len(parts) % 2 == 0 or any(map(_QUOTED.search, before)):
        return _STRING.sub('""', source)
    return '""'.join(parts[::2])


def _names(listed: str) -> list[str]:
    """The names in ``a, b as c``."""
    if "#" in listed:
        listed = _COMMENT.sub("", listed)
    return [words[0] for item in listed.replace("\\\n", " ").split(",") if (words := item.split())]


def _absolute(name: str, package: str) -> str:
    """Resolve ``name`` after ``from`` in a module of ``package``."""
    if name[0] != ".":
        return name
    base = name.lstrip(".")
    for _ in range(len(name) - len(base) - 1):
        package = package.rpartition(".")[0]
    return f"{package}.{base}".rstrip(".")


def closure(roots: Collection[str], packages: Collection[str]) -> list[Module]:
    """The modules ``roots`` and all that they import from ``packages``, which have been imported, by name.

    A root is always included, with the ``__init__`` of its parent packages.
    """
    found: dict[str, Module] = {}
    waiting = [_locate(name) or _alone(name) for name in roots]
    while waiting:
        module = waiting.pop()
        if module.name not in found:
            found[module.name] = module
            for package in packages:
                waiting += _needed(module, package)
    return sorted(found.values(), key=lambda module: module.archived)


@cache
def _needed(module: Module, package: str) -> tuple[Module, ...]:
    """The modules of a top-level package that ``module`` needs, its own parent among them."""
    return tuple(filter(None, map(_locate, _imported(module).get(package, ()))))


@cache
def _imported(module: Module) -> dict[str, list[str]]:
    """The dotted names that a module imports, and that of its parent, by top-level package."""
    parent = module.name.rpartition(".")[0]
    found: dict[str, list[str]] = {parent.partition(".")[0]: [parent]} if parent else {}
    package = module.name if module.path.endswith(_PACKAGE) else parent
    for name in dict.fromkeys(imports(module.source.decode(), package)):
        found.setdefault(name.partition(".")[0], []).append(name)
    return found


@cache
def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


@cache
def _files(folder: str) -> frozenset[str]:
    """The names in a folder: asking for each would take longer."""
    return frozenset(os.listdir(folder))


@cache
def _locate(name: str) -> Module | None:
    """The source of a module; None if the name is not a module, but a function in one, for instance."""
    parent, _, last = name.rpartition(".")
    if not parent:
        origin = getattr(sys.modules.get(name), "__file__", None)
        return None if origin is None else _module(name, origin, "")
    package = _locate(parent)
    if package is None or not package.path.endswith(_PACKAGE):
        return None
    folder, prefix = package.path.removesuffix(_INIT), package.archived.removesuffix(_INIT)
    if f"{last}.py" in _files(folder):
        return _module(name, f"{folder}{last}.py", prefix)
    if last in _files(folder) and os.path.isfile(inner := f"{folder}{last}{os.sep}{_INIT}"):
        return _module(name, inner, prefix)
    return None


def _alone(name: str) -> Module:
    """A module in a folder that is not a package."""
    return _module(name, str(sys.modules[name].__file__), "")


def _module(name: str, path: str, prefix: str) -> Module:
    """The module in ``path``; in the image, ``prefix`` precedes its name or that of its folder."""
    folder, file = os.path.split(path)
    return Module(name, path, f"{prefix}{os.path.basename(folder)}/{_INIT}" if file == _INIT else f"{prefix}{file}")
