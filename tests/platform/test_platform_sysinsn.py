"""System instructions, and the syndromes of those that trap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca_arch.sysregs import SysregEsr, WfxEsr
from cca_platform.isa.sysinsn import SystemInstruction, SystemKind, decode_system, iss_sysreg, iss_wfx


def known(word: int) -> SystemInstruction:
    """The instruction of a word that is one."""
    instruction = decode_system(word)
    assert instruction is not None
    return instruction


class TestDecode:
    """Instruction words by hand."""

    @pytest.mark.parametrize(
        ("word", "kind", "encoding", "rt"),
        [
            (0xD5384240, SystemKind.MRS, (3, 0, 4, 2, 2), 0),  # MRS X0, CurrentEL
            (0xD51E1103, SystemKind.MSR, (3, 6, 1, 1, 0), 3),  # MSR SCR_EL3, X3
            (0xD53BE045, SystemKind.MRS, (3, 3, 14, 0, 2), 5),  # MRS X5, CNTVCT_EL0
            (0xD5100240, SystemKind.MSR, (2, 0, 0, 2, 2), 0),  # MSR MDSCR_EL1, X0
            (0xD508831F, SystemKind.SYS, (1, 0, 8, 3, 0), 31),  # TLBI VMALLE1IS
            (0xD50B7423, SystemKind.SYS, (1, 3, 7, 4, 1), 3),  # DC ZVA, X3
            (0xD52B7423, SystemKind.SYSL, (1, 3, 7, 4, 1), 3),
        ],
    )
    def test_registers(self, word: int, kind: SystemKind, encoding: tuple[int, ...], rt: int) -> None:
        """MSR, MRS, SYS and SYSL give op0, op1, CRn, CRm, op2 and the register."""
        got = known(word)
        assert (got.kind, got.encoding, got.rt) == (kind, encoding, rt)
        assert got.is_read == (kind in (SystemKind.MRS, SystemKind.SYSL))

    def test_immediate(self) -> None:
        """MSR DAIFSet, #2 has the immediate in CRm and no register."""
        got = known(0xD50342DF)
        assert (got.kind, got.op1, got.op2, got.imm, got.rt) == (SystemKind.MSR_IMMEDIATE, 3, 6, 2, 31)

    @pytest.mark.parametrize(
        ("word", "kind"),
        [
            (0xD4000001, SystemKind.SVC),
            (0xD4000002, SystemKind.HVC),
            (0xD4000003, SystemKind.SMC),
            (0xD4200000, SystemKind.BRK),
            (0xD4400000, SystemKind.HLT),
        ],
    )
    @pytest.mark.parametrize("imm", [0, 1, 0x524C, 0xFFFF])
    def test_exceptions(self, word: int, kind: SystemKind, imm: int) -> None:
        """Exception-generating instructions carry 16 bits."""
        got = known(word | imm << 5)
        assert (got.kind, got.imm) == (kind, imm)

    @pytest.mark.parametrize(
        ("word", "kind"),
        [
            (0xD503207F, SystemKind.WFI),
            (0xD503205F, SystemKind.WFE),
            (0xD5031027, SystemKind.WFIT),
            (0xD5031007, SystemKind.WFET),
            (0xD69F03E0, SystemKind.ERET),
            (0xD69F0BFF, SystemKind.ERETAA),
            (0xD69F0FFF, SystemKind.ERETAB),
        ],
    )
    def test_whole_words(self, word: int, kind: SystemKind) -> None:
        """Waiting and return from exceptions."""
        assert known(word).kind is kind

    @pytest.mark.parametrize(
        "word", [0xD503201F, 0xD503203F, 0xD5033F9F, 0xD5033FDF, 0xD65F03C0, 0xD4A00001, 0x91000420, 0]
    )
    def test_others(self, word: int) -> None:
        """NOP, YIELD, DSB, ISB, RET, DCPS1, ADD and UDF are none of them."""
        assert decode_system(word) is None


class TestSyndrome:
    """ISS of the traps."""

    @given(st.integers(0, (1 << 20) - 1), st.booleans())
    def test_sysreg(self, fields: int, is_read: bool) -> None:
        """EC 0x18 carries every field of the instruction, and 1 as direction of a read."""
        word = 0xD5180000 | is_read << 21 | fields
        got = known(word)
        syndrome = SysregEsr(iss_sysreg(got))
        assert (syndrome.op0, syndrome.op1, syndrome.crn, syndrome.crm, syndrome.op2) == got.encoding
        assert (syndrome.rt, syndrome.direction) == (got.rt, is_read)
        assert syndrome >> 22 == 0

    def test_a_register(self) -> None:
        """MRS X0, ID_AA64PFR0_EL1, as Linux and KVM know it."""
        assert iss_sysreg(known(0xD5380400)) == 0x300000 | 4 << 1 | 1

    @pytest.mark.parametrize(("word", "ti"), [(0xD503207F, 0), (0xD503205F, 1), (0xD5031027, 2), (0xD5031007, 3)])
    def test_wfx(self, word: int, ti: int) -> None:
        """EC 0x01 from AArch64: condition valid, always; the timed forms name their register."""
        timed = ti > 1
        assert iss_wfx(known(word)) == WfxEsr.make(cv=1, cond=0xE, ti=ti, rv=timed, rn=7 if timed else 0)
