"""The modules that a program runs, found by the imports in its source."""

import ast
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import resolve_name
from pathlib import Path

import pytest

from cca_firmware.package.modules import closure, imports

ROOT = Path(__file__).parents[2]
MEASURED = ("platform/cca_arch", "firmware/cca_firmware", "rmm/cca_rmm")


def parsed(tree: ast.AST, package: str) -> Iterator[str]:
    """What ``imports`` has to find, by the parser of the language."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from parsed(ast.Module(node.orelse, []), package)
        else:
            yield from parsed(node, package)


class TestImports:
    """The scanner against the parser."""

    @pytest.mark.parametrize("folder", ["platform", "firmware", "rmm", "host", "tools"])
    def test_every_source(self, folder: str) -> None:
        """In every source of ours the scanner finds what the parser finds."""
        for path in (ROOT / folder).rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            assert list(imports(source, "a.b.c")) == list(parsed(ast.parse(source), "a.b.c")), path

    @pytest.mark.parametrize(
        "source",
        [
            "import a, b.c as d\nimport e  # import f\n",
            "from a import (\n    b,  # one\n    c as d,\n)\nfrom e import f, \\\n    g\n",
            "from . import a\nfrom .. import b\nfrom ..x.y import c\nfrom .z import d\n",
            "if TYPE_CHECKING:\n    import a\n\n    from b import c\nelse:\n    import d\nimport e\n",
            "def f():\n    if TYPE_CHECKING:\n        import a\n    import b\n    from c import d\n",
            "'''\nimport a\n'''\nx = \"'''\"\nimport b\n",
            "# don't\nimport a\ny = '#'\nimport b\n",
            'x = r"\\""\nimport a\nz = """\nfrom q import r\n"""\nimport b\n',
            "def f():\n    yield\n    yield from (1,)\nfrom_a = 1\nimporter = 2\n",
        ],
    )
    def test_forms(self, source: str) -> None:
        """All forms of the statement, and what only looks like one."""
        assert list(imports(source, "a.b.c")) == list(parsed(ast.parse(source), "a.b.c"))

    @pytest.mark.parametrize("package", MEASURED)
    def test_static(self, package: str) -> None:
        """Nothing that is measured imports by a name that is computed."""
        for path in (ROOT / package).rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            assert "__import__" not in source and "import_module" not in source, path


class TestClosure:
    """What is reached from a root."""

    @pytest.fixture
    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        """A package of modules that import each other, itself imported."""
        name = "closure_case"
        sources = {
            "__init__": "",
            "deep/__init__": "from .leaf import x",
            "deep/leaf": "x = 1",
            "other": "import json",
            "root": f"from {name} import one\ndef f():\n    from {name}.deep import x\n",
            "one": f"from cca_arch.types import PA\nfrom {name} import root\n",
        }
        (tmp_path / name / "deep").mkdir(parents=True)
        for module, source in sources.items():
            (tmp_path / name / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))
        import_module(f"{name}.root")
        yield name
        for module in [module for module in sys.modules if module.startswith(name)]:
            del sys.modules[module]

    def test_reached(self, package: str) -> None:
        """The root and what it imports, packages with it; circles do no harm, nothing else is there or gets loaded."""
        found = [module.archived for module in closure([f"{package}.root"], {package})]
        expected = ["__init__.py", "deep/__init__.py", "deep/leaf.py", "one.py", "root.py"]
        assert found == [f"{package}/{name}" for name in expected]
        assert f"{package}.deep" not in sys.modules

    def test_packages(self, package: str) -> None:
        """Other packages count when they are named."""
        found = {module.archived for module in closure([f"{package}.root"], {package, "cca_arch"})}
        assert {"cca_arch/__init__.py", "cca_arch/types.py"} <= found
