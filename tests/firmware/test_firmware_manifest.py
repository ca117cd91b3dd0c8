"""The core manifest that the RMM reads, by the rules of the RMM-EL3 interface."""

import struct

import pytest

from cca_arch.el3 import CONSOLE, CORE_MANIFEST, DRAM_BANK
from cca_arch.types import GRANULE_SIZE, Pas
from cca_firmware.bl31 import manifest
from cca_platform.board import Board, names


@pytest.fixture(params=names())
def board(request: pytest.FixtureRequest) -> Board:
    return Board.load(request.param)


def listing(data: bytes, page: int, pointer: int, size: int) -> bytes:
    assert page <= pointer <= pointer + size <= page + GRANULE_SIZE
    return data[pointer - page : pointer - page + size]


class TestManifest:
    def test_shared_page(self, board: Board) -> None:
        """The shared page is the last granule of the RMM's region."""
        page, region = manifest.shared_page(board), board.region("realm_image")
        assert (page + GRANULE_SIZE, region.pas) == (region.top, Pas.REALM)

    def test_banks(self, board: Board) -> None:
        """The banks are the NS DRAM of the board: ascending, aligned, not overlapping, with a right checksum."""
        page = manifest.shared_page(board)
        data = manifest.build(board, page)
        head = CORE_MANIFEST.unpack(data)
        assert (head.version, head.padding, head.plat_data) == (3, 0, 0)
        raw = listing(data, page, head.banks, head.num_banks * DRAM_BANK.size)
        words = struct.unpack(f"<{2 * head.num_banks}Q", raw)
        assert (head.num_banks + head.banks + sum(words) + head.banks_checksum) % 2**64 == 0
        banks = list(zip(words[::2], words[1::2], strict=True))
        assert banks == [(bank.base, bank.size) for bank in board.ns_banks()]
        top = 0
        for base, size in banks:
            assert base > 0 and base % GRANULE_SIZE == 0 and size % GRANULE_SIZE == 0 and base >= top
            top = base + size
            for region in board.regions:
                assert region.top <= base or region.base >= base + size

    def test_console(self, board: Board) -> None:
        """The console is the PL011 that the board has for the RMM, with a right checksum over every word."""
        page = manifest.shared_page(board)
        data = manifest.build(board, page)
        head = CORE_MANIFEST.unpack(data)
        assert head.num_consoles == 1
        raw = listing(data, page, head.consoles, CONSOLE.size)
        total = head.num_consoles + head.consoles + sum(struct.unpack("<6Q", raw)) + head.consoles_checksum
        assert total % 2**64 == 0
        console = CONSOLE.unpack(raw)
        base = {"fvp": 0x1C0C_0000, "virt": 0x0900_0000}[board.name]
        assert (console.base, console.map_pages, console.baud_rate) == (base, 1, 115200)
        assert console.name.to_bytes(8, "little").rstrip(b"\0") == b"pl011"
