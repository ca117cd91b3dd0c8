"""The layout of a block of words that native code and Python share, generated from declarations in order.

A declaration returns the number of its word as a plain integer, as native code requires. It also says whether the word
is state and under what name it is saved; all other words are derived or specific to the process.
"""

from typing import NamedTuple

__all__ = ["Layout", "Words"]


class Words(NamedTuple):
    """One declaration: ``size`` words from word ``first`` on. ``saved`` are their names in saved state, if any."""

    first: int
    size: int
    meaning: str
    saved: tuple[str, ...]


class Layout:
    """The words of one block, up to ``limit`` of them; those that are state are the first ones, up to ``kept``."""

    def __init__(self, limit: int, kept: int = 0) -> None:
        self.declared: list[Words] = []
        self._next = {True: 0, False: kept}
        self._limit = {True: kept, False: limit}

    def word(self, meaning: str, saved: str = "") -> int:
        """The next word, which is state if it has a name to be ``saved`` by."""
        return self._declare(1, meaning, (saved,) if saved else ())

    def words(self, count: int, meaning: str, saved: str = "") -> int:
        """The first of the next ``count`` words; they are saved as ``saved`` with their number, "x0", or by names."""
        names = saved.split()
        if len(names) == 1:
            names = [f"{saved}{number}" for number in range(count)]
        return self._declare(count, meaning, tuple(names))

    def _declare(self, count: int, meaning: str, saved: tuple[str, ...]) -> int:
        if len(saved) not in (0, count):
            raise ValueError(f"{meaning}: {count} words must have a name each, not {len(saved)}")
        state = bool(saved)
        first = self._next[state]
        self._next[state] += count
        if self._next[state] > self._limit[state]:
            raise ValueError(f"{meaning}: the words must end at {self._limit[state]}, not at {self._next[state]}")
        self.declared.append(Words(first, count, meaning, saved))
        return first

    def saved(self) -> tuple[str, ...]:
        """The names of the words that are state: of the first ones of the block, in their order."""
        return tuple(name for words in self.declared for name in words.saved)
