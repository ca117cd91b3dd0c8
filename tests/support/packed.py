"""EFI zboot kernels for tests, laid out by hand as the kernel's build does."""

import gzip
import struct

__all__ = ["zboot"]

_AT = 0x200  # of the payload; with a PE header, sections and a program for EFI before it


def zboot(image: bytes, kind: bytes = b"gzip", payload: bytes | None = None, behind: bytes = bytes(64)) -> bytes:
    """A zboot kernel with ``image`` in it, by default packed with gzip, and with ``behind`` after the payload."""
    packed = gzip.compress(image, mtime=0) if payload is None else payload
    head = struct.pack("<4s4s4I32sII", b"MZ\0\0", b"zimg", _AT, len(packed), 0, 0, kind, 0x8182_23CD, 0x40)
    return (head + b"PE\0\0" + struct.pack("<H", 0xAA64)).ljust(_AT, b"\0") + packed + behind
