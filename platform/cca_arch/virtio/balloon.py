"""The traditional memory balloon device (Virtio 1.2, 5.5)."""

from enum import IntEnum
from typing import Final

from cca_arch.fields import Member, Struct

__all__ = ["DEFLATE", "INFLATE", "PFN_SHIFT", "BalloonFeature", "VirtioBalloonConfig"]

INFLATE, DEFLATE = 0, 1
"""The queues by which the driver gives pages back, and takes them again."""
PFN_SHIFT: Final = 12
"""Pages are named by their addresses without these bits, whatever page size the guest has."""


class BalloonFeature(IntEnum):
    """Bit numbers of its features."""

    MUST_TELL_HOST = 0
    STATS_VQ = 1
    DEFLATE_ON_OOM = 2
    FREE_PAGE_HINT = 3
    PAGE_POISON = 4
    PAGE_REPORTING = 5


VirtioBalloonConfig: Final = Struct("VirtioBalloonConfig", 8, Member("num_pages", 0, 4), Member("actual", 4, 4))
