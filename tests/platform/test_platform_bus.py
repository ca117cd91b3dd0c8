"""The bus: who answers, in which PAS, what an unclaimed address does, and when devices act."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cca_arch.types import Access, Pas
from cca_platform.board import Board
from cca_platform.errors import BusError, MachineError
from cca_platform.machine.machine import Machine
from cca_platform.trace.sinks import Listing

_UART = 0x1C09_0000
_FREE = 0x1100_0000
_OFFSETS = st.one_of(
    st.sampled_from([*range(0, 0x64, 4), 0xA0, 0xA4, 0xC00, 0xF00, 0xF04, 0xFE0, 0x1_0000]), st.integers(0, 0xFFFF)
)
_ACCESSES = st.tuples(
    st.sampled_from(["read", "write", "go"]),
    _OFFSETS,
    st.one_of(st.integers(0, 40), st.integers(0, (1 << 32) - 1)),
    st.sampled_from([1, 2, 4, 8]),
)


@pytest.fixture
def machine() -> Iterator[Machine]:
    """The hardware of the default board."""
    made = Machine(Board.load("fvp"))
    yield made
    made.close()


class Latch:
    """A register that keeps what was written."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.value = 0

    def read(self, offset: int, size: int) -> int:
        return self.value + offset

    def write(self, offset: int, size: int, value: int) -> None:
        self.value = value


class TestFind:
    """Who answers."""

    def test_frame(self, machine: Machine) -> None:
        """A device answers from the first to the last byte of its frame, and not beyond."""
        machine.bus.attach("latch", _FREE, 0x1000, Latch("latch"))
        assert machine.bus.read(_FREE, 4) == 0
        assert machine.bus.read(_FREE + 0xFFC, 4) == 0xFFC
        for pa in (_FREE - 4, _FREE + 0x1000):
            with pytest.raises(BusError, match=f"nothing answers a READ at PA {pa:#x}"):
                machine.bus.read(pa, 4)

    def test_pas(self, machine: Machine) -> None:
        """Two devices can be at one address in different PASes; in the others nobody answers."""
        machine.bus.attach("one", _FREE, 0x1000, Latch("one"), pases=(Pas.SECURE, Pas.ROOT))
        machine.bus.attach("two", _FREE, 0x1000, Latch("two"), pases=(Pas.NON_SECURE,))
        machine.bus.write(_FREE, 4, 1, pas=Pas.SECURE)
        machine.bus.write(_FREE, 4, 2)
        assert [machine.bus.read(_FREE, 4, pas=pas) for pas in (Pas.SECURE, Pas.NON_SECURE, Pas.ROOT)] == [1, 2, 1]
        with pytest.raises(BusError):
            machine.bus.read(_FREE, 4, pas=Pas.REALM)

    def test_taken(self, machine: Machine) -> None:
        """Where something answers nothing else can be attached."""
        with pytest.raises(ValueError, match="latch must not answer at 0x1c08f000, where uart0 does"):
            machine.bus.attach("latch", _UART - 0x1000, 0x2000, Latch("latch"))

    def test_size(self, machine: Machine) -> None:
        """A read gives no more than the bytes that were asked for."""
        latch = Latch("latch")
        machine.bus.attach("latch", _FREE, 0x1000, latch)
        latch.value = 0x1122_3344_5566_7788
        assert [machine.bus.read(_FREE, size) for size in (1, 2, 4)] == [0x88, 0x7788, 0x5566_7788]

    def test_unknown_kind(self) -> None:
        """A board with a device that has no model is refused with those that have."""
        board = Board.load("fvp")
        device = replace(board.devices[0], kind="toaster")
        with pytest.raises(MachineError, match=r"kind of device uart0 must be one of .*pl011.*, not 'toaster'"):
            Machine(replace(board, devices=(device,)))


class TestUnclaimed:
    """Addresses that nobody claims."""

    def test_abort(self, machine: Machine) -> None:
        """The default board aborts reads and writes."""
        with pytest.raises(BusError) as caught:
            machine.bus.write(_FREE, 4, 1)
        assert (caught.value.pa, caught.value.access) == (_FREE, Access.WRITE)

    def test_raz(self) -> None:
        """A board with unmapped = "raz" reads zero and ignores writes."""
        machine = Machine(replace(Board.load("fvp"), unmapped="raz"))
        machine.bus.write(_FREE, 4, 1)
        assert machine.bus.read(_FREE, 4) == 0
        machine.close()

    def test_window(self, machine: Machine) -> None:
        """What a board has but Realmlab does not model reads zero, in its PASes only."""
        assert machine.bus.read(0x1A00_0000, 4) == 0
        machine.bus.write(0x1A00_0000, 4, 1)
        assert machine.bus.read(0x0400_0000, 8, pas=Pas.SECURE) == 0
        with pytest.raises(BusError):
            machine.bus.read(0x0400_0000, 8)

    def test_logged_once(self, machine: Machine) -> None:
        """The first access is an event, by the name of the window or by the page; a restore forgets it again.

        A window says why it is one.
        """
        events = Listing()
        machine.trace.add(events)
        before = machine.snapshot()
        for _ in range(2):
            events.clear()
            for pa in (0x1A00_0000, 0x1A00_0004, 0x1A80_0000):
                machine.bus.read(pa, 4)
            for pa in (_FREE, _FREE + 8):
                with pytest.raises(BusError):
                    machine.bus.read(pa, 4, pas=Pas.REALM)
            found = [event for event in events if event["event"] == "bus.unclaimed"]
            assert [(event["device"], event["address"], event["response"], event["why"]) for event in found] == [
                ("ethernet", "0x1a000000", "raz", machine.board.device("ethernet").options["why"]),
                (None, "0x11000000", "abort", None),
            ]
            machine.restore(before)

    def test_by_code(self, bench: Any) -> None:
        """The events of an access by code tell the PE, its world and level."""
        events = Listing()
        bench.machine.trace.add(events)
        bench.run("str w0, [x1]; ldr d0, [x1]; ldr w3, [x2]; smc #0", el=2, x1=0x1C30_0008, x2=0x1A00_0000)
        found = [event for event in events if event["event"].startswith(("mmio.", "bus."))]
        assert [event["event"] for event in found] == ["mmio.write", "mmio.read", "bus.unclaimed"]
        assert {(event["pe"], event["world"], event["el"]) for event in found} == {(0, "ns", 2)}

    def test_bounded(self, machine: Machine) -> None:
        """Software that tries every page does not fill the log without end."""
        events = Listing()
        machine.trace.add(events)
        for page in range(1_500):
            with pytest.raises(BusError):
                machine.bus.read(0x100_0000_0000 + 0x1000 * page, 4)
        assert len([event for event in events if event["event"] == "bus.unclaimed"]) == 1_000


class TestState:
    """What the bus keeps for a snapshot."""

    def test_untouched(self, rig: Any) -> None:
        """While nothing is touched there is nothing to save: it is the same object."""
        saved = rig.bus.save()
        assert rig.bus.save() is saved
        rig.device("rtc").read(0)
        later = rig.bus.save()
        assert later is not saved
        assert later.devices["watchdog"] is saved.devices["watchdog"]

    def test_deadline(self, rig: Any) -> None:
        """The bus knows the first deadline of its devices, after a restore and a reset too."""
        assert rig.machine.events.next is None
        before = rig.machine.snapshot()
        rig.device("generic-watchdog").write(8, 5_000)
        rig.device("generic-watchdog").write(0, 1)
        assert rig.machine.events.next == 5_001
        rig.bus.devices["uart0"].receive(b"x")
        assert rig.machine.events.next < 5_001
        armed = rig.machine.snapshot()
        due = rig.machine.events.next
        rig.machine.restore(before)
        assert rig.machine.events.next is None
        rig.machine.restore(armed)
        assert rig.machine.events.next == due
        rig.device("generic-watchdog").write(0, 1)
        rig.bus.reset()
        assert rig.machine.events.next is None

    @settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(before=st.lists(_ACCESSES, max_size=15), after=st.lists(_ACCESSES, max_size=15))
    @pytest.mark.parametrize("name", ["uart0", "watchdog", "generic-watchdog", "rtc", "sysreg"])
    def test_any_access(self, rig: Any, name: str, before: list[Any], after: list[Any]) -> None:
        """No access ends in an error, and the same accesses after a restore give the same values, lines and times."""
        rig.fresh()
        self._drive(rig, name, before)
        saved, lines = rig.machine.snapshot(), dict(rig.lines)
        first = self._drive(rig, name, after)
        rig.machine.restore(saved)
        rig.lines.clear()
        rig.lines.update(lines)
        assert self._drive(rig, name, after) == first

    @staticmethod
    def _drive(rig: Any, name: str, accesses: list[Any]) -> list[Any]:
        device, seen = rig.device(name), []
        for kind, place, value, size in accesses:
            offset = place % rig.machine.board.device(name).size
            if kind == "read":
                seen.append(device.read(offset, size))
            elif kind == "write":
                device.write(offset, value, size)
            else:
                rig.go(value)
                if name == "uart0":
                    rig.bus.devices[name].receive(bytes((value & 0xFF,)))
            seen.append((device.irq, rig.machine.events.next, rig.machine.stopped))
        return seen
