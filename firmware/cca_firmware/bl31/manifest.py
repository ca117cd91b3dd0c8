"""The core manifest: EL3's description of the platform for the RMM, in the shared page (boot manifest 0.3)."""

from typing import Final

from cca_arch.el3 import CONSOLE, CORE_MANIFEST, DRAM_BANK, MANIFEST_VERSION, checksum
from cca_arch.types import GRANULE_SIZE, PA
from cca_firmware.base.carveout import required_region
from cca_platform.board import Board

__all__ = ["BAUD_RATE", "UART_CLOCK_HZ", "build", "shared_page"]

UART_CLOCK_HZ: Final = 24_000_000
BAUD_RATE: Final = 115_200
_CONSOLE_KIND: Final = "pl011"


def shared_page(board: Board) -> PA:
    """The PA of the page that EL3 and the RMM share: the last granule of the region ``realm_image``."""
    return PA(required_region(board, "realm_image").top - GRANULE_SIZE)


def build(board: Board, page: PA) -> bytes:
    """The manifest of ``board`` with its lists, for the start of ``page``.

    The banks are the DRAM that is Non-secure after boot, ascending, which a host can delegate. The console is the PL011
    that the board names for the RMM, or its first one.
    """
    banks = b"".join(DRAM_BANK.pack(base=bank.base, size=bank.size) for bank in board.ns_banks())
    wanted = board.rmm_console
    consoles = b"".join(
        CONSOLE.pack(
            base=device.base,
            map_pages=1,
            name=int.from_bytes(device.kind.encode()[:8], "little"),
            clk_in_hz=UART_CLOCK_HZ,
            baud_rate=BAUD_RATE,
        )
        for device in board.devices
        if device.kind == _CONSOLE_KIND and wanted in ("", device.name)
    )[: CONSOLE.size]
    banks_pa = page + CORE_MANIFEST.size
    consoles_pa = banks_pa + len(banks) if consoles else 0
    num_banks, num_consoles = len(banks) // DRAM_BANK.size, len(consoles) // CONSOLE.size
    head = CORE_MANIFEST.pack(
        version=MANIFEST_VERSION,
        num_banks=num_banks,
        banks=banks_pa,
        banks_checksum=checksum(num_banks, banks_pa, banks),
        num_consoles=num_consoles,
        consoles=consoles_pa,
        consoles_checksum=checksum(num_consoles, consoles_pa, consoles),
    )
    return head + banks + consoles
