"""The granule protection tables at boot: the owner of each granule, written to Root DRAM before anything else.

Level 0 has a table descriptor for every GiB with DRAM, and block descriptors with GPI "any" elsewhere, for devices.
Level 1 has only granules descriptors, so that moving a granule changes one nibble and never splits a block.
"""

from typing import TYPE_CHECKING, Final

from cca_arch.descriptors import gpt
from cca_arch.types import GRANULE_SIZE, Gpi, SecurityState
from cca_firmware.base.errors import BootError

if TYPE_CHECKING:
    from cca_firmware.base.carveout import Carveout
    from cca_platform.board import Board
    from cca_platform.memory.memory import Memory

__all__ = ["L0_BITS", "build", "dram_map"]

L0_BITS: Final = gpt.L0GPTSZ_BITS[0]
"""One level 0 entry covers 1 GiB."""
_SHAREABILITY_INNER: Final = 0b11
_WRITE_BACK: Final = 0b01


def dram_map(board: "Board") -> list[tuple[int, int, Gpi]]:
    """The board's DRAM at boot: (base, size, GPI), each region after the bank that contains it."""
    banks = [(bank.base, bank.size, Gpi.NON_SECURE) for bank in board.banks]
    return banks + [(region.base, region.size, Gpi(8 | region.pas)) for region in board.regions]


def build(board: "Board", memory: "Memory", root: "Carveout") -> None:
    """Write both levels for ``board`` to Root DRAM and enable granule protection checks."""
    if board.pps_bits not in gpt.PPS_BITS:
        known = ", ".join(str(bits) for bits in gpt.PPS_BITS)
        raise BootError(f"pps_bits of board {board.name} must be one of {known}, not {board.pps_bits}")
    parts = dram_map(board)
    gigabytes = sorted(
        {gib for bank in board.banks for gib in range(bank.base >> L0_BITS, (bank.top - 1 >> L0_BITS) + 1)}
    )
    if gigabytes[-1] >> (board.pps_bits - L0_BITS):
        raise BootError(f"DRAM of board {board.name} must lie inside the {board.pps_bits}-bit protected space")
    port = memory.port(SecurityState.ROOT)
    size = gpt.l1_table_size(L0_BITS)
    l1 = {gib: root.take("GPT level 1", size, size) for gib in gigabytes}
    for gib, table_pa in l1.items():
        table = bytearray(bytes([Gpi.ANY << 4 | Gpi.ANY]) * size)
        start, end = gib << L0_BITS, (gib + 1) << L0_BITS
        for base, length, gpi in parts:
            low, high = max(base, start), min(base + length, end)
            if low < high:
                _fill(table, (low - start) >> 12, (high - low) >> 12, gpi)
        port.write(table_pa, table)
    l0_size = gpt.l0_table_size(board.pps_bits, L0_BITS)
    l0 = root.take("GPT level 0", l0_size, max(GRANULE_SIZE, l0_size))
    entries = [gpt.l0_block(Gpi.ANY)] * (l0_size // 8)
    for gib, table_pa in l1.items():
        entries[gib] = gpt.l0_table(table_pa)
    port.write(l0, b"".join(entry.to_bytes(8, "little") for entry in entries))
    memory.gptbr = l0 >> 12
    memory.gpccr = gpt.Gpccr.make(
        pps=gpt.PPS_BITS.index(board.pps_bits),
        irgn=_WRITE_BACK,
        orgn=_WRITE_BACK,
        sh=_SHAREABILITY_INNER,
        gpc=1,
    )
    memory.tlbi_paall()


def _fill(table: bytearray, first: int, count: int, gpi: Gpi) -> None:
    """Set ``count`` granules of a level 1 table, from granule ``first`` on, to one GPI."""
    last = first + count
    if first & 1 and count:
        table[first >> 1] = table[first >> 1] & 0x0F | gpi << 4
        first += 1
    if last & 1 and last > first:
        last -= 1
        table[last >> 1] = table[last >> 1] & 0xF0 | gpi
    if last > first:
        table[first >> 1 : last >> 1] = bytes([gpi << 4 | gpi]) * ((last - first) >> 1)
