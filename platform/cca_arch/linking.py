"""What linkers do to bare-metal programs that nobody asked them for, in words for people."""

from typing import Final

from cca_arch.elf import Elf

__all__ = ["oddities", "stray"]

_PT_INTERP: Final = 3
_PT_NOTE: Final = 4
_WRITE, _EXECUTE = 2, 1
_HEADER_SIZE: Final = 64


def stray(program: Elf, base: int) -> str | None:
    """The sentence for a program that begins below ``base`` with what the linker added: the ELF headers, or a note."""
    first = min(program.segments, key=lambda segment: segment.paddr)
    if first.paddr >= base:
        return None
    notes = (header for header in program.headers if header.type == _PT_NOTE)
    if not first.offset and first.filesz >= _HEADER_SIZE:
        what = "its ELF headers"
    elif any(first.vaddr <= note.vaddr < first.vaddr + first.memsz for note in notes):
        what = "a note of the linker, such as the build ID,"
    else:
        return None
    return (
        f"has {what} in memory at {first.paddr:#x}, below the first address that it may have, {base:#x}: "
        "link it with -n --build-id=none (gcc: -Wl,-n,--build-id=none), or with a linker script such as the SDK's"
    )


def oddities(program: Elf) -> list[str]:
    """What is odd in a program that can be loaded all the same: clauses to which the caller adds the subject."""
    found = [
        f"has a segment at {segment.paddr:#x} that is both writable and executable: "
        "align code and data to different pages in the linker script"
        for segment in program.segments
        if segment.flags & _WRITE and segment.flags & _EXECUTE
    ]
    if any(header.type == _PT_INTERP for header in program.headers):
        found.append("asks for a dynamic loader, which is not there: link it with -static")
    return found
