"""Files that import each other in a circle cannot be read, tested or replaced alone: there is none but those named.

The graph of a package is read from its source. Every import counts, those within functions too. What only a type
checker follows is no import at run time, but a reader follows it as well: such circles are named, with their reason.
"""

import ast
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "cca_arch": "platform",
    "cca_platform": "platform",
    "cca_firmware": "firmware",
    "cca_rmm": "rmm",
    "cca_host": "host",
    "cca_tools": "tools",
    "realmlab": "tools",
}
CIRCLES: dict[str, list[tuple[str, str]]] = {
    "cca_platform": [
        (
            "gic.cpu gic.distributor gic.gic gic.redistributor gic.sysregs gic.virtual",
            "the parts of an interrupt controller signal each other in both directions",
        ),
        (
            "machine.machine machine.saved machine.snapshot pe.controls pe.delivery pe.exceptions pe.levels pe.mmio"
            " pe.pe pe.running pe.saved",
            "a PE takes the exceptions that its own code raises, and reaches bus, GIC and programs through its machine",
        ),
    ],
}
"""The circles of what a reader follows, by package, each with its reason."""


def modules(package: str) -> dict[str, Path]:
    """Dotted name -> file of every module of a package."""
    root = ROOT / PACKAGES[package]
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(tree: ast.AST, types: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """The import statements of a module; ``types`` adds those under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for other in (*node.body * types, *node.orelse):
                yield from imports(ast.Module([other], []), types)
        else:
            yield from imports(node, types)


def package_of(name: str, path: Path) -> str:
    """The package to which a relative import of this module is relative."""
    return name if path.name == "__init__.py" else name.rpartition(".")[0]


def graph(package: str, types: bool = False) -> dict[str, set[str]]:
    """Which modules of a package each one imports: the file itself, not the packages around it."""
    found = modules(package)
    result: dict[str, set[str]] = {}
    for name, path in found.items():
        targets = set()
        for statement in imports(ast.parse(path.read_text(encoding="utf-8")), types):
            if isinstance(statement, ast.Import):
                targets |= {alias.name for alias in statement.names}
            else:
                base = resolve_name("." * statement.level + (statement.module or ""), package_of(name, path))
                for alias in statement.names:
                    inner = f"{base}.{alias.name}"
                    targets.add(inner if inner in found else base)
        result[name] = (targets & found.keys()) - {name}
    return result


def folders(package: str) -> dict[str, set[str]]:
    """Which folders of a package each one imports, types included."""
    files = modules(package)
    result: dict[str, set[str]] = {package_of(name, path): set() for name, path in files.items()}
    for name, targets in graph(package, types=True).items():
        own = package_of(name, files[name])
        result[own] |= {package_of(target, files[target]) for target in targets} - {own}
    return result


def circles(edges: dict[str, set[str]]) -> list[frozenset[str]]:
    """The strongly connected components of more than one node (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    result = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in edges[node]:
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            at = stack.index(node)
            component, stack[at:] = frozenset(stack[at:]), []
            if len(component) > 1:
                result.append(component)

    for node in edges:
        if node not in index:
            visit(node)
    return result


class TestCircles:
    """Imports within a package."""

    @pytest.mark.parametrize("package", PACKAGES)
    def test_none_at_run_time(self, package: str) -> None:
        """No import leads back to the file that it stands in."""
        assert not circles(graph(package))

    @pytest.mark.parametrize("package", PACKAGES)
    def test_none_but_those_named(self, package: str) -> None:
        """With the names of types too. A circle that has become smaller, or has gone, is taken from the list."""
        named = [[f"{package}.{name}" for name in members.split()] for members, _ in CIRCLES.get(package, [])]
        assert sorted(map(sorted, circles(graph(package, types=True)))) == sorted(named)

    @pytest.mark.parametrize("package", ["cca_firmware", "cca_rmm", "cca_host", "realmlab"])
    def test_folders(self, package: str) -> None:
        """Folders stand on each other in one direction."""
        assert not circles(folders(package))

    def test_finds_circles(self) -> None:
        """Two circles that touch nothing of each other, and what only leads into them."""
        edges = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": {"e"}, "e": {"f"}, "f": {"e"}}
        assert set(circles(edges)) == {frozenset("bc"), frozenset("ef")}

    def test_type_checking_is_no_import(self) -> None:
        """What only a type checker follows is told apart from what a function imports."""
        source = "if TYPE_CHECKING:\n import a\nelse:\n import b\ndef f() -> None:\n from c import d"
        tree = ast.parse(source)
        assert [ast.unparse(node) for node in imports(tree, types=False)] == ["import b", "from c import d"]
        assert [ast.unparse(node) for node in imports(tree, types=True)] == ["import a", "import b", "from c import d"]
