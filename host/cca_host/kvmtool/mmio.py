"""The devices that the VMM emulates for its guest, with models of :mod:`cca_platform.devices`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cca_arch.types import Ticks
from cca_host.kvm import Mmio, Vcpu
from cca_platform.devices.base import Device
from cca_platform.devices.wiring import Receiver, Wiring
from cca_platform.power import Power
from cca_platform.state import AnyState
from cca_platform.trace.events import MmioRead, MmioWrite

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine

__all__ = ["Devices"]


class Devices:
    """The device models of one guest at their IPAs without the shared bit."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._source = "guest"
        self._frames: list[tuple[range, Device]] = []

    def wiring(self, name: str) -> Wiring:
        """The wiring of a model: the machine's clock, its input source, no interrupt."""
        machine = self._machine
        return Wiring(
            clock=machine.clock,
            memory=machine.memory,
            power=Power(()),
            trace=machine.trace,
            line=_nothing,
            signal=_nothing,
            changed=_nothing,
            device=self.device,
            reset=_nothing,
            power_off=_nothing,
            receive=lambda data: machine.inputs.push(f"{self._source}.{name}", data),
            ask=lambda answer: machine.inputs.ask(f"{self._source}.{name}", answer),
            fetch=lambda answer: machine.inputs.fetch(f"{self._source}.{name}", answer),
            submit=lambda work, ticks: machine.inputs.submit(
                f"{self._source}.{name}", work, Ticks(machine.clock.now + ticks)
            ),
        )

    def named(self, source: str) -> None:
        """Name the input source of the models: ``source.MODEL``."""
        self._source = source
        for _, model in self._frames:
            if isinstance(model, Receiver):
                self._machine.inputs.attach(f"{source}.{model.name}", model.arrive)

    def device(self, name: str) -> Device:
        """The model with this name."""
        return next(model for _, model in self._frames if model.name == name)

    def attach(self, model: Device, base: int, size: int) -> None:
        """Place ``model`` at ``base``, ``size`` bytes."""
        self._frames.append((range(base, base + size), model))
        self.named(self._source)

    def answer(self, vcpu: Vcpu, access: Mmio) -> None:
        """Emulate an access of ``vcpu``; addresses without a device cause an external abort."""
        for frame, model in self._frames:
            if access.ipa in frame:
                vcpu.mmio_result(self._access(model, access.ipa - frame.start, access))
                return
        vcpu.abort()

    def _access(self, model: Device, offset: int, access: Mmio) -> int:
        trace, ipa, size, value = self._machine.trace, access.ipa, access.size, access.value
        if access.write:
            if trace.on:
                trace.emit(MmioWrite(device=model.name, address=ipa, size=size, value=value))
            model.write(offset, size, value)
            return 0
        value = model.read(offset, size)
        if trace.on:
            trace.emit(MmioRead(device=model.name, address=ipa, size=size, value=value))
        return value

    def save(self) -> dict[str, AnyState]:
        """State of every model, by name."""
        return {model.name: model.save() for _, model in self._frames}

    def restore(self, state: Mapping[str, AnyState]) -> None:
        """Restore what :meth:`save` returned."""
        for _, model in self._frames:
            model.restore(state[model.name])


def _nothing(*_: object) -> None:
    """An unconnected interrupt line."""
