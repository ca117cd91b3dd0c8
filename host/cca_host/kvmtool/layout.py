"""The IPA map of a guest and its interrupts, the same as kvmtool's."""

from typing import Final

from cca_arch.gic import GICR_STRIDE

__all__ = [
    "DEVICE_SPI",
    "DISTRIBUTOR_BASE",
    "DTB_SIZE",
    "MESSAGE_SPIS",
    "MIN_MEMORY",
    "PCI_ECAM_BASE",
    "PCI_ECAM_SIZE",
    "PCI_IO_BASE",
    "PCI_IO_SIZE",
    "PCI_MEMORY_BASE",
    "PCI_MEMORY_SIZE",
    "RAM_BASE",
    "RTC_BASE",
    "RTC_SIZE",
    "RTC_SPI",
    "UART_BASE",
    "UART_SIZE",
    "UART_SPI",
    "VIRTIO_BASE",
    "VIRTIO_SIZE",
    "dtb_base",
    "redistributor_base",
]

RAM_BASE: Final = 0x8000_0000
DTB_SIZE: Final = 2 << 20
"""The last aligned 2 MiB of RAM are reserved for the device tree."""
MIN_MEMORY: Final = 2 * DTB_SIZE

# Devices, at IPAs without the shared bit: a Realm accesses them in the unprotected half.
PCI_IO_BASE, PCI_IO_SIZE = 0x0, 0x1_0000
UART_BASE: Final = 0x0100_0000
UART_SIZE: Final = 0x8000
"""The registers, then a page for each of the others."""
RTC_BASE: Final = 0x0101_0000
RTC_SIZE: Final = 0x1000
VIRTIO_BASE: Final = 0x0300_0000
"""The first virtio-mmio device; the others follow."""
VIRTIO_SIZE: Final = 0x200
DISTRIBUTOR_BASE: Final = 0x3FFF_0000
"""The GIC, with a redistributor per vCPU below it."""
PCI_ECAM_BASE, PCI_ECAM_SIZE = 0x4000_0000, 0x1000_0000
PCI_MEMORY_BASE, PCI_MEMORY_SIZE = 0x5000_0000, 0x3000_0000

UART_SPI: Final = 32
"""INTIDs, as all numbers of interrupts here."""
RTC_SPI: Final = 33
DEVICE_SPI: Final = 36
"""The first of the interrupts that further devices take in their order."""


MESSAGE_SPIS: Final = range(64, 128)
"""INTIDs that devices send as messages."""


def dtb_base(memory: int) -> int:
    """The IPA of the device tree, which limits the image, with ``memory`` bytes of RAM."""
    return (RAM_BASE + memory - DTB_SIZE) & -DTB_SIZE


def redistributor_base(vcpus: int) -> int:
    """The IPA of the first redistributor of a Realm with ``vcpus`` vCPUs."""
    return DISTRIBUTOR_BASE - vcpus * GICR_STRIDE
