"""The devices of the boards: a model for each ``kind`` of a board's ``[[device]]`` rows."""

from collections.abc import Callable
from typing import Final

from cca_platform.board import Device
from cca_platform.devices.dma import DmaEngine
from cca_platform.devices.wiring import Peripheral, Wiring
from cca_platform.smmu import Smmu, SmmuRoot
from cca_platform.uart import Pl011

__all__ = ["MODELS"]

MODELS: Final[dict[str, Callable[[Device, Wiring], Peripheral]]] = {
    "pl011": Pl011,
    "realmlab-dma": DmaEngine,
    "smmuv3": Smmu,
    "smmuv3-root": SmmuRoot,
}
"""What makes the model of a kind, out of its board row and its wiring. A ``window`` has none: nobody claims it."""
