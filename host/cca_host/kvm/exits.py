"""The exits of a vCPU to the VMM: one small record per reason."""

from enum import StrEnum

from msgspec import Struct

__all__ = [
    "CpuOff",
    "Exit",
    "Failure",
    "HostCall",
    "Idle",
    "Interrupted",
    "MemoryFault",
    "Mmio",
    "Paused",
    "SystemEvent",
    "SystemEventKind",
    "Yield",
]


class SystemEventKind(StrEnum):
    """How a Realm turned itself off."""

    OFF = "off"
    RESET = "reset"


class Mmio(Struct):
    """An access to an unprotected IPA without memory; ``ipa`` is without the shared bit. See ``Vcpu.mmio_result``."""

    ipa: int
    size: int
    write: bool
    value: int


class HostCall(Struct):
    """RSI_HOST_CALL. ``Vcpu.host_call_result`` takes the result."""

    imm: int
    gprs: list[int]


class MemoryFault(Struct):
    """The Realm wants memory from ``base`` on to be private, or shared, and it is for the VMM to convert it."""

    base: int
    size: int
    private: bool


class SystemEvent(Struct):
    """The Realm turned itself off."""

    kind: SystemEventKind


class Idle(Struct):
    """The vCPU waits for an interrupt; ``deadline`` is the clock value of its next timer, or None."""

    deadline: int | None


class Yield(Struct):
    """The vCPU waits for an event from another vCPU."""


class CpuOff(Struct):
    """The vCPU turned itself off with PSCI CPU_OFF."""


class Interrupted(Struct):
    """The time slice ended, or another physical interrupt arrived."""


class Paused(Struct):
    """No exit: the run has reached its limit; the next run resumes it."""


class Failure(Struct):
    """Something that the host cannot handle, described in one line."""

    message: str


Exit = Mmio | HostCall | MemoryFault | SystemEvent | Idle | Yield | CpuOff | Interrupted | Paused | Failure
