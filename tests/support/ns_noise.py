"""Hostile programs for Non-secure EL2 and EL1: random bytes and random instructions, from a seed."""

import random
import struct
from typing import NamedTuple

from ns_code import assemble

from cca_arch.psci import Psci
from cca_arch.rmi.v1_0 import Rmi
from cca_arch.smccc import Smccc
from cca_rmm.versions.v1_0 import V1_0

__all__ = ["BASE", "KINDS", "PAGES", "TABLES", "Noise", "noise", "tables", "word"]

BASE = 0x8A00_0000
"""Where the noise begins: 16 KiB of it, then the vectors of EL2 and EL1, a table of stage 1, and room to play."""
_VECTORS = {2: BASE + 0x1_0000, 1: BASE + 0x1_0800}
TABLES = BASE + 0x2_0000
_ROOM = BASE + 0x3_0000
PAGES = [_ROOM + 4096 * number for number in range(16)]
_WORDS = 4096
_DRAM = (2, 3, 34, 35)  # the banks of the fvp board, in GiB
_SMC = 0xD400_0003
_OTHER_CALLS = (Psci.VERSION, Psci.CPU_ON_64, Psci.AFFINITY_INFO_64, Psci.FEATURES, Smccc.VERSION)

# argument of a command -> what of the targets it is about
_ARGUMENTS = {
    "rd": "rd", "rec": "rec", "calling_rec": "rec", "target_rec": "rec", "addr": "granule", "data": "granule",
    "rtt": "granule", "params_ptr": "page", "run_ptr": "page", "src": "page", "desc": "page", "ipa": "ipa",
    "base": "ipa", "top": "ipa", "level": "level",
}  # fmt: skip

_COMMANDS = [row for row in V1_0.commands.values() for _ in range(1 if row.name.endswith("DESTROY") else 8)]

# every exception: go on at a place in the noise that depends on the one that was interrupted
_HANDLER = (
    "msr tpidr_el{el}, x0; mrs x0, elr_el{el}; add x0, x0, x0, lsl #5; eor x0, x0, x0, lsr #7; "
    f"and x0, x0, #0x3ffc; movk x0, #{BASE >> 16}, lsl #16; "
    "msr elr_el{el}, x0; movz x0, #0x3c1 + 4 * {el}; msr spsr_el{el}, x0; mrs x0, tpidr_el{el}; eret"
)
_TABLE = b"".join(assemble(_HANDLER.format(el=el)).ljust(0x80, b"\0") * 16 for el in (2, 1))

# (bits that are fixed, their mask): the rest is random
_TEMPLATES = {
    "arithmetic": ((0x0B000000, 0x1F000000), (0x11000000, 0x1F000000), (0x0A000000, 0x1F000000),
                   (0x1AC00000, 0x5FE00000), (0x9B000000, 0xFF000000), (0xD2800000, 0xFF800000)),
    "memory": ((0x38000000, 0x3B000000), (0x39000000, 0x3B000000), (0x28000000, 0x3A000000), (0x08000000, 0x3F000000),
               (0x0C000000, 0xBF000000), (0x18000000, 0x3B000000), (0x38200800, 0x3B200C00)),
    "branch": ((0x14000000, 0xFFFFF000), (0x54000000, 0xFFFF0010), (0x34000000, 0x7EFF0000), (0xD61F0000, 0xFFFFFC1F),
               (0xD63F0000, 0xFFFFFC1F)),
    "vector": ((0x0E000000, 0x9F000000), (0x1E200000, 0xFF200000), (0x3C000000, 0x3F000000)),
    "system": ((0xD5100000, 0xFFF00000), (0xD5300000, 0xFFF00000), (0xD5180000, 0xFFF80000), (0xD51C0000, 0xFFFC0000),
               (0xD53C0000, 0xFFFC0000), (0xD5080000, 0xFFF80000), (0xD50C0000, 0xFFFC0000), (0xD5033000, 0xFFFFF000),
               (0xD503201F, 0xFFFFF01F), (0xD5000000, 0xFFC00000)),
    "exception": ((_SMC, 0xFFFFFFFF), (0xD4000002, 0xFFFFFFFF), (0xD4000001, 0xFFE0001F), (0xD4000002, 0xFFE0001F),
                  (0xD4000003, 0xFFE0001F), (0xD69F03E0, 0xFFFFFFFF), (0xD4200000, 0xFFE0001F)),
}  # fmt: skip

KINDS: dict[str, dict[str, int]] = {
    "bytes": {},
    "bytes with vectors": {},
    "words": {"arithmetic": 6, "memory": 6, "branch": 2, "vector": 2, "system": 2, "exception": 1},
    "memory": {"arithmetic": 4, "memory": 12, "branch": 1},
    "system": {"arithmetic": 4, "system": 8, "exception": 1},
    "calls": {},
}
"""How often a kind of noise has an instruction of each group; the others are made in another way."""


class Noise(NamedTuple):
    """``code`` for BASE, X0 to X30 of each PE and where it starts, the level at which they run, and their VBAR."""

    kind: str
    code: bytes
    starts: list[tuple[int, list[int]]]
    el: int
    vectors: int


def tables() -> bytes:
    """The table for TABLES, with T0SZ 25: 512 GiB one to one, DRAM (attributes 0) and devices (1)."""
    return struct.pack("<512Q", *(gib << 30 | 0x701 | (0 if gib in _DRAM else 1 << 2) for gib in range(512)))


def noise(seed: int, targets: dict[str, list[int]]) -> Noise:
    """The program of a seed; ``targets`` are worth calling about: RDs, RECs, granules, pages, IPAs, levels."""
    source = random.Random(seed)
    kind = list(KINDS)[seed % len(KINDS)]
    el = 1 if source.random() < 0.2 else 2
    if kind == "calls":
        words = _calls(source, targets)
    elif KINDS[kind]:
        groups = source.choices(list(KINDS[kind]), list(KINDS[kind].values()), k=_WORDS)
        words = [word(source, group) for group in groups]
    else:
        words = list(struct.unpack(f"<{_WORDS}I", source.randbytes(4 * _WORDS)))
    code = struct.pack(f"<{_WORDS}I", *words).ljust(_VECTORS[2] - BASE, b"\0") + _TABLE
    starts = [BASE] + [BASE + source.randrange(0, 4 * _WORDS, 4) for _ in range(source.choice((0, 0, 0, 1, 3)))]
    registers = [[_value(source, targets) for _ in range(31)] for _ in starts]
    return Noise(kind, code, list(zip(starts, registers, strict=True)), el, 0 if kind == "bytes" else _VECTORS[el])


def word(source: random.Random, group: str) -> int:
    """A random instruction of a group."""
    fixed, mask = source.choice(_TEMPLATES[group])
    return fixed | source.getrandbits(32) & ~mask


def _value(source: random.Random, targets: dict[str, list[int]]) -> int:
    """A number that a call or an access may have a use for."""
    choice = source.randrange(8)
    if choice < 3:
        return source.choice(targets["granule"]) + (source.randrange(0, 4096, 8) if choice == 2 else 0)
    if choice < 5:
        return _ROOM + source.randrange(0, 0x10_0000, 8 if choice == 4 else 4096)
    if choice == 5:
        return int(source.choice(list(Rmi)))
    return source.randrange(64) if choice == 6 else source.getrandbits(64)


def _argument(source: random.Random, name: str, targets: dict[str, list[int]]) -> int:
    """A value for an argument of a command: often what it should be about."""
    known = targets.get(_ARGUMENTS.get(name, "number"))
    return source.choice(known) if known and source.random() < 0.9 else _value(source, targets)


def _calls(source: random.Random, targets: dict[str, list[int]]) -> list[int]:
    """SMCs one after another, most of them to the RMM."""
    words: list[int] = []
    while len(words) < _WORDS:
        row = source.choice(_COMMANDS)
        call = [row.fid, *(_argument(source, name, targets) for name in row.ins)]
        if source.random() < 0.1:
            call = [int(source.choice(_OTHER_CALLS)), *(_value(source, targets) for _ in range(3))]
        for register, value in enumerate(call):
            words.append(0xD2800000 | (value & 0xFFFF) << 5 | register)
            for part in (1, 2, 3):
                if bits := value >> 16 * part & 0xFFFF:
                    words.append(0xF2800000 | part << 21 | bits << 5 | register)
        words.append(_SMC)
    return words[:_WORDS]
