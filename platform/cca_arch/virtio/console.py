"""The console device (Virtio 1.2, 5.3)."""

from enum import IntEnum
from typing import Final

from cca_arch.fields import Member, Struct

__all__ = ["RECEIVE", "TRANSMIT", "ConsoleFeature", "VirtioConsoleConfig"]

RECEIVE, TRANSMIT = 0, 1
"""The queues of port 0: what the driver receives, and what it sends."""


class ConsoleFeature(IntEnum):
    """Bit numbers of its features."""

    SIZE = 0
    MULTIPORT = 1
    EMERG_WRITE = 2


VirtioConsoleConfig: Final = Struct(
    "VirtioConsoleConfig", 12,
    Member("cols", 0, 2), Member("rows", 2, 2), Member("max_nr_ports", 4, 4), Member("emerg_wr", 8, 4),
)  # fmt: skip
