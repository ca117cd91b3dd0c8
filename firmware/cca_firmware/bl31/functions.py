"""Functions that EL3 serves: what a handler of one is, and the answer to those that nobody serves."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from cca_arch.smccc import NOT_SUPPORTED

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["Handler", "unknown"]

Handler = Callable[["Pe", memoryview], None]
"""What a function does with a PE and its X0..X30."""


def unknown(pe: "Pe", x: memoryview) -> None:
    """SMCCC: X0 = NOT_SUPPORTED, every other register as it was."""
    x[0] = NOT_SUPPORTED
