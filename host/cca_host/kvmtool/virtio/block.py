"""The block device (Virtio 1.2, 5.2): reads, writes, flushes, discards and zeroes a disk image of the host.

A request is served at once, in the thread of the vCPU that notifies; a flush by a thread of the host, so that other
requests go on. What the host cannot do (a full disk, a file that has become shorter) ends as VIRTIO_BLK_S_IOERR.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Final

from cca_arch.virtio import DeviceId
from cca_arch.virtio.block import (
    ID_SIZE,
    SECTOR,
    BlockFeature,
    BlockRequest,
    BlockStatus,
    SegmentFlags,
    VirtioBlkConfig,
    VirtioBlkReq,
    VirtioBlkSegment,
)
from cca_host.kvmtool.guestmemory import GuestMemory, OutsideMemory, Piece
from cca_host.kvmtool.virtio.device import VirtioDevice
from cca_host.kvmtool.virtio.disk import BLOCK, Disk
from cca_host.kvmtool.virtio.queue import Chain, RingError
from cca_platform.devices.wiring import Wiring
from cca_platform.state import AnyState

__all__ = ["Block"]

_QUEUE: Final = 256
_PART: Final = 1 << 18
"""Bytes that are copied at once."""
_SEGMENT: Final = 1 << 12
_SEGMENTS: Final = 32
"""A driver is asked for requests of at most so many pieces of so many bytes.

A Realm copies a request to memory that it shares, of which Linux sets aside a thousandth of the RAM: a request that is
larger than that would wait for ever, and so would a piece for which there is no room as a whole.
"""
_MOST: Final = 1 << 25
"""Bytes of a request that is answered nevertheless."""
_RANGES: Final = 16
"""Ranges in one DISCARD or WRITE_ZEROES."""
_MOST_SECTORS: Final = 1 << 17
"""Sectors in such a range."""
_FLUSH_SHARE: Final = 10_000
"""A flush takes this share of a second."""
_OK, _IOERR, _UNSUPP = int(BlockStatus.OK), int(BlockStatus.IOERR), int(BlockStatus.UNSUPP)
_OFFERED: Final = (BlockFeature.SIZE_MAX, BlockFeature.SEG_MAX, BlockFeature.BLK_SIZE, BlockFeature.FLUSH)
_NAMES: Final = {int(kind): kind.name.lower() for kind in BlockRequest}
_UNMAP: Final = SegmentFlags.unmap.mask


class Block(VirtioDevice):
    """A disk. ``serial`` is its identity, by which the guest can name it."""

    device_id: ClassVar[DeviceId] = DeviceId.BLOCK
    sizes: ClassVar[tuple[int, ...]] = (_QUEUE,)

    def __init__(self, name: str, wiring: Wiring, memory: GuestMemory, disk: Disk, serial: str = "") -> None:
        super().__init__(name, wiring, memory)
        self.disk = disk
        self._serial = (serial or name).encode()[:ID_SIZE].ljust(ID_SIZE, b"\0")
        self._answers: dict[int, Callable[[int, Chain, int], int]] = {
            BlockRequest.IN: self._read,
            BlockRequest.OUT: self._write,
            BlockRequest.GET_ID: self._get_id,
            BlockRequest.DISCARD: self._discard,
            BlockRequest.WRITE_ZEROES: self._write_zeroes,
        }

    @property
    def offered(self) -> int:
        """All features: a disk that can be written has more."""
        features = sum(1 << one for one in _OFFERED)
        more = 1 << BlockFeature.DISCARD | 1 << BlockFeature.WRITE_ZEROES
        return super().offered | features | (1 << BlockFeature.RO if self.disk.read_only else more)

    @property
    def config(self) -> bytes:
        """Capacity and limits."""
        return VirtioBlkConfig.pack(
            capacity=self.disk.size // SECTOR,
            size_max=_SEGMENT,
            seg_max=_SEGMENTS,
            blk_size=SECTOR,
            max_discard_sectors=_MOST_SECTORS,
            max_discard_seg=_RANGES,
            discard_sector_alignment=BLOCK // SECTOR,
            max_write_zeroes_sectors=_MOST_SECTORS,
            max_write_zeroes_seg=_RANGES,
            write_zeroes_may_unmap=1,
        )

    def serve(self, index: int, chain: Chain) -> int | None:
        """Answer a request: its head, data, and the byte of its status."""
        size = chain.to_write
        if chain.to_read < VirtioBlkReq.size or not size:
            raise RingError("a request must have a head to read and a status to write")
        head = VirtioBlkReq.unpack(self.memory.gather(_cut(chain.readable, 0, VirtioBlkReq.size)))
        kind, sector = int(head.type), int(head.sector)
        if kind == BlockRequest.FLUSH:
            self.later(index, chain, self._flush, self.wiring.clock.counter_hz // _FLUSH_SHARE)
            return None
        answer = self._answers.get(kind)
        try:
            status = _UNSUPP if answer is None else answer(index, chain, sector)
        except OutsideMemory:
            status = _IOERR
        self.memory.scatter(_cut(chain.writable, size - 1, 1), bytes([status]))
        if self.wiring.trace.on:
            length = size - 1 if kind == BlockRequest.IN else chain.to_read - VirtioBlkReq.size
            name = _NAMES.get(kind, f"{kind:#x}")
            self.note(index, name, length, BlockStatus(status).name.lower(), sector=sector)
        return size

    # -- requests ---------------------------------------------------------------------------------------------------
    def _inside(self, sector: int, size: int) -> bool:
        return size <= _MOST and not size % SECTOR and sector * SECTOR + size <= self.disk.size

    def _read(self, index: int, chain: Chain, sector: int) -> int:
        size = chain.to_write - 1
        if not self._inside(sector, size):
            return _IOERR
        for at in range(0, size, _PART):
            part, offset = min(_PART, size - at), sector * SECTOR + at
            data = self.wiring.fetch(partial(_attempted, self.disk.read, offset, part))
            if len(data) != part:
                return _IOERR
            self.memory.scatter(_cut(chain.writable, at, part), data)
        return _OK

    def _write(self, index: int, chain: Chain, sector: int) -> int:
        size = chain.to_read - VirtioBlkReq.size
        if self.disk.read_only or not self._inside(sector, size):
            return _IOERR
        for at in range(0, size, _PART):
            part = min(_PART, size - at)
            data = self.memory.gather(_cut(chain.readable, VirtioBlkReq.size + at, part))
            status = self._do(self.disk.write, sector * SECTOR + at, data)
            if status != _OK:
                return status
        return _OK

    def _get_id(self, index: int, chain: Chain, sector: int) -> int:
        self.memory.scatter(_cut(chain.writable, 0, chain.to_write - 1), self._serial)
        return _OK

    def _discard(self, index: int, chain: Chain, sector: int) -> int:
        return self._ranges(chain, lambda offset, size, flags: self._do(self.disk.zero, offset, size, True), 0)

    def _write_zeroes(self, index: int, chain: Chain, sector: int) -> int:
        return self._ranges(
            chain, lambda offset, size, flags: self._do(self.disk.zero, offset, size, bool(flags & _UNMAP)), _UNMAP
        )

    def _ranges(self, chain: Chain, work: Callable[[int, int, int], int], flags: int) -> int:
        """Do something to the ranges of a request, if all of them are right; ``flags`` are those that may be set."""
        size = chain.to_read - VirtioBlkReq.size
        count, rest = divmod(size, VirtioBlkSegment.size)
        if rest or not 0 < count <= _RANGES or self.disk.read_only:
            return _IOERR
        data = self.memory.gather(_cut(chain.readable, VirtioBlkReq.size, size))
        ranges = [VirtioBlkSegment.unpack(data[at:]) for at in range(0, size, VirtioBlkSegment.size)]
        if any(one.flags & ~flags for one in ranges):
            return _UNSUPP
        end = self.disk.size // SECTOR
        if not all(one.num_sectors <= _MOST_SECTORS and one.sector + one.num_sectors <= end for one in ranges):
            return _IOERR
        answers = (work(one.sector * SECTOR, one.num_sectors * SECTOR, one.flags) for one in ranges)
        return next((status for status in answers if status != _OK), _OK)

    def _do(self, work: Callable[..., None], *args: Any) -> int:
        """Do something to the disk: the status, which is an input of the machine."""
        return self.wiring.ask(lambda: _tried(work, *args))

    # -- flushes ----------------------------------------------------------------------------------------------------
    def _flush(self) -> bytes:
        return bytes([_tried(self.disk.flush)])

    def finished(self, index: int, chain: Chain, result: bytes) -> int:
        """A flush is done."""
        self.memory.scatter(_cut(chain.writable, chain.to_write - 1, 1), result)
        self.note(index, "flush", 0, BlockStatus(result[0]).name.lower(), sector=0)
        return chain.to_write

    def close(self) -> None:
        """Close the disk."""
        self.disk.close()

    # -- snapshots --------------------------------------------------------------------------------------------------
    def save_more(self) -> AnyState:
        """State for a snapshot."""
        return self.disk.save()

    def restore_more(self, state: Any) -> None:
        """Restore what :meth:`save_more` returned."""
        self.disk.restore(state)


def _tried(work: Callable[..., None], *args: Any) -> int:
    """Do something to the disk."""
    try:
        work(*args)
    except OSError:
        return _IOERR
    return _OK


def _attempted(work: Callable[[int, int], bytes], offset: int, size: int) -> bytes:
    """Read from the disk; nothing if the host cannot."""
    try:
        return work(offset, size)
    except OSError:
        return b""


def _cut(pieces: list[Piece], start: int, size: int) -> list[Piece]:
    """The part of pieces from ``start`` on, ``size`` bytes or what there is."""
    found: list[Piece] = []
    for address, length in pieces:
        if size <= 0:
            break
        if start >= length:
            start -= length
            continue
        part = min(length - start, size)
        found.append((address + start, part))
        start, size = 0, size - part
    return found
