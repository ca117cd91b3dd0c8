"""System registers and descriptors: each encoding once, fields at the architecture's places."""

from collections import Counter

import pytest

from cca_arch import gic, sysregs
from cca_arch.descriptors import gpt, stage1, stage2
from cca_arch.fields import Bits
from cca_arch.sysregs import REGISTERS, Ec, Encoding, Esr, Hcr, Pstate, encodings

LAYOUTS = sorted(
    {
        kind
        for module in (sysregs, gic, gpt, stage1, stage2)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Bits) and kind is not Bits
    },
    key=lambda kind: kind.__name__,
)
PARTS = {  # a field that names a part of another one, or the same bits from another point of view
    "AbortEsr": "iss", "DataAbortEsr": "iss", "GpcEsr": "iss", "ImmediateEsr": "iss", "SErrorEsr": "iss",
    "SysregEsr": "iss", "WfxEsr": "iss", "Pstate": "mode daif nzcv", "IchLr": "pintid", "Stage1Leaf": "ap",
    "Stage1Table": "aptable", "Stage2Descriptor": "s2ap",
}  # fmt: skip


class TestEncodings:
    """What MRS and MSR carry."""

    def test_each_once(self):
        """No two registers have one encoding."""
        assert [encoding for encoding, count in Counter(REGISTERS.values()).items() if count > 1] == []

    def test_ranges(self):
        """op0 2 or 3, and every field within its bits."""
        for name, (op0, *rest) in REGISTERS.items():
            assert op0 in (2, 3), name
            assert all(0 <= value <= most for value, most in zip(rest, (7, 15, 15, 7), strict=True)), name

    def test_level_in_the_name_is_the_level_of_the_encoding(self):
        """op1 says which exception level may use a register (DDI 0487, D24.1)."""
        levels = {0: "1", 1: "1", 2: "1", 3: "0", 4: "2", 6: "3"}
        for name, encoding in REGISTERS.items():
            if name not in ("rndr", "rndrrs", "dit", "ssbs", "spsr_irq", "spsr_abt", "spsr_und", "spsr_fiq"):
                assert name.endswith(f"_el{levels[encoding.op1]}"), name

    def test_is_a_plain_tuple_too(self):
        """An encoding finds what a table has under (op0, op1, CRn, CRm, op2)."""
        assert {(3, 4, 1, 1, 0): "hcr"}[encodings.HCR_EL2] == "hcr"
        assert Encoding(3, 4, 1, 1, 0).packed == 0x34110


class TestLayouts:
    """Fields of registers and descriptors."""

    @pytest.mark.parametrize("kind", LAYOUTS, ids=lambda kind: kind.__name__)
    def test_fields_are_apart(self, kind):
        """Fields do not overlap, but for a part of one that has a name of its own."""
        wholes = PARTS.get(kind.__name__, "").split()
        seen = 0
        for name, field in kind.fields().items():
            if name not in wholes:
                assert not seen & field.mask, name
                seen |= field.mask
        assert seen < 1 << 64

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (Hcr.tge.mask, 1 << 27),
            (Hcr.make(rw=1, e2h=1, fwb=1, gpf=1), 1 << 31 | 1 << 34 | 1 << 46 | 1 << 48),
            (sysregs.EL1H_MASKED, 0x3C5),
            (sysregs.EL2H_MASKED, 0x3C9),
            (Pstate.make(nzcv=0xF, pan=1, uao=1, il=1), 0xF << 28 | 1 << 22 | 1 << 23 | 1 << 20),
            (sysregs.syndrome(Ec.SMC), 0x17 << 26 | 1 << 25),
            (sysregs.syndrome(Ec.DATA_ABORT_SAME, 0x61), 0x9600_0061),
            (sysregs.Scr.make(ns=1, hce=1, rw=1) | sysregs.SCR_EL3_RES1, 0x531),
            (sysregs.Cnthctl.make(el1pcten=1, el1pcen=1), 3),
            (sysregs.MPIDR_AFFINITY, 0xFF_00FF_FFFF),
            (sysregs.Vtcr.make(t0sz=16, sl0=2, sh0=3, ps=5), 16 | 2 << 6 | 3 << 12 | 5 << 16),
            (sysregs.IchLr.make(state=1, group=1, priority=0xA0, vintid=27), 1 << 62 | 1 << 60 | 0xA0 << 48 | 27),
            (gic.GicdTyper.make(rss=1, a3v=1, idbits=15, mbis=1, securityextn=1), 0x0579_0400),
            (gpt.Gpccr.make(gpc=1, pps=5, sh=3), 1 << 16 | 5 | 3 << 12),
        ],
    )
    def test_values(self, value, expected):
        """Values as the manuals print them."""
        assert value == expected

    def test_syndromes_share_class_and_length(self):
        """Every layout of an ISS belongs to a whole ESR."""
        esr = sysregs.DataAbortEsr.make(ec=Ec.DATA_ABORT, il=1, isv=1, sas=3, srt=5, fsc=sysregs.Fsc.TRANSLATION + 3)
        assert (Esr(esr).ec, Esr(esr).il, Esr(esr).iss) == (0x24, 1, 1 << 24 | 3 << 22 | 5 << 16 | 7)
