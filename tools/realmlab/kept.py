"""Nonvolatile memory: DRAM that survives a system reset, and files that keep its contents from one run to the next."""

import os
from collections.abc import Iterable
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING

from cca_arch.types import GRANULE_SIZE, SecurityState
from cca_platform.board import Bank
from cca_platform.errors import GranuleProtectionFault, MachineError
from cca_platform.userfiles import KINDS, read

from .files import replace
from .sizes import format_size

if TYPE_CHECKING:
    from cca_platform.memory.memory import Memory

__all__ = ["KeptFiles", "Range"]


Range = tuple[int, int, Path | None]
"""Base and size of a range of nonvolatile memory, and the file that keeps it, if there is one."""


class KeptFiles:
    """The files behind nonvolatile memory: read once, before the first boot, and written back when they differ.

    A file that does not exist is created, and its memory is zero at first.
    """

    def __init__(self, ranges: Iterable[Range]) -> None:
        self._loaded = False
        self._contents: dict[Path, tuple[Bank, bytes | None]] = {}
        for base, size, file in ranges:
            if file is not None:
                self._contents[file] = (Bank(base, size), _read(file, size))

    def __bool__(self) -> bool:
        """True if there are files."""
        return bool(self._contents)

    def load(self, memory: "Memory") -> None:
        """Put the contents of the files into memory; from now on it is what they are to have."""
        self._loaded = True
        for bank, data in self._contents.values():
            if data is not None:
                memory.backdoor.write(bank.base, data)

    def write(self, memory: "Memory") -> None:
        """Write back what has changed: each file is at any time the old one or the new one, whole.

        Granules that are not Non-secure are lost, as in a reset. Raises MachineError for a file that cannot be written,
        after all others have been, and once for the same contents.
        """
        lost = ""
        for path, (bank, before) in self._contents.items() if self._loaded else ():
            data = b"".join(_granule(memory, at) for at in range(bank.base, bank.top, GRANULE_SIZE))
            if data == before:
                continue
            self._contents[path] = (bank, data)
            try:
                replace(path, data)
            except OSError as error:
                lost = lost or f"nonvolatile memory must be kept in {str(path)!r} ({error.strerror}): check the path"
        if lost:
            raise MachineError(lost)


def _granule(memory: "Memory", at: int) -> bytes:
    try:
        return memory.port(SecurityState.NON_SECURE).read(at, GRANULE_SIZE)
    except GranuleProtectionFault:
        return bytes(GRANULE_SIZE)


def _read(path: Path, size: int) -> bytes | None:
    """The contents of a file for ``size`` bytes of memory; None if there is no file, in a folder that takes one."""
    given = -1
    try:
        found = os.stat(path)
        given = found.st_size if S_ISREG(found.st_mode) else -1
    except FileNotFoundError:
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise MachineError(f"nonvolatile memory must be kept where a file can be, not in {str(path)!r}") from None
        return None
    except (OSError, ValueError):
        pass  # the door has the words
    data = read(path, KINDS["nonvolatile"], limit=size) if given in (-1, size) else b""
    if len(data) != size:
        what = f"{format_size(size)}, the size of its range, not {max(given, len(data))} bytes"
        raise MachineError(f"the file of nonvolatile memory {str(path)!r} must have {what}")
    return data
