"""``python -m cca_tools.fast.translate FOLDER``: the hot modules as C, by mypyc, in a folder.

A process of its own: mypyc keeps much, prints, and ends the process when it finds an error.
"""

import ast
import functools
import os
import re
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Final

from cca_platform.compiled import LIBRARY, RECORDS
from cca_tools.fast.adapt import adapt, record_module
from cca_tools.fast.constants import numbers_of, with_numbers
from cca_tools.fast.hot import MODULES
from cca_tools.imports import ROOT

__all__ = ["GROUP", "SOURCES", "bare_classes", "main", "path_of"]

GROUP: Final = LIBRARY.removesuffix("__mypyc")
"""What mypyc calls the set."""
SOURCES: Final = "sources.txt"
"""What is to be compiled: lists of the library's C files, of one for each module, and of the folders of headers."""
_AREAS: Final = {
    "cca_arch": "platform", "cca_platform": "platform", "cca_firmware": "firmware", "cca_rmm": "rmm",
    "cca_host": "host",
}  # fmt: skip
_BARE: Final = re.compile(r"\b(\w+)\.__new__\(\1\)")
# numbers stand where constants of NewTypes did; `make types` has checked the sources
_CONFIGURATION: Final = """[mypy]
mypy_path = {path}
cache_dir = {cache}
disable_error_code = return-value, arg-type, assignment
[mypy-numba.*,llvmlite.*,elftools.*,lief.*,keystone.*,capstone.*,fdt.*]
ignore_missing_imports = True
[mypy-unicorn.*]
follow_imports = skip
"""

_RECORDS: Final = """\"\"\"Classes of compiled modules that stay Python.\"\"\"

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr
else:
    def mypyc_attr(**words: object) -> object:  # the compiler alone asks for it
        return lambda marked: marked
"""


def path_of(name: str) -> Path:
    """The source of a module; a path of no file if it is none of ours."""
    return ROOT / _AREAS.get(name.partition(".")[0], "") / f"{name.replace('.', '/')}.py"


@functools.cache
def _definitions(name: str) -> dict[str, ast.stmt]:
    tree = ast.parse(path_of(name).read_text(encoding="utf-8"))
    found: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node
    return found


def _find(module: str, name: str) -> ast.FunctionDef | None:
    """The function of this name in a module, or the one that it is another name for."""
    node = _definitions(module).get(name) if path_of(module).is_file() else None
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
        return _find(module, node.value.id)
    if not isinstance(node, ast.FunctionDef):
        return None
    copied = ast.parse(ast.unparse(node)).body[0]
    assert isinstance(copied, ast.FunctionDef)
    return copied


def bare_classes(sources: Collection[str]) -> set[str]:
    """The classes that ``__new__`` makes objects of alone, and all that they derive from."""
    classes = [node for source in sources for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    bases = {node.name: {ast.unparse(base).partition("[")[0] for base in node.bases} for node in classes}
    found = {match[1] for source in sources for match in _BARE.finditer(source)}
    while more := {base for name in found for base in bases.get(name, ())} - found:
        found |= more
    return found


def _write(path: Path, text: str) -> None:
    """Write a file that others are made from, unless it is there with this text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def main(place: Path) -> None:
    """Write the adapted sources, the records and the C files into ``place``."""
    from mypyc.build import generate_c_extension_shim, include_dir, mypyc_build
    from mypyc.common import RUNTIME_C_FILES
    from mypyc.options import CompilerOptions

    _write(place / RECORDS / "__init__.py", _RECORDS)
    paths, options = [], []
    sources = {name: path_of(name).read_text(encoding="utf-8") for name in MODULES}
    bare = bare_classes(sources.values())
    for name, source in sources.items():
        path = path_of(name)
        paths.append(str(path))
        adapted = adapt(name, with_numbers(source, numbers_of(name, path_of)), _find, bare)
        if adapted.source != source:
            shadow = place / "adapted" / f"{name}.py"
            _write(shadow, adapted.source)
            options += ["--shadow-file", str(path), str(shadow)]
        if adapted.records is not None:
            _write(place / f"{record_module(name).replace('.', '/')}.py", adapted.records)
    areas = [place, *(ROOT / area for area in dict.fromkeys(_AREAS.values()))]
    _write(place / "mypy.ini", _CONFIGURATION.format(path=":".join(map(str, areas)), cache=os.devnull))
    os.chdir(place)
    target = place / "c"
    _, files, dependencies = mypyc_build(
        ["--config-file", str(place / "mypy.ini"), *options, *paths],
        CompilerOptions(target_dir=str(target), group_name=GROUP, multi_file=True),
    )
    runtime = [*RUNTIME_C_FILES, *(one.path for one in dependencies)]
    shims = [generate_c_extension_shim(name, name.rpartition(".")[2], str(target), GROUP) for name in MODULES]
    library = [*(path for path in files[0][0] if path.endswith(".c")), *(f"{include_dir()}/{one}" for one in runtime)]
    more = (f"{include_dir()}/{name}" for one in dependencies for name in one.include_dirs)
    folders = [include_dir(), str(target), *more]
    _write(place / SOURCES, "\n".join([*library, "", *shims, "", *dict.fromkeys(folders)]) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
