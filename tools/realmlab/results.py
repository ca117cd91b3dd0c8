"""How runs end: the reasons, and what came of a run of Non-secure software."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from cca_arch.types import SecurityState
from cca_platform.halt import Halt
from cca_platform.machine.machine import Machine as Platform

from .console import Watch

__all__ = ["End", "NsResult", "Progress", "Reason", "judge"]


class Reason(StrEnum):
    """Why a run ended, or paused: after those from ``UNTIL`` on the next run goes on where this one stopped."""

    EXIT = "exit"
    """The Realm gave an exit status."""
    SYSTEM_OFF = "system_off"
    SYSTEM_RESET = "system_reset"
    REJECTED = "rejected"
    """A console showed what it must not."""
    IDLE = "idle"
    """Everything waits for an interrupt that cannot come."""
    STUCK = "stuck"
    """Exceptions without end."""
    FAILED = "failed"
    DESTROYED = "destroyed"
    """The Realm was destroyed before its end."""
    UNTIL = "until"
    """What the run was to go on to was reached."""
    BREAKPOINT = "breakpoint"
    """A breakpoint was reached: an address, or an event of the trace."""
    STOPPED = "stopped"
    """A callback, or whoever else, asked for it."""
    LIMIT = "limit"
    """So many instructions were retired, or there were too many resets."""
    INTERRUPTED = "interrupted"
    """Ctrl-C."""


_REASONS: Final = {
    Halt.OFF: Reason.SYSTEM_OFF,
    Halt.RESET: Reason.SYSTEM_RESET,
    Halt.IDLE: Reason.IDLE,
    Halt.FAILED: Reason.FAILED,
}
_STATUS: Final = {
    Reason.SYSTEM_OFF: 0,
    Reason.SYSTEM_RESET: 0,
    Reason.UNTIL: 0,
    Reason.BREAKPOINT: 0,
    Reason.STOPPED: 0,
    Reason.IDLE: 3,
    Reason.FAILED: 3,
    Reason.LIMIT: 4,
    Reason.INTERRUPTED: 130,
}
"""The exit status that a run of Non-secure software has for it."""


class End(NamedTuple):
    """Why a machine stopped, or paused; ``text`` is for people."""

    reason: Reason
    text: str

    @classmethod
    def of(cls, halt: Halt, text: str, why: Reason | None) -> "End":
        """The end of a machine that stopped so; ``why`` is what somebody wanted who paused it."""
        return cls(_REASONS.get(halt, why or Reason.STOPPED), text)


@dataclass(slots=True, kw_only=True, repr=False)
class NsResult:
    """How a run of Non-secure software ended, and what it took.

    ``status`` is the exit status that a command should have: 0 turned off, or ``until`` appeared; 1 a console showed
    what it must not, or did not show what it must; 3 failed; 4 instruction limit, or too many resets; 130 interrupted.
    ``message`` explains all but a plain end in one line, else it is empty.
    """

    status: int
    reason: Reason
    message: str
    consoles: Mapping[str, bytes]
    """What each UART sent, by its name."""
    missing: Sequence[str]
    """The expected patterns that no line had."""
    resets: Sequence[str]
    """Why the system was reset, each time."""
    unclaimed: Sequence[str]
    """Where the machine was asked for a device and has none: names, or addresses of pages."""
    retired: Sequence[int]
    """Instructions retired by each PE."""
    ticks: int
    """Virtual time, in ticks of the system counter."""
    counter_hz: int
    """Ticks in a second of virtual time."""
    wall_seconds: float

    def __repr__(self) -> str:
        told = f": {self.message}" if self.message else ""
        return f"<NsResult {self.reason} ({self.status}), {self.instructions:,} instructions{told}>"

    @property
    def console(self) -> bytes:
        """What the first UART sent."""
        return next(iter(self.consoles.values()))

    @property
    def instructions(self) -> int:
        """Instructions retired by all PEs."""
        return sum(self.retired)

    @property
    def virtual_seconds(self) -> float:
        """Virtual time of the run."""
        return self.ticks / self.counter_hz


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Progress:
    """How far a run of a Realm came. ``ended`` Realms run no more; all others go on with the next run.

    ``status`` is the exit status once it has ended, else None; ``message`` explains all but a plain end.
    """

    reason: Reason
    status: int | None
    message: str
    console: bytes
    """What the Realm sent during this run."""
    instructions: int
    """Instructions that the Realm retired during this run."""
    ticks: int
    """Virtual time of this run, in ticks of the system counter."""

    @property
    def ended(self) -> bool:
        """Whether the Realm has come to its end."""
        return self.status is not None

    def __repr__(self) -> str:
        status = "" if self.status is None else f" ({self.status})"
        told = f": {self.message}" if self.message else ""
        return f"<Progress {self.reason}{status}, {self.instructions:,} instructions{told}>"


def judge(platform: Platform, end: End, watch: Watch, max_resets: int) -> tuple[int, Reason, str]:
    """(status, reason, message) of a run that came to this end."""
    if watch.rejected:
        return 1, Reason.REJECTED, watch.rejected
    reason = end.reason
    status = _STATUS[reason]
    stuck = [pe.index for pe in platform.pes if pe.on and pe.stuck]
    messages = [] if status == 0 else [f"{end.text}: {_where(platform)}"]
    if reason is Reason.IDLE and stuck:
        reason = Reason.STUCK
        messages = [f"PE {stuck[0]} takes exceptions without end, are its vectors in place? {_where(platform)}"]
    elif reason is Reason.SYSTEM_RESET and max_resets:
        status, reason = 4, Reason.LIMIT
        messages = [f"the system must be reset at most {max_resets} times: allow more with `max_resets`"]
    unseen = [*watch.missing, *([] if watch.until is None or watch.reached else [watch.until])]
    if unseen:
        status = status or 1
        messages.append(f"no console showed {', '.join(map(repr, unseen))}")
    return status, reason, "; ".join(messages)


def _where(platform: Platform) -> str:
    """Where the PEs are that are on."""
    places = [
        f"PE {pe.index} is at {pe.elr:#x} in {SecurityState(pe.security).name.lower().replace('_', '-')} EL{pe.el}"
        for pe in platform.pes
        if pe.on
    ]
    return ", ".join(places) or "no PE is on"
