"""Snapshots: DRAM as differing pages, everything else as saved state.

The fill hook and the ports save the contents of every page before its first write after a snapshot (see
``mark_written`` and ``Memory.touch``). So taking a snapshot costs nothing for memory, and restoring one costs the pages
that changed.

Snapshots form a tree. DRAM is always at one of its nodes, or has been written since. Every other node keeps the pages
in which it differs from its neighbour on the path to DRAM. To move DRAM to a neighbour, the pages of the two are
exchanged, and the difference is kept in reverse. So no restore loses another snapshot. A node that is no longer
referenced is freed with its pages, or leaves them to the one node that still needs them.
"""

import ctypes
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from cca_arch.types import GRANULE_SIZE
from cca_platform.machine import saved
from cca_platform.machine.saved import Checkpoint, MachineState
from cca_platform.memory.dram import marked, reserve
from cca_platform.memory.words import page_map
from cca_platform.native import block as w

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine, Part

__all__ = ["Snapshot", "Snapshots"]

_ZEROES = bytes(GRANULE_SIZE)


class _Node:
    """DRAM at a snapshot: ``pages`` where it differs from ``toward``, the neighbour on the path to DRAM.

    ``sources`` are the other neighbours; ``held`` is None once the snapshot is no longer referenced.
    """

    __slots__ = ("held", "pages", "sources", "toward")

    def __init__(self) -> None:
        self.pages: dict[int, bytes] = {}
        self.toward: _Node | None = None
        self.sources: set[_Node] = set()
        self.held: Any = None


class Snapshot:
    """A snapshot of one machine. ``state`` is everything but DRAM, ``parent`` the number of the preceding one.

    It can be restored any number of times, in any order. Its memory is freed once it is no longer referenced.
    """

    def __init__(self, machine: "Machine", node: _Node, number: int, parent: int | None) -> None:
        self.number = number
        self.parent = parent
        self.time = machine.clock.now
        self.state: MachineState = machine.save()
        self.programs = dict(machine.programs)  # software in Python, which a reset of the machine drops
        self.parts = dict(machine.parts)
        self.node = node

    def __repr__(self) -> str:
        after = "" if self.parent is None else f" after {self.parent}"
        return f"<Snapshot {self.number}{after} at tick {self.time:,}: {len(self.node.pages)} pages>"


class Snapshots:
    """The tree of snapshots of a machine. DRAM is at ``_head``, except for the pages in the shadow area."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._head: _Node | None = None
        self._current: int | None = None  # the number of the head
        self._count = 0
        self._used = memoryview(b"")  # a byte a page: those written before the head, on any way here
        self._busy = False
        self._dropped: list[_Node] = []

    def take(self) -> Snapshot:
        """Take a snapshot of the machine, which becomes the head."""
        memory = self._machine.memory
        self._busy = True
        dirty = memory.written()
        node, last = _Node(), self._head
        if memory.shadow is None:
            memory.shadow = reserve(memory.pages * GRANULE_SIZE)
            memory.block[w.M_SHADOW] = memory.shadow_address
            self._used = page_map(memory.pages)
        elif last is not None:
            last.toward = node
            node.sources.add(last)
            if last.held is not None or last.sources:
                shadow = memory.shadow
                last.pages = {page: shadow[page * GRANULE_SIZE : (page + 1) * GRANULE_SIZE] for page in dirty}
        self._head = node
        self._clean(dirty)
        self._count += 1
        snapshot = Snapshot(self._machine, node, self._count, self._current)
        node.held = weakref.ref(snapshot, lambda _: self._drop(node))
        self._current = self._count
        self._settle([] if last is None else [last])
        return snapshot

    def restore(self, snapshot: Snapshot) -> None:
        """Restore ``snapshot``; raises ValueError if it is of another machine."""
        way = self._way(snapshot.node)
        machine, memory = self._machine, self._machine.memory
        assert memory.shadow is not None
        self._busy = True
        dirty = memory.written()
        self._put(dirty, (memory.shadow[page * GRANULE_SIZE : (page + 1) * GRANULE_SIZE] for page in dirty))
        for node in reversed(way[:-1]):
            self._move(node)
        self._clean(dirty)
        self._current = snapshot.number
        machine.programs.clear()
        machine.programs.update(snapshot.programs)
        machine.note_programs()
        machine.parts.clear()
        machine.parts.update(snapshot.parts)
        machine.load(snapshot.state)
        memory.tlbi_paall()
        self._settle(way[1:])

    def _way(self, node: _Node) -> list[_Node]:
        """The nodes from ``node`` to the head."""
        way = [node]
        while way[-1].toward is not None:
            way.append(way[-1].toward)
        if way[-1] is not self._head:
            raise ValueError("a snapshot must be one of this machine, not of another")
        return way

    def _move(self, node: _Node) -> None:
        """Move DRAM to ``node``, a neighbour of the head; the head has not been written since."""
        head, dram = self._head, self._machine.memory.dram
        assert head is not None
        if head.held is not None or head.sources != {node}:
            head.pages = {page: dram[page * GRANULE_SIZE : (page + 1) * GRANULE_SIZE] for page in node.pages}
        self._put(node.pages, node.pages.values())
        node.pages = {}
        head.toward, node.toward = node, None
        head.sources.discard(node)
        node.sources.add(head)
        self._head = node

    # -- unreferenced nodes ---------------------------------------------------------------------------------------
    def _drop(self, node: _Node) -> None:
        """Record that the snapshot is no longer referenced."""
        node.held = None
        if self._busy:
            self._dropped.append(node)
        else:
            self._prune(node)

    def _settle(self, nodes: list[_Node]) -> None:
        """Free what can be freed of ``nodes`` and of those dropped meanwhile: a cycle of objects may end anywhere."""
        self._busy = False
        nodes += self._dropped
        self._dropped = []
        for node in nodes:
            self._prune(node)

    def _prune(self, node: _Node) -> None:
        """Free a node that is neither referenced nor needed by more than one other."""
        while node.held is None and node.toward is not None and len(node.sources) <= 1:
            after = node.toward
            after.sources.discard(node)
            for source in node.sources:
                source.pages = node.pages | source.pages
                source.toward = after
                after.sources.add(source)
            node.pages, node.toward, node.sources = {}, None, set()
            node = after

    # -- pages ----------------------------------------------------------------------------------------------------
    def touch_all(self) -> None:
        """Account for a write to every page that may be non-zero: all of them are about to be lost."""
        for page in marked(self._used):
            self._machine.memory.touch(page)

    def _written(self) -> list[int]:
        """Every page that may be non-zero."""
        return sorted({*self._machine.memory.written(), *marked(self._used)})

    def _put(self, pages: Iterable[int], contents: Iterable[bytes]) -> None:
        """Store these contents in DRAM, bypassing the tracking of writes."""
        memory = self._machine.memory
        dram, executed = memory.dram, memory.executed
        for page, data in zip(pages, contents, strict=True):
            start = page * GRANULE_SIZE
            dram[start : start + GRANULE_SIZE] = data
            if executed[page]:
                memory.rewritten(page)

    def _clean(self, dirty: list[int]) -> None:
        """Track the next write to every page again."""
        memory = self._machine.memory
        memory.clean(dirty)
        for page in dirty:
            self._used[page] = 1
        for pe in self._machine.pes:
            pe.tlb.flush()

    # -- machines -------------------------------------------------------------------------------------------------
    def checkpoint(self) -> Checkpoint:
        """The state of the machine, with the non-zero pages of DRAM."""
        memory, pages = self._machine.memory, {}
        for page in self._written():
            data = memory.dram[page * GRANULE_SIZE : (page + 1) * GRANULE_SIZE]
            if data != _ZEROES:
                pages[memory.page_address(page)] = data
        return Checkpoint(self._machine.save(), pages)

    def adopt(self, checkpoint: Checkpoint, resume: "Callable[[str, Any], Part] | None") -> None:
        """Be what ``checkpoint`` is of; nothing is changed if that cannot be (StateError)."""
        machine, memory = self._machine, self._machine.memory
        saved.check(machine, checkpoint.machine, resume is not None)
        pages = {memory.page_index(pa): data for pa, data in checkpoint.pages.items()}
        for page in {*self._written(), *pages}:
            memory.touch(page)
            ctypes.memmove(memory.host + page * GRANULE_SIZE, pages.get(page, _ZEROES), GRANULE_SIZE)
        for pe in machine.pes:
            pe.tlb.flush()
        saved.restore(machine, checkpoint.machine, resume)
        memory.tlbi_paall()
