"""The circular queues of an SMMU in memory (IHI 0070, 3.5): indexes with a wrap bit, entries read or written."""

from typing import Final, NamedTuple

from cca_platform.devices.smmu.layout import QUEUE_BITS, address

__all__ = ["Queue"]

_LOG2SIZE: Final = 31
_SMALLEST: Final = 32  # minimum alignment of a queue in bytes


class Queue(NamedTuple):
    """A queue described by its base register; ``prod`` and ``cons`` are indexes with the wrap bit above them."""

    base: int
    entry: int
    pa_bits: int

    @property
    def bits(self) -> int:
        """log2 of the number of entries."""
        return min(self.base & _LOG2SIZE, QUEUE_BITS)

    def position(self, pointer: int) -> int:
        """The valid part of a PROD or CONS register: index and wrap bit."""
        return pointer & (2 << self.bits) - 1

    def empty(self, prod: int, cons: int) -> bool:
        """True if there is nothing to consume."""
        return self.position(prod) == self.position(cons)

    def full(self, prod: int, cons: int) -> bool:
        """True if there is no room: equal indexes, different wrap bits."""
        return self.position(prod) ^ self.position(cons) == 1 << self.bits

    def place(self, pointer: int) -> int:
        """The physical address of the entry at a pointer."""
        start = address(self.base & ~_LOG2SIZE, max(_SMALLEST, self.entry << self.bits), self.pa_bits)
        return start + self.entry * (pointer & (1 << self.bits) - 1)
