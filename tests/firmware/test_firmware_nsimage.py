"""Non-secure images: what goes where, where it starts, and what is refused."""

import gzip
import struct
from contextlib import suppress
from typing import Any

import pytest
from elf_files import BASE, moved
from hypothesis import given
from hypothesis import strategies as st

from cca_arch.types import SecurityState
from cca_firmware.base.errors import BootError
from cca_firmware.package.nsimage import NsImage, elf_parts, lay_out
from cca_platform.board import Board

ENTRY = 0x8800_0000
FVP = Board.load("fvp")
GZIP = gzip.compress(b"code", mtime=0)
Segment = tuple[int, bytes, int]


def elf(
    *segments: Segment, entry: int = ENTRY, machine: int = 183, kind: int = 2, bits: int = 2, shift: int = 0
) -> bytes:
    """An ELF file of segments (PA, bytes, zeroes after them), linked to run ``shift`` above where they are loaded."""
    segments = segments or ((ENTRY, b"code", 4),)
    table, data = b"", b""
    start = 64 + 56 * len(segments)
    for pa, content, zeroes in segments:
        size = len(content)
        table += struct.pack("<IIQQQQQQ", 1, 5, start + len(data), pa + shift, pa, size, size + zeroes, 4)
        data += content
    ident = bytes((0x7F, *b"ELF", bits, 1, 1)).ljust(16, b"\0")
    head = struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, entry, 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
    return ident + head + table + data


def parts(*images: NsImage, entry: int | None = None) -> tuple[list[tuple[int, bytes, int]], int]:
    """What is laid out for the fvp board: (address, bytes, size) of each part, and the entry."""
    layout = lay_out(images, FVP, entry)
    return [(part.address, part.data, part.size) for part in layout.parts], layout.entry


class TestRaw:
    def test_board_entry(self) -> None:
        """A raw image without an address goes to the board's NS entry and starts there."""
        assert parts(NsImage(b"raw!")) == ([(ENTRY, b"raw!", 4)], ENTRY)

    def test_address(self) -> None:
        """Several images go to their addresses; the first one starts."""
        images = NsImage(b"one!", 0x8000_0000), NsImage(b"two", 0x8_8000_0001)
        assert parts(*images) == ([(0x8000_0000, b"one!", 4), (0x8_8000_0001, b"two", 3)], 0x8000_0000)

    def test_entry(self) -> None:
        """An entry that is given goes before what the images say."""
        images = NsImage(b"raw!" * 4), NsImage(elf((0x9000_0000, b"code", 0), entry=0x9000_0000))
        assert parts(*images, entry=ENTRY + 8)[1] == ENTRY + 8

    def test_compressed(self) -> None:
        """A compressed file that does not start is data for whoever does."""
        images = NsImage(b"raw!"), NsImage(GZIP, 0x9000_0000)
        assert parts(*images) == ([(ENTRY, b"raw!", 4), (0x9000_0000, GZIP, len(GZIP))], ENTRY)
        images = NsImage(GZIP), NsImage(elf((0x9000_0000, b"code", 0), entry=0x9000_0000))
        assert parts(*images)[0][0] == (ENTRY, GZIP, len(GZIP))

    def test_unpacked(self) -> None:
        """The compressed file that starts is unpacked: the first one, or the one at the entry."""
        expected = [(ENTRY, b"code", 4), (0x9000_0000, GZIP, len(GZIP))]
        assert parts(NsImage(GZIP), NsImage(GZIP, 0x9000_0000)) == (expected, ENTRY)
        expected = [(0x9000_0000, b"code", 4), (ENTRY, GZIP, len(GZIP))]
        assert parts(NsImage(GZIP, 0x9000_0000), NsImage(GZIP, ENTRY)) == (expected, 0x9000_0000)
        expected = [(ENTRY, GZIP, len(GZIP)), (0x9000_0000, b"code", 4)]
        assert parts(NsImage(GZIP), NsImage(GZIP, 0x9000_0000), entry=0x9000_0000) == (expected, 0x9000_0000)
        assert parts(NsImage(gzip.compress(elf()))) == parts(NsImage(elf()))


class TestElf:
    def test_segments(self) -> None:
        """Near segments are one part with zeroes between them, far ones are parts of their own; a tail takes room."""
        image = elf((ENTRY, b"code", 4), (ENTRY + 0x10, b"data", 0x100), (0x8_8000_0000, b"far", 0))
        expected = [(ENTRY, b"code".ljust(16, b"\0") + b"data", 0x114), (0x8_8000_0000, b"far", 3)]
        assert parts(NsImage(image)) == (expected, ENTRY)

    def test_starts(self) -> None:
        """The first ELF file starts, before any raw image."""
        images = NsImage(b"raw!", 0x8000_0000), NsImage(elf()), NsImage(elf((0x9000_0000, b"code", 0)))
        assert parts(*images)[1] == ENTRY

    def test_physical(self) -> None:
        """Segments go to their physical addresses, and the entry with the segment that holds it."""
        image = elf((ENTRY, b"code", 4), shift=0xFFFF_0000_0000_0000, entry=0xFFFF_0000_8800_0004)
        assert parts(NsImage(image)) == ([(ENTRY, b"code", 8)], ENTRY + 4)

    def test_position_independent(self) -> None:
        """A position-independent file goes to the address given."""
        image = elf((0x1000, b"code" * 2, 4), entry=0x1004, kind=3)
        assert parts(NsImage(image, 0x8800_0000)) == ([(0x8800_1000, b"code" * 2, 12)], 0x8800_1004)

    @pytest.mark.parametrize(("address", "word"), [(None, 0x1234), (0x8800_0000, 0x8800_1234)])
    def test_relocated(self, address: int | None, word: int) -> None:
        """It is relocated to where it goes; without an address it goes where it is linked."""
        image = moved(36, 35, (BASE + 8).to_bytes(8, "little"))
        (part,), _ = elf_parts(NsImage(image, address), 0)
        assert part.data[8:] == word.to_bytes(8, "little")


BAD: dict[str, tuple[list[NsImage], int | None, str]] = {
    "empty": ([NsImage(b"", name="a.bin")], None, "a.bin must not be empty"),
    "no address": ([NsImage(b"raw!"), NsImage(b"more", name="b.bin")], None, "b.bin@0x88000000"),
    "header": ([NsImage(b"\x7fELF")], None, "is a truncated ELF of 4 bytes: copy it again"),
    "table": ([NsImage(elf()[:80])], None, "its program headers end at 0x78, the file at 0x50"),
    "segment": ([NsImage(elf()[:-1])], None, "a segment ends at 0x7c, the file at 0x7b: copy it again"),
    "32-bit": ([NsImage(elf(bits=1))], None, "must be a 64-bit ELF, not 32-bit: build it for AArch64"),
    "machine": ([NsImage(elf(machine=62))], None, "must be an AArch64 ELF, not x86-64: build it for AArch64"),
    "object": ([NsImage(elf(kind=1))], None, "must be an executable ELF, not ET_REL: link it"),
    "linked": ([NsImage(elf(), 0x8000_0000)], None, "must go where it is linked, not to 0x80000000"),
    "no segments": ([NsImage(elf((ENTRY, b"", 0)))], None, "has no loadable segments (PT_LOAD)"),
    "no DRAM": ([NsImage(b"raw!", 0x1000)], None, "not at 0x1000..0x1003"),
    "firmware": ([NsImage(b"raw!", 0xFFC0_0000)], None, "0xffc00003, in the region 'root' of the firmware"),
    "into firmware": ([NsImage(elf((ENTRY, b"code", 1 << 31)))], None, "must lie in Non-secure DRAM"),
    "overlap": ([NsImage(b"raw!" * 2), NsImage(b"more", ENTRY + 4, "b.bin")], None, "b.bin at 0x88000004 must not"),
    "unaligned": ([NsImage(b"raw!" * 2, ENTRY + 2)], None, "must be the address of an instruction in an image, not"),
    "compressed": ([NsImage(GZIP[:-1], name="Image.gz")], None, "Image.gz is a truncated gzip file: copy it again"),
    "text": ([NsImage(b"int main(void)\n{\n}\n", name="main.c")], None, "main.c is text, not machine code: compile it"),
    "compressed entry": (
        [NsImage(b"raw!"), NsImage(GZIP, 0x9000_0000, "a.gz")], 0x9000_0004, "a.gz is compressed with gzip: unpack",
    ),
    "relocation": (
        [NsImage(moved(7, 8, struct.pack("<3Q", BASE + 24, 1032, 0)), name="c.elf")], None,
        "c.elf has a relocation R_AARCH64_IRELATIVE at 0x1018, whose value a function",
    ),
    "outside": ([NsImage(b"raw!")], ENTRY + 4, "must be the address of an instruction in an image, not 0x88000004"),
}  # fmt: skip


class TestRefusals:
    @pytest.mark.parametrize("case", BAD)
    def test_message(self, case: str) -> None:
        """What cannot be loaded is refused with the reason."""
        images, entry, message = BAD[case]
        with pytest.raises(BootError) as error:
            lay_out(images, FVP, entry)
        assert message in str(error.value)

    @given(st.binary(max_size=300), st.integers(0, 199))
    def test_any_bytes(self, noise: bytes, at: int) -> None:
        """A damaged ELF file is laid out or refused, whatever is in it."""
        data = bytearray(elf((ENTRY, b"code", 4), (ENTRY + 0x10, b"data", 0x100)))
        data[4 + at : 4 + at + len(noise)] = noise
        with suppress(BootError):
            assert lay_out([NsImage(bytes(data))], FVP).parts


class TestBoot:
    def test_measured(self, boot_machine: Any) -> None:
        """Every part is in DRAM, and in the event log under a name of its own."""
        booted = boot_machine(ns_images=[NsImage(b"raw!"), NsImage(b"more", 0x9000_0000)], ns_program=None)
        log = [entry for entry in booted.firmware.event_log if entry.name.startswith("BL33")]
        assert [(entry.name, entry.pa, entry.size) for entry in log] == [
            ("BL33", ENTRY, 4),
            ("BL33-1", 0x9000_0000, 4),
        ]
        port = booted.machine.memory.port(SecurityState.NON_SECURE)
        assert (port.read(ENTRY, 4), port.read(0x9000_0000, 4)) == (b"raw!", b"more")

    @pytest.mark.parametrize("arguments", [{"ns_el": 1}, {"ns_el": 0}, {"ns_images": [NsImage(b"raw!")]}])
    def test_refused(self, boot_machine: Any, arguments: dict[str, Any]) -> None:
        """A program in Python is at EL2, and alone."""
        with pytest.raises(BootError):
            boot_machine(**arguments)
