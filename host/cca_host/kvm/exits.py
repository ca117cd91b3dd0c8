"""Why a vCPU came back to the VMM: one small record for each reason."""

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
    """An access to an unprotected IPA without memory, in ``ipa`` without the shared bit: see ``Vcpu.mmio_result``."""

    ipa: int
    size: int
    write: bool
    value: int


@dataclass(slots=True)
class HostCall:
    """RSI_HOST_CALL; the answer goes in by ``Vcpu.host_call_result``."""

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
    """The vCPU waits for an event of another one."""


@dataclass(slots=True)
class CpuOff:
    """The vCPU turned itself off by PSCI CPU_OFF."""


@dataclass(slots=True)
class Interrupted:
    """The time slice is over, or another physical interrupt came."""


@dataclass(slots=True)
class Paused:
    """No exit: the run has reached its limit, and goes on with the next one."""


@dataclass(slots=True)
class Failure:
    """Something that the host cannot repair, in one line."""

    message: str


Exit = Mmio | HostCall | SystemEvent | Idle | Yield | CpuOff | Interrupted | Paused | Failure
