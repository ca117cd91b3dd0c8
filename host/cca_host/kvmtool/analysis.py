"""The contents of an ELF payload: pyelftools reads names, as debuggers do.

It is slow to import (0.05 s) and is imported on use. The loader does not depend on this module.
"""

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from cca_arch import elf
from cca_arch.foreign import no_program
from cca_host.kvmtool.loader import LoadError

__all__ = ["Analysis", "Section", "Symbol", "analyse", "readable"]

_NAMED = frozenset({"STT_FUNC", "STT_OBJECT", "STT_NOTYPE"})


@dataclass(frozen=True, slots=True)
class Section:
    """A section: its name and its range in memory."""

    name: str
    address: int
    size: int


@dataclass(frozen=True, slots=True)
class Symbol:
    """A defined function or object."""

    name: str
    address: int
    size: int
    function: bool


@dataclass(frozen=True, slots=True)
class Analysis:
    """The entry point (a virtual address), sections in memory order, and symbols by address of an ELF file."""

    entry: int
    position_independent: bool
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]

    def symbol_at(self, address: int) -> Symbol | None:
        """The symbol that covers a virtual address; functions and objects take precedence over labels."""
        covering = [item for item in self.symbols if item.address <= address < item.address + max(item.size, 1)]
        return max(covering, key=lambda item: (item.function, item.size > 0, item.name == "_start"), default=None)


def analyse(data: bytes) -> Analysis:
    """Read the sections and symbols of an ELF; raises LoadError if it cannot be parsed."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        return _analysis(ELFFile(BytesIO(readable(data))))
    except (ELFError, struct.error, ValueError, LookupError, ArithmeticError) as error:
        raise LoadError(f"the payload is a damaged ELF ({error}): build or copy it again") from None


def readable(data: bytes) -> bytes:
    """The file without a section header table that libraries would reject."""
    if foreign := no_program(data):
        raise LoadError(f"the payload {foreign}")
    return elf.without_sections(data) if data.startswith(elf.MAGIC) and elf.sections_broken(data) else data


def _analysis(file: Any) -> Analysis:
    from elftools.elf.sections import SymbolTableSection

    sections = list(file.iter_sections())
    symbols = {
        Symbol(symbol.name, symbol["st_value"], symbol["st_size"], symbol["st_info"]["type"] == "STT_FUNC")
        for table in sections
        if isinstance(table, SymbolTableSection)
        for symbol in table.iter_symbols()
        if symbol["st_info"]["type"] in _NAMED and symbol["st_shndx"] != "SHN_UNDEF"
        if symbol.name and not symbol.name.startswith("$")
    }
    placed = [
        Section(section.name, section["sh_addr"], section["sh_size"]) for section in sections if section["sh_addr"]
    ]
    return Analysis(
        entry=file["e_entry"],
        position_independent=file["e_type"] == elf.ElfType.ET_DYN.name,
        sections=tuple(sorted(placed, key=lambda one: one.address)),
        symbols=tuple(sorted(symbols, key=lambda symbol: (symbol.address, symbol.name))),
    )
