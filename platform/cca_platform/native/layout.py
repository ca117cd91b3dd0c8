"""Layout of a block of words that native code and Python share, made from declarations in their order.

A declaration gives the number of its word, a plain integer as native code needs it. The same declaration says whether
the word is state, and by what name it is saved; every other word is derived, or of this process alone.
"""

from typing import NamedTuple

__all__ = ["Layout", "Run", "Words"]


class Words(NamedTuple):
    """One declaration: ``size`` words from word ``first``. ``saved`` are their names in saved state, or none."""

    first: int
    size: int
    meaning: str
    saved: tuple[str, ...]


class Run(NamedTuple):
    """Consecutive words that are state."""

    first: int
    size: int


class Layout:
    """The words of one block, up to ``limit`` of them."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.declared: list[Words] = []
        self.size = 0

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
        first, self.size = self.size, self.size + count
        if len(saved) not in (0, count):
            raise ValueError(f"{meaning}: {count} words must have a name each, not {len(saved)}")
        if self.size > self.limit:
            raise ValueError(f"{meaning}: the block must have at most {self.limit} words")
        self.declared.append(Words(first, count, meaning, saved))
        return first

    def saved(self) -> tuple[str, ...]:
        """The names of all words that are state, in their order."""
        return tuple(name for words in self.declared for name in words.saved)

    def runs(self) -> tuple[Run, ...]:
        """Where the words that are state are."""
        runs: list[Run] = []
        for words in self.declared:
            if words.saved:
                if runs and runs[-1].first + runs[-1].size == words.first:
                    runs[-1] = Run(runs[-1].first, runs[-1].size + words.size)
                else:
                    runs.append(Run(words.first, words.size))
        return tuple(runs)
