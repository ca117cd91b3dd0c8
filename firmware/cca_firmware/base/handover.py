"""The data that each boot stage hands to the next."""

from typing import NamedTuple

from cca_arch.types import PA
from cca_firmware.base.carveout import Carveout
from cca_firmware.base.images import Measurement
from cca_firmware.base.pieces import Pieces

__all__ = ["FromBl1", "FromBl2"]


class FromBl1(NamedTuple):
    """The package, the hash in the ROM, free Root memory, the event log, BL2, and ``limit`` bytes for BL31."""

    package: bytes | Pieces
    root_digest: bytes
    root: Carveout
    event_log: tuple[Measurement, ...]
    bl2: PA
    bl31: PA
    limit: int


class FromBl2(NamedTuple):
    """Free Root memory, the event log, and the PAs of the images; BL33 starts at ``entry``."""

    root: Carveout
    event_log: tuple[Measurement, ...]
    bl31: PA
    rmm: PA
    secure: PA | None
    entry: PA
