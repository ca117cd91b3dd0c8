"""The exits of a vCPU to the VMM: one small record per reason."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "CpuOff",
    "Exit",
    "Failure",
    "HostCall",
    "Idle",
    "Interrupted",
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


@dataclass(slots=True)
class Mmio:
    """An access to an unprotected IPA without memory; ``ipa`` is without the shared bit. See ``Vcpu.mmio_result``."""

    ipa: int
    size: int
    write: bool
    value: int


@dataclass(slots=True)
class HostCall:
    """RSI_HOST_CALL. ``Vcpu.host_call_result`` takes the result."""

    imm: int
    gprs: list[int]


@dataclass(slots=True)
class SystemEvent:
    """The Realm turned itself off."""

    kind: SystemEventKind


@dataclass(slots=True)
class Idle:
    """The vCPU waits for an interrupt; ``deadline`` is the clock value of its next timer, or None."""

    deadline: int | None


@dataclass(slots=True)
class Yield:
    """The vCPU waits for an event from another vCPU."""


@dataclass(slots=True)
class CpuOff:
    """The vCPU turned itself off with PSCI CPU_OFF."""


@dataclass(slots=True)
class Interrupted:
    """The time slice ended, or another physical interrupt arrived."""


@dataclass(slots=True)
class Paused:
    """No exit: the run has reached its limit; the next run resumes it."""


@dataclass(slots=True)
class Failure:
    """Something that the host cannot handle, described in one line."""

    message: str


Exit = Mmio | HostCall | SystemEvent | Idle | Yield | CpuOff | Interrupted | Paused | Failure
