"""The SMMUv3 with RME: the devices' view of memory."""

from cca_platform.devices.smmu.client import DmaPort
from cca_platform.devices.smmu.granules import SmmuRoot
from cca_platform.devices.smmu.model import DmaAborted, Smmu

__all__ = ["DmaAborted", "DmaPort", "Smmu", "SmmuRoot"]
