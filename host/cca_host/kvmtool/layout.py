"""The IPA map of a Realm, the same as kvmtool's."""

from typing import Final

from cca_arch.gic import GICR_STRIDE

__all__ = [
    "DISTRIBUTOR_BASE",
    "DTB_SIZE",
    "MIN_MEMORY",
    "RAM_BASE",
    "UART_BASE",
    "UART_SIZE",
    "dtb_base",
    "redistributor_base",
]

RAM_BASE: Final = 0x8000_0000
DTB_SIZE: Final = 2 << 20
"""The last aligned 2 MiB of RAM are reserved for the device tree."""
MIN_MEMORY: Final = 2 * DTB_SIZE
UART_BASE: Final = 0x0100_0000
"""The IPA without the shared bit; a Realm accesses it in the unprotected half."""
UART_SIZE: Final = 0x1000
DISTRIBUTOR_BASE: Final = 0x3FFF_0000
"""The GIC, with a redistributor per vCPU below it: also IPAs without the shared bit."""


def dtb_base(memory: int) -> int:
    """The IPA of the device tree, which limits the image, with ``memory`` bytes of RAM."""
    return (RAM_BASE + memory - DTB_SIZE) & -DTB_SIZE


def redistributor_base(vcpus: int) -> int:
    """The IPA of the first redistributor of a Realm with ``vcpus`` vCPUs."""
    return DISTRIBUTOR_BASE - vcpus * GICR_STRIDE
