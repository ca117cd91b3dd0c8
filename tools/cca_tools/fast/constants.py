"""Constants as compiled code can have them: the number in the place of its name.

mypyc looks up a name of another module, ``w.P_PC``, each time: the module in a dictionary, then the constant in that
of the module. The same goes for a name of the own module whose value it cannot tell from the source.
"""

import ast
import functools
import importlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Final

__all__ = ["numbers_of", "with_numbers"]

_WORD: Final = 64  # bits: what is longer is a set, which is as well read once
_PLAIN: Final = frozenset({"int", "len", "max", "min", "sum"})
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def numbers_of(name: str, path_of: Callable[[str], Path]) -> dict[str, int]:
    """The constants that the code of module ``name`` can mean: ``NAME`` and, for an imported module, ``alias.NAME``.

    ``path_of`` tells where the source of a module is: a path of no file if it is none of ours.
    """
    found = dict(_numbers(name, path_of))
    for alias, value in vars(importlib.import_module(name)).items():
        if isinstance(value, ModuleType):
            found |= {f"{alias}.{one}": number for one, number in _numbers(value.__name__, path_of).items()}
    return found


@functools.cache
def _numbers(name: str, path_of: Callable[[str], Path]) -> dict[str, int]:
    """The constants of a module that are numbers: imported, or assigned once and made of classes, numbers, constants.

    Not what a function gave, or a native function is: its address, which is another in each process.
    """
    path, found = path_of(name), dict[str, int]()
    if not path.is_file():
        return found
    module = importlib.import_module(name)
    for own, given in _assigned(ast.parse(path.read_text(encoding="utf-8"))):
        value = getattr(module, own, None)
        if type(value) is not int or value.bit_length() > _WORD or not own.isupper():
            continue
        if isinstance(given, str):
            lasts = own in _numbers(given, path_of)
        else:
            lasts = all(_lasts(part, module, found) for part in ast.walk(given))
        if lasts:
            found[own] = value
    return found


def _assigned(tree: ast.Module) -> list[tuple[str, ast.expr | str]]:
    """What a module assigns at its top, with the expression, or imports, with the module; each name that is so once."""
    found: list[tuple[str, ast.expr | str]] = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            found += [(alias.name, node.module or "") for alias in node.names if alias.asname in (None, alias.name)]
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]
            found += [(name, node.value) for name in names]
    names = [name for name, _ in found]
    return [one for one in found if names.count(one[0]) == 1]


def _lasts(part: ast.AST, module: ModuleType, numbers: Collection[str]) -> bool:
    """Whether a part of an expression has the same value in every process."""
    if isinstance(part, ast.Call):
        called = part.func
        while isinstance(called, ast.Attribute):
            called = called.value
        return isinstance(called, ast.Name) and (called.id in _PLAIN or called.id.lstrip("_")[:1].isupper())
    if isinstance(part, ast.Name) and part.id.isupper():
        return part.id in numbers or type(getattr(module, part.id, None)) is not int
    return True


def with_numbers(source: str, numbers: Mapping[str, int]) -> str:
    """The source with numbers where its functions name constants. No line moves."""
    lines = source.split("\n")
    places = {(node.lineno, node.col_offset, node.end_col_offset): node for node in _named(ast.parse(source), numbers)}
    for (line, start, end), node in sorted(places.items(), reverse=True):
        number = numbers[ast.unparse(node)]
        text = lines[line - 1].encode()  # columns are of bytes
        rest = text[end or start :]
        word = f"({number})" if number < 0 or rest.startswith(b".") else str(number)
        lines[line - 1] = (text[:start] + word.encode() + rest).decode()
    return "\n".join(lines)


def _named(tree: ast.Module, numbers: Collection[str]) -> Iterator[ast.expr]:
    """Where functions name constants, on one line, not within an f-string, whose parts have no places of their own."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, inside = waiting.pop()
        if isinstance(node, ast.JoinedStr):
            continue
        if inside and isinstance(node, ast.Name | ast.Attribute) and _is_read(node) and ast.unparse(node) in numbers:
            yield node
            continue
        for field, child in ast.iter_fields(node):
            within = inside or (isinstance(node, _FUNCTIONS) and field == "body")
            children = child if isinstance(child, list) else [child]
            waiting += [(one, within) for one in children if isinstance(one, ast.AST)]


def _is_read(node: ast.Name | ast.Attribute) -> bool:
    return isinstance(node.ctx, ast.Load) and node.lineno == node.end_lineno
