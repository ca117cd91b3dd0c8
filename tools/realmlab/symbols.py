"""Symbols of what runs: names for addresses, and addresses for names."""

import difflib
from bisect import bisect_right
from collections.abc import Callable, Iterable
from functools import cached_property

from cca_arch.elf import MAGIC
from cca_platform.errors import MachineError

__all__ = ["Symbols"]


class Symbols:
    """The functions and objects of ELF files, read when they are first asked for.

    ``files`` gives (bytes of a file, what is added to its addresses); what is no ELF file has no symbols.
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
        """Read the files anew when they are asked for: there are others."""
        for name in ("_addresses", "_ordered"):
            self.__dict__.pop(name, None)

    def address(self, where: int | str) -> int:
        """The address that a symbol has; an address is itself. MachineError for a name that nothing has."""
        if isinstance(where, int):
            return where
        if where not in self._addresses:
            near = difflib.get_close_matches(where, self._addresses, 1)
            guess = f"did you mean {near[0]!r}?" if near else "give an address"
            raise MachineError(f"a place must be an address or a symbol of what runs, not {where!r}; {guess}")
        return self._addresses[where]

    def describe(self, address: int) -> str:
        """``0x80000010 <main+0x10>``, or the address alone where no symbol is read or near."""
        if "_addresses" not in self.__dict__:
            return f"{address:#x}"
        at = bisect_right(self._ordered, (address, "\U0010ffff")) - 1
        if at < 0:
            return f"{address:#x}"
        start, name = self._ordered[at]
        offset = f"+{address - start:#x}" if address != start else ""
        return f"{address:#x} <{name}{offset}>"
