"""The system-register file of the FVP, and the empty PCIe configuration space."""

from typing import Any

import pytest

SYS_ID, LED, HZ100, FLAGS, FLAGSCLR, NVFLAGS, NVFLAGSCLR, MHZ24, MISC = 0, 8, 0x24, 0x30, 0x34, 0x38, 0x3C, 0x5C, 0x60
CFGDATA, CFGCTRL, CFGSTAT = 0xA0, 0xA4, 0xA8
START, WRITE = 1 << 31, 1 << 30


@pytest.fixture
def sysreg(rig: Any) -> Any:
    """The system registers of the default board."""
    return rig.device("sysreg")


class TestSystemRegisters:
    """Versatile Express system registers."""

    def test_identity(self, sysreg: Any) -> None:
        """SYS_ID says Base FVP (HBI 0x020), revision C, GIC at 0x2F00_0000, a model; it cannot be written."""
        sysreg.write(SYS_ID, 0)
        assert sysreg.read(SYS_ID) == 0x2020_1100

    @pytest.mark.parametrize(("set_offset", "clear_offset"), [(FLAGS, FLAGSCLR), (NVFLAGS, NVFLAGSCLR)])
    def test_flags(self, sysreg: Any, set_offset: int, clear_offset: int) -> None:
        """Flags are set by one address and cleared by the next."""
        sysreg.write(set_offset, 0xF0)
        sysreg.write(set_offset, 0x0F)
        sysreg.write(clear_offset, 0x18)
        assert sysreg.read(set_offset) == 0xE7

    def test_counters(self, rig: Any, sysreg: Any) -> None:
        """The 100 Hz and 24 MHz counters count from reset, and wrap at 32 bits."""
        rig.go(100_000_000)
        assert (sysreg.read(HZ100), sysreg.read(MHZ24)) == (100, 24_000_000)
        rig.go(200 * 100_000_000)
        assert (sysreg.read(HZ100), sysreg.read(MHZ24)) == (20_100, 201 * 24_000_000 & 0xFFFF_FFFF)

    def test_stored(self, sysreg: Any) -> None:
        """LEDs have 8 bits."""
        sysreg.write(LED, 0x1FF)
        assert sysreg.read(LED) == 0xFF

    def test_reboot(self, rig: Any, sysreg: Any) -> None:
        """Function 9 of the configuration controller resets the system."""
        sysreg.write(CFGCTRL, START | WRITE | 9 << 20)
        assert rig.machine.stopped == "system reset: system registers"
        assert sysreg.read(CFGSTAT) == 1

    def test_shutdown(self, rig: Any, sysreg: Any) -> None:
        """Function 8 powers off."""
        sysreg.write(CFGCTRL, START | WRITE | 8 << 20)
        assert rig.machine.stopped == "system off: system registers"

    def test_other_functions(self, rig: Any, sysreg: Any) -> None:
        """Any other function, a read of these two, or no START: an error or nothing, and the system goes on."""
        for value in (START | WRITE | 7 << 20, START | 8 << 20, START | 9 << 20):
            sysreg.write(CFGSTAT, 0)
            sysreg.write(CFGCTRL, value)
            assert sysreg.read(CFGSTAT) == 3
        sysreg.write(CFGSTAT, 0)
        sysreg.write(CFGCTRL, WRITE | 9 << 20)
        assert (sysreg.read(CFGSTAT), rig.machine.stopped) == (0, None)


class TestEcam:
    """A PCIe host bridge without functions."""

    @pytest.mark.parametrize("board", ["fvp", "virt"])
    def test_all_ones(self, rigs: Any, board: str) -> None:
        """Every read gives all ones, whatever was written."""
        rig = rigs(board=board)
        ecam, size = rig.device("pcie-ecam"), rig.machine.board.device("pcie-ecam").size
        for offset in (0, 0x8000, size - 4):
            ecam.write(offset, 0)
            assert [ecam.read(offset, width) for width in (1, 2, 4)] == [0xFF, 0xFFFF, 0xFFFF_FFFF]
