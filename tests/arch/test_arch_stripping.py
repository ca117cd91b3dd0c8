"""Copies of ELF files that have only what a loader needs, and symbols."""

import struct
from collections.abc import Callable
from contextlib import suppress

import pytest
from elf_files import BASE, elf
from hypothesis import given
from hypothesis import strategies as st

from cca_arch.elf import Elf, ElfError, sections_broken
from cca_arch.relocation import relocated
from cca_arch.stripping import TooLarge, stripped
from cca_host.kvmtool.analysis import analyse
from realmlab.payloads import find_payload

ROOM = 1 << 20
HELLO = find_payload("hello").read_bytes()


def reader(data: bytes, size: int) -> Callable[[int, int], bytes]:
    """A file that begins with ``data`` and has a hole up to ``size``."""

    def read(offset: int, length: int) -> bytes:
        part = data[offset : offset + length]
        return part + bytes(min(length, max(size - offset, 0)) - len(part))

    return read


def copy(data: bytes, size: int = 0, limit: int = ROOM) -> bytes:
    """The copy of a file of ``size`` bytes that begins with ``data``."""
    size = size or len(data)
    return stripped(reader(data, size), size, limit)


class TestCopy:
    """What a copy has."""

    @pytest.mark.parametrize("size", [len(HELLO), 20 << 30])
    def test_program(self, size: int) -> None:
        """The program and its symbols are those of the file, whatever its size; sections keep names and places."""
        small = copy(HELLO, size)
        before, after = Elf(HELLO), Elf(small)
        assert after.entry == before.entry and relocated(after, 0) == relocated(before, 0)
        assert len(after.headers) == len(before.headers)
        assert analyse(small) == analyse(HELLO)

    def test_places(self) -> None:
        """A segment is at the same place of a page as in the file, for other loaders."""
        for before, after in zip(Elf(HELLO).segments, Elf(copy(HELLO, 20 << 30)).segments, strict=True):
            assert (before.offset - after.offset) % (1 << 16) == 0

    def test_debug_information(self) -> None:
        """Contents that are not loaded are left out, and their section stays, without contents."""
        data = bytearray(HELLO + bytes(1 << 20))
        (table,) = struct.unpack_from("<Q", data, 0x28)
        (count,) = struct.unpack_from("<H", data, 0x3C)
        extra = struct.pack("<2I4Q2I2Q", 0, 1, 0, 0, len(HELLO), 1 << 20, 0, 0, 1, 0)
        data[0x28:0x30] = struct.pack("<Q", len(data))
        data[0x3C:0x3E] = struct.pack("<H", count + 1)
        data += HELLO[table : table + 64 * count] + extra
        small = copy(bytes(data))
        assert len(small) < len(HELLO) + (1 << 18) and analyse(small) == analyse(HELLO)

    def test_no_room_for_symbols(self) -> None:
        """Symbols are the first to go; the program stays whole."""
        needed = sum(one.filesz for one in Elf(HELLO).segments)
        assert needed < ROOM
        small = next(found for limit in range(needed, ROOM, 1 << 12) if (found := _try(limit)) is not None)
        assert relocated(Elf(small), 0) == relocated(Elf(HELLO), 0)
        assert not analyse(small).symbols and not sections_broken(small)


def _try(limit: int) -> bytes | None:
    with suppress(TooLarge):
        return copy(HELLO, limit=limit)
    return None


class TestBounds:
    """What is read is bounded by the limit, not by what the headers claim."""

    def test_large_segment(self) -> None:
        """A segment beyond the limit is refused before a byte of it is read."""
        data = bytearray(elf((1, BASE, b"code", 4)))
        data[64 + 32 : 64 + 48] = struct.pack("<2Q", 10 << 30, 10 << 30)
        with pytest.raises(TooLarge) as refused:
            copy(bytes(data), 20 << 30)
        assert refused.value.needed == 10 << 30

    def test_many_segments(self) -> None:
        """Segments that share their bytes would be loaded once each."""
        with pytest.raises(ElfError, match="which share them: link it again"):
            segments = bytearray(elf(*[(1, BASE + (at << 20), b"", 1 << 16) for at in range(64)]) + bytes(1 << 16))
            for at in range(64):
                segments[64 + 56 * at + 32 : 64 + 56 * at + 40] = struct.pack("<Q", 1 << 16)
            Elf(bytes(segments))

    def test_scattered_segments(self) -> None:
        """The room between segments counts too."""
        data = bytearray(elf(*[(1, BASE + (at << 20), b"x", 1) for at in range(100)]))
        for at in range(100):
            data[64 + 56 * at + 8 : 64 + 56 * at + 16] = struct.pack("<Q", at << 20)
        with pytest.raises(TooLarge):
            copy(bytes(data), 1 << 30, 1 << 20)

    @given(st.binary(max_size=60), st.integers(4, 250), st.integers(0, 30))
    def test_any_headers(self, noise: bytes, at: int, size: int) -> None:
        """Whatever the headers are: a program, TooLarge or an ElfError."""
        data = bytearray(elf((1, BASE, bytes(24), 64), (2, 0x2000, struct.pack("<4Q", 7, BASE, 8, 24), 32), kind=3))
        data[at : at + len(noise)] = noise
        with suppress(ElfError, TooLarge):
            small = copy(bytes(data), len(data) + (1 << size))
            assert len(small) < 2 * ROOM
            assert Elf(small).entry == Elf(bytes(data) + bytes(ROOM)).entry
