"""Memory that Python and native code share, by its host address."""

import ctypes
import mmap
from array import array
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

__all__ = ["Words", "address_of", "page_map", "words", "zero"]

Words: TypeAlias = "array[int]"
"""Signed or unsigned words. Their number never changes: native code has the address."""
_WORD: Final = 8


def words(count: int, values: Iterable[int] = ()) -> Words:
    """``count`` signed words: ``values``, then zeroes."""
    made = array("q", values)
    made.frombytes(bytes(_WORD * (count - len(made))))
    return made


def address_of(buffer: Any) -> int:
    """The host address of a writable buffer."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def page_map(count: int) -> memoryview:
    """``count`` bytes, all zero, which use host memory only where they are written."""
    return memoryview(mmap.mmap(-1, count))


def zero(buffer: Any) -> None:
    """Fill a writable buffer with zeroes."""
    ctypes.memset(address_of(buffer), 0, memoryview(buffer).nbytes)
