"""The limits of the boot, in a module that options can be declared with: it imports nothing."""

from typing import Final

__all__ = ["EXCEPTION", "SECURE_INSNS"]

SECURE_INSNS: Final = 100_000_000
"""The number of instructions within which a Secure payload must be ready on a PE, unless another is given."""
EXCEPTION: Final = 1_000
"""The instructions that an exception counts for there: it takes the host as long."""
