"""Which physical page is behind each page of a Realm: eight bytes a page; saved state shares what is the same."""

from array import array
from collections.abc import Iterator
from typing import Final

from cca_arch.types import GRANULE_SIZE

__all__ = ["PageMap"]

_SHIFT: Final = GRANULE_SIZE.bit_length() - 1
_BITS: Final = 9  # of the pages in a chunk: 2 MiB
_PAGES: Final = 1 << _BITS
_ONES: Final = _PAGES - 1
_EMPTY: Final = bytes(8 * _PAGES)
_THERE: Final = 1  # of a page, whose address is aligned


class PageMap:
    """Physical addresses of pages by page-aligned address.

    A change of a page costs the same however many there are, and so does a :meth:`save` after it, but for a word each
    2 MiB: a chunk that has not changed is saved as the same bytes as before.
    """

    def __init__(self) -> None:
        self._chunks: dict[int, array[int]] = {}
        self._used: dict[int, int] = {}  # pages in each chunk
        self._saved: dict[int, bytes] = {}

    def __len__(self) -> int:
        return sum(self._used.values())

    def __bool__(self) -> bool:
        return any(self._used.values())

    def __contains__(self, address: int) -> bool:
        return self.get(address) is not None

    def __iter__(self) -> Iterator[int]:
        for number, chunk in sorted(self._chunks.items()):
            yield from ((number << _BITS | at) << _SHIFT for at, word in enumerate(chunk) if word)

    def __getitem__(self, address: int) -> int:
        found = self.get(address)
        if found is None:
            raise KeyError(address)
        return found

    def __setitem__(self, address: int, pa: int) -> None:
        number, at = address >> _SHIFT + _BITS, address >> _SHIFT & _ONES
        chunk = self._chunks.get(number)
        if chunk is None:
            chunk = self._chunks[number] = array("Q", _EMPTY)
            self._used[number] = 0
        if not chunk[at]:
            self._used[number] += 1
        chunk[at] = pa | _THERE
        self._saved.pop(number, None)

    def get(self, address: int) -> int | None:
        """The page at ``address``, or None."""
        chunk = self._chunks.get(address >> _SHIFT + _BITS)
        word = chunk[address >> _SHIFT & _ONES] if chunk else 0
        return word ^ _THERE if word else None

    def following(self, address: int) -> int | None:
        """The first address from ``address`` on at which there is a page, or None."""
        first, at = address >> _SHIFT + _BITS, address >> _SHIFT & _ONES
        for number in sorted(number for number in self._chunks if number >= first):
            chunk = self._chunks[number]
            for slot in range(at if number == first else 0, _PAGES):
                if chunk[slot]:
                    return (number << _BITS | slot) << _SHIFT
        return None

    def pop(self, address: int, default: int | None = None) -> int | None:
        """Remove the page at ``address``; returns it, or ``default`` if there is none."""
        found = self.get(address)
        if found is None:
            return default
        number = address >> _SHIFT + _BITS
        self._chunks[number][address >> _SHIFT & _ONES] = 0
        self._saved.pop(number, None)
        self._used[number] -= 1
        if not self._used[number]:
            del self._chunks[number], self._used[number]
        return found

    def values(self) -> Iterator[int]:
        """The pages, in the order of their addresses."""
        return (word ^ _THERE for _, chunk in sorted(self._chunks.items()) for word in chunk if word)

    def save(self) -> dict[int, bytes]:
        """State for a snapshot: by its number, the words of each chunk of 2 MiB in which there are pages."""
        saved = self._saved
        for number, chunk in self._chunks.items():
            if number not in saved:
                saved[number] = chunk.tobytes()
        return dict(saved)

    def restore(self, state: dict[int, bytes]) -> None:
        """Restore what :meth:`save` returned."""
        chunks, used, saved = self._chunks, self._used, self._saved
        for number in chunks.keys() - state.keys():
            del chunks[number], used[number]
        for number, words in state.items():
            if saved.get(number) is not words:
                chunks[number] = array("Q", words)
                used[number] = _PAGES - chunks[number].count(0)
        self._saved = dict(state)
