"""The image of a Secure payload."""

import struct
from pathlib import Path

import pytest

from cca_firmware.base.errors import BootError
from cca_firmware.package.secure_image import flatten
from cca_platform.board import Board

REGION = Board.load("fvp").region("secure")
PAYLOADS = Path(__file__).parents[2] / "realm_payloads" / "bin"


def elf(entry: int = REGION.base, paddr: int = REGION.base, data: bytes = b"code", size: int = 8) -> bytes:
    """A minimal AArch64 ELF file with one segment."""
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<16sHHIQQQIHHHHHH", ident, 2, 183, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 120, paddr, paddr, len(data), size, 4) + data


class TestFlatten:
    def test_raw(self) -> None:
        """What is no ELF file is loaded as it is."""
        assert flatten(b"raw bytes", REGION) == b"raw bytes"

    def test_elf(self) -> None:
        """The bytes of the segments, at their places."""
        assert flatten(elf(), REGION) == b"code"
        assert flatten(elf(paddr=REGION.base + 8), REGION) == bytes(8) + b"code"

    @pytest.mark.parametrize("name", ["secure", "secure_virt"])
    def test_payload(self, name: str) -> None:
        """The payload that comes with Realmlab fits."""
        assert 0 < len(flatten((PAYLOADS / f"{name}.elf").read_bytes(), REGION)) < REGION.size

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "must not be empty"),
            (b"\x1f\x8b\x08\0", "Secure payload is compressed with gzip: unpack it first"),
            (b"!<arch>\n", "Secure payload is an archive of object files: link it"),
            (elf(entry=REGION.base + 4), "must be linked to start at 0xfc000000, .* not at 0xfc000004"),
            (elf(paddr=REGION.base - 0x1000), "must be linked to start at 0xfc000000"),
            (elf(size=REGION.size + 1), "with all of it below 0xfdc00000"),
            (elf()[:70], "Secure payload is a truncated ELF: its program headers end at 0x78, the file at 0x46"),
        ],
    )
    def test_refused(self, data: bytes, message: str) -> None:
        """Another place, too much and a truncated file are refused with the reason."""
        with pytest.raises(BootError, match=message):
            flatten(data, REGION)
