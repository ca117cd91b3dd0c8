"""LZ4 in its two kinds of files: frames, and the legacy ones that the kernel's build makes (``lz4 -l``).

A block is a row of sequences: literals, then a copy of what came before. Checksums of frames are not looked at: in
Python they would take longer than the rest. It unpacks some 40 MB a second.
Published: the LZ4 block format and the LZ4 frame format, in the repository lz4/lz4, doc/.
"""

import struct
from io import BytesIO
from typing import Final

__all__ = ["Lz4Error", "frames", "legacy"]

_FRAME: Final = 0x184D_2204
_LEGACY: Final = 0x184C_2102
_SKIPPABLE: Final = range(0x184D_2A50, 0x184D_2A60)
_WORD: Final = struct.Struct("<I")
_LEGACY_BLOCK: Final = 8 << 20  # of contents; every block of a file but the last has so many
_VERSION, _VERSION_1 = 0xC0, 0x40
_INDEPENDENT: Final = 0x20
_HISTORY: Final = 64 << 10  # as far back as a copy can come from
_BLOCK_CHECKSUM, _CONTENT_SIZE, _CONTENT_CHECKSUM, _DICTIONARY = 0x10, 0x08, 0x04, 0x01
_STORED: Final = 1 << 31  # of a block's size: its contents are as they are
_BLOCK_SIZES: Final = {4: 64 << 10, 5: 256 << 10, 6: 1 << 20, 7: 4 << 20}
_LEAST_COPY: Final = 4
_LONG: Final = 15  # in a nibble of the token: more bytes of the length follow
_FULL: Final = 255


class Lz4Error(ValueError):
    """What is wrong with the data, in a few words."""


def legacy(data: bytes, limit: int) -> bytes:
    """The contents of legacy frames, at the end of which may be their size, as the kernel's build appends it.

    Stops when there are more than ``limit`` bytes. EOFError for data that end too early, Lz4Error for damaged ones.
    """
    found = BytesIO()
    at = _WORD.size
    while at + _WORD.size <= len(data) and found.tell() <= limit:
        (size,) = _WORD.unpack_from(data, at)
        at += _WORD.size
        if size == _LEGACY or (at == len(data) and size == found.tell()):
            continue
        if at + size > len(data):
            raise EOFError
        found.write(_block(data, at, at + size, b"", _LEGACY_BLOCK))
        at += size
    return found.getvalue()


def frames(data: bytes, limit: int) -> bytes:
    """The contents of frames; what follows the last one counts for nothing.

    Stops when there are more than ``limit`` bytes. EOFError for data that end too early, Lz4Error for damaged ones.
    """
    found = BytesIO()
    at = 0
    while at + _WORD.size <= len(data) and found.tell() <= limit:
        magic = _word(data, at)
        if magic == _FRAME:
            at = _frame(data, at + _WORD.size, found, limit)
        elif magic in _SKIPPABLE:
            at += 2 * _WORD.size + _word(data, at + _WORD.size)
        else:
            break
    return found.getvalue()


def _frame(data: bytes, at: int, found: BytesIO, limit: int) -> int:
    """Unpack a frame from behind its magic number on; where it ends."""
    flags, sizes = _word(data, at) & _FULL, data[at + 1]
    largest = _BLOCK_SIZES.get(sizes >> 4 & 7)
    if flags & _VERSION != _VERSION_1 or largest is None or flags & _DICTIONARY:
        raise Lz4Error("its frame needs a dictionary, or has another version")
    at += 2
    named, start, history = None, found.tell(), b""
    if flags & _CONTENT_SIZE:
        named = _word(data, at) | _word(data, at + _WORD.size) << 32
        at += 2 * _WORD.size
    at += 1  # the checksum of the header
    while word := _word(data, at):
        at += _WORD.size
        end = at + (word & ~_STORED)
        if end > len(data):
            raise EOFError
        block = data[at:end] if word & _STORED else _block(data, at, end, history, largest)
        found.write(block)
        if found.tell() > limit:
            return end
        history = b"" if flags & _INDEPENDENT else (history + block)[-_HISTORY:]
        at = end + (_WORD.size if flags & _BLOCK_CHECKSUM else 0)
    if named not in (None, found.tell() - start):
        raise Lz4Error(f"it has {found.tell() - start:,} bytes in it, not the {named:,} that it names")
    at += 2 * _WORD.size if flags & _CONTENT_CHECKSUM else _WORD.size
    if at > len(data):
        raise EOFError
    return at


def _word(data: bytes, at: int) -> int:
    if at + _WORD.size > len(data):
        raise EOFError
    return int(_WORD.unpack_from(data, at)[0])


def _longer(data: bytes, at: int) -> tuple[int, int]:
    """The length that goes on at ``at``, and where it ends: bytes to be added, up to one that is not full."""
    count, more = _LONG, _FULL
    while more == _FULL:
        more = data[at]
        at += 1
        count += more
    return count, at


def _block(data: bytes, at: int, end: int, history: bytes, most: int) -> bytes:
    """The contents of the block at ``data[at:end]``, at most so many bytes; copies may come from ``history``, too.

    The inner loop: a kernel has some millions of sequences.
    """
    found = bytearray(history)
    top = len(history) + most
    try:
        while at < end:
            token = data[at]
            at += 1
            count = token >> 4
            if count:
                if count == _LONG:
                    count, at = _longer(data, at)
                found += data[at : at + count]
                at += count
            if at >= end:
                break
            offset = data[at] | data[at + 1] << 8
            at += 2
            count = token & _LONG
            if count == _LONG:
                count, at = _longer(data, at)
            count += _LEAST_COPY
            first = len(found) - offset
            if first < 0 or not offset:
                raise Lz4Error("a copy comes from before its start")
            if len(found) + count > top:
                raise Lz4Error(f"a block has more than {most:,} bytes in it")
            if count <= offset:
                found += found[first : first + count]
            else:
                found += (found[first:] * (count // offset + 1))[:count]
    except IndexError:
        raise EOFError from None
    if at != end or len(found) > top:
        raise Lz4Error("a block ends within a sequence, or has too many literals")
    return bytes(found[len(history) :])
