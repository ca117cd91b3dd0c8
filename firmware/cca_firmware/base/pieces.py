"""A package as its table of contents and its images: an image of 256 MiB is not copied to be read once."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

__all__ = ["Pieces"]


class Pieces:
    """Bytes in pieces, one after the other; a part of them is copied only where it is of several."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = [*pieces]
        self._starts = [0, *accumulate(map(len, pieces))]

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, part: slice) -> bytes:
        """The bytes of a part; of a whole piece, the piece."""
        start, stop, _ = part.indices(len(self))
        number = bisect_right(self._starts, start) - 1
        found = []
        while start < stop:
            base, piece = self._starts[number], self._pieces[number]
            found.append(piece[start - base : stop - base])
            start, number = base + len(piece), number + 1
        return found[0] if len(found) == 1 else b"".join(found)

    def __bytes__(self) -> bytes:
        return b"".join(self._pieces)
