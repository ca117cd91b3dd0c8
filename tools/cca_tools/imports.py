"""The import graph of the sources, and its picture by folder.

``python -m cca_tools.imports FILE.svg`` draws the picture of the architecture page. Imports within functions count,
too. Imports for type checkers alone do not, unless ``types`` is set.
"""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import Final

__all__ = ["LAYERS", "circles", "draw", "folders", "graph", "imports", "modules"]

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = {
    "cca_arch": "platform",
    "cca_platform": "platform",
    "cca_firmware": "firmware",
    "cca_rmm": "rmm",
    "cca_host": "host",
    "realmlab": "tools",
    "cca_tools": "tools",
}
"""Package -> the source root that holds it."""
LAYERS: Final = (
    ("cca_tools",),
    ("realmlab",),
    ("cca_host", "cca_rmm", "cca_firmware"),
    ("cca_platform",),
    ("cca_arch",),
)
"""The packages from top to bottom. Packages of one layer do not import each other."""

Graph = dict[str, set[str]]


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


def _package_of(name: str, path: Path) -> str:
    """The package that relative imports of this module start from."""
    return name if path.name == "__init__.py" else name.rpartition(".")[0]


@cache
def _statements(path: Path, types: bool) -> tuple[ast.Import | ast.ImportFrom, ...]:
    return tuple(imports(ast.parse(path.read_text(encoding="utf-8")), types))


def graph(*packages: str, types: bool = False) -> Graph:
    """The modules of ``packages`` that each of them imports: the file itself, not its parent packages."""
    found = {name: path for package in packages for name, path in modules(package).items()}
    result: Graph = {}
    for name, path in found.items():
        targets = set()
        for statement in _statements(path, types):
            if isinstance(statement, ast.Import):
                targets |= {alias.name for alias in statement.names}
            else:
                base = resolve_name("." * statement.level + (statement.module or ""), _package_of(name, path))
                for alias in statement.names:
                    inner = f"{base}.{alias.name}"
                    targets.add(inner if inner in found else base)
        result[name] = (targets & found.keys()) - {name}
    return result


def folders(edges: Graph) -> Graph:
    """The same graph by folder, ``package.folder``. A file directly in its package is a folder of its own."""

    def folder(name: str) -> str:
        return ".".join(name.split(".")[:2])

    result: Graph = {folder(name): set() for name in edges if "." in name}
    for name, targets in edges.items():
        if "." in name:
            result[folder(name)] |= {folder(target) for target in targets if "." in target} - {folder(name)}
    return result


def circles(edges: Graph) -> list[frozenset[str]]:
    """The strongly connected components with more than one node (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    result = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(edges[node]):
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

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return result


# -- the picture ----------------------------------------------------------------------------------------------------
_WIDTH, _ROW, _BOX, _GAP, _MARGIN = 1120, 58, 26, 10, 16
_CHARACTER: Final = 7  # width of a character
_STYLE: Final = """
    text { font: 12px ui-sans-serif, system-ui, sans-serif; fill: #1f2933; text-anchor: middle }
    .p { font-weight: 600; text-anchor: start; fill: #52606d } .band { fill: #f5f7fa; stroke: #cbd2d9 }
    .b { fill: #e3f0ff; stroke: #3578c4 } .e { stroke: #9aa5b1; fill: none; marker-end: url(#m) }
"""


def _ranks(edges: Graph, members: list[str]) -> dict[str, int]:
    """The height of each folder within its package: one more than the highest folder that it imports there."""
    ranks: dict[str, int] = {}

    def rank(node: str) -> int:
        if node not in ranks:
            ranks[node] = 0
            ranks[node] = max((rank(target) + 1 for target in edges[node] if target in members), default=0)
        return ranks[node]

    for member in members:
        rank(member)
    return ranks


def _direct(edges: Graph) -> list[tuple[str, str]]:
    """The arrows that no longer path implies (the transitive reduction)."""
    reach: dict[str, set[str]] = {}

    def below(node: str) -> set[str]:
        if node not in reach:
            reach[node] = set()
            for target in edges[node]:
                reach[node] |= {target} | below(target)
        return reach[node]

    return [
        (source, target)
        for source in sorted(edges)
        for target in sorted(edges[source])
        if not any(target in below(other) for other in edges[source] if other != target)
    ]


def draw() -> str:
    """Draw the import graph by folder as SVG; raises ValueError if an arrow would lead up or in a circle."""
    edges = folders(graph(*PACKAGES))
    if circles(edges):
        raise ValueError(f"folders must stand on each other in one direction, not {circles(edges)}")
    places: dict[str, tuple[float, float]] = {}
    shapes: list[str] = []
    y = float(_MARGIN)
    for layer in LAYERS:
        width = (_WIDTH - 2 * _MARGIN - (len(layer) - 1) * _GAP) / len(layer)
        height = 0.0
        for column, package in enumerate(layer):
            members = sorted(node for node in edges if node.partition(".")[0] == package)
            ranks = _ranks(edges, members)
            rows = [[node for node in members if ranks[node] == rank] for rank in range(max(ranks.values()) + 1)]
            left = _MARGIN + column * (width + _GAP)
            height = max(height, 34.0 + _ROW * len(rows) - 20)
            for row, nodes in enumerate(reversed(rows)):
                sizes = [_CHARACTER * len(_label(node)) + 16 for node in nodes]
                space = (width - sum(sizes)) / (len(nodes) + 1)
                x = left + space
                for node, size in zip(nodes, sizes, strict=True):
                    top = y + 30 + _ROW * row
                    places[node] = (x + size / 2, top)
                    shapes.append(f'<rect class="b" x="{x:.0f}" y="{top:.0f}" width="{size}" height="{_BOX}" rx="4"/>')
                    shapes.append(f'<text x="{x + size / 2:.0f}" y="{top + 17:.0f}">{_label(node)}</text>')
                    x += size + space
        for column, package in enumerate(layer):
            left = _MARGIN + column * (width + _GAP)
            band = f'<rect class="band" x="{left:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="8"/>'
            shapes[:0] = [band]
            shapes.append(f'<text class="p" x="{left + 8:.0f}" y="{y + 18:.0f}">{package}</text>')
        y += height + 26
    arrows = []
    for source, target in _direct(edges):
        (x1, y1), (x2, y2) = places[source], places[target]
        arrows.append(f'<path class="e" d="M{x1:.0f},{y1 + _BOX:.0f} L{x2:.0f},{y2 - 2:.0f}"/>')
    bands = [shape for shape in shapes if 'class="band"' in shape]
    rest = [shape for shape in shapes if 'class="band"' not in shape]
    body = "\n  ".join([*bands, *arrows, *rest])
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y:.0f}" role="img" aria-labelledby="t">
  <title id="t">Which folder imports which: every arrow leads down</title>
  <style>{_STYLE}  </style>
  <defs><marker id="m" markerWidth="7" markerHeight="7" refX="6" refY="3" orient="auto">
    <path d="M0,0 L6,3 L0,6 z" fill="#9aa5b1"/></marker></defs>
  <rect width="{_WIDTH}" height="{y:.0f}" fill="#ffffff"/>
  {body}
</svg>
"""


def _label(node: str) -> str:
    return node.partition(".")[2]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(), encoding="utf-8")
