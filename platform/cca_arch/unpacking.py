"""Compressed programs, unpacked: Image.gz and the like, and the EFI zboot kernels (vmlinuz.efi) of distributions.

One layer is unpacked, to at most a limit: a small file can stand for any amount. gzip, xz, lzma and bzip2 are in the
standard library, lz4 in :mod:`cca_arch.lz4`. Zstandard is in it from Python 3.14 on; before, the package zstandard is
asked for when such a file comes, so that nobody else needs it. lzop is recognised only.
Published: RFC 1952 (gzip), RFC 8878 (Zstandard), the xz, bzip2 and LZMA formats; for zboot, the header in Linux's
drivers/firmware/efi/libstub/zboot-header.S: "zimg" at 4, offset and size of the payload at 8 and 12.
"""

import struct
import zlib
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any, Final, Protocol

from cca_arch import lz4
from cca_arch.compression import compressed, is_zboot, packing, zboot_packing

__all__ = ["UnpackError", "check_stream", "unpacked"]

_FEED: Final = 1 << 10
"""Bytes of a stream given at once: zstandard gives all that it makes of them, at the most 32 MiB."""
_STEP: Final = 1 << 20
"""Bytes taken at once from streams that let us say it."""
_MAGIC: Final = 3  # bytes at the start of a stream that another one behind it begins with, too
_GZIP_WINDOW: Final = 31  # the largest window, in gzip's framing
_LZMA_MEMORY: Final = 256 << 20  # a dictionary can be up to 4 GiB; those of kernels have 64 or 128 MiB
_ANY: Final = 1 << 62  # a limit that nothing reaches
_PAYLOAD: Final = struct.Struct("<8x2I")
_SIZE: Final = struct.Struct("<I")
_LINUX_AT: Final = slice(0x38, 0x3C)
_LINUX: Final = b"ARM\x64"


class UnpackError(ValueError):
    """What is wrong with a file, and what to do: a sentence to which the caller adds the subject, the file's name."""


def unpacked(data: bytes, limit: int) -> bytes:
    """What is packed in a compressed file or an EFI zboot kernel; any other file as it is.

    UnpackError for one that is damaged, that holds another compressed one, or that has more than ``limit`` bytes in it.
    """
    if is_zboot(data):
        return _zboot(data, limit)
    name = packing(data)
    if not name:
        return data
    contents = _contents(name, data, limit, f"{name} file")
    inner = packing(contents)
    if inner:
        raise UnpackError(f"is compressed with {name}, and what is in it with {inner}: unpack it first")
    return _zboot(contents, limit) if is_zboot(contents) else contents


def check_stream(data: bytes, what: str) -> None:
    """Check that a compressed file is whole, as far as this can be told here, and keep nothing of it.

    ``what`` it is, for messages. Raises UnpackError. lz4 and lzop are not looked at, nor Zstandard without its package.
    """
    name = packing(data)
    if name == "zstd" and not _has_zstd():
        return
    if name in ("gzip", "xz", "lzma", "bzip2", "zstd"):
        new, damage = _stream_of(name, data)
        try:
            _read(data, _ANY, new, what, damage, _Nothing())
        except EOFError:
            raise UnpackError(f"is a truncated {what}: copy it again") from None


def _zboot(data: bytes, limit: int) -> bytes:
    """The Image in an EFI zboot kernel."""
    start, size = _PAYLOAD.unpack_from(data.ljust(_PAYLOAD.size, b"\0"))
    end = start + size
    if end > len(data):
        raise UnpackError(
            f"is a truncated EFI zboot kernel: its payload ends at {end:#x}, the file at {len(data):#x}: copy it again"
        )
    said = zboot_packing(data)
    payload = data[start:end]
    name = "lzma" if said == "lzma" else packing(payload)
    if not name:
        raise UnpackError(compressed(data))
    contents = _contents(name, payload, limit, f"EFI zboot kernel ({name})")
    named = _SIZE.unpack_from(data, end)[0] if name != "gzip" and end + _SIZE.size <= len(data) else len(contents)
    if named != len(contents):
        raise UnpackError(
            f"is an EFI zboot kernel that unpacks to {len(contents):,} bytes, not to the {named:,} that it names: "
            "build or copy it again"
        )
    if contents[_LINUX_AT] != _LINUX:
        raise UnpackError("is an EFI zboot kernel without an arm64 Image in it: give a kernel for arm64")
    return contents


def _contents(name: str, data: bytes, limit: int, what: str) -> bytes:
    """What a compressed file of the format ``name`` holds; ``what`` it is, for messages."""
    try:
        if name == "lz4":
            contents = lz4.frames(data, limit)
        elif name == "lz4 (legacy frames)":
            contents = lz4.legacy(data, limit)
        else:
            new, damage = _stream_of(name, data)
            kept = BytesIO()
            _read(data, limit, new, what, damage, kept)
            contents = kept.getvalue()
    except EOFError:
        raise UnpackError(f"is a truncated {what}: copy it again") from None
    except lz4.Lz4Error as error:
        raise UnpackError(f"is a damaged {what} ({error}): copy it again") from None
    if len(contents) > limit:
        raise UnpackError(f"is a {what} with more than {limit >> 20} MiB in it: give a smaller program")
    return contents


# -- streams --------------------------------------------------------------------------------------------------------
class _Stream(Protocol):
    """A decompressor of the standard library: it gives at most ``max_length`` bytes at once, and keeps the others."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """A member of a gzip file as a stream: checksum and size at its end are checked."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP_WINDOW)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        found = self._stream.decompress(self._stream.unconsumed_tail + data, max_length)
        self.needs_input = not self._stream.unconsumed_tail and len(found) < max_length
        return found


class _Zstandard:
    """A frame of the package zstandard as a stream, which gives all that it can at once."""

    needs_input = True

    def __init__(self, package: Any) -> None:
        self._stream = package.ZstdDecompressor().decompressobj()

    @property
    def eof(self) -> bool:
        return bool(self._stream.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._stream.unused_data)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        del max_length
        return bytes(self._stream.decompress(data))


def _stream_of(name: str, data: bytes) -> tuple[Callable[[], _Stream], type[Exception]]:
    """What makes a stream of this format, and what that raises for damaged data."""
    if name == "gzip":
        return _Gzip, zlib.error
    if name in ("xz", "lzma"):
        import lzma

        return partial(lzma.LZMADecompressor, memlimit=_LZMA_MEMORY), lzma.LZMAError
    if name == "bzip2":
        import bz2

        return bz2.BZ2Decompressor, OSError
    if name == "zstd":
        return _zstd()
    raise UnpackError(compressed(data))


def _has_zstd() -> bool:
    try:
        _zstd()
    except UnpackError:
        return False
    return True


def _zstd() -> tuple[Callable[[], _Stream], type[Exception]]:
    """What there is for Zstandard: the module of Python 3.14, else the package."""
    try:
        from compression import zstd
    except ImportError:
        try:
            import zstandard
        except ImportError:
            raise UnpackError(
                "is compressed with zstd, which needs Python 3.14 or the package zstandard: "
                "`pip install zstandard`, or unpack it first, as with `unzstd`"
            ) from None
        return partial(_Zstandard, zstandard), zstandard.ZstdError
    return zstd.ZstdDecompressor, zstd.ZstdError


class _Nothing(BytesIO):
    """Takes what is unpacked, and keeps none of it."""

    def write(self, data: Any) -> int:
        return len(data)


def _read(
    data: bytes, limit: int, new: Callable[[], _Stream], what: str, damage: type[Exception], found: BytesIO
) -> None:
    """All of the streams that follow each other in ``data`` to ``found``, up to a little more than ``limit``.

    What else is behind the last one counts for nothing, as with the tools: a size, a device tree, padding.
    """
    at, magic = 0, data[:_MAGIC]
    try:
        while at < len(data) and data[at : at + _MAGIC] == magic and found.tell() <= limit:
            stream = new()
            while not stream.eof and found.tell() <= limit:
                part = data[at : at + _FEED] if stream.needs_input else b""
                if stream.needs_input and not part:
                    raise EOFError
                at += len(part)
                found.write(stream.decompress(part, _STEP))
            at -= len(stream.unused_data)
    except damage as error:
        raise UnpackError(f"is a damaged {what} ({error}): copy it again") from None
