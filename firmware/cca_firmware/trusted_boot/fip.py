"""The Firmware Image Package: a table of contents, and images by UUID.

The format is TF-A's: a header (name 0xAA640001, serial number, flags), entries (UUID, offset from the start of the
package, size, flags), and a null entry whose offset is the end of the package. The parser trusts nothing: it rejects a
package with a non-zero reserved field, an entry outside the package or a repeated UUID.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from cca_arch.fields import Member, Struct
from cca_firmware.base.errors import BootError
from cca_firmware.base.pieces import Pieces

__all__ = ["TOC_ENTRY", "TOC_HEADER", "TOC_NAME", "TOC_SERIAL", "Entry", "Fip", "build"]

TOC_NAME: Final = 0xAA64_0001
TOC_SERIAL: Final = 0x1234_5678
TOC_HEADER: Final = Struct("fip_toc_header", 16, Member("name", 0, 4), Member("serial", 4, 4), Member("flags", 8, 8))
TOC_ENTRY: Final = Struct(
    "fip_toc_entry",
    40,
    Member("uuid", 0, 16),
    Member("offset", 16, 8),
    Member("size", 24, 8),
    Member("flags", 32, 8),
)
_NULL: Final = bytes(16)


class Entry(NamedTuple):
    """One image of a package: 16 bytes of UUID, offset from the start of the package, size; both in bytes."""

    uuid: bytes
    offset: int
    size: int


def build(images: Mapping[bytes, bytes]) -> Pieces:
    """Build a package of ``images`` (by UUID) in their order."""
    at = TOC_HEADER.size + TOC_ENTRY.size * (len(images) + 1)
    toc = [TOC_HEADER.pack(name=TOC_NAME, serial=TOC_SERIAL)]
    for uuid, image in images.items():
        toc.append(TOC_ENTRY.pack(uuid=uuid, offset=at, size=len(image)))
        at += len(image)
    toc.append(TOC_ENTRY.pack(uuid=_NULL, offset=at))
    return Pieces([b"".join(toc), *images.values()])


class Fip:
    """A parsed package; ``fip.get(uuid)`` returns an image. Raises BootError if ``data`` is malformed."""

    def __init__(self, data: bytes | Pieces) -> None:
        self.data = data
        self.entries = {entry.uuid: entry for entry in self._entries()}

    def _entries(self) -> Iterator[Entry]:
        data, end = self.data, len(self.data)
        if end < TOC_HEADER.size:
            raise BootError(
                f"FIP must hold a ToC header of {TOC_HEADER.size} bytes, not {end} bytes; rebuild the package"
            )
        header = TOC_HEADER.unpack(data[: TOC_HEADER.size])
        if (header.name, header.serial, header.flags) != (TOC_NAME, TOC_SERIAL, 0):
            raise BootError(
                f"FIP ToC header must be {TOC_NAME:#x} {TOC_SERIAL:#x} 0x0, "
                f"not {header.name:#x} {header.serial:#x} {header.flags:#x}"
            )
        seen: set[bytes] = set()
        at = TOC_HEADER.size
        while True:
            if at + TOC_ENTRY.size > end:
                raise BootError(f"FIP ToC must end with a null entry, not with the package at {end:#x}")
            entry = TOC_ENTRY.unpack(data[at : at + TOC_ENTRY.size])
            at += TOC_ENTRY.size
            if entry.flags:
                raise BootError(f"FIP ToC entry {entry.uuid.hex()} must have flags 0, not {entry.flags:#x}")
            if entry.uuid == _NULL:
                break
            if entry.uuid in seen:
                raise BootError(f"FIP ToC must hold {entry.uuid.hex()} once, not twice")
            seen.add(entry.uuid)
            if entry.offset + entry.size > end:
                raise BootError(
                    f"FIP image {entry.uuid.hex()} must end inside the package of {end:#x} bytes, "
                    f"not at {entry.offset + entry.size:#x}; the package is truncated or its ToC is damaged"
                )
            yield Entry(entry.uuid, entry.offset, entry.size)
        if (entry.offset, entry.size) != (end, 0):
            raise BootError(f"FIP must be {entry.offset:#x} bytes long as its ToC says, not {end:#x}")

    def get(self, uuid: bytes) -> bytes | None:
        """The image with this UUID, or None."""
        entry = self.entries.get(uuid)
        return None if entry is None else self.data[entry.offset : entry.offset + entry.size]
