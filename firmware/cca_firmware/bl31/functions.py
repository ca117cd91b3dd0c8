"""Functions that EL3 serves: how they are named in X0, and what a handler of one is."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cca_arch.smccc import NOT_SUPPORTED, SVE_HINT

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["FUNCTION", "Handler", "unknown"]

Handler = Callable[["Pe", memoryview], None]
"""What a function does with a PE and its X0..X30."""
FUNCTION: Final = 0xFFFF_FFFF & ~SVE_HINT
"""The bits of X0 that name a function."""


def unknown(pe: "Pe", x: memoryview) -> None:
    """SMCCC: X0 = NOT_SUPPORTED, every other register as it was."""
    x[0] = NOT_SUPPORTED
