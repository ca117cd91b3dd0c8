"""Archives in the format of an initramfs: cpio, "newc" (Linux, Documentation/driver-api/early-userspace/buffer-format).

An entry is a header of hexadecimal numbers, its name and its contents, each padded to four bytes. Owner, time and links
are the same for every entry, so that equal contents make equal archives. Device nodes are only entries: writing them
needs no root.
"""

import stat
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

__all__ = ["Entry", "archive", "device", "file", "folder", "link"]

_MAGIC: Final = b"070701"
_TRAILER: Final = "TRAILER!!!"
_PAD: Final = 4
_LARGEST: Final = (1 << 32) - 1


class Entry(Struct, frozen=True):
    """A file of an archive; ``name`` has no leading slash, ``mode`` is as in ``stat``, ``device`` is (major, minor)."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def folder(name: str, mode: int = 0o755) -> Entry:
    """A directory."""
    return Entry(name, stat.S_IFDIR | mode)


def file(name: str, data: bytes, mode: int = 0o644) -> Entry:
    """A regular file."""
    return Entry(name, stat.S_IFREG | mode, data)


def link(name: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(name, stat.S_IFLNK | 0o777, target.encode())


def device(name: str, major: int, minor: int, mode: int = 0o600) -> Entry:
    """A character device."""
    return Entry(name, stat.S_IFCHR | mode, device=(major, minor))


def archive(entries: Iterable[Entry]) -> bytes:
    """The archive of ``entries``, in their order; several archives, one behind the other, are one initramfs."""
    found = bytearray()
    for number, entry in enumerate([*entries, Entry(_TRAILER, 0)], 1):
        name = entry.name.encode() + b"\0"
        assert len(entry.data) <= _LARGEST
        links = 2 if stat.S_ISDIR(entry.mode) else 1
        fields = (number, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
        found += _MAGIC + b"".join(b"%08x" % one for one in fields) + name
        found += bytes(-len(found) % _PAD)
        found += entry.data
        found += bytes(-len(found) % _PAD)
    return bytes(found)
