"""Hostile guests: random bytes, instructions and calls as the software of a Realm, of NS-EL2, NS-EL1 and S-EL1."""

import random
import struct

from hostile_case import Case, Content, ends, line, secure_line
from ns_code import assemble, constant
from ns_noise import KINDS, word
from realm_noise import realm_noise

from cca_arch.rmi.v1_0 import Rmi
from cca_arch.smccc import Smccc

__all__ = ["code_case"]

_SMC = 0xD400_0003
_NS, _SECURE, _UART = 0x8800_0000, 0xFC00_0000, 0x1C09_0000
_LIMITS = ("2000", "30000", "100000")


def _words(source: random.Random, base: int) -> bytes:
    """Registers with values that are worth having, vectors that go on behind what failed, then noise."""
    near = (base, base + 0x8000, _UART, 0x8000_0000, 0xFC00_0000, 0x2F00_0000, 0x2B40_0000, 0, 1, int(Smccc.VERSION))
    el = 2 if base == _NS else 1
    setup = f"{constant('x0', base + 0x800)} msr vbar_el{el}, x0; isb; {constant('x0', base + 0x7000)} mov sp, x0;"
    for register in range(20):
        value = source.choice((*near, int(source.choice(list(Rmi))), source.getrandbits(64)))
        setup += constant(f"x{register}", value)
    if source.random() < 0.3:
        setup = "nop;"
    kind = source.choice([name for name, groups in KINDS.items() if groups] + ["bytes"])
    if kind == "bytes":
        noise = source.randbytes(0x3000)
    else:
        groups = source.choices(list(KINDS[kind]), list(KINDS[kind].values()), k=0xC00)
        noise = struct.pack(f"<{0xC00}I", *(word(source, group) for group in groups))
    handler = assemble(f"mrs x0, elr_el{el}; add x0, x0, #4; msr elr_el{el}, x0; eret").ljust(0x80, b"\0")
    start = assemble(setup, base)
    start += struct.pack("<I", 0x1400_0000 | (0x1000 - len(start)) >> 2)  # to the noise, behind the vectors
    return start.ljust(0x800, b"\0") + handler * 16 + noise


def code_case(source: random.Random, number: int) -> Case:
    """A guest that does anything at all, for a while."""
    limit = source.choice(_LIMITS)
    outputs: set[str] = set()
    extra: list[str] = []
    if source.random() < 0.1:
        extra += ["--trace", "t.jsonl"]
        outputs.add("t.jsonl")
    if source.random() < 0.3:
        extra += ["--cpu", "max"]
    extra += ["--json"] if source.random() < 0.1 else []
    files: dict[str, Content]
    match number % 4:
        case 0 | 1:
            files = {"code": realm_noise(source.randrange(1 << 30))}
            options = (
                ["--vcpus", "2"],
                ["--pmu"],
                ["--memory", "4M"],
                ["--hash-algo", "sha512"],
                ["--ipa-width", "40"],
            )
            extra += source.choice(options) if source.random() < 0.4 else []
            argv = line("run", "code", "--max-insns", limit, *extra)
        case 2:
            files = {"code": _words(source, _NS)}
            extra += source.choice((["--el", "1"], ["--dtb", "auto"], ["--no-reset"], ["--board", "virt"]))
            extra += ["--nonvolatile", "0x90000000:64K"] if source.random() < 0.2 and "virt" not in extra else []
            where = "0x48000000" if "virt" in extra else hex(_NS)
            argv = line("run", "--world", "ns-el2", f"code@{where}", "--max-insns", limit, *extra)
        case _:
            files = {"code": _words(source, _SECURE)}
            place = source.choice(("code", f"code@{_SECURE:#x}"))
            argv = secure_line(place, limit, limit, *extra)
    statuses, raw = ends(argv)
    return Case("code", number, argv, files, statuses, outputs=frozenset(outputs), raw=raw)
