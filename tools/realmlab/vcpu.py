"""A vCPU of a Realm or a plain VM, as a user sees it: registers, REC, exits."""

from typing import TYPE_CHECKING, Any, Protocol

from cca_arch.rmi.v1_0 import RecExitReason
from cca_host.kvm import Cpu as HostCpu
from cca_host.kvm.plain.vcpu import PlainVcpu
from cca_host.kvm.rec import Rec
from cca_platform.errors import MachineError
from cca_platform.machine.inspection import RmmInspector

from .cpu import Cpu, Registers, shows_closed
from .symbols import Symbols
from .views import RecRegisters, RecView

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine as Platform

__all__ = ["Owner", "Vcpu", "inspector_of"]


class Owner(Protocol):
    """The machine on whose PEs a vCPU runs."""

    platform: "Platform"
    inspector: RmmInspector | None

    @property
    def cpus(self) -> tuple[Cpu, ...]:
        """The PEs in their present state."""


def inspector_of(owner: Owner) -> RmmInspector:
    """The inspector of a machine's RMM; raises MachineError if the RMM brings none."""
    if owner.inspector is None:
        raise MachineError("the RMM must tell what it knows for that: this one brings no inspector")
    return owner.inspector


class Vcpu:
    """A vCPU: of a Realm, backed by a REC of the RMM, or of a plain VM, backed by the host."""

    def __init__(self, owner: "Owner", vcpu: HostCpu[Any], symbols: Symbols) -> None:
        self._owner = owner
        self._vcpu = vcpu
        self._symbols = symbols

    @property
    def index(self) -> int:
        """Its number in the Realm."""
        return self._vcpu.index

    @property
    def mpidr(self) -> int:
        """Its affinity, encoded as RmiRecMpidr."""
        return self._vcpu.mpidr

    @property
    def on(self) -> bool:
        """True if it is on, as far as the host knows from PSCI."""
        return self._vcpu.on

    @property
    def cpu(self) -> Cpu | None:
        """The PE that it is on in the middle of its code; None between two entries of its REC."""
        running = self._vcpu.running
        if running is None or self._owner.platform.pes[running].call_done:
            return None
        return self._owner.cpus[running]

    @property
    def regs(self) -> Registers | RecRegisters:
        """Its registers: those of the PE that it is on, or those that the RMM keeps between two REC entries."""
        cpu = self.cpu
        if cpu is not None:
            return cpu.regs
        if isinstance(self._vcpu, PlainVcpu):
            return RecRegisters(self._owner.platform, self._vcpu.registers)
        return self.rec.regs

    @property
    def rec(self) -> RecView:
        """Its REC, as the RMM keeps it; raises MachineError if the RMM brings no inspector, or for a plain VM."""
        if not isinstance(self._vcpu, Rec):
            raise MachineError("a vCPU must be a Realm's to have a REC: this one is of a plain VM")
        return RecView(self._owner.platform, inspector_of(self._owner), self._vcpu.rec)

    @property
    def exits(self) -> dict[str, int]:
        """REC exits by reason."""
        return {reason.name: self._vcpu.exits[reason] for reason in RecExitReason if self._vcpu.exits[reason]}

    @shows_closed
    def __repr__(self) -> str:
        if not self.on:
            return f"<Vcpu {self.index}: off>"
        cpu = self.cpu
        if cpu is None:
            where = "its REC is not entered" if isinstance(self._vcpu, Rec) else "not in its guest"
            return f"<Vcpu {self.index}: on, {where}>"
        place = self._symbols.describe(cpu.pc)
        return f"<Vcpu {self.index}: EL{cpu.el} on PE {cpu.index}, pc {place}>"
