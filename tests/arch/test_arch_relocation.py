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
APPLIED = {
    Kind.R_AARCH64_RELATIVE, Kind.R_AARCH64_ABS64, Kind.R_AARCH64_ABS32, Kind.R_AARCH64_ABS16, Kind.R_AARCH64_PREL64,
    Kind.R_AARCH64_PREL32, Kind.R_AARCH64_PREL16, Kind.R_AARCH64_GLOB_DAT, Kind.R_AARCH64_JUMP_SLOT,
}  # fmt: skip
HERE, FIXED, WEAK, MISSING, LOCAL, CHOSEN = range(1, 7)
_SYMBOL = struct.Struct("<I2BH2Q")
SYMBOLS = bytes(24) + b"".join(
    _SYMBOL.pack(name, info, 0, section, value, 0)
    for name, info, section, value in [
        (0, 0x12, 1, BASE + 0x10),  # HERE: global, a function
        (0, 0x10, 0xFFF1, 0x1234),  # FIXED: SHN_ABS
        (0, 0x20, 0, 0),  # WEAK, not defined
        (1, 0x10, 0, 0),  # MISSING
        (0, 0x16, 1, 0x10),  # LOCAL: STT_TLS
        (0, 0x1A, 1, BASE + 0x10),  # CHOSEN: STT_GNU_IFUNC
    ]
)
NAMES = b"\0missing\0"


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


class TestSymbols:
    """Relocations with a symbol that the program defines."""

    @staticmethod
    def made(*rows: bytes, codec: struct.Struct = _RELA) -> Elf:
        """A program with these relocations and the symbols of SYMBOLS."""
        size = codec.size * len(rows)
        tags = {Tag.DT_RELA: BASE + TABLES, Tag.DT_RELASZ: size}
        if codec is _REL:
            tags = {Tag.DT_REL: BASE + TABLES, Tag.DT_RELSZ: size}
        tags |= {Tag.DT_SYMTAB: BASE + TABLES + size, Tag.DT_STRTAB: BASE + TABLES + size + len(SYMBOLS)}
        return program(tags, *rows, SYMBOLS, NAMES)

    @pytest.mark.parametrize("kind", [Kind.R_AARCH64_ABS64, Kind.R_AARCH64_GLOB_DAT, Kind.R_AARCH64_JUMP_SLOT])
    def test_word(self, kind: Kind) -> None:
        """S + A: the value of the symbol where the program is, and the addend, which may be in the place."""
        contents = relocated(self.made(_RELA.pack(BASE + DATA, HERE << 32 | kind, -8 % 2**64)), BIAS)[0]
        assert words(contents, DATA) == [BIAS + BASE + 0x10 - 8]
        contents = relocated(self.made(_REL.pack(BASE + DATA, HERE << 32 | kind), codec=_REL), BIAS)[0]
        assert words(contents, DATA) == [BIAS + BASE + 0x10 + _LINKED]

    def test_fixed(self) -> None:
        """An absolute symbol does not move; a weak one that is not there, and none, are 0."""
        table = [
            _RELA.pack(BASE + DATA + 8 * number, symbol << 32 | Kind.R_AARCH64_ABS64, 5)
            for number, symbol in enumerate((FIXED, WEAK, 0))
        ]
        assert words(relocated(self.made(*table), BIAS)[0], DATA, DATA + 8, DATA + 16) == [0x1239, 5, 5]

    @pytest.mark.parametrize(
        ("kind", "size"), [(Kind.R_AARCH64_PREL64, 8), (Kind.R_AARCH64_PREL32, 4), (Kind.R_AARCH64_PREL16, 2)]
    )
    def test_distance(self, kind: Kind, size: int) -> None:
        """S + A - P does not depend on where the program is; what is behind the place stays."""
        contents = relocated(self.made(_RELA.pack(BASE + DATA, HERE << 32 | kind, 4)), BIAS)[0]
        assert int.from_bytes(contents[DATA : DATA + size], "little", signed=True) == 0x14 - DATA
        assert contents[DATA + size : DATA + 8] == _WORD.pack(_LINKED)[size:]

    @pytest.mark.parametrize(
        ("kind", "bits"), [(Kind.R_AARCH64_ABS32, 32), (Kind.R_AARCH64_ABS16, 16), (Kind.R_AARCH64_PREL16, 16)]
    )
    def test_narrow(self, kind: Kind, bits: int) -> None:
        """A value that the place cannot hold is refused; signed and unsigned ones fit."""
        symbol = 0 if kind is not Kind.R_AARCH64_PREL16 else HERE
        off = DATA - 0x10 if symbol else 0
        for value, fits in ((2**bits - 1, True), (-(2 ** (bits - 1)), True), (2**bits, False), (-(2**bits), False)):
            made = self.made(_RELA.pack(BASE + DATA, symbol << 32 | kind, (value + off) % 2**64))
            if fits:
                assert words(relocated(made, BIAS)[0], DATA)[0] % 2**bits == value % 2**bits
            else:
                with pytest.raises(ElfError, match=f"{kind.name} at 0x1800 whose value .* has more than {bits} bits"):
                    relocated(made, BIAS)

    @pytest.mark.parametrize(
        ("symbol", "what"),
        [
            (MISSING, "with the symbol missing, which it does not define: link it with what does"),
            (LOCAL, "for thread-local data, which nothing sets up: build it"),
            (CHOSEN, r"whose value a function of the program chooses \(ifunc\): build it"),
            (99999, "with symbol 99999, outside its symbol table"),
        ],
    )
    def test_refused(self, symbol: int, what: str) -> None:
        """A symbol of another module is named; those whose value is not an address are no better."""
        with pytest.raises(ElfError, match=f"^has a relocation R_AARCH64_GLOB_DAT at 0x1800,? {what}"):
            relocated(self.made(_RELA.pack(BASE + DATA, symbol << 32 | Kind.R_AARCH64_GLOB_DAT, 0)), BIAS)

    def test_no_table(self) -> None:
        """Without a symbol table there are no symbols; without names, a symbol has its number."""
        row = _RELA.pack(BASE + DATA, HERE << 32 | Kind.R_AARCH64_ABS64, 0)
        with pytest.raises(ElfError, match="with symbol 1, outside its symbol table"):
            relocated(program({Tag.DT_RELA: BASE + TABLES, Tag.DT_RELASZ: 24}, row), 0)
        row = _RELA.pack(BASE + DATA, MISSING << 32 | Kind.R_AARCH64_ABS64, 0)
        tags = {Tag.DT_RELA: BASE + TABLES, Tag.DT_RELASZ: 24, Tag.DT_SYMTAB: BASE + TABLES + 24}
        with pytest.raises(ElfError, match="with the symbol number 4, which"):
            relocated(program(tags, row, SYMBOLS), 0)


class TestRefusals:
    """A sentence behind the name of the file, in one line."""

    @pytest.mark.parametrize("kind", [kind for kind in Kind if kind > 256 and kind not in APPLIED])
    @pytest.mark.parametrize(
        ("tags", "row"),
        [
            ({Tag.DT_RELA: BASE + TABLES, Tag.DT_RELASZ: 48}, _RELA),
            ({Tag.DT_REL: BASE + TABLES, Tag.DT_RELSZ: 32}, _REL),
            ({Tag.DT_JMPREL: BASE + TABLES, Tag.DT_PLTRELSZ: 48}, _RELA),
        ],
    )
    def test_kind(self, kind: Kind, tags: dict[int, int], row: struct.Struct) -> None:
        """A kind that cannot be applied is named, also behind one that can, with what to do."""
        addend = [0][: row is _RELA]
        table = row.pack(BASE + DATA, RELATIVE, *addend), row.pack(BASE + DATA + 8, 3 << 32 | kind, *addend)
        with pytest.raises(
            ElfError, match=f"^has a relocation {kind.name} at 0x1808, (which|whose|for) .*: (link|build)"
        ):
            relocated(program(tags, *table), BIAS)

    def test_number(self) -> None:
        """A kind that has no name here is told by its number."""
        made = program({Tag.DT_RELA: BASE + TABLES, Tag.DT_RELASZ: 24}, _RELA.pack(BASE + DATA, 4242, 0))
        with pytest.raises(ElfError, match="has a relocation type 4242 at 0x1800, which only a linker can apply"):
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
