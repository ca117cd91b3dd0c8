"""Relocations: every relative kind in every table is applied, every other kind is refused by its name."""

import struct
from contextlib import suppress

import pytest
from elf_files import BASE, elf
from hypothesis import given
from hypothesis import strategies as st

from cca_arch.elf import Elf, ElfError
from cca_arch.relocation import DynamicTag, RelocationKind, relocated

BIAS = 0x8000_0000
TABLES, DATA = 0x400, 0x800  # offsets in the segment
SIZE = 0x1000
Tag, Kind = DynamicTag, RelocationKind
RELATIVE = Kind.R_AARCH64_RELATIVE
_RELA, _REL, _WORD = struct.Struct("<3Q"), struct.Struct("<2Q"), struct.Struct("<Q")
_LINKED = 0x1_2340  # what the file holds in each word


def program(tags: dict[int, int], *table: bytes, end: bytes = bytes(16)) -> Elf:
    """A program with this dynamic section and these bytes at TABLES; every word of the rest is _LINKED."""
    contents = bytearray(_WORD.pack(_LINKED) * (SIZE // 8))
    joined = b"".join(table)
    contents[TABLES : TABLES + len(joined)] = joined
    dynamic = b"".join(struct.pack("<2Q", tag, value) for tag, value in tags.items()) + end
    return Elf(elf((1, BASE, bytes(contents), SIZE + 0x100), (2, 0x9000, dynamic, len(dynamic)), kind=3))


def words(contents: bytes, *offsets: int) -> list[int]:
    """The words at these offsets."""
    return [_WORD.unpack_from(contents, offset)[0] for offset in offsets]


def changed(contents: bytes) -> list[int]:
    """The offsets of words of the data that are not as in the file."""
    return [offset for offset in range(DATA, SIZE, 8) if words(contents, offset) != [_LINKED]]


class TestRelative:
    """What is added is the distance between the addresses of the link and those of the load."""

    def test_addend(self) -> None:
        """DT_RELA: the addend counts, not what the place holds, even where the program is not moved."""
        table = _RELA.pack(BASE + DATA, RELATIVE, 0x1234), _RELA.pack(BASE + DATA + 12, 7 << 32 | RELATIVE, -8 % 2**64)
        made = program({Tag.DT_RELA: BASE + TABLES, Tag.DT_RELASZ: 48}, *table)
        assert words(relocated(made, BIAS)[0], DATA, DATA + 12) == [BIAS + 0x1234, BIAS - 8]
        assert words(relocated(made, 0)[0], DATA, DATA + 12) == [0x1234, 2**64 - 8]

    def test_in_place(self) -> None:
        """DT_REL: the place holds the addend; a sum has 64 bits."""
        table = [_REL.pack(BASE + DATA + at, RELATIVE) for at in (0, 24)]
        made = program({Tag.DT_REL: BASE + TABLES, Tag.DT_RELSZ: 32}, *table)
        assert words(relocated(made, BIAS)[0], DATA, DATA + 24) == [BIAS + _LINKED] * 2
        assert words(relocated(made, 2**64 - _LINKED - 1)[0], DATA) == [2**64 - 1]
        assert changed(relocated(made, 0)[0]) == []

    @pytest.mark.parametrize(
        ("tag", "size"), [(Tag.DT_RELR, Tag.DT_RELRSZ), (Tag.DT_ANDROID_RELR, Tag.DT_ANDROID_RELRSZ)]
    )
    def test_compact(self, tag: int, size: int) -> None:
        """DT_RELR: an address, then bitmaps of 63 words each, the first word being the one after."""
        at = BASE + DATA
        table = [_WORD.pack(entry) for entry in (at, 0b1011, 1 | 1 << 63 | 1 << 1, at + 0x600, 0b11)]
        contents = relocated(program({tag: BASE + TABLES, size: 40}, *table), BIAS)[0]
        first, second = 8, 8 + 63 * 8
        places = [0, first, first + 16, second, second + 62 * 8, 0x600, 0x608]
        assert changed(contents) == [DATA + place for place in places]
        assert set(words(contents, *changed(contents))) == {BIAS + _LINKED}

    @pytest.mark.parametrize(("kind", "row"), [(Tag.DT_RELA, _RELA), (Tag.DT_REL, _REL)])
    def test_procedure_linkage_table(self, kind: int, row: struct.Struct) -> None:
        """DT_JMPREL is of the sort that DT_PLTREL says."""
        entry = row.pack(BASE + DATA, RELATIVE, *[5][: row is _RELA])
        tags = {Tag.DT_JMPREL: BASE + TABLES, Tag.DT_PLTRELSZ: row.size, Tag.DT_PLTREL: kind}
        assert words(relocated(program(tags, entry), BIAS)[0], DATA) == [BIAS + (5 if row is _RELA else _LINKED)]

    def test_all_tables(self) -> None:
        """A program may have several tables; entries of no kind do nothing."""
        nothing = [_RELA.pack(0, kind, 9) for kind in (Kind.R_AARCH64_NONE, Kind.R_AARCH64_WITHDRAWN)]
        table = [*nothing, _RELA.pack(BASE + DATA, RELATIVE, 9), _REL.pack(BASE + DATA + 8, RELATIVE)]
        tags = {Tag.DT_RELA: BASE + TABLES, Tag.DT_RELASZ: 72, Tag.DT_REL: BASE + TABLES + 72, Tag.DT_RELSZ: 16}
        tags |= {Tag.DT_RELR: BASE + TABLES + 88, Tag.DT_RELRSZ: 8}
        contents = relocated(program(tags, *table, _WORD.pack(BASE + DATA + 16)), BIAS)[0]
        assert changed(contents) == [DATA, DATA + 8, DATA + 16]

    def test_end_of_the_section(self) -> None:
        """Behind DT_NULL there are no tags; a table without a size is none."""
        tags = {Tag.DT_RELA: 0x7000, Tag.DT_RELASZ: 0}
        more = bytes(16) + struct.pack("<4Q", Tag.DT_REL, 0x7000, Tag.DT_RELSZ, 16)
        assert changed(relocated(program(tags, end=more), BIAS)[0]) == []


class TestRefusals:
    """A sentence behind the name of the file, in one line."""

    @pytest.mark.parametrize("kind", [kind for kind in Kind if kind > 256 and kind != RELATIVE])
    @pytest.mark.parametrize(
        ("tags", "row"),
        [
            ({Tag.DT_RELA: BASE + TABLES, Tag.DT_RELASZ: 48}, _RELA),
            ({Tag.DT_REL: BASE + TABLES, Tag.DT_RELSZ: 32}, _REL),
            ({Tag.DT_JMPREL: BASE + TABLES, Tag.DT_PLTRELSZ: 48}, _RELA),
        ],
    )
    def test_kind(self, kind: Kind, tags: dict[int, int], row: struct.Struct) -> None:
        """Every other kind is named, also behind one that could be applied."""
        addend = [0][: row is _RELA]
        table = row.pack(BASE + DATA, RELATIVE, *addend), row.pack(BASE + DATA + 8, 3 << 32 | kind, *addend)
        with pytest.raises(ElfError, match=f"^has a relocation {kind.name} at 0x1808; only relative ones are applied"):
            relocated(program(tags, *table), BIAS)

    def test_number(self) -> None:
        """A kind that has no name here is told by its number."""
        made = program({Tag.DT_RELA: BASE + TABLES, Tag.DT_RELASZ: 24}, _RELA.pack(BASE + DATA, 4242, 0))
        with pytest.raises(ElfError, match="has a relocation type 4242 at 0x1800"):
            relocated(made, 0)

    def test_shared_libraries(self) -> None:
        """A program that names a shared library is refused, whether it has relocations or not."""
        with pytest.raises(ElfError, match=r"^needs shared libraries, .*: link it with -static"):
            relocated(program({Tag.DT_NEEDED: 1}), 0)

    @pytest.mark.parametrize(
        "tag",
        [Tag.DT_CREL, Tag.DT_ANDROID_REL, Tag.DT_ANDROID_RELA, Tag.DT_AARCH64_AUTH_RELR],
        ids=lambda tag: tag.name,
    )
    def test_packed(self, tag: DynamicTag) -> None:
        """Tables of other shapes are refused, too."""
        with pytest.raises(ElfError, match=f"relocations of the kind {tag.name}: link it without"):
            relocated(program({tag: BASE + TABLES}), 0)

    @pytest.mark.parametrize(
        ("tag", "size_tag"),
        [
            (Tag.DT_RELA, Tag.DT_RELASZ),
            (Tag.DT_REL, Tag.DT_RELSZ),
            (Tag.DT_RELR, Tag.DT_RELRSZ),
            (Tag.DT_JMPREL, Tag.DT_PLTRELSZ),
        ],
    )
    @pytest.mark.parametrize(("at", "size"), [(BASE - 8, 48), (BASE + SIZE - 40, 48), (0x7000, 48), (BASE, 49)])
    def test_table(self, tag: int, size_tag: int, at: int, size: int) -> None:
        """A table that no segment holds, or with a part of an entry."""
        with pytest.raises(
            ElfError, match=f"has a relocation table {DynamicTag(tag).name} of {size:#x} bytes at {at:#x}"
        ):
            relocated(program({tag: at, size_tag: size}), 0)

    @pytest.mark.parametrize("place", [0, BASE - 1, BASE + SIZE - 7, BASE + SIZE, 2**64 - 4])
    def test_place(self, place: int) -> None:
        """A place that is not in the contents of a segment."""
        made = program({Tag.DT_RELA: BASE + TABLES, Tag.DT_RELASZ: 24}, _RELA.pack(place, RELATIVE, 0))
        with pytest.raises(ElfError, match=f"has a relocation at {place:#x}, outside the contents of its segments"):
            relocated(made, 0)

    def test_bitmap_first(self) -> None:
        """A bitmap has to follow an address."""
        with pytest.raises(ElfError, match="DT_RELR that begins with a bitmap"):
            relocated(program({Tag.DT_RELR: BASE + TABLES, Tag.DT_RELRSZ: 8}, _WORD.pack(3)), 0)

    @given(st.dictionaries(st.sampled_from(list(Tag)), st.integers(BASE, BASE + SIZE)), st.binary(max_size=0x400))
    def test_no_other_exception(self, tags: dict[int, int], table: bytes) -> None:
        """Whatever the tags and tables are: contents of the same size, or an ElfError."""
        with suppress(ElfError):
            assert [len(one) for one in relocated(program(tags, table), BIAS)] == [SIZE]
