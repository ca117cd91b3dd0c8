"""The translation regime: chosen by the exception level, with its controls, from one change of them to the next."""

import pytest

from cca_platform.mmu.regime import EL2, EL10, regime_of
from cca_platform.native import block as w


class TestRegime:
    """Which regime a level uses, and what the block then holds."""

    def test_of_every_level(self):
        """EL1 and EL0 share one, EL2 has its own (HCR_EL2.E2H = 0)."""
        assert [regime_of(el) for el in (0, 1, 2)] == [EL10, EL10, EL2]

    @pytest.mark.parametrize(("el", "regime"), [(1, EL10), (2, EL2)])
    def test_of_running_code(self, bench, el, regime):
        """Code of a level has been translated by its regime."""
        bench.run("nop; smc #0", el=el)
        assert bench.pe.words[w.P_REGIME] == regime

    @pytest.mark.parametrize(
        ("el", "register", "word"),
        [
            (1, "mair_el1", w.P_MAIR),
            (1, "ttbr0_el1", w.P_TTBR0),
            (1, "ttbr1_el1", w.P_TTBR1),
            (1, "tcr_el1", w.P_TCR),
            (2, "mair_el2", w.P_MAIR),
            (2, "ttbr0_el2", w.P_TTBR0),
            (2, "vtcr_el2", w.P_VTCR),
            (2, "vttbr_el2", w.P_VTTBR),
        ],
    )
    def test_a_change_of_controls(self, bench, el, register, word):
        """What is written to a control holds for the next translation."""
        bench.run(f"mrs x1, {register}; add x0, x0, x1; msr {register}, x0; isb; nop; smc #0", el=el, x0=0x8000)
        assert bench.pe.words[word] == bench.pe.read_sysreg(register)
        assert bench.pe.read_sysreg(register) & 0x8000

    def test_the_other_regime_keeps_its_own(self, bench):
        """EL2 writes the controls of EL1&0: its own translations go on by its own."""
        bench.run("msr mair_el1, x0; isb; nop; smc #0", el=2, x0=0x1234)
        assert bench.pe.words[w.P_MAIR] == bench.pe.read_sysreg("mair_el2")
