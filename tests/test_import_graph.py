"""Files that import each other in a circle cannot be read, tested or replaced alone: there is none but those named.

What only a type checker follows is no import at run time, but a reader follows it as well: such circles are named, with
their reason.
"""

import ast

import pytest

from cca_tools.imports import LAYERS, PACKAGES, circles, folders, graph, imports

CIRCLES: dict[str, list[tuple[str, str]]] = {
    "cca_platform": [
        (
            "gic.cpu gic.distributor gic.gic gic.redistributor gic.sysregs gic.virtual",
            "the parts of an interrupt controller signal each other in both directions",
        ),
        (
            "machine.machine machine.saved machine.snapshot pe.controls pe.delivery pe.events pe.exceptions pe.levels"
            " pe.mmio pe.net pe.pe pe.pmu pe.running pe.saved",
            "a PE takes the exceptions that its own code raises, and reaches bus, GIC and programs through its machine",
        ),
    ],
}
"""The circles of what a reader follows, by package, each with its reason."""


FOLDERS = {
    "cca_platform.machine cca_platform.pe": "a machine has PEs, and a PE reaches bus and levels through its machine",
}
"""The circles of folders, names of types counted."""


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


class TestFolders:
    """Folders, and the files that stand in a package directly."""

    def test_none_at_run_time(self) -> None:
        """Folders stand on each other in one direction."""
        assert not circles(folders(graph(*PACKAGES)))

    def test_none_but_those_named(self) -> None:
        """With the names of types too."""
        found = circles(folders(graph(*PACKAGES, types=True)))
        assert sorted(" ".join(sorted(circle)) for circle in found) == sorted(FOLDERS)

    def test_layers(self) -> None:
        """A package imports those of the layers below it, and no other."""
        assert {package for layer in LAYERS for package in layer} == set(PACKAGES)
        stands_on: dict[str, set[str]] = {package: set() for package in PACKAGES}
        for name, targets in graph(*PACKAGES, types=True).items():
            package = name.partition(".")[0]
            stands_on[package] |= {target.partition(".")[0] for target in targets} - {package}
        below: set[str] = set()
        for layer in reversed(LAYERS):
            for package in layer:
                assert stands_on[package] <= below, package
            below |= set(layer)
