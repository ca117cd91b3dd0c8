"""Payload files: what loads, where it lands, and what a user reads when it does not."""

import gzip
import lzma
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from elf_files import BASE, moved
from hypothesis import given
from hypothesis import strategies as st
from packed import zboot

from cca_arch.elf import Elf
from cca_host.kvmtool.analysis import analyse
from cca_host.kvmtool.layout import DTB_SIZE, RAM_BASE
from cca_host.kvmtool.loader import Image, LoadError, Segment, load, load_file, load_offset
from cca_host.kvmtool.repair import repair

MEMORY = 64 << 20
_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR = struct.Struct("<IIQQQQQQ")


def elf(
    segments=((RAM_BASE, b"\x00" * 16, 16),),
    entry=RAM_BASE,
    kind=2,
    machine=183,
    elf_class=2,
    order=1,
    sections=(0, 0, 0),
):
    """An ELF of (address, bytes, memory size) segments."""
    ident = b"\x7fELF" + bytes([elf_class, order, 1]) + bytes(9)
    at = _EHDR.size + _PHDR.size * len(segments)
    headers, contents = b"", b""
    for address, data, size in segments:
        headers += _PHDR.pack(1, 7, at + len(contents), address, address, len(data), size, 0x1000)
        contents += data
    offset, count, names = sections
    fields = (ident, kind, machine, 1, entry, _EHDR.size, offset, 0, 64, 56, len(segments), 64, count, names)
    return _EHDR.pack(*fields) + headers + contents


class TestElf:
    """An ELF loads by its program headers at physical addresses."""

    def test_segments_and_entry(self):
        """Bytes go to p_paddr, and the entry is the IPA of e_entry."""
        image = load(elf([(RAM_BASE, b"code", 4), (RAM_BASE + 0x2000, b"data", 0x800)], RAM_BASE), MEMORY)
        assert (image.kind, image.entry, image.notes) == ("elf", RAM_BASE, [])
        assert [(s.base, bytes(s.data), s.size) for s in image.segments] == [
            (RAM_BASE, b"code", 4),
            (RAM_BASE + 0x2000, b"data", 0x800),
        ]

    def test_segments_of_one_page_are_merged(self):
        """Two segments in one page make one page of contents, the gap between them zero."""
        image = load(elf([(RAM_BASE, b"one", 3), (RAM_BASE + 0x800, b"two", 3)]), MEMORY)
        ((ipa, page),) = image.pages()
        assert ipa == RAM_BASE
        assert bytes(page) == b"one".ljust(0x800, b"\0") + b"two".ljust(0x800, b"\0")

    @given(st.lists(st.tuples(st.integers(0, 0x5000), st.binary(max_size=0x20), st.integers(0, 3)), max_size=6))
    def test_pages(self, parts: list[tuple[int, bytes, int]]):
        """Each page that holds bytes, once, in order; of segments that overlap the later one counts."""
        segments = [Segment(RAM_BASE + at, some * (0x81 * times), 0) for at, some, times in parts]
        memory, written = bytearray(0x10000), set[int]()
        for segment in segments:
            at, size = segment.base - RAM_BASE, len(segment.data)
            memory[at : at + size] = segment.data
            written |= {place >> 12 for place in range(at, at + size)}
        expected = [(RAM_BASE + (page << 12), memory[page << 12 : (page + 1) << 12]) for page in sorted(written)]
        assert list(Image("raw", RAM_BASE, segments).pages()) == expected

    def test_bss_has_no_pages(self):
        """Pages beyond the bytes of the file are left to the first touch."""
        image = load(elf([(RAM_BASE, b"x" * 0x1001, 0x10_0000)]), MEMORY)
        assert [ipa for ipa, _ in image.pages()] == [RAM_BASE, RAM_BASE + 0x1000]
        assert image.top == RAM_BASE + 0x10_0000

    def test_position_independent(self):
        """A static PIE linked at 0 moves to the start of RAM."""
        image = load(elf([(0, b"code", 4)], entry=0, kind=3), MEMORY)
        assert (image.entry, image.segments[0].base) == (RAM_BASE, RAM_BASE)

    def test_load_offset(self):
        """What moves a program also moves its symbols: where it is linked decides, not its entry."""
        offsets = [
            load_offset(Elf(elf([(base, b"code", 4)], entry=entry, kind=kind)))
            for base, entry, kind in ((0, 0, 3), (0, RAM_BASE, 3), (RAM_BASE, RAM_BASE, 3), (RAM_BASE, RAM_BASE, 2))
        ]
        assert offsets == [RAM_BASE, RAM_BASE, 0, 0]

    def test_relocations(self):
        """R_AARCH64_RELATIVE relocations of a static PIE are applied for the place where it is loaded."""
        dynamic = struct.pack("<8Q", 7, 0x1080, 8, 24, 9, 24, 0, 0)  # DT_RELA, DT_RELASZ, DT_RELAENT, DT_NULL
        rela = struct.pack("<QQq", 0x1100, 1027, 0x1234)
        contents = (bytes(0x40) + dynamic).ljust(0x80 + 0x40, b"\0")[:0x80] + rela.ljust(0x80, b"\0") + bytes(16)
        at = _EHDR.size + 2 * _PHDR.size
        headers = _PHDR.pack(1, 7, at, 0x1000, 0x1000, len(contents), len(contents), 0x1000)
        headers += _PHDR.pack(2, 6, at + 0x40, 0x1040, 0x1040, 0x40, 0x40, 8)
        ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
        header = _EHDR.pack(ident, 3, 183, 1, 0x1000, _EHDR.size, 0, 0, 64, 56, 2, 64, 0, 0)
        image = load(header + headers + contents, MEMORY)
        assert image.entry == RAM_BASE + 0x1000
        assert image.segments[0].data[0x100:0x108] == (RAM_BASE + 0x1234).to_bytes(8, "little")

    def test_compact_relocations(self):
        """So are those of a DT_RELR table."""
        image = load(moved(36, 35, (BASE + 8).to_bytes(8, "little")), MEMORY)
        assert bytes(image.segments[0].data[8:]) == (RAM_BASE + 0x1234).to_bytes(8, "little")

    def test_other_relocations(self):
        """A relocation that cannot be applied is refused by name."""
        with pytest.raises(LoadError, match=r"^x.elf has a relocation R_AARCH64_IRELATIVE at 0x1018, whose value a"):
            load(moved(7, 8, struct.pack("<3Q", BASE + 24, 1032, 0)), MEMORY, "x.elf")

    @pytest.mark.parametrize("sections", [(1 << 40, 3, 1), (64, 60000, 1), (64, 1, 60000), (0, 5, 0)])
    def test_broken_section_headers(self, sections):
        """A broken section header table does not matter to what is loaded, and is mentioned."""
        data = elf(sections=sections)
        image = load(data, MEMORY, "x.elf")
        assert image.notes == ["x.elf: its section header table is broken and was left out"]
        assert bytes(image.segments[0].data) == bytes(16)

    def test_repair(self):
        """A repaired file loads without a remark, to the same contents."""
        data = elf(sections=(1 << 40, 3, 1))
        mended = load(repair(data), MEMORY)
        assert mended.notes == []
        assert list(mended.pages()) == list(load(data, MEMORY).pages())

    def test_analysis(self):
        """Analysis gives the entry as the file has it."""
        assert analyse(elf()).entry == RAM_BASE


class TestRefusals:
    """What cannot be loaded is a one-line error that says how to mend it."""

    @pytest.mark.parametrize(
        ("data", "text"),
        [
            (b"", "payload is empty: give an ELF, a Linux Image or a raw binary"),
            (elf()[:9], "truncated ELF of 9 bytes: copy it again"),
            (elf()[:40], "truncated ELF of 40 bytes: copy it again"),
            (elf()[:100], "program headers end at 0x78, the file at 0x64"),
            (elf()[:-1], "a segment ends at 0x88, the file at 0x87: copy it again"),
            (elf(elf_class=1), "must be a 64-bit ELF, not 32-bit: build it for AArch64"),
            (elf(order=2), "must be a little-endian ELF, not big-endian: build it for AArch64"),
            (elf(machine=62), "must be an AArch64 ELF, not x86-64: build it for AArch64"),
            (elf(machine=4242), "must be an AArch64 ELF, not type 4242"),
            (elf(kind=1), "must be an executable ELF, not ET_REL: link it"),
            (elf(segments=()), "no loadable segments (PT_LOAD)"),
            (
                elf([(RAM_BASE, bytes(16), 0x20), (RAM_BASE + 0x10, bytes(16), 16)]),
                "overlapping segments, 0x80000000..0x80000020 and 0x80000010..0x80000020: fix its linker script",
            ),
            (elf(entry=0x1000), "has its entry 0x1000 outside its segments: set ENTRY in its linker script"),
            (elf([(RAM_BASE, bytes(16), 8)]), "has a segment of 0x10 bytes in the file, 0x8 in memory: link it again"),
            (elf([(0x1000, bytes(16), 16)], 0x1000), "must load from the start of RAM, 0x80000000, not at 0x1000"),
            (elf([(RAM_BASE, bytes(16), 100 << 20)]), "give `memory` 102M or more"),
            (
                elf([(RAM_BASE + (128 << 20), bytes(16), 16)], RAM_BASE + (128 << 20)),
                "lies at 0x88000000..0x8800000f, not within the 62 MiB of RAM from 0x80000000 on that 64M and a",
            ),
            (b"int main(void)\n{\n}\n", "payload is text, not machine code: compile it"),
            (bytes(MEMORY), "give `memory` 66M or more"),
        ],
    )
    def test_message(self, data, text):
        """Each kind of damage has its message."""
        with pytest.raises(LoadError) as caught:
            load(data, MEMORY)
        assert text in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_advice_is_enough(self):
        """The memory that a refusal asks for is enough."""
        data = elf([(RAM_BASE, bytes(16), 100 << 20)])
        assert load(data, 102 << 20).top == RAM_BASE + (100 << 20)

    def test_files(self, tmp_path: Path):
        """A path that is no readable file says what it is."""
        with pytest.raises(LoadError, match="does not exist: check the path"):
            load_file(tmp_path / "none", MEMORY)
        with pytest.raises(LoadError, match="is a directory: give a file"):
            load_file(tmp_path, MEMORY)

    @given(st.integers(0, len(elf()) - 1), st.integers(0, 255))
    def test_no_other_exception(self, at, value):
        """Whatever one byte of an ELF becomes, it loads or is refused by a LoadError."""
        data = bytearray(elf())
        data[at] = value
        with suppress(LoadError):
            load(bytes(data), MEMORY)

    @given(st.binary(max_size=200))
    def test_random_bytes(self, tail):
        """Random bytes behind an ELF header's start load or are refused by a LoadError."""
        with suppress(LoadError):
            load(elf()[:16] + tail, MEMORY)


class TestOtherImages:
    """Linux Images go to their text offset, anything else to the start of RAM."""

    @staticmethod
    def linux(text_offset, image_size, flags=0xA):
        """A Linux header with nothing behind it."""
        return struct.pack("<IIQQQ24x4sI", 0x91005A4D, 0, text_offset, image_size, flags, b"ARM\x64", 0)

    def test_linux(self):
        """The header's image size counts, the entry is its first byte."""
        image = load(self.linux(0, 0x20_0000), MEMORY)
        assert (image.kind, image.entry, image.top) == ("linux", RAM_BASE, RAM_BASE + 0x20_0000)

    def test_old_linux(self):
        """Without an image size the text offset is 512 KiB."""
        assert load(self.linux(0, 0), MEMORY).entry == RAM_BASE + 0x8_0000

    def test_big_endian_linux(self):
        """A big-endian kernel is refused."""
        with pytest.raises(LoadError, match="big-endian"):
            load(self.linux(0, 0x1000, flags=1), MEMORY)

    def test_raw(self):
        """A raw binary runs from its first byte."""
        image = load(b"\x00\x00\x00\x14", MEMORY)
        assert (image.kind, image.entry, image.top) == ("raw", RAM_BASE, RAM_BASE + 4)

    @pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, zboot])
    def test_compressed(self, pack):
        """A compressed kernel has the same pages, and so the same measurement, as the Image in it."""
        plain = self.linux(0, 0x4000) + bytes(range(256)) * 32
        image, expected = load(pack(plain), MEMORY, "Image.gz"), load(plain, MEMORY)
        assert (image.kind, image.entry, image.top) == ("linux", expected.entry, expected.top)
        assert list(image.pages()) == list(expected.pages())

    def test_compressed_elf(self):
        """Whatever is in a compressed file is loaded as what it is; its symbols are those of the ELF in it."""
        packed = gzip.compress(elf())
        assert load(packed, MEMORY).kind == "elf"
        assert analyse(packed).entry == analyse(elf()).entry

    def test_not_unpacked(self):
        """What cannot be unpacked is refused with what to do, by whoever reads it."""
        packed = gzip.compress(self.linux(0, 0x1000))[:-1]
        for reader in (lambda data: load(data, MEMORY, "Image.gz"), analyse, repair):
            with pytest.raises(LoadError, match=r"^\S.* is a truncated gzip file: copy it again$"):
                reader(packed)
        with pytest.raises(LoadError, match=r"^vmlinuz is an EFI zboot kernel, compressed with gzip: give the file"):
            load(b"MZ\0\0zimg".ljust(24, b"\0") + b"gzip".ljust(64, b"\0"), MEMORY, "vmlinuz")
        with pytest.raises(LoadError, match=r"^a.gz is empty"):
            load(gzip.compress(b""), MEMORY, "a.gz")

    def test_efi_linux(self):
        """A Linux Image with an EFI stub begins as a program for EFI, and is a Linux Image."""
        assert load(b"MZ" + self.linux(0, 0x20_0000)[2:], MEMORY).kind == "linux"

    def test_largest(self):
        """A binary may fill everything below the device tree."""
        assert load(bytes(MEMORY - DTB_SIZE), MEMORY).top == RAM_BASE + MEMORY - DTB_SIZE
