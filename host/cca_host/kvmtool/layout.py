"""Where a Realm finds things: the intermediate physical address map, as kvmtool's."""

from typing import Final

__all__ = ["DTB_SIZE", "MIN_MEMORY", "RAM_BASE", "UART_BASE", "UART_SIZE", "dtb_base"]

RAM_BASE: Final = 0x8000_0000
DTB_SIZE: Final = 2 << 20
"""The device tree has the last aligned 2 MiB of RAM to itself."""
MIN_MEMORY: Final = 2 * DTB_SIZE
UART_BASE: Final = 0x0100_0000
"""IPA without the shared bit; a Realm reaches it in the unprotected half."""
UART_SIZE: Final = 0x1000


def dtb_base(memory: int) -> int:
    """Where the device tree is, and the image has to end, with ``memory`` bytes of RAM."""
    return (RAM_BASE + memory - DTB_SIZE) & -DTB_SIZE
