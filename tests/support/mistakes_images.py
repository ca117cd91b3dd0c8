"""Beginners' mistakes in linking and in images."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from mistakes import Mistake, command, ns, realm, secure
from rmm_host import RAM

__all__ = ["IMAGES"]

_LOAD, _DYNAMIC, _INTERP = 1, 2, 3
_REL, _EXEC, _DYN = 1, 2, 3
_ARM, _X86_64, _AARCH64 = 40, 62, 183
_HEADER, _ROW = 64, 56
_CODE = b"\0\0\0\x14"  # b .


class Segment(NamedTuple):
    """A program header and what it is of; with an ``offset``, what the file has there."""

    address: int
    content: bytes = _CODE
    memory: int = 0
    kind: int = _LOAD
    offset: int | None = None


def _elf(*segments: Segment, entry: int = RAM, kind: int = _EXEC, machine: int = _AARCH64, order: str = "<") -> bytes:
    """A 64-bit ELF file."""
    at, rows, contents = _HEADER + _ROW * len(segments), b"", b""
    for address, content, memory, number, offset in segments:
        size, place = len(content), at + len(contents) if offset is None else offset
        row = (number, 7, place, address, address, size, memory or size, 8)
        rows, contents = rows + struct.pack(f"{order}2I6Q", *row), contents + content
    ident = b"\x7fELF" + bytes((2, 1 if order == "<" else 2, 1)).ljust(12, b"\0")
    head = (kind, machine, 1, entry, _HEADER if segments else 0, 0, 0, _HEADER, _ROW, len(segments), 64, 0, 0)
    return ident + struct.pack(f"{order}HHIQQQIHHHHHH", *head) + rows + contents


def _elf32() -> bytes:
    """A 32-bit ELF file for Arm."""
    ident = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    head = struct.pack("<HHIIIIIHHHHHH", _EXEC, _ARM, 1, RAM, 52, 0, 0x0500_0000, 52, 32, 1, 40, 0, 0)
    return ident + head + struct.pack("<8I", _LOAD, 84, RAM, RAM, 4, 4, 7, 4) + _CODE


def _needs_symbols() -> bytes:
    """A position-independent program that calls memset by R_AARCH64_JUMP_SLOT."""
    entry = struct.pack("<QQq", 0x2000, 1 << 32 | 1026, 0)  # one relocation, of symbol 1
    tags: Sequence[int] = (23, 0x1000, 2, len(entry), 20, 7, 0, 0)  # DT_JMPREL, DT_PLTRELSZ, DT_PLTREL = RELA
    dynamic = struct.pack("<8Q", *tags)
    segments = (Segment(0, _CODE), Segment(0x1000, entry), Segment(0x1800, dynamic), Segment(0x2000, bytes(8)))
    return _elf(*segments, Segment(0x1800, dynamic, kind=_DYNAMIC), entry=0, kind=_DYN)


def _for_linux() -> bytes:
    """A position-independent program for Linux, which needs its interpreter and a C library."""
    needed = struct.pack("<4Q", 1, 1, 0, 0)
    interpreter = Segment(0, b"/lib/ld-linux-aarch64.so.1\0", kind=_INTERP)
    segments = (interpreter, Segment(0), Segment(0x1000, needed), Segment(0x1000, needed, kind=_DYNAMIC))
    return _elf(*segments, entry=0, kind=_DYN)


IMAGES = (
    Mistake(
        "linked-at-zero",
        "linked with -Ttext=0, as for a microcontroller",
        realm(_elf(Segment(0), entry=0)),
        (r"\bRAM\b|memory", r"0x80000000", r"below|outside|before|not (with)?in|start|begin"),
    ),
    Mistake(
        "headers-below-ram",
        "wrote no PHDRS, so that the linker put the ELF headers into a segment below the code, at 0x7fff0000",
        realm(_elf(Segment(RAM - 0x10000, bytes(0x200), offset=0), Segment(RAM))),
        (r"header", r"\bRAM\b|memory|0x80000000"),
    ),
    Mistake(
        "linked-for-ns-el2",
        "linked a Realm's payload to 0x88000000, where firmware enters Non-secure EL2",
        realm(_elf(Segment(0x8800_0000), entry=0x8800_0000)),
        (r"0x88000000", r"outside|beyond|above|past|behind|not (with)?in|does not fit|end|needs|--memory"),
    ),
    Mistake(
        "no-entry",
        "forgot ENTRY(_start): the entry point in the ELF header is 0",
        realm(_elf(Segment(RAM), entry=0)),
        (r"entry", r"\b0x0\b|\b0\b|zero|ENTRY|_start|no entry"),
    ),
    Mistake(
        "symbols-to-relocate",
        "linked with -shared, so that memset is left to a dynamic linker",
        realm(_needs_symbols()),
        (r"relocation|dynamic link",),
    ),
    Mistake("arm32", "compiled with arm-none-eabi-gcc", realm(_elf32()), (r"32-bit",)),
    Mistake("x86", "compiled with the machine's own gcc", realm(_elf(Segment(RAM), machine=_X86_64)), (r"x86",)),
    Mistake(
        "big-endian",
        "compiled with -mbig-endian",
        realm(_elf(Segment(RAM), order=">")),
        (r"big[- ]endian|byte order|little[- ]endian",),
    ),
    Mistake(
        "object-file",
        "stopped after gcc -c, and ran the .o",
        realm(_elf(entry=0, kind=_REL)),
        (r"object|relocatable|not linked|unlinked|link it|ET_REL",),
    ),
    Mistake(
        "linux-program",
        "compiled a program for Linux, with an interpreter and a C library",
        realm(_for_linux()),
        (r"interpreter|ld-linux|dynamic|shared librar|Linux",),
    ),
    Mistake(
        "bss-too-large",
        "has an array of 1 GiB in .bss",
        realm(_elf(Segment(RAM, memory=1 << 30))),
        (r"memory|RAM", r"--memory|does not fit|beyond|larger|more than|outside|past|needs"),
    ),
    Mistake(
        "image-too-large",
        "runs a raw image of 20 MiB in 16 MiB",
        realm(bytes(20 << 20)),
        (r"memory|RAM", r"--memory|does not fit|beyond|larger|more than|too (large|big)|needs"),
    ),
    Mistake(
        "overlap",
        "wrote a linker script whose .data begins inside .text",
        realm(_elf(Segment(RAM, memory=0x2000), Segment(RAM + 0x1000))),
        (r"overlap",),
    ),
    Mistake(
        "nothing-left",
        "let --gc-sections drop everything, as nothing referred to the code",
        realm(_elf()),
        (r"no (loadable|PT_LOAD|program)|nothing (to|that)|without (a )?(loadable|segment|PT_LOAD)",),
    ),
    Mistake(
        "source-file",
        "ran main.c instead of what it compiles to",
        command("run", "FOLDER/main.c", files={"main.c": b"#include <stdio.h>\nint main(void) { return 0; }\n"}),
        (r"text|source|not (an? )?(program|ELF|executable|machine code)|compile",),
    ),
    Mistake(
        "board-of-another",
        "linked for QEMU's virt, and ran it on the board fvp",
        ns(_elf(Segment(0x4800_0000), entry=0x4800_0000)),
        (r"0x48000000", r"DRAM|RAM|memory", r"outside|not (with)?in|no (D?RAM|memory)|--board|virt\b|must lie"),
    ),
    Mistake(
        "secure-elsewhere",
        "linked a Secure payload like a Non-secure one, at 0x88000000",
        secure(_elf(Segment(0x8800_0000), entry=0x8800_0000)),
        (r"secure", r"0xfc000000|0x88000000", r"outside|not (with)?in|must|begin|start"),
    ),
)
