"""kvmtool stands in user space: of the host kernel it knows the door alone."""

import ast
from pathlib import Path

import cca_host.kvmtool as kvmtool

DOOR = "cca_host.kvm.uapi"


def test_one_door() -> None:
    """No module of kvmtool imports anything of the kernel but the package of its door."""
    found = []
    for path in sorted(Path(kvmtool.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found += [(path.name, name) for name in names if name.startswith("cca_host.kvm.") or name == "cca_host.kvm"]
    assert found and {name for _, name in found} == {DOOR}
