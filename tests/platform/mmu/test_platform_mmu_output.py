"""What a translation gives beside the address: memory type and physical address space.

The file is also run with NUMBA_DISABLE_JIT=1 (test_platform_mmu_plain.py): the same source as plain Python.
"""

import pytest
from mmu_bench import AF, DATA, NS, NSTABLE, S2_RW, S2_WB, Bench

from cca_arch.types import Gpi, Pas, SecurityState
from cca_platform.mmu.translate import OK, combine_attributes
from cca_platform.mmu.walk import GPF_WALK


class TestAttributes:
    """Memory types of both stages combined."""

    @pytest.mark.parametrize(
        ("stage1", "memattr", "fwb", "result"),
        [
            (0xFF, 0b110, 1, 0xFF),
            (0x00, 0b110, 1, 0xFF),
            (0x44, 0b110, 1, 0xFF),
            (0xFF, 0b101, 1, 0x44),
            (0x04, 0b101, 1, 0x04),
            (0xBB, 0b111, 1, 0xBB),
            (0x08, 0b111, 1, 0x08),
            (0xFF, 0b001, 1, 0x04),
            (0x00, 0b011, 1, 0x00),
            (0xFF, 0b1111, 0, 0xFF),
            (0xFF, 0b0101, 0, 0x44),
            (0x44, 0b1111, 0, 0x44),
            (0xFF, 0b1010, 0, 0xBB),
            (0x4F, 0b1111, 0, 0x4F),
            (0xFF, 0b0001, 0, 0x04),
            (0x0C, 0b0010, 0, 0x08),
            (0x04, 0b1111, 0, 0x04),
        ],
    )
    def test_combine(self, stage1: int, memattr: int, fwb: int, result: int) -> None:
        """With FWB stage 2 forces or defers; without it the weaker type wins."""
        assert combine_attributes(stage1, memattr, fwb) == result

    @pytest.mark.parametrize("first", [0, 2, 3])
    @pytest.mark.parametrize("second", [0, 2, 3])
    def test_shareability(self, bench: Bench, first: int, second: int) -> None:
        """The wider of both stages: outer before inner before none (DDI 0487 D8.6.6)."""
        wider = [0, 3, 2]
        bench.page(attributes=AF | first << 8)
        assert bench.translate() == OK
        assert bench.get("OUT_SH") == first
        bench.stage2()
        bench.ipa(DATA, DATA, attributes=AF | S2_RW | S2_WB | second << 8)
        assert bench.translate() == OK
        assert bench.get("OUT_SH") == max(first, second, key=wider.index)

    def test_translated(self, bench: Bench) -> None:
        """A Realm page under FWB is Write-Back whatever stage 1 says."""
        bench.page(attributes=AF | 1 << 2)
        bench.stage2()
        bench.ipa(DATA, DATA)
        assert bench.translate() == OK
        assert bench.get("OUT_ATTR") == 0xFF


class TestPas:
    """The physical address space that an access uses."""

    @pytest.mark.parametrize(
        ("state", "el", "ns", "pas"),
        [
            (SecurityState.NON_SECURE, 1, NS, Pas.NON_SECURE),
            (SecurityState.NON_SECURE, 2, 0, Pas.NON_SECURE),
            (SecurityState.SECURE, 1, 0, Pas.SECURE),
            (SecurityState.SECURE, 1, NS, Pas.NON_SECURE),
            (SecurityState.REALM, 1, 0, Pas.REALM),
            (SecurityState.REALM, 1, NS, Pas.REALM),
            (SecurityState.REALM, 2, 0, Pas.REALM),
            (SecurityState.REALM, 2, NS, Pas.NON_SECURE),
        ],
    )
    def test_ns_bit(self, bench: Bench, state: SecurityState, el: int, ns: int, pas: Pas) -> None:
        """The NS bit of stage 1 counts in Secure EL1&0 and Realm EL2 only."""
        bench.set(SECURITY=state, EL=el, TCR=16 | 5 << 16 if el == 2 else bench.get("TCR"))
        bench.page(attributes=AF | ns)
        assert bench.translate() == OK
        assert bench.get("OUT_PAS") == pas

    def test_nstable(self, bench: Bench) -> None:
        """NSTable in the Secure state sends the rest of the walk, and the access, to the Non-secure PAS; nG is set."""
        bench.set(SECURITY=SecurityState.SECURE)
        bench.page(tables=NSTABLE)
        bench.gpt(Gpi.SECURE)
        assert bench.refusal() == (GPF_WALK + 1, 1, 0)
        assert bench.get("FAULT_PAS") == Pas.NON_SECURE
        bench.memory.gpccr = 0
        assert bench.translate() == OK
        assert (bench.get("OUT_PAS"), bench.get("OUT_NG")) == (Pas.NON_SECURE, 1)

    @pytest.mark.parametrize("state", [SecurityState.SECURE, SecurityState.NON_SECURE, SecurityState.REALM])
    def test_off(self, bench: Bench, state: SecurityState) -> None:
        """With the MMU off an access is in the PAS of its security state."""
        bench.set(SECURITY=state, SCTLR=0)
        assert bench.translate(va=DATA) == OK
        assert bench.get("OUT_PAS") == Pas(state)
