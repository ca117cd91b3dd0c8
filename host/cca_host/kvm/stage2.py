"""The host's view of a Realm's stage 2: the RMI calls that fill, change and destroy it.

The host relies on the results: (RMI_ERROR_RTT, level) says where a walk stopped, so the tables below that level are
missing; ``top`` is the end of a range without mappings.
"""

from typing import Final, Protocol

from cca_arch.descriptors import rtte
from cca_arch.rmi.v1_0 import Rmi, RmiStatus
from cca_arch.types import GRANULE_SIZE
from cca_host.kvm.backing import Backing, HostPages
from cca_host.kvm.kernel import Kernel, RmiError
from cca_host.kvm.pagemap import PageMap
from cca_host.kvm.ranges import Ranges
from cca_platform.state import State

__all__ = ["LEVEL_SIZE", "Pager", "Stage2", "Stage2State", "start_level"]

LEVEL_SIZE: Final = tuple(rtte.level_size(level) for level in range(4))
"""The bytes that an RTT entry spans, by level 0..3."""

_ALONE: Final = 64  # pages that a Realm gets one by one, as it touches them: a small payload needs no more
_AROUND: Final = 32 * GRANULE_SIZE  # what it gets at once from then on: the aligned block around the page
_SPARE: Final = 1024  # pages that the host must have left to give a Realm what it has not touched
_RTT = int(RmiStatus.ERROR_RTT)
_DATA_CREATE = int(Rmi.DATA_CREATE)
_DATA_CREATE_UNKNOWN = int(Rmi.DATA_CREATE_UNKNOWN)
_DATA_DESTROY = int(Rmi.DATA_DESTROY)


def start_level(ipa_width: int) -> tuple[int, int]:
    """The starting level and number of starting-level tables that KVM chooses for an IPA width in bits."""
    level = 4 - (ipa_width - 8) // 9
    return level, 1 << max(0, ipa_width - (9 * (4 - level) + 12))


class Stage2State(State, frozen=True, tag="host.stage2/3"):
    """Saved state of a :class:`Stage2`: ``data`` and ``shared`` as :class:`PageMap` saves them."""

    data: dict[int, bytes]
    shared: dict[int, bytes]
    tables: tuple[int, ...]
    ram: tuple[tuple[int, int], ...]
    touched: int


class Pager(Protocol):
    """What takes pages of a Realm out and brings them back: :mod:`cca_host.kvm.pager`."""

    def make_room(self, count: int = 1) -> None:
        """Take pages out until the Realm may have so many more granules."""

    def came(self, ipa: int) -> None:
        """A page has come that the Realm did not have."""

    def went(self, ipa: int) -> None:
        """A page has been destroyed, wherever it was."""

    def bring(self, ipa: int) -> bool:
        """Bring a page back that is out; returns False if it is not."""


class Stage2:
    """The RTTs of one Realm. ``data`` maps protected IPAs to PAs, ``shared`` does so for shared pages.

    ``ram`` is where the host has made the RIPAS RAM, and has destroyed nothing since; ``touched`` counts the pages that
    the Realm has touched before it had them.
    """

    def __init__(self, system: Kernel, rd: int, ipa_width: int) -> None:
        self.system = system
        self.rd = rd
        self.ipa_width = ipa_width
        self.half = 1 << (ipa_width - 1)
        self.start = start_level(ipa_width)[0]
        self.data = PageMap()
        self.shared = PageMap()
        self.tables: set[int] = set()
        self.ram = Ranges()
        self.touched = 0
        self.backing: Backing = HostPages(system)
        self.pager: Pager | None = None
        """What keeps the Realm below a limit of granules, if it has one."""

    def granule(self) -> int:
        """A granule for this Realm."""
        if self.pager is not None:
            self.pager.make_room()
        return self.system.delegate()

    # -- tables -------------------------------------------------------------------------------------------------
    def create_tables(self, ipa: int, above: int, level: int) -> None:
        """Create the RTTs at ``ipa`` from below level ``above`` down to ``level``, unless they exist."""
        system = self.system
        for wanted in range(above + 1, level + 1):
            rtt = self.granule()
            x0 = system.rmi(Rmi.RTT_CREATE, self.rd, rtt, ipa & -LEVEL_SIZE[wanted - 1], wanted)[0]
            if not x0:
                self.tables.add(rtt)
                continue
            system.undelegate(rtt)
            if x0 != _RTT | (wanted - 1) << 8:
                raise RmiError(Rmi.RTT_CREATE, x0, f"IPA {ipa:#x} level {wanted}")

    def _best_level(self, ipa: int, top: int) -> int:
        """The level of the largest entry at ``ipa`` that ends at or below ``top``."""
        for level in range(self.start, 3):
            if not ipa % LEVEL_SIZE[level] and ipa + LEVEL_SIZE[level] <= top:
                return level
        return 3

    def destroy_tables(self, level: int, base: int, top: int) -> None:
        """Destroy every RTT at ``level`` and below between two IPAs."""
        system, ipa = self.system, base
        while ipa < top:
            x0, rtt, after = system.rmi(Rmi.RTT_DESTROY, self.rd, ipa, level)[:3]
            if not x0:
                self.tables.discard(rtt)
                system.undelegate(rtt)
            elif x0 == _RTT | level << 8 and level < 3:
                self.destroy_tables(level + 1, ipa, ipa + LEVEL_SIZE[level - 1])
                continue
            elif x0 & 0xFF != _RTT:
                raise RmiError(Rmi.RTT_DESTROY, x0, f"IPA {ipa:#x} level {level}")
            if after <= ipa:
                raise RmiError(Rmi.RTT_DESTROY, x0, f"IPA {ipa:#x} level {level}, which is still live")
            ipa = after

    # -- RIPAS --------------------------------------------------------------------------------------------------
    def init_ripas(self, base: int, top: int) -> None:
        """Set a range to RIPAS RAM, using the largest entries as KVM does; the RIM depends on this."""
        ipa = base
        while ipa < top:
            x0, after = self.system.rmi(Rmi.RTT_INIT_RIPAS, self.rd, ipa, top)[:2]
            if not x0:
                ipa = after
                continue
            level, best = x0 >> 8, self._best_level(ipa, top)
            if x0 & 0xFF != _RTT:
                raise RmiError(Rmi.RTT_INIT_RIPAS, x0, f"IPA {ipa:#x}..{top:#x}")
            if level < best:
                self.create_tables(ipa, level, best)
            else:
                ipa += GRANULE_SIZE  # a page that populate has already assigned
        self.ram.add(base, top)

    def set_ripas(self, rec: int, base: int, top: int, ram: bool) -> int:
        """Apply a REC's RIPAS change; returns where it stopped: ``top``, or a DESTROYED page that must not change.

        ``ram`` is True if the REC makes it RAM.
        """
        ipa = base
        while ipa < top:
            x0, after = self.system.rmi(Rmi.RTT_SET_RIPAS, self.rd, rec, ipa, top)[:2]
            if not x0:
                ipa = after
                continue
            if x0 & 0xFF != _RTT:
                raise RmiError(Rmi.RTT_SET_RIPAS, x0, f"IPA {ipa:#x}..{top:#x}")
            level, best = x0 >> 8, self._best_level(ipa, top)
            if level >= best:
                break
            self.create_tables(ipa, level, best)
        if ram:
            self.ram.add(base, ipa)
        return ipa

    # -- protected pages ----------------------------------------------------------------------------------------
    def populate(self, ipa: int, source: int, flags: int) -> None:
        """Create a page with the contents of the NS page ``source`` by DATA_CREATE."""
        self._assign(ipa, _DATA_CREATE, source, flags)

    def fault_in(self, ipa: int) -> bool:
        """Map a zeroed page at a protected IPA by DATA_CREATE_UNKNOWN; returns False if one is mapped already.

        A Realm that has touched many pages gets the RAM around the page as well, which it is likely to touch next.
        """
        if ipa in self.data:
            return False
        if self.pager is not None and self.pager.bring(ipa):
            return True
        self._assign(ipa, _DATA_CREATE_UNKNOWN)
        self.touched += 1
        if self.pager is None and self.touched > _ALONE and self.system.pages.left >= _SPARE:
            base, data = ipa & -_AROUND, self.data
            for low, top in self.ram.within(base, base + _AROUND):
                for page in range(low, top, GRANULE_SIZE):
                    if page not in data:
                        self._assign(page, _DATA_CREATE_UNKNOWN)
        return True

    def _assign(self, ipa: int, fid: int, *rest: int) -> None:
        system = self.system
        page = self.granule()
        try:
            while True:
                x0 = system.rmi(fid, self.rd, page, ipa, *rest)[0]
                if not x0:
                    self.data[ipa] = page
                    if self.pager is not None:
                        self.pager.came(ipa)
                    return
                if x0 & 0xFF != _RTT or x0 >> 8 >= 3:
                    raise RmiError(fid, x0, f"IPA {ipa:#x}")
                self.create_tables(ipa, x0 >> 8, 3)
        except BaseException:
            system.undelegate(page)
            raise

    def destroy_data(self, base: int, top: int) -> None:
        """Return every protected page between two IPAs to the host."""
        self.ram.remove(base, top)
        system, ipa = self.system, base
        while ipa < top:
            x0, page, after = system.rmi(_DATA_DESTROY, self.rd, ipa)[:3]
            if not x0:
                self.data.pop(ipa, None)
                if self.pager is not None:
                    self.pager.went(ipa)
                if page:  # a page that is out has no granule
                    system.undelegate(page)
            elif x0 & 0xFF != _RTT:
                raise RmiError(_DATA_DESTROY, x0, f"IPA {ipa:#x}")
            elif after == ipa and x0 >> 8 < 3:
                self.create_tables(ipa, x0 >> 8, (x0 >> 8) + 1)  # a block: split it
                continue
            if after <= ipa:
                raise RmiError(_DATA_DESTROY, x0, f"IPA {ipa:#x}, where top is {after:#x}")
            ipa = after

    # -- unprotected pages --------------------------------------------------------------------------------------
    def share(self, ipa: int, attributes: int = rtte.HOST_NORMAL) -> int:
        """Map a host page at ``ipa`` (without the shared bit) in the unprotected half, if needed; returns its PA."""
        pa = self.shared.get(ipa)
        if pa is not None:
            self._map(ipa, pa, attributes)
            return pa
        pa = self.backing.take(ipa)
        try:
            self._map(ipa, pa, attributes)
        except BaseException:
            self.backing.give(ipa, pa)
            raise
        self.shared[ipa] = pa
        return pa

    def _map(self, ipa: int, pa: int, attributes: int) -> None:
        """Map a host page, unless the RMM has a mapping there."""
        alias = ipa | self.half
        while True:
            x0 = self.system.rmi(Rmi.RTT_MAP_UNPROTECTED, self.rd, alias, 3, pa | attributes)[0]
            if not x0 or x0 == _RTT | 3 << 8:  # the second: mapped already
                return
            if x0 & 0xFF != _RTT:
                raise RmiError(Rmi.RTT_MAP_UNPROTECTED, x0, f"IPA {alias:#x}")
            self.create_tables(alias, x0 >> 8, 3)

    def unshare(self, base: int, top: int) -> None:
        """Return every shared page between two IPAs (without the shared bit) to the host."""
        if not self.shared:
            return
        ipa, end = base | self.half, top | self.half
        while ipa < end:
            x0, after = self.system.rmi(Rmi.RTT_UNMAP_UNPROTECTED, self.rd, ipa, 3)[:2]
            if not x0:
                page = self.shared.pop(ipa & ~self.half)
                assert page is not None, "the RMM had a mapping there that the host has made"
                self.backing.give(ipa & ~self.half, page)
            elif x0 & 0xFF != _RTT or after <= ipa:
                raise RmiError(Rmi.RTT_UNMAP_UNPROTECTED, x0, f"IPA {ipa:#x}")
            ipa = after

    # -- snapshots ----------------------------------------------------------------------------------------------
    def save(self) -> Stage2State:
        """State for a snapshot."""
        return Stage2State(
            data=self.data.save(),
            shared=self.shared.save(),
            tables=tuple(sorted(self.tables)),
            ram=tuple(self.ram),
            touched=self.touched,
        )

    def restore(self, state: Stage2State) -> None:
        """Restore what :meth:`save` returned."""
        self.data.restore(state.data)
        self.shared.restore(state.shared)
        self.tables = set(state.tables)
        self.ram, self.touched = Ranges(state.ram), state.touched
