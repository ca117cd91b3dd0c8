"""Snapshots: DRAM by pre-images of the pages written since, everything else as plain data.

The fill hook and the ports keep the first contents of every page written after a snapshot (see ``mark_written`` and
``Memory.touch``). So taking one costs nothing for memory, and going back costs the pages that changed. Snapshots form
a line: each holds what has changed until the next one, and restoring an old one walks the line backwards.
"""

from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np

from cca_platform.memory.dram import reserve
from cca_platform.native import block as w

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine

__all__ = ["Snapshot", "Snapshots"]

_PAGE = 4096
_ROWS = 64


class Snapshot:
    """A moment of one machine. ``pages`` are the pre-images of what was written until the next snapshot.

    ``programs`` and ``parts`` are the software in Python that was there: a reset of the machine drops it.
    """

    def __init__(self, machine: "Machine") -> None:
        self.state = machine.save()
        self.programs = dict(machine.programs)
        self.parts = dict(machine.parts)
        self.pages: dict[int, bytes] = {}


class Snapshots:
    """The line of snapshots of a machine; the last one is open, its pre-images are in the shadow area."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._line: list[Snapshot] = []
        self._before: list[int] = []  # the pages written before the first snapshot

    def take(self) -> Snapshot:
        """Close the open snapshot and begin a new one."""
        memory = self._machine.memory
        if memory.shadow is None:
            memory.shadow = reserve(memory.pages * _PAGE)
            memory.block[w.M_SHADOW] = memory.shadow_address
            self._before = self._dirty()
        elif self._line:
            last = self._line[-1]
            for page in self._dirty():
                last.pages[page] = memory.shadow[page * _PAGE : (page + 1) * _PAGE]
        self._clean()
        snapshot = Snapshot(self._machine)
        self._line.append(snapshot)
        return snapshot

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to ``snapshot``, which stays the open one."""
        if not any(item is snapshot for item in self._line):
            raise ValueError("a snapshot must be one of this machine that no restore has passed, not another")
        machine, memory = self._machine, self._machine.memory
        assert memory.shadow is not None
        dirty = self._dirty()
        self._put_back(dirty, memory.shadow)
        while self._line[-1] is not snapshot:
            self._line.pop()
            older = self._line[-1]
            for page, data in older.pages.items():
                memory.dram[page * _PAGE : (page + 1) * _PAGE] = data
                if memory.executed[page]:
                    memory.block[w.M_CODE_WRITTEN] = 1
            older.pages.clear()
        self._clean(dirty)
        machine.programs |= snapshot.programs
        machine.parts |= snapshot.parts
        machine.load(snapshot.state)
        memory.tlbi_paall()

    def touch_all(self) -> None:
        """Account for a write to every page that may hold something: all of them are about to be lost."""
        touch = self._machine.memory.touch
        for pages in (self._before, *(snapshot.pages for snapshot in self._line)):
            for page in pages:
                touch(page)

    def _dirty(self) -> list[int]:
        """The pages written since the open snapshot, found by OR-ing the map down its columns: a quarter of a pass."""
        words = self._machine.memory.dirty.view(np.uint64)
        table = words.reshape(gcd(len(words), _ROWS), -1)
        columns = np.flatnonzero(np.bitwise_or.reduce(table, axis=0, keepdims=True))
        rows, places = np.nonzero(table[:, columns])
        first = (rows * table.shape[1] + columns[places]) * 8
        found = self._machine.memory.dirty.reshape(-1, 8)[first // 8]
        items, offsets = np.nonzero(found)
        pages: list[int] = (first[items] + offsets).tolist()
        return pages

    def _put_back(self, dirty: list[int], shadow: Any) -> None:
        memory = self._machine.memory
        dram, executed = memory.dram, memory.executed
        for page in dirty:
            start = page * _PAGE
            dram[start : start + _PAGE] = shadow[start : start + _PAGE]
            if executed[page]:
                memory.block[w.M_CODE_WRITTEN] = 1

    def _clean(self, dirty: list[int] | None = None) -> None:
        """Let the next write to every page be noticed again."""
        memory = self._machine.memory
        if dirty is None:
            dirty = self._dirty()
        for page in dirty:
            memory.dirty[page] = 0
        for pe in self._machine.pes:
            pe.tlb.flush()
