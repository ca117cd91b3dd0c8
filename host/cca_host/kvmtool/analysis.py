"""What is inside an ELF payload, and mending one with broken section headers; lief takes 0.3 s to import."""

from dataclasses import dataclass
from typing import Any

from cca_host.kvmtool.loader import LoadError, sections_broken, without_sections

__all__ = ["Analysis", "Section", "Symbol", "analyse", "repair"]


@dataclass(frozen=True, slots=True)
class Section:
    """A section: its name, and its bytes in memory."""

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
    """An ELF's entry (a virtual address), sections in memory order and symbols by address."""

    entry: int
    position_independent: bool
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]

    def symbol_at(self, address: int) -> Symbol | None:
        """The symbol that covers a virtual address: a function or object rather than a mere label."""
        covering = [item for item in self.symbols if item.address <= address < item.address + max(item.size, 1)]
        return max(covering, key=lambda item: (item.function, item.size > 0, item.name == "_start"), default=None)


def _parse(data: bytes) -> Any:
    import lief

    lief.logging.disable()
    binary = lief.ELF.parse(list(data))
    if binary is None:
        raise LoadError("the payload is no ELF that lief understands: build it again")
    return binary


def analyse(data: bytes) -> Analysis:
    """The sections and symbols of an ELF; LoadError when there is nothing to make sense of."""
    import lief

    binary = _parse(data)
    kinds = (lief.ELF.Symbol.TYPE.FUNC, lief.ELF.Symbol.TYPE.OBJECT, lief.ELF.Symbol.TYPE.NOTYPE)
    symbols = {
        Symbol(str(symbol.name), symbol.value, symbol.size, symbol.type == kinds[0])
        for symbol in binary.symbols
        if symbol.type in kinds and symbol.shndx and symbol.name and not str(symbol.name).startswith("$")
    }
    sections = [Section(str(s.name), s.virtual_address, s.size) for s in binary.sections if s.virtual_address]
    return Analysis(
        entry=binary.header.entrypoint,
        position_independent=bool(binary.is_pie),
        sections=tuple(sorted(sections, key=lambda section: section.address)),
        symbols=tuple(sorted(symbols, key=lambda symbol: (symbol.address, symbol.name))),
    )


def repair(data: bytes) -> bytes:
    """The same program with ELF headers that hold together; a broken section header table is made anew."""
    return bytes(_parse(without_sections(data) if sections_broken(data) else data).write_to_bytes())
