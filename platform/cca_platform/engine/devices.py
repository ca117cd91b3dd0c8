"""Plain accesses to devices, as native code: what nearly every driver uses, without the detours of the decoder.

A plain access is LDR or STR of one general register with an immediate offset and no writeback, aligned, to a device.
``pe/mmio.py`` has all others, and the same rules.

What is known of plain registers (:mod:`cca_platform.machine.known`) needs no Python at all: it is served within the
hook of TLB fills.
"""

from typing import Final

from cca_arch.types import Access
from cca_platform.engine.hooks import charge, instruction, note_served, uncount
from cca_platform.engine.registers import PC, PSTATE, general, get, jump, put
from cca_platform.mmu.dram import page_index
from cca_platform.mmu.translate import DEVICE
from cca_platform.native import block as w
from cca_platform.native.jit import jit, load64, store64

__all__ = ["SIZE", "WRITE", "WRITES", "complete", "fetched", "key", "offset", "place", "plain", "serve"]

SIZE: Final = 15  # of the result of ``plain``
WRITE: Final = 16
NO_OFFSET: Final = -(1 << 63)
WRITES: Final = 1024
"""Of what is known of a page, the first word about writes: one for each 4 bytes, as for reads before."""
_FETCH: Final = int(Access.FETCH)
_DEVICE: Final = DEVICE
_PAGE_BITS: Final = 0xFFFF_FFFF_F000
_KEPT: Final = w.P_FAULT_GPT_LEVEL + 1 - w.P_OUT_PA
_ZERO: Final = 31  # XZR
_SIGNED, _WORD = 2, 1  # of opc: a load with sign extension, to 32 bits


@jit("i8(i8, i8)")
def offset(word: int, size: int) -> int:
    """The offset of a plain access; NO_OFFSET for any other instruction."""
    opc = word >> 22 & 3
    if (size == 8 and opc > 1) or (size == 4 and opc == 3):
        return NO_OFFSET  # PRFM, or unallocated
    if word & 0x3F00_0000 == 0x3900_0000:  # unsigned offset
        return (word >> 10 & 0xFFF) * size
    if word & 0x3F20_0C00 == 0x3800_0000:  # LDUR, STUR
        return (word >> 12 & 0x1FF ^ 0x100) - 0x100
    return NO_OFFSET


@jit("i8(i8)")
def fetched(p: int) -> int:
    """The instruction word at PC, or -1; the words of the last translation are preserved."""
    for number in range(_KEPT):
        store64(p + 8 * (w.P_KEPT + number), load64(p + 8 * (w.P_OUT_PA + number)))
    word = instruction(p, 0)
    for number in range(_KEPT):
        store64(p + 8 * (w.P_OUT_PA + number), load64(p + 8 * (w.P_KEPT + number)))
    return word


@jit("i8(i8)")
def plain(p: int) -> int:
    """Decode the access that a TLB fill has refused: its SIZE and WRITE, or 0 if it is not a plain one.

    Its physical address is in P_ACCESS_PA, the value of a write in P_ACCESS_VALUE.
    """
    if load64(p + 8 * w.P_FAULT_KIND) != _DEVICE or load64(p + 8 * w.P_FAULT_ACCESS) == _FETCH:
        return 0
    page = load64(p + 8 * w.P_OUT_PA) & ~0xFFF
    if page_index(load64(p + 8 * w.P_MACHINE), page) >= 0:
        return 0
    uncount(p)
    word = fetched(p)
    size = 1 << (word >> 30 & 3)
    distance = offset(word, size)
    if word < 0 or distance == NO_OFFSET:
        return 0
    base = word >> 5 & 31
    at = load64(p + 8 * (w.P_SP if base == 31 else w.P_X + base)) + distance
    if at & size - 1 or (at ^ load64(p + 8 * w.P_FAULT_VA)) & _PAGE_BITS:
        return 0
    store64(p + 8 * w.P_ACCESS, word)
    store64(p + 8 * w.P_ACCESS_PA, page | at & 0xFFF)
    if word >> 22 & 3:
        return size
    register = word & 31
    value = 0 if register == 31 else load64(p + 8 * (w.P_X + register))
    store64(p + 8 * w.P_ACCESS_VALUE, value if size == 8 else value & (1 << 8 * size) - 1)
    return size | WRITE


@jit("i8(i8)")
def complete(p: int) -> int:
    """Complete a plain access: a load has its value in P_ACCESS_VALUE. The instruction is retired."""
    word = load64(p + 8 * w.P_ACCESS)
    opc, register = word >> 22 & 3, word & 31
    if opc and register != 31:
        value, bits = load64(p + 8 * w.P_ACCESS_VALUE), 8 << (word >> 30 & 3)
        if opc & _SIGNED:
            sign = 1 << bits - 1
            value = (value & (1 << bits) - 1 ^ sign) - sign
            if opc & _WORD:
                value &= 0xFFFF_FFFF
        store64(p + 8 * (w.P_X + register), value)
    m = load64(p + 8 * w.P_MACHINE)
    store64(p + 8 * w.P_PC, load64(p + 8 * w.P_PC) + 4)
    store64(p + 8 * w.P_RETIRED, load64(p + 8 * w.P_RETIRED) + 1)
    store64(m + 8 * w.M_RETIRED, load64(m + 8 * w.M_RETIRED) + 1)
    return 0


@jit("i8(i8, i8)")
def key(page: int, pas: int) -> int:
    """The number of a page in a PAS, which is never 0."""
    return page | pas << 1 | 1


@jit("i8(i8)")
def place(page: int) -> int:
    """The first of the two words of a page in the rows of M_DEVICES."""
    return 2 * (page >> 12 & w.DEVICES - 1)


@jit("i8(i8)")
def serve(p: int) -> int:
    """Do the access that a TLB fill has just refused, if it is a plain one and all is known of it; returns 1 then.

    The registers are the engine's. A word about a register is -1, or the size of the access in its upper half and, of a
    read, the value in its lower one.
    """
    page = load64(p + 8 * w.P_OUT_PA) & ~0xFFF
    row = load64(load64(p + 8 * w.P_MACHINE) + 8 * w.M_DEVICES) + 8 * place(page)
    if load64(row) != key(page, load64(p + 8 * w.P_OUT_PAS)):
        return 0
    store64(p + 8 * w.P_PC, get(p, PC))
    store64(p + 8 * w.P_PSTATE, get(p, PSTATE))
    word = fetched(p)
    size = 1 << (word >> 30 & 3)
    distance = offset(word, size)
    if word < 0 or distance == NO_OFFSET:
        return 0
    at = get(p, general(word >> 5 & 31)) + distance
    if at & (size - 1 | 3) or (at ^ load64(p + 8 * w.P_FAULT_VA)) & _PAGE_BITS:
        return 0
    is_load = word >> 22 & 3
    known = load64(load64(row + 8) + 8 * ((at & 0xFFF) >> 2 if is_load else WRITES + ((at & 0xFFF) >> 2)))
    if known < 0 or known >> 32 != size:
        return 0
    uncount(p)
    store64(p + 8 * w.P_ACCESS, word)
    store64(p + 8 * w.P_ACCESS_VALUE, known & 0xFFFF_FFFF)
    complete(p)
    if is_load and word & 31 != _ZERO:
        put(p, general(word & 31), load64(p + 8 * (w.P_X + (word & 31))))
    charge(p)
    note_served(p)
    jump(p, load64(p + 8 * w.P_PC))
    return 1
