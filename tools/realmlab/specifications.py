"""The specifications that the components implement, with the versions that they report to software."""

from typing import Final

from cca_arch.el3 import RMM_EL3_VERSION
from cca_arch.psci import PSCI_VERSION
from cca_arch.rmi.v1_0 import ABI_VERSION
from cca_arch.smccc import SMCCC_VERSION

__all__ = ["SPECIFICATIONS"]


def _number(version: int) -> str:
    """Format bits 30:16 and 15:0 as ``major.minor``."""
    return f"{version >> 16 & 0x7FFF}.{version & 0xFFFF}"


SPECIFICATIONS: Final = {
    "RMM": f"{_number(ABI_VERSION)} (DEN0137)",
    "RMM-EL3": _number(RMM_EL3_VERSION),
    "SMCCC": f"{_number(SMCCC_VERSION)} (DEN0028)",
    "PSCI": f"{_number(PSCI_VERSION)} (DEN0022)",
    "Architecture": "Armv9-A with RME (DDI 0487)",
}
"""The interfaces that the components speak, by name."""
