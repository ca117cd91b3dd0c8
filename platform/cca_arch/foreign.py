"""Files that hold no AArch64 program as a machine could run it, recognised by how they begin, so that none runs.

Published: Mach-O (mach-o/loader.h), the PE format (Microsoft), the System V archive format, the Devicetree
Specification 0.4, chapter 5, U-Boot (doc/usage/fit, include/image.h), LLVM (docs/BitCodeFormat), ZIP (APPNOTE.TXT).
"""

from codecs import getincrementaldecoder
from typing import Final

from cca_arch.compression import compressed

__all__ = ["no_program"]

_COMPILE: Final = "compile it for bare metal, as with --target=aarch64-none-elf"
_FORMATS: Final = (
    (b"\xcf\xfa\xed\xfe", "a Mach-O file of macOS", _COMPILE),
    (b"\xca\xfe\xba\xbe", "a Mach-O file of macOS", _COMPILE),
    (b"!<arch>\n", "an archive of object files", "link it"),
    (b"!<thin>\n", "an archive of object files", "link it"),
    (b"BC\xc0\xde", "LLVM bitcode", "link it"),
    (b"\xd0\x0d\xfe\xed", "a device tree blob or a FIT image", "give the program itself"),
    (b"\x27\x05\x19\x56", "an image with a header of U-Boot", "give the file that it was made of"),
    (b"PK\x03\x04", "a ZIP archive", "unpack it first"),
)
"""(first bytes, what it is, what to do)."""
_PE_AT: Final = slice(0x3C, 0x40)  # the offset of the PE header
_LINUX_AT: Final = slice(0x38, 0x3C)  # b"ARM\x64" in an arm64 Image, which is a PE file too
_SAMPLE: Final = 4096
_SHORTEST: Final = 16  # bytes: less may be code by chance
_SPACES: Final = "\t\n\f\r"


def no_program(data: bytes) -> str:
    """What a file is and what to do, as a sentence behind its name; empty if it can be a program, or data."""
    if packed := compressed(data):
        return packed
    for magic, kind, remedy in _FORMATS:
        if data.startswith(magic):
            return f"is {kind}: {remedy}"
    header = int.from_bytes(data[_PE_AT], "little")
    if data.startswith(b"MZ") and data[header : header + 4] == b"PE\0\0" and data[_LINUX_AT] != b"ARM\x64":
        return f"is a PE file of Windows or EFI: {_COMPILE}"
    if _is_text(data):
        return "is text, not machine code: compile it, or convert it to binary, and give what comes out"
    return ""


def _is_text(data: bytes) -> bool:
    """True for lines of UTF-8 without control characters."""
    if len(data) < _SHORTEST:
        return False
    try:
        text = getincrementaldecoder("utf-8")().decode(data[:_SAMPLE])
    except UnicodeDecodeError:
        return False
    return "\n" in text and all(character.isprintable() or character in _SPACES for character in text)
