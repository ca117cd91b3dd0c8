"""Hostile programs for a Realm: random bytes, instructions and calls, from a seed, up to the last address there is."""

import random
import struct

from ns_code import assemble
from ns_noise import KINDS, word
from realm_code import load

from cca_arch.rsi.v1_0 import Rsi
from cca_host.kvmtool.layout import DISTRIBUTOR_BASE, RAM_BASE, UART_BASE
from cca_rmm.versions.v1_0 import V1_0

__all__ = ["IMAGE", "realm_noise"]

IMAGE = 0x20_0000
"""Bytes of a program: with the MMU on, its end is mapped at the end of the address space too."""
_TABLE, _LAST_TABLE, _VECTORS, _PLAY = 0x1_0000, 0x1_1000, 0x1_2000, 0x2_0000
_WORDS = 4096
_NOISE = IMAGE - 4 * _WORDS
_HIGH = -4 * _WORDS & (1 << 64) - 1  # where the noise is seen at the end of the address space
_HALF = 1 << 32  # the first Unprotected IPA, for 33 bits and more of them the address is just another one
_NORMAL, _DEVICE = 0x701, 0x705  # blocks of stage 1
_SETUP = "; ".join(
    [
        f"{load('x0', 0x00FF)}; msr mair_el1, x0; {load('x0', 0x5_8019_3519)}; msr tcr_el1, x0",
        f"{load('x0', RAM_BASE + _TABLE)}; msr ttbr0_el1, x0; msr ttbr1_el1, x0; isb",
        f"{load('x0', 0x30D0_1805)}; msr sctlr_el1, x0; isb",
    ]
)
_SMC, _LAST = 0xD400_0003, (0xD400_0003, 0xD400_0002, 0xD503_207F, 0xF940_0001, 0xF900_0001, 0xB8404C01, 0xD538_0400)
"""SMC; and what may stand at the last address: SMC, HVC, WFI, LDR, STR, LDR with write-back, MRS of an ID register."""

_END_NAMES = ("CPU_OFF", "CPU_SUSPEND", "SYSTEM_OFF", "SYSTEM_RESET")
_ENDS = [fid for fid, row in V1_0.services.items() if row.name in _END_NAMES]
_SERVICES = [fid for fid in V1_0.services if fid not in _ENDS]


def _handler(base: int) -> str:
    """Every exception: go on at a place in the noise that depends on the one that was interrupted, and on the time."""
    mix = "mrs x1, cntvct_el0; add x0, x0, x1, lsl #2; add x0, x0, x0, lsl #5; eor x0, x0, x0, lsr #7"
    mix += "; and x0, x0, #0x3ffc"
    back = f"{load('x0', base)}; add x0, x0, x1"
    return (
        f"msr tpidr_el1, x1; msr tpidr_el0, x0; mrs x0, elr_el1; {mix}; mov x1, x0; {back}; msr elr_el1, x0; "
        "mov x0, #0x3c5; msr spsr_el1, x0; mrs x0, tpidr_el0; mrs x1, tpidr_el1; eret"
    )


def realm_noise(seed: int) -> bytes:
    """The program of a seed, for the start of a Realm's memory."""
    source = random.Random(seed)
    kind = ("calls", *KINDS)[seed % (1 + len(KINDS))]
    mmu = seed % 2
    if kind == "calls":
        words = _calls(source)
    elif KINDS[kind]:
        groups = source.choices(list(KINDS[kind]), list(KINDS[kind].values()), k=_WORDS)
        words = [word(source, group) for group in groups]
    else:
        words = list(struct.unpack(f"<{_WORDS}I", source.randbytes(4 * _WORDS)))
    words[-1] = source.choice(_LAST)
    base = _HIGH if mmu else RAM_BASE + _NOISE
    start = (1 << 64) - 4 if mmu and seed % 3 == 0 else base + source.randrange(0, 4 * _WORDS, 4)
    registers = "; ".join(load(f"x{number}", _value(source)) for number in range(30))
    vectors = f"{load('x0', RAM_BASE + _VECTORS)}; msr vbar_el1, x0; isb"
    boot = f"{vectors}; {_SETUP if mmu else 'nop'}; {load('x30', start)}; {registers}; br x30"
    image = bytearray(assemble(boot, RAM_BASE).ljust(IMAGE, b"\0"))
    image[_TABLE:_LAST_TABLE] = struct.pack(
        "<512Q",
        *(gib << 30 | (_NORMAL if gib in (2, 3) else _DEVICE) for gib in range(511)),
        RAM_BASE + _LAST_TABLE | 3,
    )
    image[_LAST_TABLE:_VECTORS] = struct.pack("<512Q", *(0,) * 511, RAM_BASE | _NORMAL)
    image[_VECTORS : _VECTORS + 0x800] = assemble(_handler(base)).ljust(0x80, b"\0") * 16
    image[_NOISE:] = struct.pack(f"<{_WORDS}I", *words)
    return bytes(image)


def _value(source: random.Random) -> int:
    """A number that a call or an access may have a use for."""
    devices = (UART_BASE, DISTRIBUTOR_BASE, _HALF, _HALF | UART_BASE)
    near = (*devices, RAM_BASE + _PLAY, RAM_BASE, RAM_BASE + _NOISE, _HIGH, 0)
    choice = source.randrange(9)
    if choice == 8:
        return RAM_BASE + _PLAY + source.randrange(64) * 0x1000
    if choice < 4:
        return source.choice(near) + source.choice((0, 8, 0x1000, source.randrange(0x1_0000)))
    if choice == 4:
        return source.choice(_SERVICES)
    if choice == 5:
        return source.randrange(64)
    return -source.randrange(64) & (1 << 64) - 1 if choice == 6 else source.getrandbits(64)


def _fid(source: random.Random) -> int:
    """A function: of RSI more often than of PSCI, whose range has few that there are."""
    if source.random() < 0.01:
        return source.choice(_ENDS)
    return int(source.choice(list(Rsi)) if source.random() < 0.7 else source.choice(_SERVICES))


def _calls(source: random.Random) -> list[int]:
    """SMCs with functions that there are, and arguments that may suit them; some code between them."""
    words: list[int] = []
    while len(words) < _WORDS:
        for register in range(source.randrange(1, 6)):
            value = _fid(source) if register == 0 else _value(source)
            for part in range(4):  # MOVZ, MOVK
                move = 0xF280_0000 if part else 0xD280_0000
                words.append(move | part << 21 | (value >> 16 * part & 0xFFFF) << 5 | register)
        words += [_SMC, word(source, source.choice(("memory", "system", "arithmetic")))]
    return words[:_WORDS]
