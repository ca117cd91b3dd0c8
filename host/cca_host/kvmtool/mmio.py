"""The device table of a guest: which model answers where, its interrupt, its node of the device tree.

Models are those of :mod:`cca_platform.devices`, or stand on the same base class. A model of a guest of any kind only
sees the table: its accesses come from exits of vCPUs, its interrupt is an SPI of the VM.
"""

from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from cca_arch.devicetree import Node, cells
from cca_arch.gic import FIRST_SPI
from cca_arch.types import SecurityState, Ticks
from cca_host.kvm.uapi import Mmio
from cca_host.kvmtool.door import VcpuThread
from cca_host.kvmtool.guestmemory import Guest, GuestMemory
from cca_host.kvmtool.layout import DEVICE_SPI
from cca_platform.devices.base import Device
from cca_platform.devices.wiring import Receiver, Wiring
from cca_platform.power import Power
from cca_platform.state import AnyState, State
from cca_platform.trace.events import MmioRead, MmioWrite

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine

__all__ = ["Devices", "DevicesState", "spi_cells"]

_SPI, _LEVEL_HIGH = 0, 4  # of an interrupt of the GIC in a device tree


class DevicesState(State, frozen=True, tag="host.devices/1"):
    """The models by name, and the INTIDs whose line is high."""

    models: dict[str, AnyState]
    high: tuple[int, ...]


class _Frame(Struct, frozen=True):
    """A row of the table: ``size`` bytes at IPA ``base``, the registers of the model from ``offset`` on."""

    base: int
    size: int
    offset: int
    model: Device
    node: Node | None


def spi_cells(intid: int) -> list[int]:
    """A level-sensitive SPI as the GIC's three cells in a device tree."""
    return [_SPI, intid - FIRST_SPI, _LEVEL_HIGH]


class Devices:
    """The device models of one guest at their IPAs without the shared bit."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._source = "guest"
        self.memory = GuestMemory(machine.memory.port(SecurityState.NON_SECURE))
        """The memory of the guest, for devices that reach it."""
        self._vm: Guest | None = None
        self._frames: list[_Frame] = []
        self._bases: list[int] = []
        self._models: dict[str, Device] = {}
        self._lines: dict[str, int] = {}
        self._high: set[int] = set()
        self._attendants: dict[str, Callable[[], bool]] = {}
        self._next = DEVICE_SPI

    # -- the table ---------------------------------------------------------------------------------------------------
    def wiring(self, name: str) -> Wiring:
        """The wiring of the model ``name``: the machine's clock, its input source, its line of the table."""
        machine = self._machine
        return Wiring(
            clock=machine.clock,
            memory=machine.memory,
            power=Power(()),
            trace=machine.trace,
            line=partial(self._line, name),
            signal=self._signal,
            changed=partial(self._changed, name),
            device=self.device,
            reset=_nothing,
            power_off=_nothing,
            receive=lambda data: machine.inputs.push(self._name(name), data),
            ask=lambda answer: machine.inputs.ask(self._name(name), answer),
            fetch=lambda answer: machine.inputs.fetch(self._name(name), answer),
            submit=lambda work, ticks: machine.inputs.submit(self._name(name), work, Ticks(machine.clock.now + ticks)),
            follow=machine.inputs.look,
            deliver=lambda data: machine.inputs.deliver(self._name(name), data),
            attend=partial(self._attend, name),
            replaying=machine.inputs.closed,
        )

    def next_intid(self) -> int:
        """An SPI for the next device without one of its own."""
        self._next += 1
        return self._next - 1

    def attach(
        self,
        model: Device,
        base: int,
        size: int,
        *,
        intid: int | None = None,
        node: Node | None = None,
        offset: int = 0,
    ) -> None:
        """Place ``model`` at ``base``, ``size`` bytes from ``offset`` on; a second call gives it another frame.

        Its ``wiring.line`` drives SPI ``intid`` of the VM. ``node`` is its node of the device tree; the table adds the
        unit address, ``reg`` and ``interrupts`` where they are missing. Raises ValueError if the range is taken.
        """
        at = bisect_right(self._bases, base)
        for other in self._frames[max(at - 1, 0) : at + 1]:
            if other.base < base + size and base < other.base + other.size:
                raise ValueError(f"{model.name} must not answer at {other.base:#x}, where {other.model.name} does")
        self.join(model, intid=intid)
        completed = None if node is None else _completed(node, base, size, intid)
        self._frames.insert(at, _Frame(base, size, offset, model, completed))
        self._bases.insert(at, base)

    def join(self, model: Device, *, intid: int | None = None) -> None:
        """Take a model into the table that answers behind another one: a function of a bus."""
        if self._models.setdefault(model.name, model) is not model:
            raise ValueError(f"a device must have a name of its own, not {model.name!r}")
        if intid is not None:
            self._lines[model.name] = intid
        self.named(self._source)

    def nodes(self) -> list[Node]:
        """The nodes of the devices for the device tree, by address."""
        return [frame.node for frame in self._frames if frame.node is not None]

    def device(self, name: str) -> Device:
        """The model with this name."""
        return self._models[name]

    def connect(self, vm: Guest) -> None:
        """The VM whose interrupts the lines drive; those that are high rise now."""
        self._vm = self.memory.guest = vm
        for intid in sorted(self._high):
            vm.irq_line(intid, True)

    def named(self, source: str) -> None:
        """Name the input source of the models, and their timed actions: ``source.MODEL``."""
        self._cancel()
        self._source = source
        for name, model in self._models.items():
            if isinstance(model, Receiver):
                self._machine.inputs.attach(self._name(name), model.arrive)
            self._schedule(name, model)
            self._machine.inputs.attend(self._name(name), self._attendants.get(name))

    def close(self) -> None:
        """The VM is gone: nothing is due any more, and nobody outside is waited for."""
        self._vm = self.memory.guest = None
        self._cancel()

    def _cancel(self) -> None:
        for name in self._models:
            self._machine.events.call_at(self._name(name), None, _nothing)
            self._machine.inputs.attend(self._name(name), None)

    def _attend(self, name: str, expects: Callable[[], bool] | None) -> None:
        if expects is None:
            self._attendants.pop(name, None)
        else:
            self._attendants[name] = expects
        self._machine.inputs.attend(self._name(name), expects)

    def _name(self, name: str) -> str:
        return f"{self._source}.{name}"

    # -- accesses ----------------------------------------------------------------------------------------------------
    def answer(self, vcpu: VcpuThread, access: Mmio) -> None:
        """Emulate an access of ``vcpu``; addresses without a device cause an external abort."""
        ipa = access.ipa
        at = bisect_right(self._bases, ipa) - 1
        if at >= 0:
            frame = self._frames[at]
            if ipa - frame.base < frame.size:
                vcpu.mmio_result(self._access(frame.model, ipa - frame.base + frame.offset, access))
                return
        vcpu.abort()

    def _access(self, model: Device, offset: int, access: Mmio) -> int:
        trace, ipa, size, value = self._machine.trace, access.ipa, access.size, access.value
        if access.write:
            if trace.on:
                trace.emit(MmioWrite(device=model.name, address=ipa, size=size, value=value))
            model.write(offset, size, value)
            value = 0
        else:
            value = model.read(offset, size)
            if trace.on:
                trace.emit(MmioRead(device=model.name, address=ipa, size=size, value=value))
        self._schedule(model.name, model)
        return value

    # -- interrupts --------------------------------------------------------------------------------------------------
    def _line(self, name: str, level: bool) -> None:
        intid = self._lines.get(name)
        if intid is not None:
            self._signal(intid, level)

    def _signal(self, intid: int, level: bool) -> None:
        if level == (intid in self._high):
            return
        if level:
            self._high.add(intid)
        else:
            self._high.discard(intid)
        if self._vm is not None:
            self._vm.irq_line(intid, level)

    def message(self, address: int, value: int) -> None:
        """A device writes a message, which may be an interrupt."""
        if self._vm is not None:
            self._vm.message(address, value)

    # -- time --------------------------------------------------------------------------------------------------------
    def _changed(self, name: str) -> None:
        """A model has changed other than by an access."""
        model = self._models.get(name)
        if model is not None:
            self._schedule(name, model)

    def _schedule(self, name: str, model: Device) -> None:
        due = model.deadline
        self._machine.events.call_at(
            self._name(name), None if due is None else Ticks(due), partial(self._advance, name)
        )

    def _advance(self, name: str, now: Ticks) -> None:
        model = self._models[name]
        model.advance(now)
        self._schedule(name, model)

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> DevicesState:
        """State for a snapshot."""
        return DevicesState({name: model.save() for name, model in self._models.items()}, tuple(sorted(self._high)))

    def restore(self, state: DevicesState, vm: Guest) -> None:
        """Restore what :meth:`save` returned; ``vm`` has restored the levels of its interrupts."""
        self._vm = self.memory.guest = vm
        self._high = set(state.high)
        for name, model in self._models.items():
            model.restore(state.models[name])
            self._schedule(name, model)


def _completed(node: Node, base: int, size: int, intid: int | None) -> Node:
    """A device's node with its unit address, ``reg`` and ``interrupts``."""
    props = dict(node.props)
    props.setdefault("reg", [*cells(base), *cells(size)])
    if intid is not None:
        props.setdefault("interrupts", spi_cells(intid))
    name = node.name if "@" in node.name else f"{node.name}@{base:x}"
    return Node(name, props, list(node.children))


def _nothing(*_: object) -> None:
    """A line that is not connected, a call that is not due."""
