"""What the GIC tells a PE: a set of asserted interrupt exceptions, and the PPI of the virtual CPU interface."""

from typing import Final

__all__ = ["MAINTENANCE", "SIGNAL_G0", "SIGNAL_G1NS", "SIGNAL_G1S", "SIGNAL_VFIQ", "SIGNAL_VIRQ"]

SIGNAL_G0: Final = 1
SIGNAL_G1S: Final = 2
SIGNAL_G1NS: Final = 4
SIGNAL_VIRQ: Final = 8
SIGNAL_VFIQ: Final = 16

MAINTENANCE: Final = 25
"""INTID of the maintenance interrupt, a level-sensitive PPI."""
