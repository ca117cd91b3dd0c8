"""The one reader of ELF files: what it finds in a program, and what it refuses."""

import struct
from contextlib import suppress

import pytest
from elf_files import BASE, elf
from hypothesis import given
from hypothesis import strategies as st

from cca_arch.elf import Elf, ElfError, ElfType, ProgramHeader, sections_broken, without_sections
from cca_arch.relocation import relocated


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
            relocated(program, 0x8000_0000)


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
