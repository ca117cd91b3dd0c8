"""Symbols of the running code: names for addresses, and addresses for names."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Final

from cca_arch.elf import MAGIC, Elf
from cca_host.kvmtool.loader import load_offset
from cca_platform.errors import MachineError
from cca_platform.printable import brief, printable

from .checks import instance

__all__ = ["Loaded", "Symbols", "loaded"]

_LONG: Final = 300  # characters of a name in a message
_NEAR: Final = 0x10_0000  # bytes after a symbol that still have its name

Loaded = tuple[bytes, int]
"""The bytes of a file, and its load offset."""


def _shown(name: str) -> str:
    return printable(name if len(name) <= _LONG else name[:_LONG] + "...")


def loaded(data: bytes, address: int | None = None) -> Loaded:
    """A payload's file where it runs: moved to ``address``, or without one as the loader of Realms moves it.

    Raises ElfError for a damaged ELF.
    """
    if not data.startswith(MAGIC):
        return data, 0
    return data, load_offset(Elf(data)) if address is None else address


class Symbols:
    """The functions and objects of ELF files, read on first use.

    ``files`` returns (bytes of a file, load offset) pairs. Files other than ELF have no symbols.
    """

    def __init__(self, files: Callable[[], Iterable[Loaded]]) -> None:
        self._files = files

    @cached_property
    def _found(self) -> dict[str, tuple[int, int]]:
        """The address and size of each symbol."""
        from cca_host.kvmtool.analysis import analyse

        found: dict[str, tuple[int, int]] = {}
        for data, bias in self._files():
            if data.startswith(MAGIC):
                for symbol in analyse(data).symbols:
                    found.setdefault(symbol.name, (symbol.address + bias, symbol.size))
        return found

    @cached_property
    def _addresses(self) -> dict[str, int]:
        return {name: address for name, (address, _) in self._found.items()}

    @cached_property
    def _ordered(self) -> list[tuple[int, str, int]]:
        return sorted((address, name, size) for name, (address, size) in self._found.items())

    @cached_property
    def _lines(self) -> list[tuple[int, str, int]]:
        from cca_host.kvmtool.analysis import lines

        return sorted(
            (row.address + bias, row.file, row.line)
            for data, bias in self._files()
            if data.startswith(MAGIC)
            for row in lines(data)
        )

    def forget(self) -> None:
        """Forget the symbols, because the files have changed; the next use reads them again."""
        for name in ("_found", "_addresses", "_ordered", "_lines"):
            self.__dict__.pop(name, None)

    def address(self, where: int | str) -> int:
        """Resolve a symbol to its address; addresses pass through. Raises MachineError for an unknown name."""
        if isinstance(where, int) and not isinstance(where, bool):
            return where
        name: str = instance(str, "an address or a symbol")("where", where)
        if name not in self._addresses:
            import difflib  # slow, and rarely needed

            near = difflib.get_close_matches(name, self._addresses, 1)
            guess = f"did you mean {near[0]!r}?" if near else "give an address"
            raise MachineError(f"a place must be an address or a symbol of what runs, not {brief(name)}; {guess}")
        return self._addresses[name]

    def describe(self, address: int) -> str:
        """Format an address as ``0x80000010 <main+0x10>``, or alone if no symbols are loaded or none is near."""
        if "_addresses" not in self.__dict__:
            return f"{address:#x}"
        place = self.place(address)
        return f"{address:#x}" if place is None else f"{address:#x} <{place}>"

    def place(self, address: int) -> str | None:
        """The place of an address, ``main+0x10``, in one line of printable text; None if no symbol is near."""
        at = bisect_right(self._ordered, (address, "\U0010ffff", 0)) - 1
        if at < 0:
            return None
        start, name, size = self._ordered[at]
        if address - start >= max(size, _NEAR):
            return None
        name = _shown(name)
        return f"{name}+{address - start:#x}" if address != start else name

    def together(self, one: int, other: int) -> bool:
        """True if one function, whose size is known, has both addresses."""
        low, high = sorted((one, other))
        return any(start <= low and high < start + size for start, _, size in self._ordered)

    def line(self, address: int) -> str | None:
        """The source line of an instruction, ``main.c:12``, if its file has a line table."""
        at = bisect_right(self._lines, (address, "\U0010ffff", 0)) - 1
        if at < 0 or not self._lines[at][2]:
            return None
        return f"{_shown(self._lines[at][1])}:{self._lines[at][2]}"
