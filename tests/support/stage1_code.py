"""Tables of stage 1 for bare machines, and the code that turns stage 1 on."""

from typing import Any

from realm_code import load

__all__ = ["DEVICE", "FLAT", "NORMAL", "NOWHERE", "READ_ONLY", "REMOTE", "TABLE", "mapped", "stage1"]

TABLE = 0x8050_0000
LEAF, READ_ONLY = 1 << 10 | 3 << 8 | 1, 1 << 7  # AF, inner shareable; a block
NORMAL, DEVICE = 0 << 2, 1 << 2  # AttrIndx
MAIR = 0x04FF
FLAT, REMOTE = 0x8000_0000, 0x4000_0000  # virtual addresses of the first GiB of DRAM
NOWHERE = 0xC000_0000  # an address that the tests do not map in stage 2


def stage1(el: int, *bits: int) -> str:
    """Turn stage 1 of EL1 or EL2 on, with the tables of :func:`mapped`; also set these bits of SCTLR. Uses X8."""
    sizes = 25 | 0x3500 | 1 << 23 | (5 << 32 if el == 1 else 5 << 16 | 1 << 31)
    moves = ((TABLE, f"ttbr0_el{el}"), (sizes, f"tcr_el{el}"), (MAIR, f"mair_el{el}"))
    ones = " ".join(f"orr x8, x8, #{1 << bit:#x};" for bit in (0, 2, *bits))
    control = f"isb; mrs x8, sctlr_el{el}; {ones} msr sctlr_el{el}, x8; isb; "
    return "".join(f"{load('x8', value)}; msr {register}, x8; " for value, register in moves) + control


def mapped(bench: Any, remote: int = DEVICE, nowhere: int = DEVICE, flat: int = NORMAL) -> None:
    """Tables of stage 1: DRAM flat as Normal memory, and with other attributes at REMOTE; NOWHERE is flat, too."""
    raw = bench.machine.memory.backdoor
    for va, pa, attributes in ((FLAT, FLAT, flat), (REMOTE, FLAT, remote), (NOWHERE, NOWHERE, nowhere)):
        raw.write64(TABLE + 8 * (va >> 30), pa | LEAF | attributes)
