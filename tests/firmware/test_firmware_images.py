"""The boot images: canonical archives of what runs, and flat payloads."""

import io
import struct
import tarfile
from pathlib import Path

import pytest

import cca_firmware
from cca_firmware import images
from cca_firmware.errors import BootError
from cca_firmware.monitor import Monitor

ENTRY = 0x8800_0000


def elf(entry: int = ENTRY, machine: int = 183, paddr: int = ENTRY, data: bytes = b"code") -> bytes:
    """A minimal AArch64 ELF file with one segment of ``data`` and 4 more bytes of zeros."""
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01" + bytes(9), 2, machine, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 120, paddr, paddr, len(data), len(data) + 4, 4)
    return header + segment + data


class TestArchive:
    def test_deterministic(self) -> None:
        """The archive depends on names and contents alone, not on the order in which they come."""
        files = {"b/x.py": b"1" * 700, "a.py": b""}
        assert images.archive(files) == images.archive(dict(reversed(files.items())))

    def test_is_ustar(self) -> None:
        """Any tar reads the archive; nothing in it tells who made it, or when."""
        files = {"package/__init__.py": b"", "package/deep/er.py": b"x = 1\n" * 200}
        with tarfile.open(fileobj=io.BytesIO(images.archive(files))) as tar:
            members = tar.getmembers()
            assert {m.name: tar.extractfile(m).read() for m in members} == files
            assert {(m.mtime, m.uid, m.gid, m.mode) for m in members} == {(0, 0, 0, 0o644)}


class TestComponents:
    def test_firmware(self) -> None:
        """BL2 and BL31 together are exactly the sources of this package, each in one of them."""
        found: list[str] = []
        for image in images.firmware_images():
            with tarfile.open(fileobj=io.BytesIO(image)) as tar:
                found += tar.getnames()
        folder = Path(cca_firmware.__file__).parent
        assert sorted(found) == sorted(f"cca_firmware/{path.name}" for path in folder.glob("*.py"))

    def test_package(self) -> None:
        """The image of a program is the whole package of its class."""
        image = images.component(object.__new__(Monitor))
        with tarfile.open(fileobj=io.BytesIO(image)) as tar:
            assert "cca_firmware/monitor.py" in tar.getnames()
            source = tar.extractfile("cca_firmware/monitor.py")
            assert source is not None
            assert source.read() == (Path(cca_firmware.__file__).parent / "monitor.py").read_bytes()

    def test_single_module(self) -> None:
        """A program of a module without a package is measured by that one file."""
        with tarfile.open(fileobj=io.BytesIO(images.component(self))) as tar:
            assert tar.getnames() == [Path(__file__).name]


class TestFlatten:
    def test_raw(self) -> None:
        """What is no ELF file is loaded as it is."""
        assert images.flatten(b"\x00\x01raw", ENTRY) == b"\x00\x01raw"

    def test_elf(self) -> None:
        """Segments go to their physical addresses, their tails are zero."""
        assert images.flatten(elf(), ENTRY) == b"code" + bytes(4)

    @pytest.mark.parametrize(
        ("payload", "message"),
        [
            (elf(machine=62), "must be an AArch64 ELF file, not EM_X86_64"),
            (elf(entry=ENTRY + 4), "must be linked to start at 0x88000000, not 0x88000004"),
            (elf(paddr=ENTRY - 0x1000), "must be linked to start at 0x88000000"),
            (b"\x7fELF", "must be a whole ELF file"),
            (elf()[:80], "must be a whole ELF file"),
        ],
    )
    def test_bad_elf(self, payload: bytes, message: str) -> None:
        """Another machine, another place and a truncated file are refused with the reason."""
        with pytest.raises(BootError, match=message):
            images.flatten(payload, ENTRY)
