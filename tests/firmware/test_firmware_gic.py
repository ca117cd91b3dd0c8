"""The interrupt controller as EL3 leaves it to the Non-secure world."""

import pytest

from cca_firmware.bl31 import devices
from cca_firmware.bl31 import gic as driver
from cca_platform.board import Board
from cca_platform.gic import Gic
from cca_platform.machine.machine import Machine
from cca_platform.native.block import SIGNAL_G1NS, SIGNAL_G1S

PMR, IAR1, IGRPEN1 = (3, 0, 4, 6, 0), (3, 0, 12, 12, 0), (3, 0, 12, 12, 7)
NS = 1


@pytest.fixture
def signals() -> dict[int, int]:
    return {0: 0, 1: 0}


@pytest.fixture
def gic(signals: dict[int, int]) -> Gic:
    made = Gic((0x8100_0000, 0x8100_0100), 224, signals.__setitem__)
    driver.init(made)
    driver.pe_on(made, 0)
    return made


class TestColdBoot:
    """EL3 keeps SGIs 8 to 15 and PPI 29; the rest is for the Non-secure world to set up."""

    def test_groups(self, gic: Gic) -> None:
        """What Non-secure software can enable is what is Non-secure."""
        gic.redistributors.write(0x1_0100, 4, 0xFFFF_FFFF)
        assert gic.redistributors.read(0x1_0100, 4) == 0xDFFF_00FF
        for word in range(1, 8):
            gic.distributor.write(0x100 + 4 * word, 4, 0xFFFF_FFFF)
            assert gic.distributor.read(0x100 + 4 * word, 4) == 0xFFFF_FFFF

    def test_nothing_enabled(self, gic: Gic) -> None:
        """The Non-secure group and its interrupts are disabled, their priority is the highest there is for them."""
        assert gic.distributor.read(0, 4) == 0x10
        assert gic.redistributors.read(0x1_0100, 4) == 0
        assert gic.distributor.read(0x420, 4) == 0
        assert gic.secure_distributor.read(0x420, 4) == 0x80808080
        assert gic.cpus[0].read(IGRPEN1, 2, NS, 0) == 0

    def test_ns_host(self, gic: Gic, signals: dict[int, int]) -> None:
        """A host that enables the group and an interrupt gets it."""
        cpu = gic.cpus[0]
        gic.distributor.write(0, 4, 0x12)
        gic.redistributors.write(0x1_0100, 4, 1 << 30)
        cpu.write(PMR, 0xF0, 2, NS, 0)
        cpu.write(IGRPEN1, 1, 2, NS, 0)
        gic.set_ppi(0, 30, True)
        assert signals[0] == SIGNAL_G1NS
        assert cpu.read(IAR1, 2, NS, 0) == 30

    def test_secure_timer(self, gic: Gic, signals: dict[int, int]) -> None:
        """The Secure physical timer is Secure Group 1."""
        gic.set_ppi(0, 29, True)
        assert signals[0] == SIGNAL_G1S


class TestSecureSpis:
    """Interrupts of the devices that only the Secure world reaches."""

    @pytest.mark.parametrize(("name", "expected"), [("fvp", {56, 57}), ("virt", {40})])
    def test_board(self, name: str, expected: set[int]) -> None:
        """They are Secure Group 1, enabled, of the highest priority and the primary PE's; all others are Non-secure."""
        machine = Machine(Board.load(name))
        devices.init(machine)
        frame, found = machine.gic.secure_distributor, set()
        for intid in range(32, 32 + machine.board.gic.spis):
            word, bit = 4 * (intid >> 5), intid & 31
            is_ns = frame.read(0x80 + word, 4) >> bit & 1
            state = [frame.read(at + word, 4) >> bit & 1 for at in (0xD00, 0x100)]  # IGRPMODR, ISENABLER
            assert state == [0, 0] if is_ns else state == [1, 1]
            if not is_ns:
                found.add(intid)
                assert frame.read(0x400 + intid, 1) == 0
                assert frame.read(0x6000 + 8 * intid, 8) == machine.board.pes[0] & 0xFF_00FF_FFFF
        assert found == expected
        machine.close()


class TestPower:
    """A PE that goes down gets no interrupts."""

    def test_off(self, gic: Gic, signals: dict[int, int]) -> None:
        """What is pending stays pending, the registers of the CPU interface are lost."""
        gic.set_ppi(0, 29, True)
        driver.pe_off(gic, 0)
        assert signals[0] == 0
        assert gic.secure_redistributors.read(0x14, 4) == 6
        assert gic.cpus[0].read(PMR, 3, NS, 0) == 0
        driver.pe_on(gic, 0)
        assert signals[0] == SIGNAL_G1S

    def test_never_on(self, gic: Gic, signals: dict[int, int]) -> None:
        """The redistributor of a PE that has not come up sleeps."""
        gic.set_ppi(1, 29, True)
        assert signals[1] == 0
