"""What linkers do to bare-metal programs that nobody asked them for, in words for people."""

from typing import Final

from cca_arch.elf import Elf

__all__ = ["headers_loaded", "oddities"]

_PT_INTERP: Final = 3
_WRITE, _EXECUTE = 2, 1
_HEADER_SIZE: Final = 64


def headers_loaded(program: Elf, base: int) -> str | None:
    """The sentence for a program whose first segment begins below ``base`` because the linker put the headers there."""
    first = min(program.segments, key=lambda segment: segment.paddr)
    if first.offset or first.filesz < _HEADER_SIZE or first.paddr >= base:
        return None
    return (
        f"has its ELF headers in memory at {first.paddr:#x}, below the first address that it may have, {base:#x}: "
        "the linker put them into the first segment; link with -n (-Wl,-n), or with a linker script such as the SDK's"
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
