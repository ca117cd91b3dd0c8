"""From an ELF object to an image: the code in one piece, which runs wherever it is put.

The sections lie one after the other, so what they say of each other is known here. Only a function of another library
is known later: it is called through a stub, whose pointer the loader fills in.
"""

import io
from collections.abc import Callable, Collection
from typing import Any, Final

from cca_platform.native.image import Image

__all__ = ["link"]

_ALLOCATED: Final = 2  # SHF_ALLOC
_UNWINDING: Final = ".eh_frame"  # nothing unwinds through this code
_BEYOND: Final = 0xFFFF_FFFF_FFFF_FFFF
_STUBS: Final = {  # jump to the address in the word behind
    "x64": bytes.fromhex("ff2502000000" "0f0b"),  # JMP [RIP + 2]; UD2
    "AArch64": bytes.fromhex("50000058" "00021fd6"),  # LDR X16, .+8; BR X16
}


def _relative32(word: int, target: int, place: int) -> int:
    return _field(word, target - place, 0, 32)


def _relative64(word: int, target: int, place: int) -> int:
    return target - place & _BEYOND


def _branch26(word: int, target: int, place: int) -> int:
    return _field(word, target - place >> 2, 0, 26)


def _page21(word: int, target: int, place: int) -> int:
    pages = (target >> 12) - (place >> 12)
    return _field(word, pages & 3, 29, 2, False) & ~(0x7FFFF << 5) | _field(0, pages >> 2, 0, 19) << 5


def _low12(scale: int) -> "Callable[[int, int, int], int]":
    return lambda word, target, place: word | (target & 0xFFF) >> scale << 10


def _field(word: int, value: int, low: int, width: int, signed: bool = True) -> int:
    """``word`` with ``value`` in a field, in which it must fit."""
    if signed and not -(1 << width - 1) <= value < 1 << width - 1:
        raise ValueError(f"a distance of {value:#x} must fit into {width} bits")
    return word & ~((1 << width) - 1 << low) | (value & (1 << width) - 1) << low


# How a relocation changes its word (ELF for the x86-64 psABI; ELF for the Arm 64-bit Architecture), and the word's size
_RELOCATIONS: Final = {
    ("x64", 2): (4, _relative32),  # PC32
    ("x64", 4): (4, _relative32),  # PLT32
    ("x64", 24): (8, _relative64),  # PC64
    ("AArch64", 260): (8, _relative64),  # PREL64
    ("AArch64", 261): (4, _relative32),  # PREL32
    ("AArch64", 275): (4, _page21),  # ADR_PREL_PG_HI21
    ("AArch64", 277): (4, _low12(0)),  # ADD_ABS_LO12_NC
    ("AArch64", 278): (4, _low12(0)),  # LDST8_ABS_LO12_NC
    ("AArch64", 282): (4, _branch26),  # JUMP26
    ("AArch64", 283): (4, _branch26),  # CALL26
    ("AArch64", 284): (4, _low12(1)),  # LDST16_ABS_LO12_NC
    ("AArch64", 285): (4, _low12(2)),
    ("AArch64", 286): (4, _low12(3)),
    ("AArch64", 299): (4, _low12(4)),
}


def link(code: bytes, exported: Collection[str]) -> bytes:
    """The image of an ELF object, with the functions ``exported``."""
    from elftools.elf.elffile import ELFFile

    elf: Any = ELFFile(io.BytesIO(code))
    machine = elf.get_machine_arch()
    image, starts = bytearray(), {}
    for number, section in enumerate(elf.iter_sections()):
        if section["sh_flags"] & _ALLOCATED and section.name != _UNWINDING:
            image += bytes(-len(image) % max(section["sh_addralign"], 16))
            starts[number] = len(image)
            image += section.data()
    symbols = elf.get_section_by_name(".symtab")
    stubs: dict[str, int] = {}

    def stub(name: str) -> int:
        if name not in stubs:
            image.extend(bytes(-len(image) % 16))
            stubs[name] = len(image)
            image.extend(_STUBS[machine] + bytes(8))
        return stubs[name]

    for section in elf.iter_sections():
        start = starts.get(section["sh_info"]) if section["sh_type"] == "SHT_RELA" else None
        for relocation in section.iter_relocations() if start is not None else ():
            symbol = symbols.get_symbol(relocation["r_info_sym"])
            inside = starts.get(symbol["st_shndx"])
            target = stub(symbol.name) if inside is None else inside + symbol["st_value"]
            place = start + relocation["r_offset"]
            size, change = _RELOCATIONS[machine, relocation["r_info_type"]]
            old = int.from_bytes(image[place : place + size], "little")
            new = change(old, target + relocation["r_addend"], place)
            image[place : place + size] = new.to_bytes(size, "little")
    entries = {
        symbol.name: starts[symbol["st_shndx"]] + symbol["st_value"]
        for symbol in symbols.iter_symbols() if symbol.name in exported
    }  # fmt: skip
    outside = {name: start + len(_STUBS[machine]) for name, start in stubs.items()}
    return Image(entries, outside, bytes(image)).pack()
