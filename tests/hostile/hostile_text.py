"""Hostile files that people write: boards, policies, device modules; as text, and as values of the wrong type."""

import json
import random
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from hostile_case import Case, Content, ends, line
from hostile_mutate import alike, changed, mutate, paths, place, text, value
from ns_code import OFF, RESET, assemble, constant
from tokens import CPAK, good, public, seal

import cca_platform

__all__ = ["as_text", "board_case", "figures_case", "module_case", "policy_case", "toml"]

_BOARDS = Path(cca_platform.__file__).parent / "boards"
_LIKE = """like = "fvp"
[[device]]
name = "mine"
kind = "window"
base = 0x1C40_0000
size = 0x1000
pas = ["secure", "non_secure"]
why = "it is empty"
[[device]]
name = "button"
kind = "pl061"
base = 0x1C41_0000
size = 0x1000
irq = 100
power_off = 1
reset = 2
power_button = 3
[[device]]
name = "configuration"
kind = "fw-cfg"
base = 0x1C42_0000
size = 0x1000
files = { "opt/a" = "x", "opt/b" = "y" }
[[device]]
name = "clock"
kind = "sp804"
base = 0x1C43_0000
size = 0x1000
clock_hz = 1000
[[device]]
name = "frame"
kind = "generic-timer-frame"
base = 0x1C44_0000
size = 0x2000
control = "timer-control"
frame = 3
irq = 101
virtual_irq = 102
el0 = 0x1000
[[device]]
name = "flash"
kind = "cfi-flash"
base = 0x1C50_0000
size = 0x10_0000
[[nonvolatile]]
base = 0x8F00_0000
size = 0x1_0000
[pe]
instructions_per_tick = 10
[boot]
rmm_console = "uart3"
[psci]
extended_state_id = true
[smccc]
uid = { standard_secure = "00112233-4455-6677-8899-aabbccddeeff" }
"""
_POLICY: dict[str, Any] = {
    "rim": ["00" * 32, "11" * 32],
    "rpv": "00",
    "lifecycle": ["secured", 1],
    "implementation_id": "00" * 32,
    "instance_id": "00" * 33,
    "exact_components": True,
    "rems": {"1": "00" * 32, "4": ["11" * 32]},
    "components": [{"type": "RMM", "measurement": "00" * 32, "signer_id": ["00" * 32], "version": "1"}],
}
_NESTED = 50_000


def toml(tree: Any) -> str:
    """A value as TOML, in one line each; what TOML has no word for is written as text."""
    if isinstance(tree, dict):
        return "".join(f"{_key(key)} = {_inline(one)}\n" for key, one in tree.items())
    return f"{_inline(tree)}\n"


def _key(key: Any) -> str:
    return json.dumps(str(key))


def _inline(one: Any) -> str:
    if isinstance(one, bool):
        return str(one).lower()
    if isinstance(one, float):
        return {"nan": "nan", "inf": "inf", "-inf": "-inf"}.get(str(one), repr(one))
    if isinstance(one, int):
        return str(one)
    if isinstance(one, date):
        return one.isoformat()
    if isinstance(one, list | tuple):
        return f"[{', '.join(map(_inline, one))}]"
    if isinstance(one, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_inline(inner)}" for key, inner in one.items()) + "}"
    return json.dumps(str(one))


@cache
def _tree(name: str) -> Any:
    return tomllib.loads(_LIKE if name == "like" else (_BOARDS / f"{name}.toml").read_text())


def _spoiled(source: random.Random, tree: Any) -> Any:
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        tree = changed(source, tree)
        if not isinstance(tree, dict):
            break
    return tree


def as_text(source: random.Random, found: str) -> bytes:
    """Text of which lines are missing, doubled or broken, or which nests without end."""
    match source.randrange(6):
        case 0:
            return mutate(source, found.encode())
        case 1:
            lines = found.splitlines(keepends=True)
            where = source.randrange(len(lines))
            lines[where : where + source.randrange(1, 6)] = source.choice(([], lines[where : where + 1] * 2))
            return "".join(lines).encode()
        case 2:
            opening, closing = source.choice((("[", "]"), ("{a=", "}"), ("[[", "]]"), ("a.", "")))
            depth = source.choice((100, 900, 2000, _NESTED))
            return (found + f"\nx = {opening * depth}1{closing * depth}\n").encode()
        case 3:
            return source.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\xff")) + found.encode()
        case 4:
            return found.encode("utf-16")
        case _:
            return (
                found + source.choice(("\n[", "\n[[device]]\n", "\n= 1", "\nname = 1", "\n[pe]\n", '\n"\x1b[2J" = 1\n'))
            ).encode()


def board_case(source: random.Random, number: int) -> Case:
    """A board file in which a value is another one, or the text is broken."""
    tree = _tree(source.choice(("fvp", "virt", "like", "like")))
    for _ in range(source.choice((0, 1, 1, 2, 4, 20))):
        tree = alike(source, tree)
    found = toml(_spoiled(source, tree) if source.random() < 0.4 else tree)
    data = as_text(source, found) if source.random() < 0.15 else found.encode(errors="replace")
    argv = source.choice(
        (
            line("run", "hello", "--board", "b.toml", "--max-insns", "60000"),
            line("run", "hello", "--board", "b.toml", "--max-insns", "60000", "--trace", "t.jsonl"),
            line("run", "--world", "ns-el2", "ns_rmi", "--board", "b.toml", "--max-insns", "60000"),
            line("run", "--world", "ns-el2", "ns_rmi", "--board", "b.toml", "--max-insns", "60000", "--dtb", "auto"),
            line("attest", "cpak", "--board", "b.toml"),
        )
    )
    statuses, raw = ends(argv)
    return Case("board", number, argv, {"b.toml": data}, statuses, raw=raw, outputs=frozenset({"t.jsonl"}))


def _json(source: random.Random, tree: Any) -> bytes:
    if source.random() < 0.1:
        depth = source.choice((100, 900, _NESTED))
        opening, closing = source.choice((("[", "]"), ('{"a":', "}")))
        return f'{{"rim": {opening * depth}1{closing * depth}}}'.encode()
    found = json.dumps(tree, default=str).encode()
    return mutate(source, found) if source.random() < 0.2 else found


@cache
def _token() -> tuple[bytes, bytes]:
    """A sound token, and the key that signed its platform's half, in PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = public(CPAK).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return seal(good()), pem


def policy_case(source: random.Random, number: int) -> Case:
    """A policy in which a value is another one, for a token that is sound."""
    token, pem = _token()
    tree = _spoiled(source, _POLICY)
    if source.random() < 0.3:  # a sound policy, of which a few expectations are left
        tree = {name: one for name, one in _POLICY.items() if source.random() < 0.3}
    elif source.random() < 0.3:
        wanted = source.choice([path for path in paths(_POLICY) if path and isinstance(path[-1], str)])
        tree = place(_POLICY, wanted, source.choice((text(source), [text(source)], value(source))))
    name = source.choice(("p.toml", "p.json", "p.json", "p"))
    data = _json(source, tree) if name == "p.json" else toml(tree).encode(errors="replace")
    if name != "p.json" and source.random() < 0.2:
        data = as_text(source, toml(_POLICY))
    argv = line("attest", "verify", "token", "--cpak", "k.pem", "--policy", name, *source.choice(((), ("--json",))))
    files: dict[str, Content] = {name: data, "token": token, "k.pem": pem}
    return Case("policy", number, argv, files, ends(argv)[0])


_FIGURES: dict[str, Any] = {
    "versions": {"realmlab": "0.1.0", "unicorn": "2.1.4", "python": "3.11.7"},
    "machine": "a processor, 2 cores",
    "date": "2026-01-01",
    "figures": {"restore": {"unit": "ms", "rounds": [0.1, 0.2]}, "alu.realm": {"unit": "ns", "rounds": [1.5]}},
}


def figures_case(source: random.Random, number: int) -> Case:
    """A file of figures to compare with, in which a value is another one."""
    tree = _FIGURES if number % 3 else _spoiled(source, _FIGURES)
    if source.random() < 0.7:
        rounds = source.choice(
            ([], [0], [-1.5], [1e308, 1e-308], [5e-324], [0.1] * 5000, [10**400], [0.0, 1], ["1"], [None])
        )
        tree = place(_FIGURES, ("figures", "restore", "rounds"), rounds)
    argv = line("bench", "--rows", "restore", "--rounds", "1", "--compare", "f.json", *source.choice(((), ("--json",))))
    return Case("figures", number, argv, {"f.json": _json(source, tree)}, ends(argv)[0])


_MODULES = (
    "", "DEVICES = 1", "DEVICES = {}", "DEVICES = {1: 2}", "DEVICES = {'pl011': int}", "DEVICES = {'': int}", "1 / 0",
    "raise SystemExit(7)",  "def (", "import nothing_of_this_name", "\0", "\u00a3 = ",
    "DEVICES = {'x': lambda row, wiring: None}", "DEVICES = {'x': lambda: None}", "DEVICES = {'x': int}",
    "DEVICES = {'A B': int}", "raise MemoryError",
    "class D(dict):\n def items(self): raise ValueError('no')\nDEVICES = D(a=1)",
    "raise Exception('\\x1b[2J\\x1b]0;pwned\\x07')", "def f(): f()\nf()", "DEVICES = {'\\x1b[2J': int}",
    "DEVICES = {'x': 1}",
)  # fmt: skip
_DEVICE = """
from realmlab import Device, Register, RegisterTable
class Mine(Device):
    registers = RegisterTable(Register("A", 0x0, writable=0xFFFF_FFFF), Register("B", 0x4))
{body}
DEVICES = {{"mine": Mine}}
"""
_BODIES = (
    "", "    registers = 1", "    registers = (1,)", "    def __init__(self, row, wiring): pass",
    "    def __init__(self, row, wiring): raise ValueError('\\x1b[2J')", "    def __init__(self): pass",
    "    def reset(self): raise RuntimeError('x')", "    def close(self): raise RuntimeError('x')",
    "    def read(self, *a): raise RuntimeError('x')", "    def write(self, *a): return 1 / 0",
    "    def settle(self): raise RuntimeError('\\x1b[2J')", "    def drive(self): raise MemoryError",
    "    def save(self): raise OSError(2, 'x')",
    "    def power_on(self): raise StopIteration", "    def view(self, pas): raise KeyError(pas)",
    "    @property\n    def deadline(self): raise LookupError",
)  # fmt: skip
_ROW = 'like = "fvp"\n[[device]]\nname = "mine"\nkind = "mine"\nbase = 0x1C40_0000\nsize = 0x1000\n'


@cache
def _touches() -> bytes:
    """Software that reads and writes the device, resets the system once, and turns it off."""
    again = f"{constant('x3', 0x9000_0000)} ldr x4, [x3]; str x3, [x3]; cbnz x4, off; {RESET} off:"
    return assemble(f"{constant('x1', 0x1C40_0000)} ldr w2, [x1]; str w2, [x1]; {again} {OFF}")


def module_case(source: random.Random, number: int) -> Case:
    """A Python file that is no device module, or whose devices cannot be made."""
    if number % 2:
        files: dict[str, Content] = {
            "m.py": source.choice(_MODULES).encode(),
            "b.toml": _ROW.replace('"mine"', '"x"').encode(),
        }
    else:
        files = {"m.py": _DEVICE.format(body=source.choice(_BODIES)).encode(), "b.toml": _ROW.encode()}
    if source.random() < 0.2:
        files["m.py"] = mutate(source, bytes(files["m.py"]))  # type: ignore[arg-type] # they are bytes here
    board = source.choice(((), ("--board", "b.toml"), ("--board", "b.toml")))
    files["code"] = _touches()
    what = source.choice(
        (("hello",), ("--world", "ns-el2", "code@0x88000000"), ("--world", "ns-el2", "code@0x88000000"))
    )
    kept = ("--nonvolatile", "0x90000000:4K") if "ns-el2" in what else ()
    argv = line("run", *what, "--device-module", "m.py", *board, "--max-insns", "60000", *kept)
    statuses, raw = ends(argv)
    return Case("module", number, argv, files, statuses, raw=raw)
