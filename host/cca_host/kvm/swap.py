"""The swap file of a host: sealed pages of Realms, 4 KiB each, with their tags.

The first page has the file's mark. Groups follow, of one page of tags and the 256 pages that these belong to. Such a
page is a *slot*. The file holds nothing secret, and nothing of it is trusted: the RMM refuses what it has not sealed.

Saved states of the machine name slots. So a slot that was in use when one was made is never written again, and a state
that goes back finds its pages; slots come from the end of the file then.
"""

import errno
import os
import weakref
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from stat import S_ISREG
from typing import Final

from cca_arch.types import GRANULE_SIZE
from cca_host.kvm.kernel import Kernel, SwapError
from cca_platform.errors import MachineError
from cca_platform.userfiles import shown

__all__ = ["TAG_SIZE", "SwapFile", "swap_file"]

_MARK: Final = b"Realmlab swap 1\n"
TAG_SIZE: Final = 16
_GROUP: Final = GRANULE_SIZE // TAG_SIZE  # pages whose tags fill a page
_MODE: Final = 0o600


class SwapFile:
    """A file at ``path``, which is made, or was made by one of these before.

    ``keep`` keeps what is in it, which must be there.

    Raises MachineError if it cannot be such a file.
    """

    def __init__(self, path: str, keep: bool = False) -> None:
        self.path = path
        self._used = 0
        self._free: list[int] = []
        self._next = self._pinned = 0
        self._fd = _open(path, 0 if keep else os.O_CREAT)
        self.close = weakref.finalize(self, os.close, self._fd)
        self._begin(keep)

    def _begin(self, keep: bool) -> None:
        """Check that the file is ours, or empty, and begin it anew unless its slots are kept."""
        found = os.fstat(self._fd)
        if not S_ISREG(found.st_mode):
            raise MachineError(f"`swap` {shown(self.path)} must be a plain file: give another")
        try:
            flock(self._fd, LOCK_EX | LOCK_NB)
        except OSError:
            raise MachineError(f"`swap` {shown(self.path)} must be one machine's alone: give another") from None
        if found.st_size and os.pread(self._fd, len(_MARK), 0) != _MARK:
            raise MachineError(
                f"`swap` {shown(self.path)} must be a new file or a swap file, for it is overwritten: give another"
            )
        if keep and found.st_size:
            groups = -(-(found.st_size - GRANULE_SIZE) // ((_GROUP + 1) * GRANULE_SIZE))
            self._next = self._pinned = max(groups, 0) * _GROUP
            return
        try:
            os.ftruncate(self._fd, 0)
            _write(self._fd, _MARK.ljust(GRANULE_SIZE, b"\0"), 0)
        except OSError as error:
            what = f"must be a file to write to ({_why(error)}): check the path and the disk"
            raise MachineError(f"`swap` {shown(self.path)} {what}") from None

    # -- slots ----------------------------------------------------------------------------------------------------
    def take(self) -> int:
        """A slot for a page."""
        self._used += 1
        if self._free:
            return self._free.pop()
        self._next += 1
        return self._next - 1

    def give(self, slot: int) -> None:
        """Free a slot. If none is in use, and no saved state names one, the file becomes small again."""
        self._used -= 1
        if slot >= self._pinned:
            self._free.append(slot)
        if not self._used and not self._pinned:
            self._free.clear()
            self._next = 0
            with suppress(OSError):  # then it stays large
                os.ftruncate(self._fd, GRANULE_SIZE)

    def pin(self) -> None:
        """A saved state names the slots that are in use: never write to them again."""
        self._pinned = self._next
        self._free.clear()

    # -- pages ----------------------------------------------------------------------------------------------------
    def write(self, slot: int, page: bytes, tag: bytes) -> None:
        """Write a page and its tag; raises SwapError if the file does not take them."""
        try:
            _write(self._fd, page, _page_at(slot))
            _write(self._fd, tag, _tag_at(slot))
        except OSError as error:
            raise SwapError(f"the swap file {shown(self.path)} does not take a page: {_why(error)}") from None

    def read(self, slot: int) -> tuple[bytes, bytes]:
        """A page and its tag; raises SwapError if the file does not give them."""
        try:
            page = os.pread(self._fd, GRANULE_SIZE, _page_at(slot))
            tag = os.pread(self._fd, TAG_SIZE, _tag_at(slot))
        except OSError as error:
            raise SwapError(f"the swap file {shown(self.path)} does not give a page: {_why(error)}") from None
        if len(page) != GRANULE_SIZE or len(tag) != TAG_SIZE:
            raise SwapError(f"the swap file {shown(self.path)} does not give a page: it has become shorter")
        return page, tag


def swap_file(system: Kernel, path: str, keep: bool = False) -> SwapFile:
    """The swap file at ``path``, which all Realms of a host share; it stays open as long as the host is there."""
    name = os.path.realpath(path)
    found = system.swaps.get(name)
    if not isinstance(found, SwapFile):
        found = system.swaps[name] = SwapFile(path, keep)
        system.machine.at_close.append(found.close)
    return found


def _open(path: str, flags: int) -> int:
    """Open the file to read and write; a pipe or device does not hold us up."""
    try:
        return os.open(path, os.O_RDWR | flags | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK, _MODE)
    except ValueError:  # a NUL, or half a surrogate pair
        raise MachineError(f"`swap` {shown(path)!r} has a name that no file can have: check the path") from None
    except OSError as error:
        what = f"must be a file to write to ({_why(error)}): check the path and the disk"
        raise MachineError(f"`swap` {shown(path)} {what}") from None


def _why(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    return error.strerror or "it fails"


def _write(fd: int, data: bytes, at: int) -> None:
    """Write all of ``data``, however little a write takes at a time."""
    left = memoryview(data)
    while left:
        done = os.pwrite(fd, left, at)
        left, at = left[done:], at + done


def _page_at(slot: int) -> int:
    group, number = divmod(slot, _GROUP)
    return (2 + group * (_GROUP + 1) + number) * GRANULE_SIZE


def _tag_at(slot: int) -> int:
    group, number = divmod(slot, _GROUP)
    return (1 + group * (_GROUP + 1)) * GRANULE_SIZE + number * TAG_SIZE
