"""Compressed files are known by their first bytes, and nothing else is taken for one."""

import bz2
import gzip
import lzma
from pathlib import Path

import pytest

from cca_arch.compression import compressed

DATA = bytes(64)
ZBOOT = b"MZ\0\0zimg".ljust(24, b"\0") + b"zstd22".ljust(32, b"\0") + b"\xcd\x23\x82\x81"
FILES = {
    "gzip": (gzip.compress(DATA, mtime=0), "gunzip"),
    "xz": (lzma.compress(DATA), "unxz"),
    "bzip2": (bz2.compress(DATA), "bunzip2"),
    "lzma": (lzma.compress(DATA, lzma.FORMAT_ALONE), "unlzma"),
    "lz4": (bytes.fromhex("04224d1864"), "lz4 -d"),
    "lz4 (legacy frames)": (bytes.fromhex("02214c18"), "lz4 -d"),
    "zstd": (bytes.fromhex("28b52ffd04"), "unzstd"),
    "lzop": (b"\x89LZO\0\r\n\x1a\n", "lzop -d"),
}


@pytest.mark.parametrize("name", FILES)
def test_formats(name: str) -> None:
    """The sentence names the format and the program that unpacks it."""
    data, tool = FILES[name]
    assert compressed(data) == f"is compressed with {name}: unpack it first, as with `{tool}`"


@pytest.mark.parametrize(("kind", "inside"), [(b"gzip", "gzip"), (b"zstd22", "zstd22"), (b"", "an unknown format")])
def test_zboot(kind: bytes, inside: str) -> None:
    """An EFI zboot kernel says what is inside; the kernel build has the file that it was made from."""
    data = ZBOOT[:24] + kind.ljust(32, b"\0") + ZBOOT[56:]
    assert compressed(data) == (
        f"is an EFI zboot kernel, compressed with {inside}: give the file `Image` of the same build"
    )


@pytest.mark.parametrize(
    "data", [b"", b"MZ", b"MZ\0\0zim", b"\x1f\x8b", DATA, b"\x7fELF", *[b"\0" + one for one, _ in FILES.values()]]
)
def test_others(data: bytes) -> None:
    """What is shorter, or begins otherwise, is not compressed."""
    assert not compressed(data)


def test_payloads() -> None:
    """No bundled payload is taken for a compressed file."""
    folder = Path(__file__).parents[2] / "realm_payloads" / "bin"
    payloads = list(folder.glob("*.elf"))
    assert payloads and not any(compressed(path.read_bytes()) for path in payloads)
