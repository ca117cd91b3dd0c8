"""Finds second definitions of what ``cca_arch`` declares: encodings, fields, classes, codes, offsets and whole values.

It reads the syntax of a module and never runs it. What it knows it takes from the declarations themselves.
"""

import ast
import re
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Final, NamedTuple

from cca_arch import gic, smccc, smmu, sysregs
from cca_arch.descriptors import gpt, rtte, stage1, stage2
from cca_arch.el3 import RmmEl3
from cca_arch.ffa import Ffa
from cca_arch.fields import Bits, Field
from cca_arch.kvm.realm import KvmRmiVcpu, KvmRmiVm, Rme
from cca_arch.kvm.requests import KvmAttribute, KvmVcpu, KvmVm
from cca_arch.psci import Psci
from cca_arch.rmi.v1_0 import Rmi
from cca_arch.rsi.v1_0 import Rsi
from cca_arch.sysregs import REGISTERS

__all__ = ["Finding", "second_definitions"]

_DECLARATIONS: Final = (sysregs, gic, gpt, rtte, stage1, stage2, smccc, smmu)
_HOMES: Final = (
    "cca_arch.sysregs",
    "cca_arch.gic",
    "cca_arch.descriptors",
    "cca_arch.types",
    "cca_arch.smccc",
    "cca_arch.smmu",
)


class Finding(NamedTuple):
    """A line that says again what ``cca_arch`` declares."""

    line: int
    text: str
    declared: str

    def __str__(self) -> str:
        return f"line {self.line}: `{self.text}` is {self.declared}"


def _public(kind: type[Any]) -> dict[str, Any]:
    """Classes of ``kind`` that the declarations hold, by name."""
    return {
        name: value
        for module in _DECLARATIONS
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, kind) and value.__module__.startswith(_HOMES)
    }


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


LAYOUTS: Final[dict[str, type[Bits]]] = _public(Bits)
FIELDS: Final[dict[str, list[tuple[str, Field]]]] = {}
for _layout, _kind in LAYOUTS.items():
    for _name, _field in _kind.fields().items():
        FIELDS.setdefault(_plain(_name), []).append((f"{_layout}.{_name}", _field))
MEMBERS: Final = {
    f"{enumeration}.{member.name}": member
    for enumeration, kind in _public(IntEnum).items()
    for member in kind
    if member >= 4  # smaller numbers are not the architecture's alone
}
WHOLE: Final = {
    "SCTLR_EL1_RES1": sysregs.SCTLR_EL1_RES1,
    "SCTLR_EL2_RES1": sysregs.SCTLR_EL2_RES1,
    "CPTR_EL2_RES1": sysregs.CPTR_EL2_RES1,
    "EL1H_MASKED": sysregs.EL1H_MASKED,
    "EL2H_MASKED": sysregs.EL2H_MASKED,
    "MPIDR_AFFINITY": sysregs.MPIDR_AFFINITY,
    "SCR_EL3 {NS, RES1, HCE, RW}": sysregs.Scr.make(ns=1, hce=1, rw=1) | sysregs.SCR_EL3_RES1,
    "SCR_EL3 {NS, RES1, RW}": sysregs.Scr.make(ns=1, rw=1) | sysregs.SCR_EL3_RES1,
    "MIDR_EL1": sysregs.Midr.make(implementer=0x41, architecture=0xF, partnum=0xD0F),
    "IIDR": gic.IIDR,
}
"""Values that are no one else's, wherever they stand."""
CALLS: Final = {
    int(fid): f"{type(fid).__name__}.{fid.name}"
    for kind in (Rmi, Rsi, RmmEl3, Psci, Ffa, smccc.Smccc, KvmVm, KvmVcpu, KvmAttribute, KvmRmiVm, KvmRmiVcpu, Rme)
    for fid in kind
    if fid & 0xFFF and fid >> 16  # the others look like addresses, or are small
}
FRAMES: Final = {gic.GICR_STRIDE: "GICR_STRIDE", gic.GICR_SGI_BASE: "GICR_SGI_BASE"}
_FRAME_WORDS: Final = re.compile(r"gicr|gicd|redistributor|distributor|stride|sgi", re.IGNORECASE)
PACKED: Final = {
    encoding.packed: name for name, encoding in REGISTERS.items() if encoding.packed & 0xFFFF and encoding.op0 > 1
}
_REGISTER_WORDS: Final = (
    "hcr", "esr", "spsr", "pstate", "sctlr", "tcr", "vtcr", "scr", "cptr", "mdcr", "cnthctl", "cntkctl", "mpidr",
    "midr", "hpfar", "vmcr", "gpccr", "gptbr", "fsc", "rtte", "affinity",
)  # fmt: skip


def _number(node: ast.AST) -> int | None:
    """The value of an expression of literals."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert):
        value = _number(node.operand)
        return None if value is None else -value if isinstance(node.op, ast.USub) else ~value
    if isinstance(node, ast.BinOp):
        left, right = _number(node.left), _number(node.right)
        if left is None or right is None:
            return None
        match node.op:
            case ast.LShift():
                return left << right
            case ast.BitOr():
                return left | right
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
    return None


def _assignments(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names with the expressions that they get, also those of tuples and of keys of dictionaries."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[target], value=value):
                pairs = [(target, value)]
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                    pairs = list(zip(target.elts, value.elts, strict=False))
                yield from ((one.id, other) for one, other in pairs if isinstance(one, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value
            case ast.Dict(keys=keys, values=values):
                yield from (
                    (key.value, value)
                    for key, value in zip(keys, values, strict=True)
                    if isinstance(key, ast.Constant) and isinstance(key.value, str)
                )


def _words(name: str) -> set[str]:
    """A name with nothing before it, with any of its prefixes gone, and without what says that it is a place."""
    parts = [part for part in re.sub(r"_(BIT|MASK|LOW|SHIFT)$", "", name.strip("_").upper()).lower().split("_") if part]
    return {"".join(parts[start:]) for start in range(len(parts))}


def _named(name: str, value: int) -> str | None:
    """What ``cca_arch`` calls a name with this value."""
    words = _words(name)
    for word in words:
        for declared, field in FIELDS.get(word, ()):
            if field.width > 32:  # an address: every one looks alike
                continue
            if value == field.mask and (field.low >= 2 or declared.split(".")[0].lower() in _plain(name)):
                return f"{declared}.mask"
            if value == field.low >= 4 and re.search(r"_(BIT|LOW|SHIFT)$", name.upper()):
                return f"{declared}.low"
    for declared, member in MEMBERS.items():
        if _plain(member.name) in words and value == member:
            return declared
    return None


def _terminal(node: ast.AST) -> str:
    """The word at the end of a name, an attribute or a constant index: ``pe.words[w.P_HCR]`` is ``hcr``."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return re.sub(r"_el[123]$", "", name.lower()).rpartition("_")[2]
        case ast.Subscript(slice=index):
            return _terminal(index)
        case ast.Call(args=[*_, ast.BinOp(right=ast.BinOp(right=index))]):
            return _terminal(index)
    return ""


def _taken_apart(node: ast.AST) -> str | None:
    """A register's value that is shifted, masked or compared by a literal."""
    match node:
        case ast.BinOp(left=left, op=ast.RShift() | ast.BitAnd(), right=right):
            value = _number(right)
            if value is not None and _terminal(left) in _REGISTER_WORDS:
                return f"a field of {_terminal(left).upper()}"
        case ast.Compare(left=ast.Attribute(attr="ec" | "fsc" as part), comparators=[other]):
            candidates = other.elts if isinstance(other, ast.Tuple) else [other]
            if any(_number(candidate) is not None for candidate in candidates):
                return "Ec" if part == "ec" else "Fsc"
        case ast.BinOp(op=ast.LShift(), left=left, right=right) if _number(right) == sysregs.Esr.ec.low:
            if _number(left) != 1:
                return "syndrome(ec, iss)"
    return None


def _whole(node: ast.AST, line: str) -> str | None:
    """A literal that is an encoding, or a value that is no one else's."""
    if isinstance(node, ast.Tuple) and len(node.elts) == 5:
        encoding = tuple(_number(part) for part in node.elts)
        return next((f"encodings.{name.upper()}" for name, known in REGISTERS.items() if known == encoding), None)
    value = _number(node)
    if value is None or not isinstance(node, ast.Constant):
        return None
    if value in CALLS:
        return CALLS[value]
    if value in PACKED:
        return f"encodings.{PACKED[value].upper()}.packed"
    if value in FRAMES and _FRAME_WORDS.search(line):
        return FRAMES[value]
    return next((name for name, known in WHOLE.items() if value == known), None)


def _is_enumeration(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef) and any(
        _terminal(base) in ("intenum", "enum", "intflag") for base in node.bases
    )


def _enumeration(node: ast.ClassDef) -> str | None:
    """An enumeration most of whose members one of ``cca_arch`` has with the same values."""
    own = {name: _number(value) for name, value in _assignments(ast.Module(node.body, []))}
    for declared, kind in _public(IntEnum).items():
        same = sum(name in kind.__members__ and kind[name] == value for name, value in own.items())
        if same >= 3 and 2 * same > len(own):
            return declared
    return None


def _layout(node: ast.ClassDef) -> str | None:
    """A class of fields most of which a layout of ``cca_arch`` has at the same places."""
    own = {}
    for name, value in _assignments(ast.Module(node.body, [])):
        match value:
            case ast.Call(func=ast.Name(id="Field"), args=[high, *rest]):
                top, low = _number(high), _number(rest[0]) if rest else None
                own[_plain(name)] = (top, top if low is None else low)
    for declared, kind in LAYOUTS.items():
        theirs = {_plain(name): (field.high, field.low) for name, field in kind.fields().items()}
        same = sum(theirs.get(name) == place for name, place in own.items())
        if own and same >= 2 and 2 * same > len(own):
            return declared
    return None


def second_definitions(source: str) -> list[Finding]:
    """What a module defines that ``cca_arch`` has defined."""
    tree, lines = ast.parse(source), source.splitlines()
    found = []
    members = {value for node in ast.walk(tree) if _is_enumeration(node) for _, value in _assignments(node)}
    for name, expression in _assignments(tree):
        if expression in members:
            continue  # of a register file or a code of its own
        value = _number(expression)
        declared = None if value is None else _named(name, value)
        if declared is not None:
            found.append(Finding(expression.lineno, name, declared))
    for node in ast.walk(tree):
        line = getattr(node, "lineno", None)
        if line is None:
            continue
        if isinstance(node, ast.ClassDef):
            declared = _enumeration(node) if _is_enumeration(node) else _layout(node)
        else:
            declared = _taken_apart(node)
        declared = declared or _whole(node, lines[line - 1])
        if declared is not None:
            text = node.name if isinstance(node, ast.ClassDef) else ast.get_source_segment(source, node)
            found.append(Finding(line, text or "", declared))
    return sorted(set(found))
