"""PSTATE for native code."""

from typing import Final

from cca_arch.sysregs import Pstate
from cca_platform.native.jit import jit

__all__ = ["level", "stack"]

_EL_LOW: Final = Pstate.el.low
_EL_ONES: Final = Pstate.el.ones
_SP: Final = Pstate.sp.mask


@jit("i8(i8)")
def level(pstate: int) -> int:
    """The exception level."""
    return pstate >> _EL_LOW & _EL_ONES


@jit("i8(i8)")
def stack(pstate: int) -> int:
    """The level whose SP_ELx is the stack pointer."""
    return pstate >> _EL_LOW & _EL_ONES if pstate & _SP else 0
