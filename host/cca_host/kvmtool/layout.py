"""Where a Realm finds things: the intermediate physical address map, as kvmtool's."""

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
"""The device tree has the last aligned 2 MiB of RAM to itself."""
MIN_MEMORY: Final = 2 * DTB_SIZE
UART_BASE: Final = 0x0100_0000
"""IPA without the shared bit; a Realm reaches it in the unprotected half."""
UART_SIZE: Final = 0x1000
DISTRIBUTOR_BASE: Final = 0x3FFF_0000
"""The GIC, below it a redistributor for each vCPU: IPAs without the shared bit, too."""


def dtb_base(memory: int) -> int:
    """Where the device tree is, and the image has to end, with ``memory`` bytes of RAM."""
    return (RAM_BASE + memory - DTB_SIZE) & -DTB_SIZE


def redistributor_base(vcpus: int) -> int:
    """The first of the redistributors of a Realm with ``vcpus`` vCPUs."""
    return DISTRIBUTOR_BASE - vcpus * GICR_STRIDE
