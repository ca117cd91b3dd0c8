"""RmiRecExit as bytes."""

import struct
from typing import Any

from rmm_model.facts import NUM_LRS
from rmm_model.services import Exit

__all__ = ["SIZE", "wrong"]

SIZE = 0x800
OPEN = ((0x388, 0x398),)
"""Maintenance state and ICH_VMCR_EL2 are the hardware's: the GIC has a model of its own."""
LRS = 0x308


def _image(exit: Exit, enter: dict[str, Any], features: int) -> bytearray:
    """Every byte that is not named is zero, gaps included."""
    page = bytearray(SIZE)
    words = {0x0: exit.reason, 0x100: exit.esr, 0x108: exit.far, 0x110: exit.hpfar, 0x600: exit.imm}
    words |= dict(zip((0x500, 0x508, 0x510), exit.ripas, strict=True))
    words |= {0x200 + 8 * number: value for number, value in enumerate(exit.gprs)}
    if exit.ran:
        words[0x300] = enter["gicv3_hcr"]
        count = NUM_LRS.of(features) + 1
        words |= {LRS + 8 * number: value for number, value in enumerate(enter["gicv3_lrs"][:count])}
    for at, value in words.items():
        struct.pack_into("<Q", page, at, value)
    return page


def wrong(got: bytes, exit: Exit, enter: dict[str, Any], features: int) -> list[str]:
    """Where run.exit is not what it must be."""
    want, have = _image(exit, enter, features), bytearray(got)
    for low, high in OPEN:
        have[low:high] = bytes(high - low)
    if have == want:
        return []
    if not exit.ran:  # the specification says nothing of list registers here
        have[0x300 : LRS + 128] = want[0x300 : LRS + 128]
    return [
        f"exit[{at:#x}] must be {int.from_bytes(want[at : at + 8], 'little'):#x}, "
        f"not {int.from_bytes(have[at : at + 8], 'little'):#x}"
        for at in range(0, SIZE, 8)
        if have[at : at + 8] != want[at : at + 8]
    ]
