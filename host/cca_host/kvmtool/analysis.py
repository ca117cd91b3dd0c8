"""The contents of an ELF payload: pyelftools reads names, as debuggers do.

It is slow to import (0.05 s) and is imported on use. The loader does not depend on this module.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, NamedTuple

from cca_arch import elf
from cca_arch.foreign import no_program
from cca_host.kvmtool.loader import LoadError, unwrapped

__all__ = ["Analysis", "Line", "Section", "Symbol", "analyse", "lines", "readable"]

_LINES: Final = 4 << 20  # bytes of a line table that is worth reading

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


class Line(NamedTuple):
    """A row of a line table: from this virtual address on, code comes from this line. Line 0: from none."""

    address: int
    file: str
    line: int


def lines(data: bytes) -> list[Line]:
    """The DWARF line table of an ELF, by address; empty if it has none, a damaged one, or one that is too large."""
    from elftools.common.exceptions import DWARFError, ELFError, ELFParseError
    from elftools.elf.elffile import ELFFile

    try:
        file = ELFFile(BytesIO(readable(data)))
        table = file.get_section_by_name(".debug_line")
        if table is None or table.data_size > _LINES:
            return []
        return sorted(_lines(file.get_dwarf_info()))
    except (
        ELFError, ELFParseError, DWARFError, struct.error, ValueError, LookupError, ArithmeticError, AttributeError,
        TypeError, AssertionError, NotImplementedError, RecursionError, LoadError,
    ):  # fmt: skip
        return []


def _lines(dwarf: Any) -> Iterator[Line]:
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        first = 0 if program.header.version >= 5 else 1  # the number of the first file
        names = [_text(entry.name) for entry in program.header.file_entry]
        for state in (entry.state for entry in program.get_entries()):
            if state is not None:
                at = state.file - first
                name = names[at] if 0 <= at < len(names) else "?"
                yield Line(state.address, name, 0 if state.end_sequence else state.line)


def _text(name: bytes) -> str:
    return name.decode(errors="replace").rpartition("/")[2]


def readable(data: bytes) -> bytes:
    """The file, unpacked, without a section header table that libraries would reject."""
    data = unwrapped(data, "the payload")
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
