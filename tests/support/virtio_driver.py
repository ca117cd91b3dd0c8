"""A virtio driver in Python: it sets a device up through its registers, and keeps the rings in a guest's memory."""

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from cca_arch.types import SecurityState
from cca_arch.virtio import DeviceStatus, Feature
from cca_arch.virtio.mmio import MmioRegister as R
from cca_arch.virtio.ring import DescFlags, VirtqDesc
from cca_host.kvmtool.guestmemory import GuestMemory
from cca_host.kvmtool.virtio.device import VirtioDevice
from cca_host.kvmtool.virtio.mmio import VirtioMmio
from cca_platform.board import Board
from cca_platform.devices.wiring import Wiring
from cca_platform.machine.machine import Machine
from cca_platform.power import Power
from cca_platform.trace.sinks import Listing
from cca_platform.trace.trace import Trace

__all__ = ["BASE", "LIVE", "PROTECTED", "REQUIRED", "SHARED", "Bench", "Driver"]

SHARED: Final = 1 << 32
BASE: Final = SHARED | 0x8000_0000
"""The first address that the guest shares."""
PROTECTED: Final = 0x8000_0000
REQUIRED: Final = Feature.VERSION_1.mask | Feature.ACCESS_PLATFORM.mask
LIVE: Final = int(DeviceStatus.make(acknowledge=1, driver=1, features_ok=1, driver_ok=1))
_PA: Final = 0xA000_0000
_NEXT, _WRITE, _INDIRECT = DescFlags.next.mask, DescFlags.write.mask, DescFlags.indirect.mask


class Bench:
    """Memory of a machine without software, ``pages`` of which a guest shares, and the surroundings of a device.

    ``lines`` are the levels that the interrupt line had; ``inputs`` collects what threads are given, as (work, ticks).
    """

    def __init__(self, pages: int = 64) -> None:
        self.events = Listing()
        self.machine = Machine(Board.load("fvp"), trace=Trace(self.events))
        self.pages = pages
        self.memory = GuestMemory(self.machine.memory.port(SecurityState.NON_SECURE), self)
        self.lines: list[bool] = []
        self.threads: list[tuple[Callable[[], bytes], int]] = []
        self.model: Any = None

    def shared_page(self, address: int) -> int | None:
        """The guest shares its first pages."""
        page = address - BASE
        return _PA + page if 0 <= page < self.pages << 12 else None

    def wiring(self) -> Wiring:
        """Surroundings: the machine's clock and trace, and doors that lead straight to the device."""
        machine = self.machine

        def nothing(*_: object) -> None:
            """Not connected."""

        return Wiring(
            clock=machine.clock,
            memory=machine.memory,
            power=Power(()),
            trace=machine.trace,
            line=self.lines.append,
            signal=nothing,
            changed=nothing,
            device=nothing,
            reset=nothing,
            power_off=nothing,
            receive=self._arrive,
            ask=lambda answer: answer(),
            submit=lambda work, ticks: self.threads.append((work, ticks)),
        )

    def _arrive(self, data: bytes) -> None:
        self.model.arrive(data)

    def finish(self) -> None:
        """Let the threads do what they were given, in order."""
        while self.threads:
            work, _ = self.threads.pop(0)
            self.model.arrive(work())

    def close(self) -> None:
        """Release the machine."""
        self.machine.close()


class Driver:
    """The driver of a device behind the MMIO transport: ``queues`` of ``size`` descriptors each.

    The rings of queue n are in page 4 n and the three after it, buffers and indirect tables behind all rings.
    """

    def __init__(
        self, bench: Bench, device: VirtioDevice, *, size: int = 8, features: int = 0, start: bool = True
    ) -> None:  # fmt: skip
        self.bench = bench
        self.memory = bench.memory
        self.device = device
        self.frame = bench.model = self.carrier()
        self.size = size
        self.features = features | REQUIRED
        self.count = len(device.queues)
        self.tops = [0] * self.count  # the available index
        self.seen = [0] * self.count  # the used index
        self.heads: list[dict[int, list[tuple[int, int]]]] = [{} for _ in range(self.count)]
        self.free: list[list[int]] = [list(range(size)) for _ in range(self.count)]
        self.owned: list[dict[int, list[int]]] = [{} for _ in range(self.count)]
        self.reserve()
        if start:
            self.start()

    def carrier(self) -> Any:
        """The transport that carries the device."""
        return VirtioMmio(0x300_0000, self.device)

    def reserve(self) -> None:
        """All places for buffers are free."""
        self._next = BASE + 0x4000 * self.count

    # -- registers --------------------------------------------------------------------------------------------------
    def read(self, register: int, size: int = 4) -> int:
        """Read a register."""
        return self.frame.read(register, size)

    def write(self, register: int, value: int, size: int = 4) -> None:
        """Write a register."""
        self.frame.write(register, size, value)

    @property
    def status(self) -> DeviceStatus:
        """The status field."""
        return DeviceStatus(self.read(R.STATUS))

    def config(self, offset: int, size: int) -> int:
        """A field of the configuration space."""
        return self.read(R.CONFIG + offset, size)

    def start(self) -> None:
        """Reset, features, queues, DRIVER_OK, as 3.1.1 tells it."""
        self.write(R.STATUS, 0)
        self.write(R.STATUS, DeviceStatus.make(acknowledge=1))
        self.write(R.STATUS, DeviceStatus.make(acknowledge=1, driver=1))
        for word in range(2):
            self.write(R.DRIVER_FEATURES_SEL, word)
            self.write(R.DRIVER_FEATURES, self.features >> 32 * word & 0xFFFF_FFFF)
        self.write(R.STATUS, DeviceStatus.make(acknowledge=1, driver=1, features_ok=1))
        assert self.status.features_ok
        for queue in range(self.count):
            self.set_up(queue)
        self.write(R.STATUS, LIVE)

    def rings(self, queue: int) -> tuple[int, int, int]:
        """The addresses of descriptor table, available ring and used ring."""
        at = BASE + 0x4000 * queue
        return at, at + 0x2000, at + 0x3000

    def set_up(self, queue: int, rings: tuple[int, int, int] | None = None, size: int | None = None) -> None:
        """Give the device a queue."""
        self.write(R.QUEUE_SEL, queue)
        self.write(R.QUEUE_NUM, self.size if size is None else size)
        parts = (R.QUEUE_DESC_LOW, R.QUEUE_DRIVER_LOW, R.QUEUE_DEVICE_LOW)
        for register, address in zip(parts, rings or self.rings(queue), strict=True):
            self.write(register, address & 0xFFFF_FFFF)
            self.write(register + 4, address >> 32)
        self.write(R.QUEUE_READY, 1)

    # -- buffers ----------------------------------------------------------------------------------------------------
    def place(self, size: int) -> int:
        """A place for a buffer."""
        at, self._next = self._next, self._next + size + 15 & -16
        return at

    def put(self, data: bytes) -> tuple[int, int]:
        """A buffer with these contents."""
        at = self.place(len(data))
        self.memory.write(at, data)
        return at, len(data)

    def descriptor(self, queue: int, number: int, *fields: int) -> None:
        """Write a descriptor: address, length, flags, next."""
        at = self.rings(queue)[0] + 16 * number
        self.memory.write(at, VirtqDesc.codec().pack(*fields))

    def chain(
        self,
        queue: int,
        readable: Sequence[tuple[int, int]],
        writable: Sequence[tuple[int, int]],
        indirect: bool = False,
    ) -> int:
        """Write a chain of free descriptors; returns its head."""
        rows = [(*piece, 0) for piece in readable] + [(*piece, _WRITE) for piece in writable]
        free = self.free[queue]
        if indirect:
            table = b"".join(
                VirtqDesc.codec().pack(address, size, flags | (_NEXT if at + 1 < len(rows) else 0), at + 1)
                for at, (address, size, flags) in enumerate(rows)
            )
            rows = [(*self.put(table), _INDIRECT)]
        taken = [free.pop(0) for _ in rows]
        for at, (address, size, flags) in enumerate(rows):
            last = at + 1 == len(rows)
            rest = (flags, 0) if last else (flags | _NEXT, taken[at + 1])
            self.descriptor(queue, taken[at], address, size, *rest)
        self.heads[queue][taken[0]] = list(writable)
        self.owned[queue][taken[0]] = taken
        return taken[0]

    def offer(self, queue: int, head: int) -> None:
        """Put a chain into the available ring, without a notification."""
        ring = self.rings(queue)[1]
        self.memory.write(ring + 4 + 2 * (self.tops[queue] % self.size), struct.pack("<H", head & 0xFFFF))
        self.tops[queue] = self.tops[queue] + 1 & 0xFFFF
        self.memory.write(ring + 2, struct.pack("<H", self.tops[queue]))

    def send(self, queue: int, *readable: bytes, writable: Sequence[int] = (), indirect: bool = False) -> int:
        """Offer a chain of buffers with these contents and sizes; returns its head."""
        places = [(self.place(size), size) for size in writable]
        head = self.chain(queue, [self.put(data) for data in readable], places, indirect)
        self.offer(queue, head)
        return head

    def kick(self, queue: int) -> None:
        """Notify the device."""
        self.write(R.QUEUE_NOTIFY, queue)

    def collect(self, queue: int) -> list[tuple[int, int, bytes]]:
        """What the device has returned since: head, bytes written, the writable buffers' contents."""
        ring, found = self.rings(queue)[2], []
        top = struct.unpack("<H", self.memory.read(ring + 2, 2))[0]
        while self.seen[queue] != top:
            at = ring + 4 + 8 * (self.seen[queue] % self.size)
            head, written = struct.unpack("<2I", self.memory.read(at, 8))
            found.append((head, written, self.memory.gather(self.heads[queue].pop(head))))
            self.free[queue] += self.owned[queue].pop(head)
            self.seen[queue] = self.seen[queue] + 1 & 0xFFFF
        return found

    def call(self, queue: int, *readable: bytes, writable: Sequence[int] = (), indirect: bool = False) -> bytes:
        """Send one request, notify, and return what the device has written."""
        head = self.send(queue, *readable, writable=writable, indirect=indirect)
        self.kick(queue)
        self.bench.finish()
        [(used, written, data)] = self.collect(queue)
        assert used == head
        return data[:written]

    @property
    def suppressed(self) -> int:
        """The flags of the used ring of queue 0."""
        return int(struct.unpack("<H", self.memory.read(self.rings(0)[2], 2))[0])
