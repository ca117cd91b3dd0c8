"""The translation regime of an exception level, which is selected only here.

P_REGIME has the selection and the regime's registers (see :func:`cca_platform.engine.registers.load_regime`) until the
controls change. There is no FEAT_VHE: HCR_EL2.E2H is 0, so EL2 always uses the regime with one address range and one
privilege level.
"""

from typing import Final

from cca_platform.native.jit import jit

__all__ = ["EL2", "EL10", "regime_of"]

EL10: Final = 1
"""EL1&0: two address ranges, with separate permissions for EL0."""
EL2: Final = 2
"""EL2: one address range, one privilege level."""


@jit("i8(i8)")
def regime_of(el: int) -> int:
    """The regime that ``el`` uses."""
    return EL2 if el == 2 else EL10
