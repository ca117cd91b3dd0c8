"""The defects that can be planted: each operator changes one place of a module's syntax tree.

A mutant's name is ``module:function:operator:ordinal``, the ordinal counted within the function: other functions can
change and lines can move without renaming it. What says nothing about behaviour is left alone: docstrings,
annotations, assertions of the model and ``__all__``.
"""

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from cca_tools.imports import modules

__all__ = ["MODULE", "Mutant", "find", "mutated", "source"]

MODULE: Final = "<module>"
"""The function's name for code that runs at import."""

_COMPARE: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
_BITS: Final = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.Invert)
_SILENT: Final = (ast.Assert, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal)


class Mutant(NamedTuple):
    """One planted defect: its name, the place's source before and after, and its line today."""

    name: str
    before: str
    after: str
    line: int

    @property
    def module(self) -> str:
        """The dotted name of its module."""
        return self.name.partition(":")[0]

    @property
    def function(self) -> str:
        """``module:function``, as the map of covered functions names it."""
        return ":".join(self.name.split(":")[:2])


class _Place(NamedTuple):
    """A place in a tree: the operator, the function around it, the node, what stands there instead, and how to put it
    there."""

    operator: str
    function: str
    node: ast.AST
    instead: ast.AST
    put: Callable[[ast.AST], None]


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Every operator that fits a node, with the node that takes its place."""
    match node:
        case ast.Compare(left, [op, *more], right):
            yield "compare", ast.Compare(left, [_COMPARE[type(op)](), *more], right)
        case ast.BinOp(left, op, right) if type(op) in _ARITHMETIC:
            name = "mask" if isinstance(op, _BITS) else "arithmetic"
            yield name, ast.BinOp(left, _ARITHMETIC[type(op)](), right)
        case ast.UnaryOp(ast.Invert(), operand):
            yield "mask", operand
        case ast.UnaryOp(ast.Not(), operand):
            yield "not", operand
        case ast.BoolOp(op, values):
            yield "boolean", ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for index in range(len(values)):
                rest = values[:index] + values[index + 1 :]
                yield "condition", rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.Constant(bool() as value):
            yield "constant", ast.Constant(not value)
        case ast.Constant(int() as value):
            yield "constant", ast.Constant(value + 1)
        case ast.IfExp(_, body, orelse):
            yield "branch", body
            yield "branch", orelse
        case ast.If(_, body, orelse):
            yield "branch", ast.If(ast.Constant(True), body, orelse)
            yield "branch", ast.If(ast.Constant(False), body, orelse)
        case ast.Expr(ast.Call()) | ast.Expr(ast.Await()) | ast.AugAssign():
            yield "drop", ast.Pass()
        case ast.Assign([ast.Attribute() | ast.Subscript()]) | ast.AnnAssign(ast.Attribute(), value=ast.expr()):
            yield "drop", ast.Pass()


def _setter(parent: ast.AST, field: str, index: int | None) -> Callable[[ast.AST], None]:
    """What puts another node in a child's place."""

    def put(node: ast.AST) -> None:
        if index is None:
            setattr(parent, field, node)
        else:
            getattr(parent, field)[index] = node

    return put


def _children(node: ast.AST) -> Iterator[tuple[ast.AST, Callable[[ast.AST], None]]]:
    """The children in which defects are planted."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "bases", "type_params", "format_spec"):
            continue
        if isinstance(value, ast.AST):
            yield value, _setter(node, field, None)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, ast.AST):
                    yield item, _setter(node, field, index)


def _silent(node: ast.AST) -> bool:
    """Whether a part of the tree says nothing about what the code does."""
    match node:
        case ast.If(ast.Name("TYPE_CHECKING")) | ast.Assign([ast.Name("__all__")]):
            return True
    return isinstance(node, _SILENT)


def _places(node: ast.AST, scope: str = "") -> Iterator[_Place]:
    """Every place of a tree, in the order of its source."""
    for child, put in _children(node):
        if _silent(child):
            continue
        for operator, instead in _changes(child):
            yield _Place(operator, scope or MODULE, child, ast.copy_location(instead, child), put)
        inner = scope
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{scope}.{child.name}" if scope else child.name
        yield from _places(child, inner)


def _shown(node: ast.AST) -> str:
    """A node as one line of source; of a compound statement the head."""
    return ast.unparse(node).split("\n")[0]


def _named(module: str, tree: ast.Module) -> Iterator[tuple[Mutant, _Place]]:
    """The mutants of a module, with their places in ``tree``."""
    count: Counter[tuple[str, str]] = Counter()
    for place in _places(tree):
        count[place.function, place.operator] += 1
        name = f"{module}:{place.function}:{place.operator}:{count[place.function, place.operator]}"
        yield Mutant(name, _shown(place.node), _shown(place.instead), getattr(place.node, "lineno", 0)), place


def source(module: str) -> Path:
    """The file of a module."""
    return modules(module.partition(".")[0])[module]


@cache
def find(module: str) -> tuple[Mutant, ...]:
    """Every mutant of a module."""
    tree = ast.parse(source(module).read_text(encoding="utf-8"))
    return tuple(mutant for mutant, _ in _named(module, tree))


def mutated(name: str) -> tuple[Path, ast.Module]:
    """A module's file and its tree with one defect planted."""
    module = name.partition(":")[0]
    path = source(module)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for mutant, place in _named(module, tree):
        if mutant.name == name:
            place.put(place.instead)
            return path, ast.fix_missing_locations(tree)
    raise ValueError(f"{name} must be a mutant of {module}")
