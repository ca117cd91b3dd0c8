"""Images and ranges of memory as people write them."""

from pathlib import Path

from cca_firmware.bl2.nsimage import NsImage
from cca_platform.errors import MachineError

from .payloads import find_payload
from .sizes import parse_size

__all__ = ["parse_address", "parse_image", "parse_range"]


def parse_image(text: str) -> NsImage:
    """The image that ``FILE``, ``FILE@ADDRESS`` or the name of a payload stands for; MachineError for none."""
    name, at, number = ("", "", text) if Path(text).is_file() else text.rpartition("@")
    if not at:
        name = number
    elif not name:
        raise MachineError(f"an image must be FILE or FILE@ADDRESS, not {text!r}")
    address = parse_address(number, f"the address of {name}") if at else None
    path = find_payload(name)
    try:
        return NsImage(path.read_bytes(), address, path.name)
    except FileNotFoundError:
        raise MachineError(f"image {path} does not exist: check the path") from None
    except OSError as error:
        raise MachineError(f"image {path} must be readable ({error.strerror}): check the path") from None


def parse_range(text: str) -> tuple[int, int]:
    """(base, size) of ``BASE:SIZE``, such as ``0x90000000:64K``; MachineError for anything else."""
    base, colon, size = text.partition(":")
    if not colon:
        raise MachineError(f"a range must be BASE:SIZE, such as 0x90000000:64K, not {text!r}")
    return parse_address(base, "the base of a range"), parse_size(size)


def parse_address(text: str, what: str = "an address") -> int:
    """A number as ``0x88000000``; MachineError, which names ``what``, for anything else."""
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if value < 0:
        raise MachineError(f"{what} must be a number such as 0x88000000, not {text!r}")
    return value
