"""The device side of the physical address space: which device responds where and in which PAS, and timed actions."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from cca_arch.types import Access, Pas, Ticks
from cca_platform.board import WINDOW, Board, DeviceRow
from cca_platform.clock import Clock
from cca_platform.devices.base import Device
from cca_platform.devices.kinds import Kinds
from cca_platform.devices.wiring import Receiver, Registers, Wiring
from cca_platform.errors import BusError, MachineError, StateError
from cca_platform.halt import Halt
from cca_platform.machine.events import EventQueue
from cca_platform.machine.inputs import Inputs
from cca_platform.machine.known import Known
from cca_platform.memory.memory import Memory
from cca_platform.power import Power
from cca_platform.state import AnyState, State
from cca_platform.trace.events import BusUnclaimed, MmioRead, MmioWrite
from cca_platform.trace.trace import Source, Trace

__all__ = ["Bus", "BusState"]

_LOGGED: Final = 1_000  # limit of logged places, for guests that try them all

_Frame = tuple[int, int, Registers, Callable[[int, bool], bool]]


def _ignore(intid: int, level: bool) -> None:
    """No interrupt controller."""


def _nothing_plain(offset: int, is_write: bool) -> bool:
    """A model without plain registers."""
    return False


class BusState(State, frozen=True, tag="bus/1"):
    """The devices by name, and the unclaimed places that software has accessed."""

    devices: dict[str, AnyState]
    logged: tuple[str, ...]


class Bus:
    """Finds the device that responds at a physical address in a PAS.

    An address where the board has nothing, or only a ``window`` without a model, is unclaimed: BusError or zero,
    depending on the board's ``unmapped``. ``devices`` are those of the board by name. ``signal(intid, level)`` takes
    their interrupt lines. The event queue has their timed actions.
    """

    def __init__(
        self,
        board: Board,
        memory: Memory,
        clock: Clock,
        events: EventQueue,
        inputs: Inputs,
        power: Power,
        trace: Trace,
        kinds: Kinds,
        stop: Callable[[str, Halt], None],
    ) -> None:
        self._memory = memory
        self._trace = trace
        self._clock = clock
        self._events = events
        self._inputs = inputs
        self._power = power
        self._kinds = kinds
        self._stop = stop
        self._raz = board.unmapped == "raz"
        self.known = Known()
        self.signal: Callable[[int, bool], None] = _ignore
        self.devices: dict[str, Device] = {}
        self._calls: dict[str, Callable[[Ticks], None]] = {}
        self._kept: dict[str, AnyState] = {}
        self._saved: BusState | None = None
        self._logged: frozenset[str] = frozenset()
        self._bases: dict[Pas, list[int]] = {pas: [] for pas in Pas}
        self._frames: dict[Pas, list[_Frame]] = {pas: [] for pas in Pas}
        self._windows = [device for device in board.devices if device.kind == WINDOW]
        for device in board.devices:
            if device.kind != WINDOW:
                self._make(device)
        self._schedule_all()

    def _make(self, row: DeviceRow) -> None:
        wiring = Wiring(
            clock=self._clock,
            memory=self._memory,
            power=self._power,
            trace=self._trace,
            line=partial(self._line, row.irq),
            signal=self._line,
            changed=partial(self._changed, row.name),
            device=self._device,
            reset=lambda reason: self._stop(f"system reset: {reason}", Halt.RESET),
            power_off=lambda reason: self._stop(reason, Halt.OFF),
            receive=partial(self._inputs.push, row.name),
            ask=partial(self._inputs.ask, row.name),
            follow=self._inputs.look,
        )
        model = self._kinds.make(row, wiring)
        if isinstance(model, Receiver):
            self._inputs.attach(row.name, model.arrive)
        self.devices[row.name] = model
        self._calls[row.name] = partial(self._advance, row.name)
        for pas in row.pases:
            self.attach(row.name, row.base, row.size, model.view(pas), (pas,))

    def _device(self, name: str) -> Device:
        if name not in self.devices:
            raise MachineError(f"a device that another one stands behind must have an earlier row, not {name!r}")
        return self.devices[name]

    def attach(self, name: str, base: int, size: int, model: Registers, pases: Sequence[Pas] = tuple(Pas)) -> None:
        """Place ``model`` at ``base``, ``size`` bytes, in these PASes; its owner keeps its state.

        Raises ValueError if the range is taken.
        """
        for pas in pases:
            frames = self._frames[pas]
            for low, high, other, _ in frames:
                if low < base + size and base < high:
                    where = f"{base:#x}, where {other.name} does in the {pas.name} PAS"
                    raise ValueError(f"{name} must not answer at {where}")
            frames.append((base, base + size, model, getattr(model, "is_plain", _nothing_plain)))
            frames.sort(key=lambda frame: frame[0])
            self._bases[pas] = [frame[0] for frame in frames]

    def _line(self, intid: int, level: bool) -> None:
        if intid:
            self.signal(intid, level)

    # -- accesses ----------------------------------------------------------------------------------------------------
    def _find(self, pa: int, pas: Pas) -> tuple[Registers, int, Callable[[int, bool], bool]] | None:
        """The model that responds at ``pa`` in a PAS, the offset in its registers, and whether an access is plain."""
        at = bisect_right(self._bases[pas], pa) - 1
        if at >= 0:
            base, top, model, is_plain = self._frames[pas][at]
            if pa < top:
                return model, pa - base, is_plain
        return None

    def read(self, pa: int, size: int, pas: Pas = Pas.NON_SECURE, pe: Source | None = None) -> int:
        """Read ``size`` bytes of a device register, little-endian; ``pe`` is the PE whose code reads."""
        found = self._find(pa, pas)
        if found is None:
            self._unclaimed(pa, size, pas, pe, Access.READ)
            return 0
        model, offset, is_plain = found
        value = model.read(offset, size) & (1 << 8 * size) - 1
        if is_plain(offset, False):
            self.known.note(model.name, pa, size, pas, value)
        else:
            self._changed(model.name)
        if self._trace.on:
            self._trace.emit(MmioRead(device=model.name, address=pa, size=size, value=value), pe=pe)
        return value

    def write(self, pa: int, size: int, value: int, pas: Pas = Pas.NON_SECURE, pe: Source | None = None) -> None:
        """Write ``size`` bytes to a device register."""
        found = self._find(pa, pas)
        if found is None:
            self._unclaimed(pa, size, pas, pe, Access.WRITE)
            return
        model, offset, is_plain = found
        if self._trace.on:
            self._trace.emit(MmioWrite(device=model.name, address=pa, size=size, value=value), pe=pe)
        model.write(offset, size, value)
        if is_plain(offset, True):
            self.known.note(model.name, pa, size, pas, None)
        else:
            self._changed(model.name)

    @property
    def unclaimed(self) -> list[str]:
        """The places where software accessed devices that do not exist: names of windows and addresses of pages."""
        return sorted(self._logged)

    def _unclaimed(self, pa: int, size: int, pas: Pas, pe: Source | None, access: Access) -> None:
        """Log the first access to an unclaimed place; raises BusError unless it reads as zero there."""
        window = next((one for one in self._windows if one.base <= pa < one.top and pas in one.pases), None)
        raz = self._raz if window is None else window.options.get("unmapped", "raz") == "raz"
        place = f"{pa & ~0xFFF:#x}" if window is None else window.name
        if place not in self._logged and len(self._logged) < _LOGGED:
            self._logged |= {place}
            self._saved = None
            if self._trace.on:
                name, why = (None, None) if window is None else (window.name, window.options.get("why"))
                response = "raz" if raz else "abort"
                event = BusUnclaimed(
                    device=name, address=pa, size=size, access=access, pas=pas, response=response, why=why
                )
                self._trace.emit(event, pe=pe)
        if not raz:
            raise BusError(pa, access)

    # -- time --------------------------------------------------------------------------------------------------------
    def _changed(self, name: str) -> None:
        """Record that a device's state has changed, and read its deadline again."""
        self.known.forget(name)
        device = self.devices.get(name)
        if device is not None:
            self._kept.pop(name, None)
            self._saved = None
            self._schedule(name, device)

    def _schedule(self, name: str, device: Device) -> None:
        due = device.deadline
        self._events.call_at(name, None if due is None else Ticks(due), self._calls[name])

    def _schedule_all(self) -> None:
        for name, device in self.devices.items():
            self._schedule(name, device)

    def _advance(self, name: str, now: Ticks) -> None:
        """Let a device do what is due."""
        self.devices[name].advance(now)
        self._changed(name)

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> BusState:
        """The state of every device; the same object until something changes."""
        if self._saved is None:
            for name, device in self.devices.items():
                if name not in self._kept:
                    self._kept[name] = device.save()
            self._saved = BusState(dict(self._kept), tuple(sorted(self._logged)))
        return self._saved

    def restore(self, state: BusState) -> None:
        """Restore what ``save`` returned."""
        if state is self._saved:
            return
        if state.devices.keys() != self.devices.keys():
            raise StateError(f"saved state must have the devices {[*self.devices]}, not {[*state.devices]}")
        for name, one in state.devices.items():
            if self._kept.get(name) is not one:
                self.devices[name].restore(one)
        self.known.forget_all()
        self._kept = dict(state.devices)
        self._logged = frozenset(state.logged)
        self._saved = state
        self._schedule_all()

    def reset(self) -> None:
        """Reset every device to its power-on state."""
        for device in self.devices.values():
            device.reset()
        self.known.forget_all()
        self._kept.clear()
        self._saved = None
        self._schedule_all()
