"""Groups, priorities and active priorities, shared by the physical and the virtual CPU interface.

Priorities are 8 bits in the Secure view, of which the upper 5 are implemented; lower values mean higher priority. An
active priorities register has one bit per group priority, 32 in all.
"""

from typing import Final

from cca_arch.sysregs import IccCtlr

__all__ = [
    "CBPR",
    "EOIMODE",
    "G0",
    "G1NS",
    "G1S",
    "IDLE",
    "LEVELS",
    "LEVEL_SHIFT",
    "MIN_BPR",
    "PRIORITY_BITS",
    "PRIORITY_MASK",
    "group_mask",
    "highest_active",
    "level_bit",
    "ns_read",
    "ns_write",
]

G0: Final = 0
G1S: Final = 1
G1NS: Final = 2

PRIORITY_BITS: Final = 5
PRIORITY_MASK: Final = 0xFF << 8 - PRIORITY_BITS & 0xFF
LEVELS: Final = 1 << PRIORITY_BITS
LEVEL_SHIFT: Final = 8 - PRIORITY_BITS
"""A priority shifted right by this is its level, 0 to LEVELS - 1."""
IDLE: Final = 0xFF
"""The running priority if no interrupt is active."""
MIN_BPR: Final = 7 - PRIORITY_BITS
"""The lowest binary point of Group 0; one more for a Non-secure or virtual Group 1."""

CBPR: Final = IccCtlr.cbpr.mask
"""Of ICC_CTLR_EL1: the binary point of Group 0 also applies to Group 1."""
EOIMODE: Final = IccCtlr.eoimode.mask
"""Of ICC_CTLR_EL1: EOIR only drops the priority, DIR deactivates."""

_GROUP_MASKS: Final = tuple(0xFF << point + 1 & 0xFF for point in range(8))


def group_mask(binary_point: int) -> int:
    """The bits of a priority that decide preemption, for a binary point in the format of ICC_BPR0_EL1."""
    return _GROUP_MASKS[binary_point]


def highest_active(active: int) -> int:
    """The running priority: the group priority of the lowest bit, or IDLE."""
    return ((active & -active).bit_length() - 1) << LEVEL_SHIFT if active else IDLE


def level_bit(priority: int) -> int:
    """The bit of an active priorities register for a group priority."""
    return 1 << (priority >> LEVEL_SHIFT)


def ns_read(priority: int) -> int:
    """A priority of the lower half as Non-secure software sees it; 0 for one of the Secure half (IHI 0069, 4.8.1)."""
    return priority << 1 & 0xFF if priority & 0x80 else 0


def ns_write(priority: int) -> int:
    """The Secure view of a priority set by Non-secure software."""
    return (0x80 | priority >> 1) & PRIORITY_MASK
