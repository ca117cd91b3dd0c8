"""What belongs to EL2 stays EL2's: lower levels that try get an exception, and nothing has changed."""

from typing import Any

import pytest

from cca_arch.types import SecurityState
from cca_platform.native import block as w

CODE, DATA = 0x8010_0000, 0x8012_0000
IL = 1 << 25
_WORDS = {"hcr_el2": w.P_HCR, "vtcr_el2": w.P_VTCR, "vttbr_el2": w.P_VTTBR, "cntvoff_el2": w.P_CNTVOFF}
_STATES = (SecurityState.NON_SECURE, SecurityState.REALM)


@pytest.mark.parametrize("state", _STATES)
@pytest.mark.parametrize("el", [0, 1])
class TestLowerLevels:
    """EL1 and EL0 code, in a Realm above all, has no say in its own stage 2."""

    @pytest.mark.parametrize("register", [*_WORDS, "cnthctl_el2"])
    def test_control(self, bench: Any, state: SecurityState, el: int, register: str) -> None:
        """A write of an EL2 control is undefined below EL2, and the control stays as it was."""
        bench.vectors()
        words = bench.pe.words
        word = _WORDS.get(register, w.P_CNTHCTL)
        before = words[word]
        x = bench.run(f"msr {register}, x0", state, el, x0=0x1234_5000)
        assert x[20:23] == [IL, x[21], CODE]
        assert words[word] == before

    @pytest.mark.parametrize("operation", ["s1e2r", "s1e2w", "s12e1r", "s12e1w", "s12e0r", "s12e0w"])
    def test_address_translation(self, bench: Any, state: SecurityState, el: int, operation: str) -> None:
        """AT through stage 2 would tell where memory really lies: undefined below EL2, PAR_EL1 unchanged."""
        bench.vectors("mrs x20, esr_el1; mrs x22, elr_el1; mrs x5, par_el1; smc #0")
        before = bench.pe.read_sysreg("par_el1")
        x = bench.run(f"at {operation}, x0", state, el, x0=DATA)
        assert (x[20], x[22], x[5]) == (IL, CODE, before)
