"""The one reader of ELF files: what it finds in a program, and what it refuses."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca_arch.elf import Elf, ElfError, ElfType, ProgramHeader, Relocation, sections_broken, without_sections

BASE = 0x1000
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SEGMENT = struct.Struct("<2I6Q")


def elf(
    *segments: tuple[int, int, bytes, int], kind: int = 2, row: int = 56, sections: tuple[int, int] = (0, 0)
) -> bytes:
    """An ELF of segments (type, virtual address, contents, size in memory), loaded 0x100 above where they run."""
    at, headers, contents = HEADER.size + SEGMENT.size * len(segments), b"", b""
    for number, va, data, size in segments:
        headers += SEGMENT.pack(number, 5, at + len(contents), va, va + 0x100, len(data), size, 8)
        contents += data
    offset, count = sections
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head = (ident, kind, 183, 1, BASE, HEADER.size, offset, 0, 64, row, len(segments), 64, count, 0)
    return HEADER.pack(*head) + headers + contents


class TestProgram:
    """What a loader wants to know."""

    def test_segments(self) -> None:
        """What is loaded is PT_LOAD with a size; headers are all there are."""
        program = Elf(elf((1, BASE, b"code", 8), (1, 0x5000, b"", 0), (4, 0x9000, b"note", 4)))
        assert (program.type, program.entry, len(program.headers)) == (ElfType.ET_EXEC, BASE, 3)
        assert program.segments == [ProgramHeader(1, 5, 64 + 3 * 56, BASE, BASE + 0x100, 4, 8, 8)]
        assert program.contents(program.segments[0]) == b"code"

    def test_physical(self) -> None:
        """A virtual address is loaded where its segment is; zeroes behind the file's bytes count."""
        program = Elf(elf((1, BASE, b"code", 8), (1, 0x5000, b"data", 4)))
        places = [program.physical(va) for va in (BASE, BASE + 7, BASE + 8, 0x5003, 0)]
        assert places == [BASE + 0x100, BASE + 0x107, None, 0x5103, None]

    def test_relocations(self) -> None:
        """The table that DT_RELA and DT_RELASZ name, without half an entry at its end."""
        entries = [(0x1100, 1027, -8), (0x1108, 257, 4)]
        table = b"".join(struct.pack("<QQq", *entry) for entry in entries) + bytes(8)
        dynamic = struct.pack("<6Q", 7, BASE, 8, len(table), 0, 0)
        program = Elf(elf((1, BASE, table, len(table)), (2, 0x2000, dynamic, len(dynamic)), kind=3))
        assert list(program.relocations()) == [Relocation(*entry) for entry in entries]

    @pytest.mark.parametrize(("address", "size"), [(BASE, 25), (BASE - 1, 24), (0x7000, 24), (BASE, 0)])
    def test_no_table(self, address: int, size: int) -> None:
        """A table that no segment holds has no entries."""
        dynamic = struct.pack("<4Q", 7, address, 8, size)
        program = Elf(elf((1, BASE, bytes(24), 64), (2, 0x2000, dynamic, len(dynamic)), kind=3))
        assert not list(program.relocations())


class TestRefusals:
    """The messages that loaders show are tested with them; here is what no other file gets."""

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (elf((1, BASE, b"code", 4), row=57), "is a damaged ELF, with program headers of 57 bytes"),
            (elf((1, BASE, b"code", 4), kind=4), "must be an executable ELF, not ET_CORE: link it"),
            (elf((1, BASE, b"code", 4), kind=99), "must be an executable ELF, not type 99: link it"),
            (elf(), "has no loadable segments"),
        ],
    )
    def test_message(self, data: bytes, message: str) -> None:
        """What is wrong reads as a sentence behind the name of the file."""
        with pytest.raises(ElfError, match=message):
            Elf(data)

    @given(st.binary(max_size=200), st.integers(4, 250))
    def test_any_bytes(self, noise: bytes, at: int) -> None:
        """Whatever the bytes are: a program whose segments lie in the file, or an ElfError."""
        data = bytearray(elf((1, BASE, bytes(24), 64), (2, 0x2000, struct.pack("<4Q", 7, BASE, 8, 24), 32), kind=3))
        data[at : at + len(noise)] = noise
        with suppress(ElfError):
            program = Elf(bytes(data))
            assert all(len(program.contents(segment)) == segment.filesz for segment in program.segments)
            list(program.relocations())


class TestSections:
    """The section header table is not read, but judged."""

    @pytest.mark.parametrize("sections", [(1 << 40, 3), (64, 60_000), (0, 5)])
    def test_broken(self, sections: tuple[int, int]) -> None:
        """A table that cannot be there is told, and can be left out."""
        data = elf((1, BASE, bytes(256), 256), sections=sections)
        assert sections_broken(data)
        assert not sections_broken(without_sections(data))
        assert Elf(without_sections(data)).segments == Elf(data).segments

    @pytest.mark.parametrize("sections", [(0, 0), (64, 4)])
    def test_whole(self, sections: tuple[int, int]) -> None:
        """No table, and one that fits, are as they should be."""
        assert not sections_broken(elf((1, BASE, bytes(256), 256), sections=sections))
