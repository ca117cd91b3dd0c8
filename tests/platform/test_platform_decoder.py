"""The load and store decoder by hand: one rule of the architecture a test."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca_arch.sysregs import DataAbortEsr
from cca_platform.isa.access import (
    ALL_LANES,
    ZVA_SIZE,
    Kind,
    MemoryAccess,
    Mode,
    address,
    elements,
    emulate_load,
    emulate_vector_load,
    faulting_address,
    iss,
    store_value,
    touches,
    vector_store_value,
    writeback,
)
from cca_platform.isa.decoder import decode

X = [0x1000 * n for n in range(31)]
SP = 0x7000_0000
PC = 0x8000_0000
U64 = (1 << 64) - 1
TRANSLATION_3 = 0b000111


def known(word: int) -> MemoryAccess:
    """The access of a word that is one."""
    access = decode(word)
    assert access is not None
    return access


# word, assembly, name, bytes in all, address with X, SP and PC as above
FORMS = [
    (0xF9400420, "LDR X0, [X1, #8]", "LDR", 8, 0x1008),
    (0xB9400420, "LDR W0, [X1, #4]", "LDR", 4, 0x1004),
    (0x39400420, "LDRB W0, [X1, #1]", "LDRB", 1, 0x1001),
    (0x79C00420, "LDRSH W0, [X1, #2]", "LDRSH", 2, 0x1002),
    (0xB9800420, "LDRSW X0, [X1, #4]", "LDRSW", 4, 0x1004),
    (0xF81F8FE0, "STR X0, [SP, #-8]!", "STR", 8, SP - 8),
    (0xF84087E0, "LDR X0, [SP], #8", "LDR", 8, SP),
    (0xF85F8020, "LDUR X0, [X1, #-8]", "LDUR", 8, 0xFF8),
    (0xF8408820, "LDTR X0, [X1, #8]", "LDTR", 8, 0x1008),
    (0xF8627820, "LDR X0, [X1, X2, LSL #3]", "LDR", 8, 0x1000 + 0x2000 * 8),
    (0xF8624820, "LDR X0, [X1, W2, UXTW]", "LDR", 8, 0x3000),
    (0x58000040, "LDR X0, PC + 8", "LDR", 8, PC + 8),
    (0x98FFFFE0, "LDRSW X0, PC - 4", "LDRSW", 4, PC - 4),
    (0xA9BF7BFD, "STP X29, X30, [SP, #-16]!", "STP", 16, SP - 16),
    (0x69400440, "LDPSW X0, X1, [X2]", "LDPSW", 8, 0x2000),
    (0xA8400440, "LDNP X0, X1, [X2]", "LDNP", 16, 0x2000),
    (0xC8DFFC20, "LDAR X0, [X1]", "LDAR", 8, 0x1000),
    (0x889FFC20, "STLR W0, [X1]", "STLR", 4, 0x1000),
    (0x885F7C20, "LDXR W0, [X1]", "LDXR", 4, 0x1000),
    (0xC8207C41, "STXP W0, X1, X31, [X2]", "STXP", 16, 0x2000),
    (0xF8200041, "LDADD X0, X1, [X2]", "LDADD", 8, 0x2000),
    (0xB8E08041, "SWPAL W0, W1, [X2]", "SWPAL", 4, 0x2000),
    (0xC8E0FC41, "CASAL X0, X1, [X2]", "CASAL", 8, 0x2000),
    (0x48207C82, "CASP X0, X1, X2, X3, [X4]", "CASP", 16, 0x4000),
    (0xF8BFC020, "LDAPR X0, [X1]", "LDAPR", 8, 0x1000),
    (0x3DC00420, "LDR Q0, [X1, #16]", "LDR", 16, 0x1010),
    (0xAD400440, "LDP Q0, Q1, [X2]", "LDP", 32, 0x2000),
    (0x4C402020, "LD1 {V0.16B-V3.16B}, [X1]", "LD1", 64, 0x1000),
    (0x0D408420, "LD1 {V0.D}[0], [X1]", "LD1", 8, 0x1000),
    (0x4D40CC20, "LD1R {V0.2D}, [X1]", "LD1R", 8, 0x1000),
    (0xF9800020, "PRFM PLDL1KEEP, [X1]", "PRFM", 8, 0x1000),
    (0xD50B7423, "DC ZVA, X3", "DC ZVA", ZVA_SIZE, 0x3000),
    (0xD50B7E23, "DC CIVAC, X3", "DC CIVAC", 1, 0x3000),
    (0xD50B7523, "IC IVAU, X3", "IC IVAU", 1, 0x3000),
    (0xD5087803, "AT S1E1R, X3", "AT S1E1R", 1, 0x3000),
    (0xD50B743F, "DC ZVA, XZR", "DC ZVA", ZVA_SIZE, 0),
]


class TestForms:
    """Every form gives its name, its size and its address."""

    @pytest.mark.parametrize("form", FORMS, ids=lambda form: form[1])
    def test_form(self, form: tuple[int, str, str, int, int]) -> None:
        """The address comes from the base, SP for register 31, and the offset of the form."""
        word, _, name, total, start = form
        access = known(word)
        assert (access.name, access.total, address(access, X, SP, PC)) == (name, total, start)

    def test_sign_extended_offset(self) -> None:
        """SXTW takes the low half of the register as a signed number; the sum wraps at 64 bits."""
        access = known(0xF862C820)  # LDR X0, [X1, W2, SXTW]
        x = list(X)
        x[2] = 0xABCD_0000_FFFF_F000
        assert address(access, x, SP, PC) == 0
        x[2] = 0xABCD_0000_FFFF_0000
        assert address(access, x, SP, PC) == U64 - 0xF000 + 1

    @pytest.mark.parametrize(
        "word",
        [
            0xF9C00020,  # LDR with size 3 and opc 3
            0xB9C00020,  # a sign-extended word to a word
            0xE9400440,  # LDP with opc 3
            0x68400440,  # LDPSW without allocation
            0x69000440,  # STGP
            0xF8620820,  # register offset with option 0
            0x3C408820,  # unprivileged with V
            0xF8209041,  # atomic with o3 = 1, opc = 1
            0xF83FC020,  # LDAPR without A
            0x48217C82,  # CASP of an odd register
            0xC8E0F841,  # CAS with Rt2 other than 31
            0x0C000C20,  # LD4 .1D
            0x0D00C420,  # ST1R
            0xDC000000,  # literal of V with opc 3
            0xD50B7F23,  # SYS with CRn 7 and an unassigned CRm
        ],
    )
    def test_unallocated(self, word: int) -> None:
        """What the architecture leaves unallocated is no access."""
        assert decode(word) is None

    @pytest.mark.parametrize("word", [0xD503201F, 0x91000420, 0x14000000, 0xD65F03C0, 0xD5384240, 0])
    def test_no_access(self, word: int) -> None:
        """NOP, ADD, B, RET, MRS and UDF touch no memory."""
        assert decode(word) is None

    def test_order(self) -> None:
        """Acquire and release are those of LDAR, STLR, the RCpc loads and the A and R bits of the atomics."""
        words = (0xC8DFFC20, 0x889FFC20, 0xF8BFC020, 0xB8E08041, 0xD9400020)
        assert all(known(word).acquire_release for word in words)
        assert not known(0xF8200041).acquire_release

    def test_unprivileged(self) -> None:
        """LDTR counts as an access of EL0, LDUR with the same fields does not."""
        assert known(0xF8408820).unprivileged
        assert not known(0xF8408020).unprivileged


class TestWriteback:
    """Pre- and post-indexed forms change the base."""

    @pytest.mark.parametrize(
        ("word", "value"),
        [
            (0xF81F8FE0, SP - 8),  # STR X0, [SP, #-8]!
            (0xF84087E0, SP + 8),  # LDR X0, [SP], #8
            (0xA8C17BFD, SP + 16),  # LDP X29, X30, [SP], #16
            (0x4CDF2020, 0x1040),  # LD1 {4 registers}, [X1], #64
            (0x4CC22020, 0x3000),  # LD1 {4 registers}, [X1], X2
            (0x0DDF8420, 0x1008),  # LD1 {V0.D}[0], [X1], #8
        ],
    )
    def test_value(self, word: int, value: int) -> None:
        """The new base is the old one and the offset, or the register of a structure access."""
        access = known(word)
        assert access.writeback
        assert writeback(access, X, SP) == value

    def test_none(self) -> None:
        """A form that changes no base says so."""
        with pytest.raises(ValueError, match="LDR must be a writeback form, not OFFSET"):
            writeback(known(0xF9400420), X, SP)


class TestElements:
    """An access in pieces, as a device sees it."""

    def test_pair(self) -> None:
        """A pair is two registers one after the other."""
        access = known(0xA9BF7BFD)
        assert [(e.register, e.address, e.size, e.fp) for e in elements(access, 0x1000)] == [
            (29, 0x1000, 8, False),
            (30, 0x1008, 8, False),
        ]

    def test_structure(self) -> None:
        """LD2 takes its registers in turn, lane after lane; registers wrap from 31 to 0."""
        access = known(0x0C40881F)  # LD2 {V31.2S, V0.2S}, [X0]
        assert [(e.register, e.lane, e.address) for e in elements(access, 0)] == [
            (31, 0, 0), (0, 0, 4), (31, 1, 8), (0, 1, 12),
        ]  # fmt: skip

    def test_single_lane(self) -> None:
        """A single structure reads one lane of each register and keeps the others."""
        access = known(0x4D60_9020 & ~0x0020_0000)  # LD1 {V0.S}[3], [X1]
        (element,) = elements(access, 0x1000)
        assert (element.lane, element.size) == (3, 4)
        assert emulate_vector_load(access, element, (1 << 128) - 1, 0) == (1 << 96) - 1
        assert vector_store_value(element, 0x12345678 << 96) == 0x12345678

    def test_replicated(self) -> None:
        """LD1R fills the lanes of its arrangement and clears what is above."""
        access = known(0x0D40C820)  # LD1R {V0.2S}, [X1]
        (element,) = elements(access, 0x1000)
        assert element.lane == ALL_LANES
        assert emulate_vector_load(access, element, (1 << 128) - 1, 0x11223344) == 0x11223344_11223344

    def test_whole_vector(self) -> None:
        """A scalar load of a vector register clears what is above."""
        access = known(0xBD400020)  # LDR S0, [X1]
        (element,) = elements(access, 0)
        assert emulate_vector_load(access, element, U64, 0x1_FFFF_FFFF) == 0xFFFFFFFF

    def test_zero(self) -> None:
        """DC ZVA zeroes the block around its address."""
        pieces = list(elements(known(0xD50B7423), 0x1234))
        assert pieces[0].address == 0x1200
        assert sum(e.size for e in pieces) == ZVA_SIZE
        assert {store_value(known(0xD50B7423), X, e.register) for e in pieces} == {0}

    @pytest.mark.parametrize("word", [0xF9800020, 0xD50B7E23, 0xD5087803])
    def test_nothing(self, word: int) -> None:
        """Prefetch, maintenance and translation move no data."""
        assert list(elements(known(word), 0)) == []


class TestValues:
    """What a register receives and gives."""

    @given(st.integers(0, U64))
    def test_extension(self, value: int) -> None:
        """LDRSB to X, LDRSB to W, LDRB: sign to 64 bits, to 32 bits, none."""
        byte = value & 0xFF
        signed = byte - 0x100 if byte & 0x80 else byte
        assert emulate_load(known(0x39800020), value) == signed & U64
        assert emulate_load(known(0x39C00020), value) == signed & 0xFFFFFFFF
        assert emulate_load(known(0x39400020), value) == byte

    def test_store(self) -> None:
        """A store gives the low bytes of its register; register 31 gives zero."""
        x = [0x1122334455667788] * 31
        assert store_value(known(0x79000020), x) == 0x7788
        assert store_value(known(0xF900003F), x) == 0
        assert store_value(known(0xA9007C20), x, 31) == 0


class TestSyndrome:
    """ISS of a data abort."""

    def test_load(self) -> None:
        """LDRSH W7 at stage 2: valid, 2 bytes, sign-extended, register 7, 32 bits."""
        got = DataAbortEsr(iss(known(0x79C00427), TRANSLATION_3, stage2=True))
        assert got == DataAbortEsr.make(isv=1, sas=1, sse=1, srt=7, fsc=TRANSLATION_3)

    def test_store_release(self) -> None:
        """STLR of XZR: 8 bytes, register 31, acquire or release, a write."""
        got = DataAbortEsr(iss(known(0xC89FFC3F), TRANSLATION_3, stage2=True))
        assert got == DataAbortEsr.make(isv=1, sas=3, srt=31, sf=1, ar=1, wnr=1, fsc=TRANSLATION_3)

    def test_stage_1(self) -> None:
        """A stage 1 fault describes no register."""
        assert iss(known(0xF9000020), TRANSLATION_3, stage2=False) == 1 << 6 | TRANSLATION_3

    def test_table_walk(self) -> None:
        """A stage 2 fault on a stage 1 table walk describes no register."""
        got = DataAbortEsr(iss(known(0xF9400020), TRANSLATION_3, s1ptw=1, stage2=True))
        assert got == DataAbortEsr.make(s1ptw=1, fsc=TRANSLATION_3)

    @pytest.mark.parametrize(
        "word",
        [
            0xF84087E0,  # LDR post-indexed
            0xF81F8FE0,  # STR pre-indexed
            0xA9400440,  # LDP
            0x885F7C20,  # LDXR
            0xC8007C41,  # STXR
            0xF8200041,  # LDADD
            0xC8E0FC41,  # CASAL
            0xBD400020,  # LDR S0
            0x4C402020,  # LD1
            0xD50B7423,  # DC ZVA
            0xD50B7E23,  # DC CIVAC
        ],
    )
    def test_not_valid(self, word: int) -> None:
        """Writeback, pairs, exclusives, atomics, vectors and operations by address describe no register."""
        assert not DataAbortEsr(iss(known(word), TRANSLATION_3, stage2=True)).isv

    def test_maintenance(self) -> None:
        """Cache maintenance and translation report CM and a write; DC ZVA a write alone."""
        for word, cm in ((0xD50B7E23, 1), (0xD50B7523, 1), (0xD5087803, 1), (0xD50B7423, 0)):
            assert DataAbortEsr(iss(known(word), TRANSLATION_3, stage2=True)) == DataAbortEsr.make(
                cm=cm, wnr=1, fsc=TRANSLATION_3
            )

    def test_atomic(self) -> None:
        """An atomic reports a read if its read is refused, else a write."""
        access = known(0xF8200041)
        assert access.is_write
        assert not DataAbortEsr(iss(access, TRANSLATION_3, stage2=True)).wnr
        assert DataAbortEsr(iss(access, TRANSLATION_3, wnr=True, stage2=True)).wnr

    def test_external(self) -> None:
        """FnV and EA are passed through."""
        got = DataAbortEsr(iss(known(0xF9400020), 0x10, fnv=1, ea=1, stage2=False))
        assert got == DataAbortEsr.make(fnv=1, ea=1, fsc=0x10)


class TestTouches:
    """Whether an instruction can have faulted in a page: one that was overwritten meanwhile tells nothing of it."""

    def test_pages(self) -> None:
        """Its own page, the next one if it reaches there, and no other; tags and the top of the address space apart."""
        access = known(0xA9400440)  # 16 bytes
        for base, page, expected in (
            (0x4000, 0x4000, True), (0x4FF8, 0x5000, True), (0x4FF0, 0x5000, False), (0x4000, 0x3000, False),
            (0x5A << 56 | 0x4FF8, 0x5ABC, True), (U64 - 7, 0, True), (0x4000, 0x9000_4000, False),
        ):  # fmt: skip
            assert touches(access, base, page) is expected

    def test_value(self) -> None:
        """Maintenance touches the page of its register alone."""
        assert touches(known(0xD50B7E23), 0x5037, 0x5000)
        assert not touches(known(0xD50B7E23), 0x4FFF, 0x5000)

    def test_prefetch(self) -> None:
        """A prefetch never aborts, so it was another instruction that did."""
        assert not touches(known(0xF9800020), 0x5000, 0x5000)


class TestFaultingAddress:
    """FAR is the first byte of the access in the page that faulted."""

    @given(st.integers(1, 15))
    def test_crossing(self, before: int) -> None:
        """An access over a page boundary reports its start, or the boundary."""
        access = known(0xA9400440)
        base = 0x5000 - before
        assert faulting_address(access, base, 0x4000) == base
        assert faulting_address(access, base, 0x5000) == 0x5000

    def test_tag(self) -> None:
        """The tag of an address stays, whether or not the page is given with it."""
        access = known(0xA9400440)
        tag = 0x5A << 56
        assert faulting_address(access, tag | 0x4FF8, 0x4000) == tag | 0x4FF8
        assert faulting_address(access, tag | 0x4FF8, 0x5000) == tag | 0x5000

    def test_upper_half(self) -> None:
        """An access may wrap from the top of the address space to zero."""
        assert faulting_address(known(0xA9400440), U64 - 7, 0) == 0

    def test_maintenance(self) -> None:
        """DC ZVA and cache maintenance report the address in their register."""
        assert faulting_address(known(0xD50B7423), 0x5037, 0x5000) == 0x5037
        assert faulting_address(known(0xD50B7E23), 0x5037, 0x5000) == 0x5037

    def test_authenticated(self) -> None:
        """The top bits of an authenticated pointer are those that the PE found."""
        access = known(0xF8200420)  # LDRAA X0, [X1]
        assert access.authenticated
        assert faulting_address(access, 0x1234_0000_0000_4018, 0xFFFF_0000_0000_4000) == 0xFFFF_0000_0000_4018

    def test_foreign_page(self) -> None:
        """A page that the access does not touch is a mistake of the caller."""
        with pytest.raises(AssertionError, match="LDP at 0x4000 must touch page 0x6000; it has 16 bytes"):
            faulting_address(known(0xA9400440), 0x4000, 0x6000)


class TestModes:
    """The addressing mode of each group."""

    @pytest.mark.parametrize(
        ("word", "mode", "kind"),
        [
            (0xF9400420, Mode.OFFSET, Kind.LOAD),
            (0xF81F8FE0, Mode.PRE, Kind.STORE),
            (0xF84087E0, Mode.POST, Kind.LOAD),
            (0x4CC22020, Mode.POST_REGISTER, Kind.LOAD),
            (0xF8627820, Mode.REGISTER, Kind.LOAD),
            (0x58000040, Mode.LITERAL, Kind.LOAD),
            (0xD50B7423, Mode.VALUE, Kind.ZERO),
            (0xD50B7E23, Mode.VALUE, Kind.CACHE),
            (0xF8200041, Mode.OFFSET, Kind.ATOMIC),
            (0xF9800020, Mode.OFFSET, Kind.PREFETCH),
        ],
    )
    def test_mode(self, word: int, mode: Mode, kind: Kind) -> None:
        """Mode and kind as the mnemonic says."""
        access = known(word)
        assert (access.mode, access.kind, access.aborts) == (mode, kind, kind is not Kind.PREFETCH)
