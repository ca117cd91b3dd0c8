"""The image of a Secure payload: the layout of its file in Secure memory."""

from typing import Final

from cca_arch.elf import MAGIC
from cca_arch.foreign import no_program
from cca_firmware.base.errors import BootError
from cca_firmware.package.nsimage import NsImage, elf_parts
from cca_platform.board import Region

__all__ = ["flatten"]

_NAME: Final = "Secure payload"


def flatten(payload: bytes, region: Region) -> bytes:
    """The bytes from the start of ``region`` on: an ELF file's segments laid out, or a raw image as is.

    Raises BootError for a file that is no program, and for an ELF file that is not linked into ``region`` with its
    entry point at the base.
    """
    if not payload:
        raise BootError(f"{_NAME} must not be empty: give an ELF file or a raw image")
    if not payload.startswith(MAGIC):
        if foreign := no_program(payload):
            raise BootError(f"{_NAME} {foreign}")
        return payload
    parts, entry = elf_parts(NsImage(payload, name=_NAME), region.base)
    inside = all(region.base <= part.address and part.top <= region.top for part in parts)
    if entry != region.base or not inside:
        where = f"{region.base:#x}, with all of it below {region.top:#x}"
        raise BootError(f"{_NAME} must be linked to start at {where}, not at {entry:#x}")
    image = bytearray(max(part.address + len(part.data) for part in parts) - region.base)
    for part in parts:
        at = part.address - region.base
        image[at : at + len(part.data)] = part.data
    return bytes(image)
