"""Images as users name them."""

import os

from cca_firmware.package.nsimage import NsImage
from cca_platform.errors import MachineError
from cca_platform.printable import brief
from cca_platform.userfiles import KINDS, read_program

from .bundled import World
from .payloads import find_payload
from .sizes import parse_address

__all__ = ["parse_image"]


def parse_image(text: str, world: World = "ns-el2") -> NsImage:
    """Load the image named by ``FILE``, ``FILE@ADDRESS`` or a payload; raises MachineError if there is none.

    A bundled payload without an address must be for ``world``; with one it is data.
    """
    name, at, number = ("", "", text) if os.path.exists(text) else text.rpartition("@")
    if not at:
        name = number
    elif not name:
        raise MachineError(f"an image must be FILE or FILE@ADDRESS, not {brief(text)}")
    address = parse_address(number, f"the address of {name}") if at else None
    path = find_payload(name, None if at else world)
    return NsImage(read_program(path, KINDS["image"]), address, path.name)
