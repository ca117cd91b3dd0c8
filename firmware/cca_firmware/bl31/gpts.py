"""The granule protection tables at run time: EL3 moves granules between physical address spaces.

The boot has built the tables (:mod:`cca_firmware.bl2.gpts`), with a level 1 table of granules descriptors for every GiB
of DRAM; EL3 finds them through GPTBR_EL3 and GPCCR_EL3.
"""

import struct
from typing import TYPE_CHECKING, Final

from cca_arch.descriptors import gpt
from cca_arch.el3 import RmmEl3Status
from cca_arch.types import GRANULE_SIZE, PA, Gpi, SecurityState
from cca_platform.mmu.gpc import NO_GRANULES, move_granule

if TYPE_CHECKING:
    from cca_platform.memory.memory import Memory

__all__ = ["TRANSITIONS", "GranuleTables"]

TRANSITIONS: Final = {
    (SecurityState.REALM, "delegate"): (Gpi.NON_SECURE, Gpi.REALM),
    (SecurityState.REALM, "undelegate"): (Gpi.REALM, Gpi.NON_SECURE),
    (SecurityState.SECURE, "delegate"): (Gpi.NON_SECURE, Gpi.SECURE),
    (SecurityState.SECURE, "undelegate"): (Gpi.SECURE, Gpi.NON_SECURE),
}
"""The transition of a granule that a caller may request: the required GPI and the new one. Otherwise BAD_PAS."""

_NEVER: Final = -1
_OK: Final = int(RmmEl3Status.OK)
_BAD_ADDR: Final = int(RmmEl3Status.BAD_ADDR)
_BAD_PAS: Final = int(RmmEl3Status.BAD_PAS)


class GranuleTables:
    """The tables of one machine and the transitions of their entries.

    ``l1`` has the level 1 tables by the index of their level 0 entry, which covers ``1 << l0_bits`` bytes. ``delegate``
    and ``undelegate`` return an ``RmmEl3Status`` as a plain int.
    """

    def __init__(self, memory: "Memory") -> None:
        control = gpt.Gpccr(memory.gpccr)
        pps_bits = gpt.PPS_BITS[control.pps]
        self.memory = memory
        self.l0 = PA(gpt.Gptbr(memory.gptbr).baddr << 12)
        self.l0_bits = gpt.L0GPTSZ_BITS[control.l0gptsz]
        self.limit = 1 << pps_bits
        self._machine = memory.block_address
        root = memory.port(SecurityState.ROOT)
        entries = struct.iter_unpack("<Q", root.read(self.l0, gpt.l0_table_size(pps_bits, self.l0_bits)))
        self.l1 = {
            index: entry & gpt.L0Table.address.mask
            for index, (entry,) in enumerate(entries)
            if entry & gpt.L0Table.type.mask == gpt.TABLE
        }
        self._delegations = self._moves("delegate")
        self._undelegations = self._moves("undelegate")

    @staticmethod
    def _moves(operation: str) -> tuple[tuple[int, int], ...]:
        """By number of the calling world: the required GPI of a granule, and the new one."""
        rows = (TRANSITIONS.get((caller, operation)) for caller in SecurityState)
        return tuple((_NEVER, 0) if row is None else (int(row[0]), int(row[1])) for row in rows)

    def delegate(self, pa: int, caller: SecurityState = SecurityState.REALM) -> int:
        """Move a Non-secure granule to the PAS of ``caller``.

        Ports and PEs cache granted pages; the invalidation makes accesses through the old PAS fault. BAD_ADDR takes
        precedence over BAD_PAS.
        """
        return self._move(pa, self._delegations[caller])

    def undelegate(self, pa: int, caller: SecurityState = SecurityState.REALM) -> int:
        """Move a granule of ``caller`` back to the Non-secure PAS.

        TF-A makes the granule no-access while it cleans and invalidates the caches of both aliases. Here, one PE runs
        at a time and there are no data caches, so the entry changes once. Like TF-A, EL3 does not wipe the granule: the
        world that returns it must.
        """
        return self._move(pa, self._undelegations[caller])

    def _move(self, pa: int, move: tuple[int, int]) -> int:
        # TF-A also refuses base + size at the end of the protected space: the last granule cannot be moved
        if pa & 0xFFF or pa + GRANULE_SIZE >= self.limit:
            return _BAD_ADDR
        old, new = move
        moved = move_granule(self._machine, pa, old, new)
        if moved:
            return _BAD_ADDR if moved == NO_GRANULES else _BAD_PAS
        self.memory.tlbi_pa(pa, GRANULE_SIZE)
        return _OK
