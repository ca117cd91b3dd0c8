"""Stage 2 of a plain VM: descriptors in Non-secure memory, which the host writes as KVM does.

A fault maps 2 MiB at a time where the IPAs are RAM and the host has as much memory in one piece, else a page. What is
mapped stays so until it is dropped.
"""

from collections.abc import Iterator
from typing import Final

from cca_arch.descriptors.rtte import level_size
from cca_arch.descriptors.stage2 import BLOCK, PAGE, TABLE, Stage2Descriptor
from cca_arch.sysregs import OUTPUT_BITS, Vtcr, Vttbr
from cca_arch.types import GRANULE_SIZE
from cca_host.kvm.backing import Backing
from cca_host.kvm.kernel import Kernel
from cca_host.kvm.pagemap import PageMap
from cca_host.kvm.stage2 import start_level
from cca_platform.state import State

__all__ = ["BLOCK_SIZE", "PlainStage2", "PlainStage2State"]

BLOCK_SIZE: Final = level_size(2)
"""The bytes of a block."""
_NORMAL: Final = 0b110  # MemAttr with HCR_EL2.FWB: Write-Back, whatever stage 1 says
_LEAF: Final = int(Stage2Descriptor.make(memattr=_NORMAL, s2ap=3, sh=3, af=1))
_READ_ONLY: Final = int(Stage2Descriptor.make(memattr=_NORMAL, s2ap=1, sh=3, af=1))
_TYPE: Final = Stage2Descriptor.type.mask
_OUTPUT: Final = Stage2Descriptor.address.mask
_ENTRIES: Final = 512
_PS_48: Final = OUTPUT_BITS.index(48)
_VMID: Final = Vttbr.vmid.low
_LAST: Final = 3  # the level of pages
_BLOCKS: Final = 2  # the level of blocks


def _shift(level: int) -> int:
    """The lowest bit of an IPA that selects an entry of ``level``."""
    return 12 + 9 * (_LAST - level)


class PlainStage2State(State, frozen=True, tag="host.plain-stage2/1"):
    """Saved state of a :class:`PlainStage2`: ``pages`` as :class:`PageMap` saves them; PAs of ``blocks`` by IPA."""

    root: int
    tables: tuple[int, ...]
    pages: dict[int, bytes]
    blocks: dict[int, int]


class PlainStage2:
    """The tables of one VM. ``pages`` and ``blocks`` map IPAs to PAs; their memory is of ``backing``."""

    def __init__(self, system: Kernel, ipa_width: int, vmid: int, backing: Backing) -> None:
        self.of(system, ipa_width, vmid, backing)
        self.root = system.pages.take_run(self.root_count)
        system.port.zero(self.root, self.root_count * GRANULE_SIZE)

    def of(self, system: Kernel, ipa_width: int, vmid: int, backing: Backing) -> None:
        """Be the tables of this VM, without any yet: those of saved state are restored."""
        self.system = system
        self.ipa_width = ipa_width
        self.vmid = vmid
        self.backing = backing
        self.start, self.root_count = start_level(ipa_width)
        self.root = 0
        self.pages = PageMap()
        self.blocks: dict[int, int] = {}
        self.tables: set[int] = set()

    @property
    def vtcr(self) -> int:
        """VTCR_EL2: 4 KiB granule, write-back inner-shareable walks, no hardware access flag or dirty state."""
        t0sz, sl0 = 64 - self.ipa_width, _BLOCKS - self.start
        return int(Vtcr.make(t0sz=t0sz, sl0=sl0, irgn0=1, orgn0=1, sh0=3, ps=_PS_48, res1=1))

    @property
    def vttbr(self) -> int:
        """VTTBR_EL2."""
        return self.root | self.vmid << _VMID

    # -- entries ------------------------------------------------------------------------------------------------
    def _entry(self, ipa: int, level: int) -> int:
        """The PA of the entry for ``ipa`` at ``level``; makes the tables above it."""
        read, at = self.system.port.read64, self.root + 8 * (ipa >> _shift(self.start))
        for above in range(self.start, level):
            descriptor = read(at)
            if descriptor & _TYPE != TABLE:
                descriptor = self._table() | TABLE
                self.system.port.write64(at, descriptor)
            at = (descriptor & _OUTPUT) + 8 * (ipa >> _shift(above + 1) & _ENTRIES - 1)
        return at

    def _table(self) -> int:
        table = self.system.pages.take()
        self.system.port.zero(table, GRANULE_SIZE)
        self.tables.add(table)
        return table

    # -- mappings -----------------------------------------------------------------------------------------------
    def look(self, ipa: int) -> int | None:
        """The PA of the page that contains ``ipa``, or None if nothing is mapped there."""
        block = self.blocks.get(ipa & -BLOCK_SIZE)
        if block is not None:
            return block + (ipa & BLOCK_SIZE - 1 & -GRANULE_SIZE)
        return self.pages.get(ipa & -GRANULE_SIZE)

    def fault_in(self, ipa: int, whole: bool) -> bool:
        """Map zeroed memory at ``ipa``: its 2 MiB if they are ``whole``, all RAM; False if there is some already."""
        if self.look(ipa) is not None:
            return False
        block = ipa & -BLOCK_SIZE
        if whole and self.system.port.read64(self._entry(block, _BLOCKS)) & _TYPE != TABLE:
            pa = self.backing.take_block(block)
            if pa is not None:
                self.system.port.write64(self._entry(block, _BLOCKS), pa | _LEAF | BLOCK)
                self.blocks[block] = pa
                return True
        self.map_page(ipa & -GRANULE_SIZE)
        return True

    def map_page(self, page: int, read_only: bool = False) -> int:
        """Map a zeroed page where nothing is mapped; returns its PA."""
        pa = self.backing.take(page)
        leaf = _READ_ONLY if read_only else _LEAF
        self.system.port.write64(self._entry(page, _LAST), pa | leaf | PAGE)
        self.pages[page] = pa
        return pa

    def drop(self, base: int, top: int) -> None:
        """Unmap every page between two IPAs, and return its memory; the next access finds zeroes there."""
        changed = False
        for page in range(base, top, GRANULE_SIZE):
            if page & -BLOCK_SIZE in self.blocks:
                self._split(page & -BLOCK_SIZE)
            pa = self.pages.pop(page)
            if pa is not None:
                self.system.port.write64(self._entry(page, _LAST), 0)
                self.backing.give(page, pa)
                changed = True
        if changed:
            self.system.machine.tlbi_vmalls12(self.vmid)

    def _split(self, block: int) -> None:
        """Replace a block by pages (break before make is the caller's: no PE is in the guest)."""
        entry, pa = self._entry(block, _BLOCKS), self.blocks.pop(block)
        self.system.port.write64(entry, 0)
        for offset in range(0, BLOCK_SIZE, GRANULE_SIZE):
            self.system.port.write64(self._entry(block + offset, _LAST), pa + offset | _LEAF | PAGE)
            self.pages[block + offset] = pa + offset

    def mapped(self) -> Iterator[tuple[int, int, int]]:
        """(IPA, PA, bytes) of every page and block."""
        yield from ((ipa, self.pages[ipa], GRANULE_SIZE) for ipa in self.pages)
        yield from ((ipa, pa, BLOCK_SIZE) for ipa, pa in sorted(self.blocks.items()))

    def destroy(self) -> None:
        """Return all memory, and the tables."""
        pages, backing = self.system.pages, self.backing
        self.system.machine.tlbi_vmalls12(self.vmid)
        for ipa, pa, size in list(self.mapped()):
            if size == BLOCK_SIZE:
                backing.give_block(ipa, pa)
            else:
                backing.give(ipa, pa)
        for table in sorted(self.tables):
            pages.give(table)
        for number in range(self.root_count):
            pages.give(self.root + number * GRANULE_SIZE)
        self.pages, self.blocks, self.tables = PageMap(), {}, set()

    # -- snapshots ----------------------------------------------------------------------------------------------
    def save(self) -> PlainStage2State:
        """State for a snapshot."""
        return PlainStage2State(
            root=self.root, tables=tuple(sorted(self.tables)), pages=self.pages.save(), blocks=dict(self.blocks)
        )

    def restore(self, state: PlainStage2State) -> None:
        """Restore what :meth:`save` returned."""
        self.root, self.tables, self.blocks = state.root, set(state.tables), dict(state.blocks)
        self.pages.restore(state.pages)
