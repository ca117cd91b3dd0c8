"""The PL061 GPIO, by the rules of DDI 0190."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cca_platform.halt import Halt

DIR, IS, IBE, IEV, IE, RIS, MIS, IC, AFSEL = range(0x400, 0x424, 4)
DATA = 0x3FC


@pytest.fixture
def virt(rigs: Any) -> Any:
    """The devices of QEMU's virt board."""
    return rigs(board="virt")


@pytest.fixture
def gpio(virt: Any) -> Any:
    """Its GPIO."""
    return virt.device("gpio")


def press(virt: Any, pin: int, level: bool) -> None:
    """Set an input from outside, as the machine lets it in."""
    virt.bus.devices["gpio"].arrive(bytes((pin, level)))


class TestPins:
    """Data and direction."""

    def test_identity(self, gpio: Any) -> None:
        """The PrimeCell identification registers name a PL061; after reset every pin is a low input."""
        assert [gpio.read(0xFE0 + 4 * n) for n in range(8)] == [0x61, 0x10, 0x04, 0x00, 0x0D, 0xF0, 0x05, 0xB1]
        assert [gpio.read(at) for at in (DATA, *range(0x400, 0x424, 4))] == [0] * 10

    def test_mask(self, gpio: Any) -> None:
        """Bits 9 to 2 of the address are the pins that an access of GPIODATA concerns."""
        gpio.write(DIR, 0xFF)
        gpio.write(0xF0 << 2, 0xFF)
        assert (gpio.read(DATA), gpio.read(0x3C << 2)) == (0xF0, 0x30)
        gpio.write(0x81 << 2, 0x01)
        assert gpio.read(DATA) == 0x71

    def test_inputs(self, virt: Any, gpio: Any) -> None:
        """An input shows what is outside, an output what is driven, at any time of the write."""
        press(virt, 3, True)
        gpio.write(DATA, 0xF7)
        assert gpio.read(DATA) == 0x08
        gpio.write(DIR, 0x0F)
        assert gpio.read(DATA) == 0x07
        gpio.write(DIR, 0)
        assert gpio.read(DATA) == 0x08


class TestInterrupts:
    """Edges and levels."""

    def test_button(self, virt: Any, gpio: Any) -> None:
        """A rising edge at the power button's pin interrupts until it is cleared; a falling one does not."""
        gpio.write(IEV, 1 << 3)
        gpio.write(IE, 1 << 3)
        press(virt, 3, True)
        assert (gpio.read(MIS), gpio.irq) == (1 << 3, True)
        gpio.write(IC, 1 << 3)
        assert not gpio.irq
        press(virt, 3, False)
        assert (gpio.read(RIS), gpio.irq) == (0, False)

    def test_level(self, virt: Any, gpio: Any) -> None:
        """A level interrupts as long as it lasts, whatever is cleared."""
        gpio.write(IS, 1)
        gpio.write(IEV, 1)
        gpio.write(IE, 1)
        press(virt, 0, True)
        gpio.write(IC, 0xFF)
        assert gpio.irq
        press(virt, 0, False)
        assert not gpio.irq

    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(*[st.integers(0, 255)] * 6, st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=8))
    def test_rule(self, virt: Any, direction: int, sense: int, both: int, event: int, enable: int, out: int,
                  moves: list[tuple[int, bool]]) -> None:  # fmt: skip
        """Pin by pin: an input's edge of the wanted kind is kept, a level is what it is."""
        virt.fresh()
        gpio = virt.device("gpio")
        for register, value in ((DIR, direction), (IS, sense), (IBE, both), (IEV, event), (IE, enable), (DATA, out)):
            gpio.write(register, value)
        levels = [out >> pin & 1 if direction >> pin & 1 else 0 for pin in range(8)]
        edges = [False] * 8
        gpio.write(IC, 0xFF)
        for pin, level in moves:
            if not direction >> pin & 1 and level != levels[pin]:
                edges[pin] |= bool(both >> pin & 1) or level == event >> pin & 1
                levels[pin] = int(level)
            press(virt, pin, level)
        raw = sum(
            1 << pin for pin in range(8)
            if (levels[pin] == event >> pin & 1 if sense >> pin & 1 else edges[pin])
        )  # fmt: skip
        assert (gpio.read(RIS), gpio.read(MIS), gpio.irq) == (raw, raw & enable, bool(raw & enable))


class TestWiring:
    """What is behind the pins."""

    @pytest.mark.parametrize(("pin", "halt"), [(0, Halt.OFF), (1, Halt.RESET)])
    def test_secure_pins(self, virt: Any, pin: int, halt: Halt) -> None:
        """A rise of the Secure GPIO's pin 0 turns the system off, of pin 1 resets it, as TF-A does on this board."""
        gpio = virt.device("secure-gpio")
        gpio.write(DIR, 1 << pin)
        gpio.write(1 << pin + 2, 0)
        assert virt.machine.stopped is None
        gpio.write(1 << pin + 2, 1 << pin)
        assert virt.machine.halt is halt
        assert "secure-gpio" in virt.machine.stopped

    def test_set_pin(self, virt: Any) -> None:
        """A test presses a button by ``set_pin``, which is an input of the machine; there are eight pins."""
        gpio = virt.bus.devices["gpio"]
        with pytest.raises(ValueError, match="pin of gpio must be from 0 to 7, not 8"):
            gpio.set_pin(8, True)
        gpio.set_pin(3, True)
        virt.machine.inputs.poll()
        assert virt.device("gpio").read(DATA) == 0x08

    def test_snapshot(self, virt: Any, gpio: Any) -> None:
        """Levels outside, driven levels and edges are in a snapshot; a reset leaves those outside alone."""
        gpio.write(DIR, 1)
        gpio.write(DATA, 1)
        gpio.write(IEV, 8)
        press(virt, 3, True)
        before = virt.machine.snapshot()
        gpio.write(IC, 8)
        gpio.write(DATA, 0)
        press(virt, 3, False)
        virt.machine.restore(before)
        assert (gpio.read(DATA), gpio.read(RIS)) == (9, 8)
        virt.bus.reset()
        assert (gpio.read(DATA), gpio.read(RIS)) == (8, 0)
