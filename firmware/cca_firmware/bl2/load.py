"""BL2: sets up granule protection, then loads the images of every world into its PAS."""

from typing import TYPE_CHECKING

from cca_arch.types import GRANULE_SIZE, PA, Pas
from cca_firmware.base import images
from cca_firmware.base.carveout import required_region
from cca_firmware.base.handover import FromBl1, FromBl2
from cca_firmware.base.stages import stage
from cca_firmware.bl2 import gpts, smmu
from cca_firmware.trusted_boot.loader import Loader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cca_platform.board import Board
    from cca_platform.machine.machine import Machine

__all__ = ["run"]


def run(machine: "Machine", given: FromBl1, ns_parts: "Sequence[int]", entry: int) -> FromBl2:
    """Load BL31, the RMM, a Secure payload if the package has one, and the parts of BL33 to the PAs ``ns_parts``.

    Raises BootError if an image does not match its certificate, or the board has no room for it.
    """
    board = machine.board
    stage(machine, "BL2", given.bl2)
    loader = Loader(machine.memory, machine.trace, given.package, given.root_digest, given.event_log)
    gpts.build(board, machine.memory, given.root)
    smmu.protect(machine)
    loader.load(images.BL31, given.bl31, given.limit, Pas.ROOT)
    realm = required_region(board, "realm_image")
    loader.load(images.RMM, realm.base, realm.size - GRANULE_SIZE, Pas.REALM)  # the last granule is the shared page
    secure = None
    if loader.holds(images.BL32):
        region = required_region(board, "secure")
        loader.load(images.BL32, region.base, region.size, Pas.SECURE)
        secure = PA(region.base)
    for number, pa in enumerate(ns_parts):
        loader.load(images.ns_part(number), pa, _room(board, pa), Pas.NON_SECURE)
    return FromBl2(given.root, tuple(loader.event_log), given.bl31, PA(realm.base), secure, PA(entry))


def _room(board: "Board", pa: int) -> int:
    """The number of bytes of Non-secure DRAM from ``pa`` on."""
    return next((bank.top - pa for bank in board.ns_banks() if bank.base <= pa < bank.top), 0)
