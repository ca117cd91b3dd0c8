"""The devices of the boards: a model for each ``kind`` of a board's ``[[device]]`` rows."""

from collections.abc import Callable
from typing import Final

from cca_platform.devices.dma import DmaEngine
from cca_platform.devices.ecam import EmptyEcam
from cca_platform.devices.generic_watchdog import GenericWatchdog
from cca_platform.devices.pl011 import Pl011
from cca_platform.devices.pl031 import Pl031
from cca_platform.devices.sp805 import Sp805
from cca_platform.devices.vexpress_sysreg import VexpressSysreg
from cca_platform.devices.wiring import Peripheral, Wiring
from cca_platform.machine.board import Device
from cca_platform.smmu import Smmu, SmmuRoot

__all__ = ["MODELS"]

MODELS: Final[dict[str, Callable[[Device, Wiring], Peripheral]]] = {
    "generic-watchdog": GenericWatchdog,
    "pcie-ecam": EmptyEcam,
    "pl011": Pl011,
    "pl031": Pl031,
    "sp805": Sp805,
    "vexpress-sysreg": VexpressSysreg,
    "realmlab-dma": DmaEngine,
    "smmuv3": Smmu,
    "smmuv3-root": SmmuRoot,
}
"""What makes the model of a kind, out of its board row and its wiring. A ``window`` has none: nobody claims it."""
