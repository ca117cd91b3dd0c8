"""Syndromes in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca_arch.explain import explain_esr, explain_fsc
from cca_arch.sysregs import REGISTERS
from cca_arch.sysregs.syndrome import DataAbortEsr, Ec, Fsc, SErrorEsr, SysregEsr, syndrome


class TestSyndromes:
    """Each class has its words, and the fields that tell what happened."""

    @pytest.mark.parametrize(
        ("esr", "words"),
        [
            (syndrome(Ec.DATA_ABORT_SAME, 0x47), "data abort: translation fault, level 3, on a write"),
            (syndrome(Ec.DATA_ABORT, 0x21), "data abort from a lower level: alignment fault, on a read"),
            (syndrome(Ec.DATA_ABORT_SAME, 0x147), "data abort: translation fault, level 3, on a cache maintenance"),
            (syndrome(Ec.DATA_ABORT_SAME, 0x86), "on a read, while stage 1 tables were read"),
            (syndrome(Ec.INSTRUCTION_ABORT_SAME, 0x0F), "instruction abort: permission fault, level 3"),
            (syndrome(Ec.INSTRUCTION_ABORT, 0x28), "instruction abort from a lower level: granule protection fault"),
            (syndrome(Ec.SMC, 0x12), "SMC #0x12"),
            (syndrome(Ec.BRK, 0xF000), "BRK #0xf000"),
            (syndrome(Ec.WFX, 1), "trapped WFE"),
            (syndrome(Ec.WFX, 0), "trapped WFI"),
            (syndrome(Ec.UNKNOWN), "undefined instruction"),
            (syndrome(Ec.SERROR, int(SErrorEsr.make(dfsc=Fsc.ASYNCHRONOUS, aet=3))), "SError, recoverable"),
            (syndrome(Ec.SERROR, 1 << 24 | 5), "SError, implementation defined 0x1000005"),
            (syndrome(0x3F), "exception class 0x3f"),
        ],
    )
    def test_words(self, esr: int, words: str) -> None:
        """As the architecture names it."""
        assert words in explain_esr(esr)

    @pytest.mark.parametrize("name", ["sctlr_el1", "icc_iar1_el1", "cntv_ctl_el0"])
    @pytest.mark.parametrize(("direction", "way"), [(0, "write of"), (1, "read of")])
    def test_registers(self, name: str, direction: int, way: str) -> None:
        """A trapped access names its register, or has its encoding in assembler's form."""
        op0, op1, crn, crm, op2 = REGISTERS[name]
        iss = SysregEsr.make(op0=op0, op1=op1, crn=crn, crm=crm, op2=op2, direction=direction)
        assert explain_esr(syndrome(Ec.SYSREG, int(iss))) == f"trapped {way} {name.upper()}"
        unknown = SysregEsr.make(op0=3, op1=7, crn=11, crm=3, op2=5, direction=direction)
        assert explain_esr(syndrome(Ec.SYSREG, int(unknown))) == f"trapped {way} S3_7_C11_C3_5"

    @pytest.mark.parametrize("level", range(4))
    def test_levels(self, level: int) -> None:
        """A fault of a table walk has its level."""
        walks = Fsc.EXTERNAL_WALK, Fsc.GPF_WALK
        for kind in (Fsc.TRANSLATION, Fsc.PERMISSION, Fsc.ACCESS_FLAG, Fsc.ADDRESS_SIZE, *walks):
            assert explain_fsc(kind + level).endswith(f", level {level}")
        assert "level" not in explain_fsc(Fsc.EXTERNAL) + explain_fsc(Fsc.ALIGNMENT) + explain_fsc(Fsc.GPF)

    @given(esr=st.integers(0, (1 << 64) - 1))
    def test_anything(self, esr: int) -> None:
        """Every number has words that a terminal can be given."""
        assert explain_esr(esr).isprintable()
        assert explain_esr(esr & ~int(DataAbortEsr.wnr.mask))
