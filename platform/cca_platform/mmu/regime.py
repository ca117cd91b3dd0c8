"""Which translation regime an exception level uses: the one place where that is chosen.

P_REGIME holds the choice together with the registers of the regime (see
:func:`cca_platform.engine.registers.load_regime`), from one change of controls to the next. There is no FEAT_VHE:
HCR_EL2.E2H is 0, so that EL2 always has the regime with one range of addresses and one level of privilege.
"""

from typing import Final

from cca_platform.native.jit import jit

__all__ = ["EL2", "EL10", "regime_of"]

EL10: Final = 1
"""EL1&0: two ranges of addresses; what EL0 may do is told apart."""
EL2: Final = 2
"""EL2: one range, one level of privilege."""


@jit("i8(i8)")
def regime_of(el: int) -> int:
    """The regime by which ``el`` translates."""
    return EL2 if el == 2 else EL10
