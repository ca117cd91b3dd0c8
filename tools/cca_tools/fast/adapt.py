"""Sources as mypyc can take them: what it cannot compile is left to Python, without a line that moves.

Four things need that:

- A class with keywords or a decorator (records of msgspec, dataclasses, saved state): mypyc would drop the keywords. It
  moves to a module of :data:`~cca_platform.compiled.RECORDS`, with all that it names, and is imported from there.
- A class whose base stays Python and completes its subclasses: it is compiled as an ordinary class, not a native one.
- A class whose objects are made by ``__new__`` alone and then restored: mypyc must be told of it.
- Functions of other modules that a class takes as its methods: compiled functions do not bind. They become methods that
  call them.

Line numbers stay as they are, since tracebacks name the source.
"""

import ast
import builtins
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final, NamedTuple

from cca_platform.compiled import RECORDS
from cca_platform.errors import MachineError

__all__ = ["Adapted", "adapt", "record_module"]

Find = Callable[[str, str], ast.FunctionDef | None]
"""A function by its module and name."""
_DECLARATIVE: Final = frozenset({"Struct", "State"})
"""Bases whose classes are records of msgspec."""
_COMPLETING: Final = "Call"
"""The end of the names of bases that complete their subclasses."""
_PLAIN_DECORATORS: Final = frozenset({"final", "runtime_checkable"})


class Adapted(NamedTuple):
    """A source as mypyc takes it, and the source of its module of records, if it has one."""

    source: str
    records: str | None


class _Method(NamedTuple):
    """A function of another module that a class has as a method, or as the getter of a property."""

    name: str
    called: str
    function: ast.FunctionDef
    getter: bool


def record_module(name: str) -> str:
    """The module with the records of the module ``name``."""
    return f"{RECORDS}.{name.replace('.', '__')}"


def adapt(name: str, source: str, find: Find, bare: Collection[str] = ()) -> Adapted:
    """The source of the module ``name``, adapted; raises MachineError for what cannot be.

    ``bare`` are classes that ``__new__`` makes objects of, without ``__init__``, which restore their state.
    """
    tree = ast.parse(source)
    lines = source.split("\n")
    moved = _moved(tree)
    records = None
    if moved:
        records = _records(name, source, tree, moved)
        for node in moved:
            first = _first(node)
            lines[first - 1 : node.end_lineno] = [""] * ((node.end_lineno or first) - first + 1)
            own = _names(node)[0]
            lines[first - 1] = f"from {record_module(name)} import {own} as {own}"
    _mark(name, tree, lines, moved, bare)
    _give_methods(name, tree, lines, find)
    return Adapted("\n".join(lines), records)


def _names(node: ast.stmt) -> list[str]:
    """What a statement at the top of a module defines."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _first(node: ast.stmt) -> int:
    """The first line of a definition, of its decorators if it has any."""
    decorators = node.decorator_list if isinstance(node, ast.ClassDef | ast.FunctionDef) else []
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _last_name(node: ast.expr) -> str:
    """``Name`` of ``a.Name``, ``Name[...]`` and ``Name(...)``."""
    while isinstance(node, ast.Subscript | ast.Call):
        node = node.value if isinstance(node, ast.Subscript) else node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_record(node: ast.stmt) -> bool:
    return isinstance(node, ast.ClassDef) and (
        bool(node.keywords)
        or any(_last_name(base) in _DECLARATIVE for base in node.bases)
        or any(_last_name(one) not in _PLAIN_DECORATORS for one in node.decorator_list)
    )


def _moved(tree: ast.Module) -> list[ast.stmt]:
    """The records of a module, and what of the module they name, in their order."""
    defined = {own: node for node in tree.body for own in _names(node)}
    waiting = [node for node in tree.body if _is_record(node)]
    found: list[ast.stmt] = []
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.append(node)
            waiting += [defined[used] for used in _used(node) if used in defined]
    return sorted(found, key=lambda node: node.lineno)


def _used(node: ast.AST) -> Iterator[str]:
    """The names in a definition, those within strings of types included."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            yield inner.id
        elif (
            isinstance(inner, ast.Constant)
            and isinstance(inner.value, str)
            and inner.value.replace(".", "").isidentifier()
        ):
            yield inner.value.partition(".")[0]


def _records(name: str, source: str, tree: ast.Module, moved: Sequence[ast.stmt]) -> str:
    """The module of the records: the imports of their module, and their definitions."""
    parts = [f'"""The records of {name}."""\n']
    for node in tree.body:
        typing = isinstance(node, ast.If) and _last_name(node.test) == "TYPE_CHECKING"
        if isinstance(node, ast.Import | ast.ImportFrom) or typing:
            parts.append(ast.get_source_segment(source, node) or "")
        elif node in moved:
            if isinstance(node, ast.FunctionDef):
                raise MachineError(f"{name} must not be compiled: its records need its function {node.name}")
            lines = source.split("\n")[_first(node) - 1 : node.end_lineno]
            parts.append("\n" + "\n".join(lines))
            if isinstance(node, ast.ClassDef):
                parts.append(f"{node.name}.__module__ = {name!r}")
    return "\n".join(parts) + "\n"


def _mark(name: str, tree: ast.Module, lines: list[str], moved: Sequence[ast.stmt], bare: Collection[str]) -> None:
    """Tell mypyc of classes that need it, in the line above them, which is blank or a comment."""
    marked = False
    for node in tree.body:
        if not isinstance(node, ast.ClassDef) or node in moved:
            continue
        words = []
        if any(_last_name(base).endswith(_COMPLETING) for base in node.bases):
            words.append("native_class=False")
        if node.name in bare:
            words.append("allow_interpreted_subclasses=True")  # its __init__ is then not a part of __new__
        if not words:
            continue
        above = _first(node) - 2
        if lines[above] and not lines[above].startswith("#"):
            raise MachineError(f"{name} must have a blank line above the class {node.name} to be compiled")
        lines[above] = f"@mypyc_attr({', '.join(words)})"
        marked = True
    if marked:
        first = next(node for node in tree.body if isinstance(node, ast.ImportFrom) and node.lineno == node.end_lineno)
        lines[first.lineno - 1] += f"; from {RECORDS} import mypyc_attr"


# -- methods ----------------------------------------------------------------------------------------------------------
def _give_methods(name: str, tree: ast.Module, lines: list[str], find: Find) -> None:
    """Write the methods of the module's last class that are functions of other modules at its end."""
    places = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        found: list[_Method] = []
        for statement in node.body:
            taken = _taken(statement, places, find)
            if taken:
                found += taken
                lines[statement.lineno - 1 : statement.end_lineno] = [""] * (
                    (statement.end_lineno or statement.lineno) - statement.lineno + 1
                )
        if not found:
            continue
        if node is not tree.body[-1]:
            raise MachineError(f"{name} must end with the class {node.name} to be compiled")
        while not lines[-1]:
            lines.pop()
        kept = [f"{method.called}_ = {method.called}" for method in found if method.called == method.name]
        if kept:  # within the class, the name will be that of the method
            lines[_first(node) - 2] = "; ".join(kept)
        for method in found:
            lines += _method(method, frozenset(places) | frozenset(dir(builtins)))
        lines.append("")


def _taken(statement: ast.stmt, places: dict[str, tuple[str, str]], find: Find) -> list[_Method]:
    """The methods of ``a, b = module.a, property(b)``; none if it is anything else."""
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return []
    target, value = statement.targets[0], statement.value
    pairs = [(target, value)]
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = list(zip(target.elts, value.elts, strict=True))
    found = []
    for own, given in pairs:
        getter = isinstance(given, ast.Call) and _last_name(given.func) == "property"
        called = given.args[0] if isinstance(given, ast.Call) and getter else given
        function = None
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id in places:
            function = find(".".join(places[called.value.id]), called.attr)
        elif isinstance(called, ast.Name) and called.id in places:
            function = find(*places[called.id])
        if function is None or not isinstance(own, ast.Name):
            return []
        found.append(_Method(own.id, ast.unparse(called), function, getter))
    return found


class _Qualify(ast.NodeTransformer):
    """Types by the names that they have in the module of the class."""

    def __init__(self, known: frozenset[str], module: str) -> None:
        self._known = known
        self._module = module

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """A name, or the same of the function's module."""
        return node if node.id in self._known else ast.Attribute(ast.Name(self._module), node.id)


def _method(method: _Method, known: frozenset[str]) -> Iterator[str]:
    """A method that calls its function."""
    arguments, returns = method.function.args, method.function.returns
    qualify = _Qualify(known, method.called.partition(".")[0])
    for argument in filter(None, [*arguments.args[1:], arguments.vararg, *arguments.kwonlyargs]):
        argument.annotation = qualify.visit(argument.annotation) if argument.annotation else None
    arguments.args[0].annotation = None
    passed = [argument.arg for argument in arguments.args]
    if arguments.vararg:
        passed.append(f"*{arguments.vararg.arg}")
    passed += [f"{argument.arg}={argument.arg}" for argument in arguments.kwonlyargs]
    result = ast.unparse(qualify.visit(returns)) if returns else "None"
    called = f"{method.called}_" if method.called == method.name else method.called
    if method.getter:
        yield "    @property"
    yield f"    def {method.name}({ast.unparse(arguments)}) -> {result}: return {called}({', '.join(passed)})"
