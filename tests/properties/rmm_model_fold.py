"""The model of RMM 1.0, RMI_RTT_FOLD: a table of 512 entries, read row by row as the fact book's table of folds has it.

It was derived a second time, from that table alone. The first model and the command had both been written from one
remark about another RMM ("a full table of level 1 or above is refused with the level above, before anyone looks at
contiguity"), so that they agreed on a wrong index. The remark speaks against the rule: what has no block of its size is
a homogeneous table; any other is refused with its own level.
"""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Refused", "folded"]

VALID, TYPE, ASSIGNED_BIT, NS_BIT = 1, 3, 1 << 2, 1 << 55
ADDRESS = 0xFFFF_FFFF_F000
BLOCK, TABLE = 1, 3
LARGEST_BLOCK = 1  # level


class Refused(NamedTuple):
    """RMI_ERROR_RTT, with the level that it names."""

    level: int


def folded(entries: Sequence[int], level: int) -> int | Refused:
    """What stands in the entry above when a table of ``level`` is folded."""
    not_homogeneous = Refused(level)
    if level < 3 and any(entry & TYPE == TABLE for entry in entries):
        return not_homogeneous
    assigned = [bool(entry & VALID or entry & ASSIGNED_BIT) for entry in entries]
    if not any(assigned):
        return entries[0] if len(set(entries)) == 1 else not_homogeneous
    attributes = {entry & ~ADDRESS for entry in entries}
    if not all(assigned) or len(attributes) > 1:
        return not_homogeneous
    size = 4096 << 9 * (3 - level)
    addresses = [entry & ADDRESS for entry in entries]
    start = addresses[0]
    if start % (512 * size) or addresses != list(range(start, start + 512 * size, size)):
        return not_homogeneous
    if level - 1 < LARGEST_BLOCK:
        return Refused(level - 1)
    (said,) = attributes
    return start | (said & ~TYPE | BLOCK if said & VALID else said)
