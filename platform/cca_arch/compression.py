"""Compressed kernels, as distributions and kernel builds have them: recognised by their first bytes, so that none runs.

:mod:`cca_arch.unpacking` has what is in them.

Published: RFC 1952 (gzip), RFC 8878 (Zstandard), the LZ4 frame format, the xz, bzip2, LZMA and lzop formats; Linux,
drivers/firmware/efi/libstub/zboot-header.S.
"""

from typing import Final

__all__ = ["compressed", "is_zboot", "packing", "zboot_packing"]

_FORMATS: Final = (
    ("gzip", b"\x1f\x8b\x08", "gunzip"),
    ("lz4", b"\x04\x22\x4d\x18", "lz4 -d"),
    ("lz4 (legacy frames)", b"\x02\x21\x4c\x18", "lz4 -d"),
    ("zstd", b"\x28\xb5\x2f\xfd", "unzstd"),
    ("xz", b"\xfd7zXZ\x00", "unxz"),
    ("bzip2", b"BZh", "bunzip2"),
    ("lzma", b"\x5d\x00\x00\x80\x00", "unlzma"),
    ("lzma", b"\x5d\x00\x00\x00\x01", "unlzma"),  # the dictionaries of -7 to -9, the last of which kernels have
    ("lzma", b"\x5d\x00\x00\x00\x02", "unlzma"),
    ("lzma", b"\x5d\x00\x00\x00\x04", "unlzma"),
    ("lzop", b"\x89LZO\x00\r\n\x1a\n", "lzop -d"),
)
"""(name, first bytes, the program that unpacks it)."""
_ZBOOT: Final = b"zimg"
_ZBOOT_AT: Final = slice(4, 8)
_ZBOOT_KIND: Final = slice(24, 56)


def packing(data: bytes) -> str:
    """The format that a file is compressed with; empty for any other file."""
    return next((name for name, magic, _ in _FORMATS if data.startswith(magic)), "")


def is_zboot(data: bytes) -> bool:
    """True for an EFI zboot kernel."""
    return data.startswith(b"MZ") and data[_ZBOOT_AT] == _ZBOOT


def zboot_packing(data: bytes) -> str:
    """What an EFI zboot kernel says that it is compressed with."""
    kind = data[_ZBOOT_KIND].partition(b"\0")[0].decode("ascii", "replace")
    return kind if kind.isalnum() else "an unknown format"


def compressed(data: bytes) -> str:
    """What a compressed file is and what to do, as a sentence behind the name of the file; empty for any other file."""
    if is_zboot(data):
        inside = zboot_packing(data)
        return f"is an EFI zboot kernel, compressed with {inside}: give the file `Image` of the same build"
    for name, magic, tool in _FORMATS:
        if data.startswith(magic):
            return f"is compressed with {name}: unpack it first, as with `{tool}`"
    return ""
