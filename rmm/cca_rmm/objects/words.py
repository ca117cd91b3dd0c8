"""Records that the RMM keeps in its granules: named 64-bit words from the start of a granule."""

import struct
from typing import Any, Final, Generic, TypeVar

from cca_platform.memory.ports import Port

__all__ = ["Layout", "Part"]

_KNOWN: Final = 64  # records that are kept
R = TypeVar("R", bound=tuple[int, ...])


class Layout(Generic[R]):
    """The layout of a NamedTuple of unsigned 64-bit words in a granule: field i is the word at byte 8 * i.

    Loading returns an immutable copy. Changes are written word by word, so that the granule stays the only truth.
    """

    def __init__(self, kind: type[R]) -> None:
        record: Any = kind
        names: tuple[str, ...] = record._fields
        self._kind = kind
        self._known: dict[bytes, R] = {}
        self._codec = struct.Struct(f"<{len(names)}Q")
        self._unpack, self._pack = self._codec.unpack, self._codec.pack
        self.size = self._codec.size
        self._numbers = {name: number for number, name in enumerate(names)}

    def load(self, port: Port, pa: int) -> R:
        """Load the record at ``pa``; the same words again are the same object."""
        words = port.read(pa, self.size)
        record = self._known.get(words)
        if record is None:
            if len(self._known) == _KNOWN:
                self._known.clear()
            record = self._known[words] = tuple.__new__(self._kind, self._unpack(words))
        return record

    def create(self, port: Port, pa: int, record: R) -> None:
        """Write a whole record."""
        port.write(pa, self._pack(*record))

    def part(self, *names: str) -> "Part[R]":
        """These words, which must follow each other, to be written together."""
        first = self._numbers[names[0]]
        assert [self._numbers[name] for name in names] == [*range(first, first + len(names))], "a part must be a run"
        return Part(self._kind, first, len(names))

    def write(self, port: Port, pa: int, **words: int) -> None:
        """Write only the named words."""
        numbers = self._numbers
        port.write_words(pa, [(numbers[name], value) for name, value in words.items()])


class Part(Generic[R]):
    """Words of a record that follow each other: one access writes them all."""

    def __init__(self, kind: type[R], first: int, count: int) -> None:
        self._kind = kind
        self._pack = struct.Struct(f"<{count}Q").pack
        self._offset = 8 * first
        self._before, self._after = slice(0, first), slice(first + count, None)

    def write(self, port: Port, pa: int, words: tuple[int, ...]) -> None:
        """Write the words into the record at ``pa``."""
        port.write(pa + self._offset, self._pack(*words))

    def replace(self, record: R, words: tuple[int, ...]) -> R:
        """The record with these words changed, in Python's copy only."""
        return tuple.__new__(self._kind, record[self._before] + words + record[self._after])
