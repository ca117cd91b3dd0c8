"""The state of a range of interrupts, and the registers that distributor and redistributors share.

A set of interrupts is an int with bit INTID set, so the SPIs and the private interrupts of a PE can be joined by OR.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from cca_arch.gic import Gicd
from cca_platform.gic.priorities import G0, G1NS, G1S, LEVEL_SHIFT, LEVELS, PRIORITY_MASK, ns_write
from cca_platform.state import State, from_words, to_words

__all__ = ["Interrupts", "InterruptsState"]

_WORD: Final = 0xFFFF_FFFF
_PRIORITY: Final = range(Gicd.IPRIORITYR, 0x800)
_ICFGR: Final = range(Gicd.ICFGR, Gicd.IGRPMODR)


class InterruptsState(State, frozen=True, tag="gic.interrupts/1"):
    """A range of interrupts: words of 32 interrupts from the first of the range on, and their priorities."""

    group: tuple[int, ...]
    modifier: tuple[int, ...]
    enable: tuple[int, ...]
    active: tuple[int, ...]
    latch: tuple[int, ...]
    wire: tuple[int, ...]
    message: tuple[int, ...]
    edge: tuple[int, ...]
    priority: bytes


class Interrupts:
    """Interrupts ``first`` to ``first + count - 1``; ``edge_only`` is the set whose trigger cannot be changed (SGIs).

    ``ready`` is the set that is pending, enabled and not active; ``refresh`` must follow a change to the others.
    ``saved`` is what ``save`` has returned since, or None.
    """

    saved: InterruptsState | None

    def __init__(self, first: int, count: int, edge_only: int = 0) -> None:
        self.first = first
        self.count = count
        self.all = (1 << count) - 1 << first
        self.edge_only = edge_only
        self.reset()

    def reset(self) -> None:
        """Reset: everything is inactive, disabled, Group 0, priority 0 and level-sensitive; every line is low."""
        self.group = self.modifier = self.enable = self.active = self.ready = 0
        self.latch = self.wire = self.message = 0
        self.edge = self.edge_only
        self.priority = bytearray(self.count)
        self.levels = [0] * LEVELS
        self.levels[0] = self.all
        self.saved = None

    @property
    def pending(self) -> int:
        """The pending set: latched, or level-sensitive with the line high."""
        return self.latch | (self.wire | self.message) & ~self.edge

    def refresh(self) -> None:
        """Recompute ``ready``."""
        self.saved = None
        self.ready = (self.latch | (self.wire | self.message) & ~self.edge) & self.enable & ~self.active

    def group_of(self, intid: int) -> int:
        """G0, G1S or G1NS."""
        if self.group >> intid & 1:
            return G1NS
        return G1S if self.modifier >> intid & 1 else G0

    # -- events -------------------------------------------------------------------------------------------------------
    def set_wire(self, intid: int, level: bool) -> None:
        """Set the input of a peripheral; a rising edge latches an edge-triggered interrupt."""
        bit = 1 << intid
        if level:
            self.latch |= bit & self.edge
            self.wire |= bit
        else:
            self.wire &= ~bit
        self.refresh()

    def set_message(self, intid: int, level: bool) -> None:
        """Handle a write to GICD_SETSPI or GICD_CLRSPI, a separate input if the SPI is level-sensitive."""
        bit = 1 << intid
        if not level:
            self.message &= ~bit
            self.latch &= ~bit
        elif self.edge & bit:
            self.latch |= bit
        else:
            self.message |= bit
        self.refresh()

    def make_pending(self, intid: int) -> None:
        """Latch an SGI."""
        self.latch |= 1 << intid
        self.refresh()

    def activate(self, intid: int) -> None:
        """Acknowledge: the interrupt becomes active, and stays pending only while its line is high."""
        self.latch &= ~(1 << intid)
        self.active |= 1 << intid
        self.refresh()

    def deactivate(self, intid: int) -> None:
        """Deactivate."""
        self.active &= ~(1 << intid)
        self.refresh()

    def set_priority(self, intid: int, priority: int) -> None:
        """Set a priority in the Secure view; unimplemented bits are ignored."""
        index, bit = intid - self.first, 1 << intid
        self.levels[self.priority[index] >> LEVEL_SHIFT] &= ~bit
        self.priority[index] = priority & PRIORITY_MASK
        self.levels[priority >> LEVEL_SHIFT] |= bit

    # -- registers ----------------------------------------------------------------------------------------------------
    def read(self, offset: int, size: int, secure: bool) -> int:
        """Read a register at 0x80 to 0xEFF of GICD or of the SGI frame; invisible bits read as zero."""
        visible = self.all if secure else self.group
        if offset in _PRIORITY:
            return self._read_priorities(offset - _PRIORITY.start, size, visible, secure) if size in (1, 4) else 0
        if size != 4:
            return 0
        if offset in _ICFGR:
            edge = (self.edge & visible) >> 4 * (offset - _ICFGR.start)
            return sum(2 << 2 * index for index in range(16) if edge >> index & 1)
        row = _BITMAPS.get(offset >> 7)
        if row is None or (row.secure and not secure):
            return 0
        return (row.read(self) & visible) >> 8 * (offset & 0x7F) & _WORD

    def write(self, offset: int, size: int, value: int, secure: bool) -> None:
        """Write a register at 0x80 to 0xEFF; bits that may not be changed are preserved."""
        mine = self.all if secure else self.group
        if offset in _PRIORITY:
            if size in (1, 4):
                self._write_priorities(offset - _PRIORITY.start, size, value, mine, secure)
        elif size == 4:
            if offset in _ICFGR:
                shift = 4 * (offset - _ICFGR.start)
                edge = sum(1 << index for index in range(16) if value >> 2 * index & 2)
                changed = 0xFFFF << shift & mine & ~self.edge_only
                self.edge = self.edge & ~changed | edge << shift & changed
            else:
                row = _BITMAPS.get(offset >> 7)
                if row is not None and (secure or not row.secure):
                    shift = 8 * (offset & 0x7F)
                    written = _WORD << shift & mine
                    row.write(self, value << shift & written, written)
        self.refresh()

    def _read_priorities(self, first: int, size: int, visible: int, secure: bool) -> int:
        value = 0
        for byte in range(size):
            if visible >> first + byte & 1:
                priority = self.priority[first + byte - self.first]
                value |= (priority if secure else priority << 1 & 0xFF) << 8 * byte
        return value

    def _write_priorities(self, first: int, size: int, value: int, mine: int, secure: bool) -> None:
        for byte in range(size):
            if mine >> first + byte & 1:
                priority = value >> 8 * byte & 0xFF
                self.set_priority(first + byte, priority if secure else ns_write(priority))

    # -- snapshots ----------------------------------------------------------------------------------------------------
    def save(self) -> InterruptsState:
        """State for a snapshot; the same object until something changes."""
        if self.saved is None:
            sets = {name: to_words(getattr(self, name) >> self.first, self.count) for name in _SETS}
            self.saved = InterruptsState(**sets, priority=bytes(self.priority))
        return self.saved

    def restore(self, state: InterruptsState) -> None:
        """Restore what ``save`` returned."""
        if state is self.saved:
            return
        for name in _SETS:
            setattr(self, name, from_words(getattr(state, name)) << self.first)
        if self.priority != state.priority:
            self.priority = bytearray(state.priority)
            self.levels = [0] * LEVELS
            for index, priority in enumerate(state.priority):
                self.levels[priority >> LEVEL_SHIFT] |= 1 << self.first + index
        self.refresh()
        self.saved = state


_SETS: Final = ("group", "modifier", "enable", "active", "latch", "wire", "message", "edge")


class _Bitmap(NamedTuple):
    """Registers with one bit per interrupt; ``write(interrupts, ones, written)`` gets sets."""

    name: str
    read: Callable[[Interrupts], int]
    write: Callable[[Interrupts, int, int], None]
    secure: bool = False


def _assign(name: str) -> Callable[[Interrupts, int, int], None]:
    def write(interrupts: Interrupts, ones: int, written: int) -> None:
        setattr(interrupts, name, getattr(interrupts, name) & ~written | ones)

    return write


def _set(name: str) -> Callable[[Interrupts, int, int], None]:
    def write(interrupts: Interrupts, ones: int, written: int) -> None:
        setattr(interrupts, name, getattr(interrupts, name) | ones)

    return write


def _clear(name: str) -> Callable[[Interrupts, int, int], None]:
    def write(interrupts: Interrupts, ones: int, written: int) -> None:
        setattr(interrupts, name, getattr(interrupts, name) & ~ones)

    return write


_BITMAPS: Final = {
    offset >> 7: row
    for offset, row in {
        Gicd.IGROUPR: _Bitmap("IGROUPR", lambda it: it.group, _assign("group"), secure=True),
        Gicd.ISENABLER: _Bitmap("ISENABLER", lambda it: it.enable, _set("enable")),
        Gicd.ICENABLER: _Bitmap("ICENABLER", lambda it: it.enable, _clear("enable")),
        Gicd.ISPENDR: _Bitmap("ISPENDR", lambda it: it.pending, _set("latch")),
        Gicd.ICPENDR: _Bitmap("ICPENDR", lambda it: it.pending, _clear("latch")),
        Gicd.ISACTIVER: _Bitmap("ISACTIVER", lambda it: it.active, _set("active")),
        Gicd.ICACTIVER: _Bitmap("ICACTIVER", lambda it: it.active, _clear("active")),
        Gicd.IGRPMODR: _Bitmap("IGRPMODR", lambda it: it.modifier, _assign("modifier"), secure=True),
    }.items()
}
