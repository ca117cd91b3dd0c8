"""The granule protection tables: EL3 builds them in Root DRAM and moves granules between physical address spaces.

Level 0 has a table descriptor for every GiB that holds DRAM and a block descriptor with GPI "any" for the rest, where
the devices are. Level 1 has granule descriptors only, so a transition edits one nibble and never splits a block.
"""

from typing import TYPE_CHECKING, Final

from cca_arch.descriptors import gpt
from cca_arch.el3 import RmmEl3Status
from cca_arch.types import GRANULE_SIZE, PA, Gpi, SecurityState
from cca_firmware.errors import BootError
from cca_platform.machine.board import Board
from cca_platform.memory.memory import Memory

if TYPE_CHECKING:
    from cca_firmware.carveout import Carveout

__all__ = ["L0_BITS", "TRANSITIONS", "GranuleTables", "dram_map"]

L0_BITS: Final = 30
"""One level 0 entry covers 1 GiB (GPCCR_EL3.L0GPTSZ = 0)."""

TRANSITIONS: Final = {
    (SecurityState.REALM, "delegate"): (Gpi.NON_SECURE, Gpi.REALM),
    (SecurityState.REALM, "undelegate"): (Gpi.REALM, Gpi.NON_SECURE),
    (SecurityState.SECURE, "delegate"): (Gpi.NON_SECURE, Gpi.SECURE),
    (SecurityState.SECURE, "undelegate"): (Gpi.SECURE, Gpi.NON_SECURE),
}
"""What a caller may do to a granule: the GPI it must have, and the one it gets. Anything else is BAD_PAS."""

_NEVER: Final = -1

_OK: Final = int(RmmEl3Status.OK)
_BAD_ADDR: Final = int(RmmEl3Status.BAD_ADDR)
_BAD_PAS: Final = int(RmmEl3Status.BAD_PAS)
_SHAREABILITY_INNER: Final = 0b11
_WRITE_BACK: Final = 0b01


def dram_map(board: Board) -> list[tuple[int, int, Gpi]]:
    """What boot makes of the board's DRAM: (base, size, GPI), regions after the banks that hold them."""
    banks = [(bank.base, bank.size, Gpi.NON_SECURE) for bank in board.banks]
    return banks + [(region.base, region.size, Gpi(8 | region.pas)) for region in board.regions]


def _fill(table: bytearray, first: int, count: int, gpi: Gpi) -> None:
    """Give ``count`` granules of a level 1 table, from granule ``first``, the same GPI."""
    last = first + count
    if first & 1 and count:
        table[first >> 1] = table[first >> 1] & 0x0F | gpi << 4
        first += 1
    if last & 1 and last > first:
        last -= 1
        table[last >> 1] = table[last >> 1] & 0xF0 | gpi
    if last > first:
        table[first >> 1 : last >> 1] = bytes([gpi << 4 | gpi]) * ((last - first) >> 1)


class GranuleTables:
    """The tables of one machine and the transitions of their entries.

    Made by :meth:`build` at boot; ``delegate`` and ``undelegate`` return an ``RmmEl3Status`` as a plain int.
    """

    def __init__(self, memory: Memory, l0: PA, l1: dict[int, int], pps_bits: int) -> None:
        self.memory = memory
        self.l0 = l0
        self.l1 = l1
        self.limit = 1 << pps_bits
        self._root = memory.port(SecurityState.ROOT)
        self._delegations = self._moves("delegate")
        self._undelegations = self._moves("undelegate")

    @staticmethod
    def _moves(operation: str) -> tuple[tuple[int, int], ...]:
        """By the number of the calling world: the GPI that a granule must have, and the bits of it to flip."""
        rows = (TRANSITIONS.get((caller, operation)) for caller in SecurityState)
        return tuple((_NEVER, 0) if row is None else (int(row[0]), row[0] ^ row[1]) for row in rows)

    @classmethod
    def build(cls, board: Board, memory: Memory, root: "Carveout") -> "GranuleTables":
        """Write both levels for ``board`` into Root DRAM and turn the granule protection check on."""
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
        return cls(memory, PA(l0), l1, board.pps_bits)

    def delegate(self, pa: int, caller: SecurityState = SecurityState.REALM) -> int:
        """Move a Non-secure granule to the PAS of ``caller``.

        The caches of the model are the granted pages of ports and PEs: the invalidation makes the old PAS fault from
        then on. BAD_ADDR before BAD_PAS.
        """
        return self._move(pa, self._delegations[caller])

    def undelegate(self, pa: int, caller: SecurityState = SecurityState.REALM) -> int:
        """Move a granule of ``caller`` back to the Non-secure PAS.

        TF-A makes the granule no-access while it cleans and invalidates the caches of both aliases. Here one PE runs at
        a time and there are no data caches, so the entry changes once. EL3 wipes no content, as TF-A does not: that is
        the duty of the world that gives the granule back.
        """
        return self._move(pa, self._undelegations[caller])

    def _move(self, pa: int, move: tuple[int, int]) -> int:
        # TF-A refuses base + size at the end of the protected space too: its last granule cannot be moved
        if pa & 0xFFF or pa + GRANULE_SIZE >= self.limit:
            return _BAD_ADDR
        table = self.l1.get(pa >> L0_BITS)
        if table is None:
            return _BAD_ADDR
        old, flip = move
        entry_pa = table + (pa >> 13 & 0x1FFF8)  # eight bytes for each 64 KiB of the GiB
        shift = pa >> 10 & 0x3C
        entry = self._root.read64(entry_pa)
        if entry >> shift & 15 != old:
            return _BAD_PAS
        self._root.write64(entry_pa, entry ^ flip << shift)
        self.memory.tlbi_pa(pa, GRANULE_SIZE)
        return _OK
