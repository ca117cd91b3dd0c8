"""Records that the RMM keeps in its granules: named 64-bit words from the start of a granule."""

import struct
from typing import Any, Generic, TypeVar

from cca_platform.memory.ports import Port

__all__ = ["Layout"]

R = TypeVar("R", bound=tuple[int, ...])


class Layout(Generic[R]):
    """The layout of a NamedTuple of unsigned 64-bit words in a granule: field i is the word at byte 8 * i.

    Loading returns an immutable copy. Changes are written word by word, so that the granule stays the only truth.
    """

    def __init__(self, kind: type[R]) -> None:
        record: Any = kind
        names: tuple[str, ...] = record._fields
        self._kind = kind
        self._codec = struct.Struct(f"<{len(names)}Q")
        self.size = self._codec.size
        self._numbers = {name: number for number, name in enumerate(names)}

    def load(self, port: Port, pa: int) -> R:
        """Load the record at ``pa``."""
        return tuple.__new__(self._kind, self._codec.unpack(port.read(pa, self.size)))

    def create(self, port: Port, pa: int, record: R) -> None:
        """Write a whole record."""
        port.write(pa, self._codec.pack(*record))

    def replace(self, record: R, **words: int) -> R:
        """The record with the named words changed, in Python's copy only."""
        values, numbers = [*record], self._numbers
        for name, value in words.items():
            values[numbers[name]] = value
        return tuple.__new__(self._kind, values)

    def write(self, port: Port, pa: int, **words: int) -> None:
        """Write only the named words."""
        numbers = self._numbers
        port.write_words(pa, [(numbers[name], value) for name, value in words.items()])
