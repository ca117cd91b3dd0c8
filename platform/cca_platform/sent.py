"""What software has sent to a console, kept within bounds: whoever wants all of it takes it as it is sent."""

from typing import Final

__all__ = ["KEPT", "Sent"]

KEPT: Final = 8 << 20
"""The bytes of one console that are kept: its last ones."""
_SLACK: Final = KEPT >> 3  # bytes more, so that the front is dropped now and then and not with each byte


class Sent:
    """The last ``KEPT`` bytes that a console has sent, as ``bytes(sent)``. ``total`` counts all it has sent.

    What is kept depends on what was sent alone, not on the pieces in which it came or on saving and restoring.
    """

    __slots__ = ("_data", "_gone")

    def __init__(self) -> None:
        self._data = bytearray()
        self._gone = 0  # bytes before those of _data

    @property
    def total(self) -> int:
        """All bytes that were ever sent."""
        return self._gone + len(self._data)

    @property
    def dropped(self) -> int:
        """The bytes that were sent before those that are kept."""
        return max(self.total - KEPT, 0)

    def add(self, data: bytes) -> None:
        """Take more output."""
        kept = self._data
        kept += data
        if len(kept) > KEPT + _SLACK:
            self._gone += len(kept) - KEPT
            del kept[:-KEPT]

    def since(self, total: int) -> bytes:
        """What was sent since ``total`` bytes had been sent, as far as it is kept."""
        return bytes(memoryview(self._data)[max(total, self.dropped) - self._gone :])

    def __bytes__(self) -> bytes:
        return self.since(0)

    def restore(self, data: bytes, dropped: int) -> None:
        """Be what had these ``bytes(sent)`` and this ``dropped``."""
        self._data, self._gone = bytearray(data), dropped
