"""Physical memory: DRAM, the granule protection check, and the ports that are subject to it.

A :class:`~cca_platform.memory.ports.Port` is a requester on the bus (firmware, RMM, host, a device). It names the
physical address space of its accesses, and every access passes the check. Like a TLB, a port caches what it has been
granted until that is invalidated (``tlbi_pa``). Only ``memory.backdoor``, for debuggers and tests, bypasses the check.
"""

import ctypes
import re
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from cca_arch.descriptors.gpt import L0GPTSZ_BITS, PPS_BITS, Gpccr
from cca_arch.types import Access, Gpi, Pas, SecurityState
from cca_platform.board import Bank, Board
from cca_platform.errors import Closed, GranuleProtectionFault, MachineError
from cca_platform.memory.dram import PAGE, Dram
from cca_platform.memory.ports import Port
from cca_platform.memory.probe import ciphertext
from cca_platform.memory.words import zero
from cca_platform.mmu.gpc import GPC_WALK_FAULT, granule_protection_check
from cca_platform.native import block as w
from cca_platform.state import State

__all__ = ["Memory", "MemoryState"]

_WRITTEN: Final = re.compile(b"\1+")  # pages, in a map of them
_MAY_USE: Final = {
    SecurityState.SECURE: (Pas.SECURE, Pas.NON_SECURE),
    SecurityState.NON_SECURE: (Pas.NON_SECURE,),
    SecurityState.ROOT: tuple(Pas),
    SecurityState.REALM: (Pas.REALM, Pas.NON_SECURE),
}


class Requester(Protocol):
    """A requester with its own caches of physical addresses: a PE."""

    def tlbi_pages(self, first: int, count: int) -> None:
        """Drop the translations to ``count`` pages from the page with index ``first``."""

    def drop_code(self) -> None:
        """Drop translated code."""


class MemoryState(State, frozen=True, tag="memory/1"):
    """The granule protection registers, and the inputs of the memory encryption keys."""

    gptbr: int
    gpccr: int
    boots: int
    key_seed: bytes


class Memory(Dram):
    """The DRAM of a board behind its granule protection check.

    ``requesters`` are the PEs, which cache what the check has granted. ``boots`` counts resets; it and ``key_seed``
    determine the memory encryption keys (see :mod:`cca_platform.memory.probe`).
    """

    def __init__(self, board: Board) -> None:
        super().__init__(board)
        self.requesters: list[Requester] = []
        self.boots = 0
        self.key_seed = b""
        self._machine = self.block_address
        self._gptbr = 0
        self._gpccr = 0
        self._ports: dict[object, Port] = {}
        self._caches: list[dict[int, int]] = []
        self.backdoor = Port(self, None, Pas.ROOT, None)

    @property
    def gptbr(self) -> int:
        """GPTBR_EL3, which EL3 sets to the same value on every PE."""
        return self._gptbr

    @gptbr.setter
    def gptbr(self, value: int) -> None:
        self._gptbr = value
        self.block[w.M_GPTBR] = value

    @property
    def gpccr(self) -> int:
        """GPCCR_EL3, which EL3 sets to the same value on every PE; bit 16 enables the check."""
        return self._gpccr

    @gpccr.setter
    def gpccr(self, value: int) -> None:
        control = Gpccr(value)
        if control.pgs:
            raise MachineError(f"GPCCR_EL3.PGS must be 0 (4 KiB granules), not {control.pgs}")
        if control.l0gptsz not in L0GPTSZ_BITS:
            raise MachineError(
                f"GPCCR_EL3.L0GPTSZ must be one of {', '.join(map(str, L0GPTSZ_BITS))}, not {control.l0gptsz}"
            )
        self._gpccr = value
        self.block[w.M_GPCCR] = value
        self.block[w.M_PPS_BITS] = PPS_BITS[control.pps] if control.pps < len(PPS_BITS) else 0  # 0: reserved
        self.block[w.M_L0GPTSZ_BITS] = L0GPTSZ_BITS[control.l0gptsz]

    def port(self, state: SecurityState, pas: Pas | None = None) -> Port:
        """The port of a security state into a physical address space (its own if ``pas`` is None)."""
        space = Pas(state) if pas is None else pas
        if space not in _MAY_USE[state]:
            raise ValueError(f"{state.name} state cannot make accesses in the {space.name} PAS")
        found = self._ports.get((state, space))
        if found is None:
            self._must_be_open("a port")
            found = self._keep((state, space), Port(self, state, space, self.check))
        return found

    def client(self, check: Callable[[int, Pas, Access], None]) -> Port:
        """The Non-secure port of a requester with its own granule protection ``check``: an SMMU."""
        self._must_be_open("a port")
        return self._keep(check, Port(self, SecurityState.NON_SECURE, Pas.NON_SECURE, check))

    def _keep(self, key: object, port: Port) -> Port:
        """Keep a port, from whose cache invalidations will drop what it has been granted."""
        self._ports[key] = port
        self._caches.append(port.tlb)
        return port

    def check(self, pa: int, pas: Pas, access: Access) -> None:
        """Check one access against granule protection; raises GranuleProtectionFault."""
        code = granule_protection_check(self._machine, pa - (pa >> 63 << 64), int(pas))
        if code:
            raise GranuleProtectionFault(pa, pas, code & 0xFF, access)

    def gpi(self, pa: int) -> Gpi | None:
        """The GPI that governs ``pa``, derived from the check for the four PASs; None if the tables cannot be walked.

        ``ANY`` while the check is disabled, ``NON_SECURE`` beyond the protected space.
        """
        self._must_be_open("an access to its memory")
        codes = [granule_protection_check(self._machine, pa - (pa >> 63 << 64), int(pas)) for pas in Pas]
        if any(code >= GPC_WALK_FAULT for code in codes):
            return None
        admitted = [pas for pas, code in zip(Pas, codes, strict=True) if not code]
        if not admitted:
            return Gpi.NO_ACCESS
        return Gpi(8 | admitted[0]) if len(admitted) == 1 else Gpi.ANY

    def probe(self, pa: int, size: int) -> bytes:
        """What a probe on the memory bus sees at ``pa``: ciphertext under the key of the granule's PAS.

        Raises BusError if there is no DRAM.
        """
        return ciphertext(self, pa, size)

    def tlbi_pa(self, pa: int, size: int) -> None:
        """TLBI RPA(LOS): drop what ports and PEs have cached of ``size`` bytes at ``pa``."""
        first = self.page_index(pa)
        for page in range(pa >> 12, (pa + size + 0xFFF) >> 12):
            for cache in self._caches:
                if page in cache:
                    del cache[page]
        if first >= 0:
            for requester in self.requesters:
                requester.tlbi_pages(first, (size + 0xFFF) >> 12)

    def tlbi_paall(self) -> None:
        """TLBI PAALL: drop everything that ports and PEs have cached of granule protection."""
        for cache in self._caches:
            cache.clear()
        for requester in self.requesters:
            requester.tlbi_pages(0, self.pages)

    def lose(self, kept: Sequence[Bank]) -> None:
        """Reset: no protection, new keys, and DRAM is zero except Non-secure pages in ``kept``.

        Every non-zero page must be marked dirty, and no cached translation may exist.
        """
        lost = bytearray(self.dirty)
        for bank in kept:
            first = self.page_index(bank.base)
            page, end = first - 1, first + bank.size // PAGE
            while (page := lost.find(1, page + 1, end)) >= 0:
                lost[page] = not self._is_ns(bank.base + (page - first) * PAGE)
        for run in _WRITTEN.finditer(lost):
            ctypes.memset(self.host + run.start() * PAGE, 0, len(run.group()) * PAGE)
        zero(self.executed)
        self.gptbr = self.gpccr = 0
        self.boots += 1
        self.tlbi_paall()

    def _is_ns(self, pa: int) -> bool:
        try:
            self.check(pa, Pas.NON_SECURE, Access.READ)
        except GranuleProtectionFault:
            return False
        return True

    def save(self) -> MemoryState:
        """The registers, for a snapshot, which keeps DRAM itself."""
        return MemoryState(int(self.gptbr), int(self.gpccr), self.boots, self.key_seed)

    def restore(self, state: MemoryState) -> None:
        """Restore what :meth:`save` returned."""
        self.gptbr, self.gpccr = state.gptbr, state.gpccr
        self.boots, self.key_seed = state.boots, state.key_seed

    def _must_be_open(self, what: str) -> None:
        if self.closed:
            raise Closed(what)

    def close(self) -> None:
        """Release the memory, which must not be used afterwards."""
        for port in (*self._ports.values(), self.backdoor):
            port.release()
        self._ports.clear()
        self._caches.clear()
        self.unmap()
