"""BL1: every PE leaves reset at EL3; the ROM holds one hash, with which it verifies and loads BL2."""

from typing import TYPE_CHECKING, Final

from cca_arch.types import PA, Pas, SecurityState
from cca_firmware.base import images
from cca_firmware.base.carveout import Carveout
from cca_firmware.base.handover import FromBl1
from cca_firmware.base.stages import stage
from cca_firmware.trusted_boot.loader import Loader

if TYPE_CHECKING:
    from cca_firmware.base.pieces import Pieces
    from cca_platform.machine.machine import Machine

__all__ = ["run"]

_IMAGE_LIMIT: Final = 0x8_0000
"""The space for each of BL31 and BL2 at the start of the Root carve-out."""


def run(machine: "Machine", package: "bytes | Pieces", root_digest: bytes) -> FromBl1:
    """Load BL2 from ``package``; ``root_digest`` is the hash in the ROM. Raises BootError if they do not match."""
    for pe in machine.pes:
        pe.security, pe.el = SecurityState.ROOT, 3
    stage(machine, "BL1", 0)
    loader = Loader(machine.memory, machine.trace, package, root_digest)
    root = Carveout(machine.board, "root")
    bl31 = root.take("BL31", _IMAGE_LIMIT)
    bl2 = root.take("BL2", _IMAGE_LIMIT)
    loader.load(images.BL2, bl2, _IMAGE_LIMIT, Pas.ROOT)
    return FromBl1(package, root_digest, root, tuple(loader.event_log), PA(bl2), PA(bl31), _IMAGE_LIMIT)
