"""Disk images on the host: a raw file, a raw file under a copy-on-write overlay, or under writes that are forgotten."""

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Callable
from typing import Any, Final, Protocol

from cca_arch.virtio.block import SECTOR
from cca_platform.errors import MachineError
from cca_platform.state import AnyState, State
from cca_platform.userfiles import open_disk, shown

__all__ = ["BLOCK", "Disk", "DiskState", "Forgetful", "Overlay", "Raw", "SnapshotState", "create_overlay", "open_image"]

BLOCK: Final = 4096
"""What an overlay keeps as a whole."""
_QCOW2: Final = b"QFI\xfb"
_FOREIGN: Final = {
    _QCOW2: "qcow2",
    b"KDMV": "vmdk",
    b"vhdx": "vhdx",
    b"cone": "vpc",
    b"\x7f\x10\xda\xbe": "vdi",
}
"""The beginnings of formats that are not raw, with the names that qemu-img has for them."""
_MAGIC: Final = b"RLABOVL1"
_HEADER: Final = struct.Struct("<8sQQ")  # magic, bytes of the image below, bytes of a block
_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_ZEROES: Final = bytes(1 << 16)
_ZERO_BLOCK: Final = bytes(BLOCK)


class Disk(Protocol):
    """A disk of ``size`` bytes, whole sectors. Its methods raise OSError for what the host cannot do."""

    size: int
    read_only: bool

    def read(self, offset: int, size: int) -> bytes:
        """Read ``size`` bytes inside the disk."""

    def write(self, offset: int, data: bytes) -> None:
        """Write inside the disk."""

    def zero(self, offset: int, size: int, unmap: bool) -> None:
        """Make a range zero; ``unmap``: give its space back."""

    def flush(self) -> None:
        """Bring to stable storage what was written. Threads call it."""

    def save(self) -> AnyState:
        """State for a snapshot."""

    def restore(self, state: Any) -> None:
        """Restore what :meth:`save` returned."""

    def close(self) -> None:
        """Close its files."""


class DiskState(State, frozen=True, tag="host.disk/1"):
    """What the file was when the state was saved: when it was changed last, and how often the guest has written."""

    changed: int
    writes: int


class SnapshotState(State, frozen=True, tag="host.disk-snapshot/1"):
    """The blocks that the guest has written, and those of the image below that count."""

    blocks: dict[int, bytes]
    below: AnyState


class Raw:
    """A raw file. A snapshot does not hold its contents: one that no longer fits the file ends all access to it."""

    def __init__(self, fd: int, read_only: bool) -> None:
        self.read_only = read_only
        self._fd = fd
        self.size = os.fstat(fd).st_size // SECTOR * SECTOR
        if not self.size:  # a device, or an empty file
            self.size = os.lseek(fd, 0, os.SEEK_END) // SECTOR * SECTOR
        self._writes = 0
        self._stale = False

    def _check(self) -> None:
        if self._stale:
            raise OSError(errno.ESTALE, "the file has changed since the snapshot")

    def read(self, offset: int, size: int) -> bytes:
        """Read; fewer bytes than there should be are an error."""
        self._check()
        parts, missing = [], size
        while missing:
            part = os.pread(self._fd, missing, offset + size - missing)
            if not part:
                raise OSError(errno.EIO, "the file has become shorter")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def write(self, offset: int, data: bytes) -> None:
        """Write."""
        self._check()
        self._writes += 1
        source = memoryview(data)
        while source:
            done = os.pwrite(self._fd, source, offset)
            offset, source = offset + done, source[done:]

    def zero(self, offset: int, size: int, unmap: bool) -> None:
        """Zero a range, by a hole if that is possible."""
        self._check()
        self._writes += 1
        if unmap and _punch(self._fd, offset, size):
            return
        while size:
            part = min(size, len(_ZEROES))
            self.write(offset, _ZEROES[:part])
            offset, size = offset + part, size - part

    def flush(self) -> None:
        """Bring the file to stable storage."""
        if not self.read_only:
            os.fsync(self._fd)

    def save(self) -> DiskState:
        """State for a snapshot: without the contents."""
        return DiskState(os.fstat(self._fd).st_mtime_ns, self._writes)

    def restore(self, state: Any) -> None:
        """Restore what :meth:`save` returned, if the file is still the same."""
        fresh = not self._writes
        same = os.fstat(self._fd).st_mtime_ns == state.changed and (fresh or self._writes == state.writes)
        self._stale, self._writes = not same, state.writes

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class _Layered:
    """Blocks over a read-only image: a block that was written is here, any other below."""

    read_only = False

    def __init__(self, below: Raw) -> None:
        self._below = below
        self.size = below.size

    def _has(self, block: int) -> bool:
        raise NotImplementedError

    def _get(self, block: int) -> bytes:
        raise NotImplementedError

    def _put(self, block: int, data: bytes) -> None:
        raise NotImplementedError

    def _block(self, block: int) -> bytes:
        if self._has(block):
            return self._get(block)
        start = block * BLOCK
        length = min(BLOCK, self.size - start)
        return self._below.read(start, length).ljust(BLOCK, b"\0")

    def read(self, offset: int, size: int) -> bytes:
        """Read."""
        first, last = offset // BLOCK, (offset + size - 1) // BLOCK
        if not any(self._has(block) for block in range(first, last + 1)):
            return self._below.read(offset, size)
        data = b"".join(self._block(block) for block in range(first, last + 1))
        return data[offset - first * BLOCK :][:size]

    def write(self, offset: int, data: bytes) -> None:
        """Write into this layer."""
        source = memoryview(data)
        while source:
            block, at = divmod(offset, BLOCK)
            part = source[: BLOCK - at]
            if len(part) == BLOCK:
                self._put(block, _ZERO_BLOCK if part == _ZERO_BLOCK else bytes(part))
            else:
                old = self._block(block)
                self._put(block, old[:at] + bytes(part) + old[at + len(part) :])
            offset, source = offset + len(part), source[len(part) :]

    def zero(self, offset: int, size: int, unmap: bool) -> None:
        """Zero a range, which hides what is below."""
        while size:
            part = min(size, len(_ZEROES))
            self.write(offset, _ZEROES[:part])
            offset, size = offset + part, size - part


class Forgetful(_Layered):
    """Writes go to memory: saved state has them, the image does not, and the end of the run forgets them."""

    def __init__(self, below: Raw) -> None:
        super().__init__(below)
        self._blocks: dict[int, bytes] = {}

    def _has(self, block: int) -> bool:
        return block in self._blocks

    def _get(self, block: int) -> bytes:
        return self._blocks[block]

    def _put(self, block: int, data: bytes) -> None:
        self._blocks[block] = data

    def flush(self) -> None:
        """Nothing is kept."""

    def save(self) -> SnapshotState:
        """State for a snapshot: all blocks that were written."""
        return SnapshotState(dict(self._blocks), self._below.save())

    def restore(self, state: Any) -> None:
        """Restore what :meth:`save` returned."""
        self._blocks = dict(state.blocks)
        self._below.restore(state.below)

    def close(self) -> None:
        """Close the image."""
        self._below.close()


class Overlay(_Layered):
    """Writes go to a file of their own: a header, a map of the blocks that are there (a bit each), the blocks.

    Like a raw file, it is not in snapshots.
    """

    def __init__(self, below: Raw, layer: Raw, path: str) -> None:
        super().__init__(below)
        self._layer = layer
        blocks = -(-self.size // BLOCK)
        self._map_at = BLOCK
        self._at = BLOCK + -(-blocks // 8 // BLOCK) * BLOCK + BLOCK
        try:
            magic, size, block = _HEADER.unpack(layer.read(0, _HEADER.size))
            self._map = bytearray(layer.read(self._map_at, -(-blocks // 8)))
        except OSError:
            magic, size, block = b"", 0, 0
        if magic != _MAGIC or block != BLOCK:
            raise MachineError(f"overlay {shown(path)} must be one that Realmlab has made: name a new file")
        if size != self.size:
            raise MachineError(
                f"overlay {shown(path)} must lie over an image of {size} bytes, not {self.size}: name that image, or a "
                "new file"
            )

    def _has(self, block: int) -> bool:
        return bool(self._map[block >> 3] >> (block & 7) & 1)

    def _get(self, block: int) -> bytes:
        return self._layer.read(self._at + block * BLOCK, BLOCK)

    def _put(self, block: int, data: bytes) -> None:
        self._layer.write(self._at + block * BLOCK, data)
        if not self._has(block):
            at = block >> 3
            self._layer.write(self._map_at + at, bytes([self._map[at] | 1 << (block & 7)]))
            self._map[at] |= 1 << (block & 7)

    def flush(self) -> None:
        """Bring the overlay to stable storage."""
        self._layer.flush()

    def save(self) -> DiskState:
        """State for a snapshot: without the contents."""
        return self._layer.save()

    def restore(self, state: Any) -> None:
        """Restore what :meth:`save` returned, if the overlay is still the same."""
        self._layer.restore(state)

    def close(self) -> None:
        """Close image and overlay."""
        self._below.close()
        self._layer.close()


def create_overlay(fd: int, size: int) -> None:
    """Make an empty overlay over an image of ``size`` bytes of a new file."""
    blocks = -(-size // BLOCK)
    os.ftruncate(fd, BLOCK + -(-blocks // 8 // BLOCK) * BLOCK + BLOCK + blocks * BLOCK)
    os.pwrite(fd, _HEADER.pack(_MAGIC, size, BLOCK), 0)


def open_image(path: str, *, read_only: bool = False, snapshot: bool = False, overlay: str | None = None) -> Disk:
    """Open a disk; raises MachineError for what is no raw image, or cannot be opened."""
    layered = snapshot or overlay is not None
    below = _raw(path, read_only or layered)
    try:
        if snapshot:
            return Forgetful(below)
        if overlay is None:
            return below
        fd, new = open_disk(overlay, writable=True, create=True)
        try:
            if new:
                create_overlay(fd, below.size)
            return Overlay(below, Raw(fd, False), overlay)
        except BaseException:
            os.close(fd)
            raise
    except BaseException:
        below.close()
        raise


def _raw(path: str, read_only: bool) -> Raw:
    """A raw image; raises MachineError for other formats, and for one without a sector."""
    fd, _ = open_disk(path, writable=not read_only)
    try:
        start = os.pread(fd, 8, 0)
        for beginning, name in _FOREIGN.items():
            if start.startswith(beginning):
                raise MachineError(
                    f"disk {shown(path)} must be a raw image, not {name}: `qemu-img convert -O raw` makes one of it"
                )
        if start == _MAGIC:
            raise MachineError(f"disk {shown(path)} must be an image, not an overlay: name the image, with overlay=")
        disk = Raw(fd, read_only)
        if not disk.size:
            raise MachineError(f"disk {shown(path)} must have a sector of {SECTOR} bytes at least: give a raw image")
        return disk
    except BaseException:
        os.close(fd)
        raise


def _fallocate() -> Callable[[int, int, int, int], int] | None:
    """Linux's fallocate, which makes holes; None elsewhere."""
    if sys.platform != "linux":
        return None
    found = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
    if found is not None:
        found.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
        found.restype = ctypes.c_int
    return found


def _punch(fd: int, offset: int, size: int) -> bool:
    """Make a hole in a file; False if that is not possible."""
    fallocate = _fallocate()
    return fallocate is not None and not fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, offset, size)
