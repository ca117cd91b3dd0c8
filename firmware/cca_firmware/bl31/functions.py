"""Functions of EL3: the type of a handler, and the result of unknown functions."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from cca_arch.smccc import NOT_SUPPORTED
from cca_arch.types import INSTRUCTION_SIZE
from cca_platform.pe.refused import Refused, refuse

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["Handler", "unknown"]

Handler = Callable[["Pe", memoryview], None]
"""Handles a function, given a PE and its X0..X30."""


def unknown(pe: "Pe", x: memoryview) -> None:
    """Return NOT_SUPPORTED in X0 and leave all other registers unchanged (SMCCC)."""
    refuse(pe, Refused(int(pe.security), pe.elr - INSTRUCTION_SIZE, x[0], "", "NOT_SUPPORTED"))
    x[0] = NOT_SUPPORTED
