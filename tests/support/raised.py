"""Every message for a user that the sources raise or end a run with, found in them: with … for what differs."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from cca_arch import compression, foreign, linking
from cca_arch.rmi.v1_0 import Rmi
from cca_host.kvm import RmiError
from cca_platform import userfiles
from cca_platform.errors import Closed

__all__ = ["Said", "said"]

_ROOT: Final = Path(__file__).resolve().parents[2]
_AREAS: Final = ("platform", "firmware", "rmm", "host", "tools")
_RAISED: Final = frozenset(
    {
        "MachineError", "BootError", "LoadError", "StateError", "WrongType", "WrongValue", "TokenError", "CborError",
        "CoseError", "NoPages", "PolicyError", "NotSeen", "BuildError", "InstructionLimit", "UserFault", "error",
        "_error", "kind",
    }
)  # fmt: skip
"""The exceptions whose text a user sees, and the names under which functions raise one that they are given."""
_BEHIND_A_NAME: Final = frozenset({"ElfError", "DeviceTreeError", "UnpackError"})
"""Those whose text others put behind the name of a file."""
_ENDS: Final = frozenset({"over", "fail", "failed"})
"""What ends a run with a message, or lets an exit do so."""


class Said(NamedTuple):
    """A message and where it comes from."""

    text: str
    place: str


def said() -> Iterator[Said]:
    """Each message whose text is where it is raised, and samples of those that are put together."""
    for area in _AREAS:
        for path in sorted((_ROOT / area).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            constants = _constants(tree)
            for node in ast.walk(tree):
                text = _message(node, constants)
                if text.strip("… :"):
                    yield Said(text, f"{path.relative_to(_ROOT)}:{getattr(node, 'lineno', 0)}")
    yield from (Said(f"board file x {words}", f"userfiles: {words[:30]}") for words in _of_files())
    for module in (foreign, linking, compression):
        for text in _returned(Path(module.__file__)):
            yield Said(f"x.elf {text}", f"{module.__name__}: {text[:30]}")
    yield Said(str(Closed("a run")), "Closed")
    yield Said(str(RmiError(Rmi.REC_CREATE, 1, "vCPU 0")), "RmiError")


def _message(node: ast.AST, constants: dict[str, str]) -> str:
    """The message that a statement or a call makes; empty if it makes none."""
    if not isinstance(node, ast.Call) or not node.args:
        return ""
    name = _name(node.func)
    if name in _BEHIND_A_NAME:
        return f"… {_text(node.args[0], constants)}"
    if name in _RAISED:
        return _text(node.args[0], constants)
    return _text(node.args[-1], constants) if name in _ENDS else ""


def _of_files() -> Iterator[str]:
    """What is said of files that cannot be read."""
    yield from userfiles._WORDS.values()
    yield from (userfiles._too_large(userfiles.KINDS["board"], size) for size in (None, 1 << 40))
    source = ast.parse(Path(userfiles.__file__).read_text(encoding="utf-8"))
    for node in ast.walk(source):
        if isinstance(node, ast.Assign) and _name(node.targets[0]) == "what":
            value = node.value.args[-1] if isinstance(node.value, ast.Call) else node.value
            yield _text(value, {})
        elif isinstance(node, ast.Call) and _name(node.func) == "_refuse" and (text := _text(node.args[0], {})) != "…":
            yield text


def _returned(path: Path) -> Iterator[str]:
    """The sentences that functions return or collect: what is said behind the name of a program."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        value: ast.expr | None = None
        if isinstance(node, ast.Return):
            value = node.value
        elif isinstance(node, ast.Call) and _name(node.func) == "append":
            value = node.args[0]
        if isinstance(value, ast.JoinedStr | ast.Constant) and (text := _text(value, {}).strip("…")):
            yield text


def _constants(tree: ast.Module) -> dict[str, str]:
    """The texts that a module has as constants."""
    found = ((node.target, node.value) for node in tree.body if isinstance(node, ast.AnnAssign) and node.value)
    return {_name(target): _text(value, {}) for target, value in found}


def _name(node: ast.expr) -> str:
    return str(getattr(node, "id", getattr(node, "attr", "")))


def _text(node: ast.expr, constants: dict[str, str]) -> str:
    """The text of an expression."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name):
        return constants.get(node.id, "…")
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, constants) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, constants) + _text(node.right, constants)
    return "…"
