"""The end of a trace, for reports of errors."""

from collections import deque
from typing import Final

from cca_platform.trace.lines import Record, records_in

__all__ = ["Tail"]

_LENGTH: Final = 200


class Tail:
    """The last 200 records. What has been written is kept as it was: that costs least."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, bytes | Record]] = deque()
        self._count = 0

    def add(self, what: bytes | Record, count: int = 1) -> None:
        """Add a record, or ``count`` lines."""
        kept = self._kept
        kept.append((count, what))
        self._count += count
        while self._count - kept[0][0] >= _LENGTH:
            self._count -= kept.popleft()[0]

    def records(self) -> list[Record]:
        """The records, the last one last."""
        found: list[Record] = []
        for _, what in self._kept:
            found += records_in(what) if isinstance(what, bytes) else [what]
        return found[-_LENGTH:]
