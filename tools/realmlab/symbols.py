"""Symbols of the running code: names for addresses, and addresses for names."""

import difflib
from bisect import bisect_right
from collections.abc import Callable, Iterable
from functools import cached_property

from cca_arch.elf import MAGIC
from cca_platform.errors import MachineError
from cca_platform.printable import brief, printable

from .checks import instance

__all__ = ["Symbols"]


class Symbols:
    """The functions and objects of ELF files, read on first use.

    ``files`` returns (bytes of a file, load offset) pairs. Files other than ELF have no symbols.
    """

    def __init__(self, files: Callable[[], Iterable[tuple[bytes, int]]]) -> None:
        self._files = files

    @cached_property
    def _addresses(self) -> dict[str, int]:
        from cca_host.kvmtool.analysis import analyse

        found: dict[str, int] = {}
        for data, bias in self._files():
            if data.startswith(MAGIC):
                for symbol in analyse(data).symbols:
                    found.setdefault(symbol.name, symbol.address + bias)
        return found

    @cached_property
    def _ordered(self) -> list[tuple[int, str]]:
        return sorted((address, name) for name, address in self._addresses.items())

    def forget(self) -> None:
        """Forget the symbols, because the files have changed; the next use reads them again."""
        for name in ("_addresses", "_ordered"):
            self.__dict__.pop(name, None)

    def address(self, where: int | str) -> int:
        """Resolve a symbol to its address; addresses pass through. Raises MachineError for an unknown name."""
        if isinstance(where, int) and not isinstance(where, bool):
            return where
        name: str = instance(str, "an address or a symbol")("where", where)
        if name not in self._addresses:
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
        """The place of an address, ``main+0x10``, in one line of printable text; None below the first symbol."""
        at = bisect_right(self._ordered, (address, "\U0010ffff")) - 1
        if at < 0:
            return None
        start, name = self._ordered[at]
        name = printable(name)
        return f"{name}+{address - start:#x}" if address != start else name
