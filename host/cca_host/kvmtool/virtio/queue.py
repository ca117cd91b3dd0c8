"""A split virtqueue as the device sees it (Virtio 1.2, 2.7): takes chains of descriptors, and returns them as used.

A driver may write anything into its rings. What the specification forbids raises :class:`RingError`, before anything of
that chain has been done; what was used until then stays used.
"""

from struct import Struct
from typing import Final

import msgspec

from cca_arch.virtio import MAX_QUEUE_SIZE
from cca_arch.virtio.ring import (
    AVAIL_RING,
    AVAIL_SLOT,
    DESC_SIZE,
    INDEX,
    USED_RING,
    USED_SLOT,
    AvailFlags,
    DescFlags,
    UsedFlags,
    VirtqDesc,
    VirtqUsedElem,
)
from cca_host.kvmtool.guestmemory import GuestMemory, OutsideMemory, Piece
from cca_platform.state import State

__all__ = ["Chain", "Queue", "QueueState", "RingError"]

_DESC: Final = VirtqDesc.codec()
_USED: Final = VirtqUsedElem.codec()
_U16: Final = Struct("<H")
_ONES: Final = 0xFFFF
_NEXT, _WRITE, _INDIRECT = DescFlags.next.mask, DescFlags.write.mask, DescFlags.indirect.mask
_NO_INTERRUPT: Final = AvailFlags.no_interrupt.mask
_NO_NOTIFY: Final = UsedFlags.no_notify.mask
_MOST: Final = 1 << 32
"""Bytes that a chain may have at most (2.7.4)."""
_LONGEST: Final = 1024
"""Descriptors that the device takes in an indirect table, whatever the size of the queue."""
_DESC_ALIGN, _AVAIL_ALIGN, _USED_ALIGN = 16, 2, 4


class RingError(Exception):
    """The driver broke a rule of the queue: the device needs a reset."""


class Chain(msgspec.Struct):
    """A buffer of the driver: what the device reads, then what it writes. ``head`` names it in the used ring."""

    head: int
    readable: list[Piece]
    writable: list[Piece]

    @property
    def to_read(self) -> int:
        """Bytes that the device may read."""
        return sum(size for _, size in self.readable)

    @property
    def to_write(self) -> int:
        """Bytes that the device may write."""
        return sum(size for _, size in self.writable)


class QueueState(State, frozen=True, tag="virtio.queue/1"):
    """Saved state of a :class:`Queue`; ``desc``, ``driver`` and ``device`` are the addresses of its parts."""

    size: int
    ready: bool
    desc: int
    driver: int
    device: int
    taken: int
    used: int
    signalled: int
    events: bool
    indirect: bool


class Queue:
    """One queue of at most ``limit`` descriptors. The transport sets its size and addresses, then calls :meth:`enable`.

    ``events`` and ``indirect`` say that RING_EVENT_IDX and RING_INDIRECT_DESC have been negotiated.
    """

    def __init__(self, memory: GuestMemory, limit: int) -> None:
        assert limit and not limit & limit - 1 and limit <= MAX_QUEUE_SIZE, "a power of two"
        self._memory = memory
        self.limit = limit
        self.reset()

    def reset(self) -> None:
        """Forget everything that the driver has set."""
        self.size = self.limit
        self.ready = False
        self.desc = self.driver = self.device = 0
        self.events = self.indirect = False
        self._taken = self._used = 0  # free-running, as the indices in the rings
        self._signalled = 0  # _used when the driver was last told

    def enable(self, events: bool, indirect: bool) -> None:
        """Begin to use the rings; raises RingError if they cannot be where the driver has put them."""
        size = self.size
        if not 0 < size <= self.limit or size & size - 1:
            raise RingError(f"the size of a queue must be a power of two up to {self.limit}, not {size}")
        for name, address, align in (
            ("descriptor table", self.desc, _DESC_ALIGN),
            ("available ring", self.driver, _AVAIL_ALIGN),
            ("used ring", self.device, _USED_ALIGN),
        ):
            if address % align:
                raise RingError(f"the {name} must be aligned to {align} bytes, not at {address:#x}")
        self.events, self.indirect = events, indirect
        self._taken = self._used = self._signalled = 0
        self.ready = True

    # -- available buffers ------------------------------------------------------------------------------------------
    @property
    def waiting(self) -> int:
        """How many chains the driver has made available that are not taken yet."""
        if not self.ready:
            return 0
        waiting: int = self._u16(self.driver + INDEX) - self._taken & _ONES
        if waiting > self.size:
            raise RingError(f"the available index must be at most {self.size} ahead, the queue's size, not {waiting}")
        return waiting

    def pop(self) -> Chain | None:
        """Take the next chain; None, and notifications are on again, if there is none."""
        if not self.waiting:
            if not self.ready:
                return None
            self._ask_for_notification()
            if not self.waiting:
                return None
        at = self.driver + AVAIL_RING + AVAIL_SLOT * (self._taken & self.size - 1)
        chain = self._chain(self._u16(at))
        self._taken = self._taken + 1 & _ONES
        return chain

    def undo(self) -> None:
        """Give back the chain that was taken last: it is the next one again."""
        self._taken = self._taken - 1 & _ONES

    def quiet(self) -> None:
        """Notifications are of no use while the device takes chains anyway."""
        if self.ready and not self.events:
            self._write(self.device, _U16.pack(_NO_NOTIFY))

    def _ask_for_notification(self) -> None:
        """The driver shall tell about its next buffer."""
        if self.events:
            self._write(self.device + USED_RING + USED_SLOT * self.size, _U16.pack(self._taken))
        else:
            self._write(self.device, _U16.pack(0))

    def _u16(self, address: int) -> int:
        data: int = _U16.unpack(self._read(address, 2))[0]
        return data

    def _read(self, address: int, size: int) -> bytes:
        try:
            return self._memory.read(address, size)
        except OutsideMemory as wrong:
            raise RingError(str(wrong)) from None

    def _write(self, address: int, data: bytes) -> None:
        try:
            self._memory.write(address, data)
        except OutsideMemory as wrong:
            raise RingError(str(wrong)) from None

    def _chain(self, head: int) -> Chain:
        chain, at, count, size = Chain(head, [], []), head, 0, self.size
        total = 0
        while True:
            if at >= size:
                raise RingError(f"the number of a descriptor must be below {size}, the queue's size, not {at}")
            if count == size:
                raise RingError(f"a chain must have at most {size} descriptors, the queue's size: it may be a loop")
            address, length, flags, after = _DESC.unpack(self._read(self.desc + DESC_SIZE * at, DESC_SIZE))
            if flags & _INDIRECT:
                self._indirect(chain, total, address, length, flags)
                return chain
            total = _add(chain, total, address, length, flags)
            if not flags & _NEXT:
                return chain
            at, count = after, count + 1

    def _indirect(self, chain: Chain, total: int, table: int, length: int, flags: int) -> None:
        """Add the descriptors of an indirect table."""
        if not self.indirect:
            raise RingError("an indirect descriptor must not be there without VIRTIO_F_RING_INDIRECT_DESC")
        if flags & _NEXT:
            raise RingError("a descriptor must not be both indirect and continued")
        count = length // DESC_SIZE
        if not length or length % DESC_SIZE or count > _LONGEST:
            raise RingError(f"an indirect table must have 1 to {_LONGEST} whole descriptors, not {length} bytes")
        rows = list(_DESC.iter_unpack(self._read(table, length)))
        at = seen = 0
        while True:
            if at >= count:
                raise RingError(f"a descriptor of an indirect table must be below {count}, its size, not {at}")
            if seen == count:
                raise RingError(f"a chain in an indirect table must have at most {count} descriptors: it is a loop")
            address, size, bits, after = rows[at]
            if bits & _INDIRECT:
                raise RingError("an indirect table must not have indirect descriptors")
            total = _add(chain, total, address, size, bits)
            if not bits & _NEXT:
                return
            at, seen = after, seen + 1

    # -- used buffers -----------------------------------------------------------------------------------------------
    def push(self, chain: Chain, written: int) -> None:
        """Return a chain to the driver, with the number of bytes ``written`` into it."""
        at = self.device + USED_RING + USED_SLOT * (self._used & self.size - 1)
        self._write(at, _USED.pack(chain.head, written))
        self._used = self._used + 1 & _ONES
        self._write(self.device + INDEX, _U16.pack(self._used))

    def must_signal(self) -> bool:
        """Whether the driver wants to be interrupted for what was returned since it was last asked."""
        before, now = self._signalled, self._used
        if not self.ready or before == now:
            return False
        if not self.events:
            self._signalled = now
            return not self._u16(self.driver) & _NO_INTERRUPT
        event = self._u16(self.driver + AVAIL_RING + AVAIL_SLOT * self.size)
        self._signalled = now
        return (now - event - 1 & _ONES) < (now - before & _ONES)

    # -- snapshots --------------------------------------------------------------------------------------------------
    def save(self) -> QueueState:
        """State for a snapshot."""
        return QueueState(
            size=self.size, ready=self.ready, desc=self.desc, driver=self.driver, device=self.device,
            taken=self._taken, used=self._used, signalled=self._signalled, events=self.events, indirect=self.indirect,
        )  # fmt: skip

    def restore(self, state: QueueState) -> None:
        """Restore what :meth:`save` returned."""
        self.size, self.ready = state.size, state.ready
        self.desc, self.driver, self.device = state.desc, state.driver, state.device
        self._taken, self._used, self._signalled = state.taken, state.used, state.signalled
        self.events, self.indirect = state.events, state.indirect


def _add(chain: Chain, total: int, address: int, length: int, flags: int) -> int:
    """Add a descriptor to a chain; returns its bytes so far."""
    total += length
    if total > _MOST:
        raise RingError(f"a chain must have at most {_MOST:#x} bytes, not {total:#x}")
    if flags & _WRITE:
        chain.writable.append((address, length))
    elif chain.writable:
        raise RingError("what the device reads must come before what it writes")
    else:
        chain.readable.append((address, length))
    return total
