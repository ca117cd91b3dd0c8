"""How runs end: the reasons, and the results of runs."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from cca_arch.types import SecurityState
from cca_host.kvmtool.options import RunResult
from cca_platform.failure import Failure
from cca_platform.halt import Halt
from cca_platform.machine.machine import Machine as Platform
from cca_platform.printable import printable

from .console import Watch

__all__ = ["FAILED", "End", "NsResult", "Progress", "Reason", "judge", "not_shown", "published", "where"]


class Reason(StrEnum):
    """Why a run ended or paused. After ``UNTIL`` and the members below it, the next run continues from there."""

    EXIT = "exit"
    """The Realm returned an exit status."""
    SYSTEM_OFF = "system_off"
    SYSTEM_RESET = "system_reset"
    REJECTED = "rejected"
    """A console showed a rejected pattern."""
    IDLE = "idle"
    """Every PE waits for an interrupt that cannot come."""
    STUCK = "stuck"
    """An endless series of exceptions."""
    FAILED = "failed"
    DESTROYED = "destroyed"
    """The Realm was destroyed before its end."""
    UNTIL = "until"
    """The run reached its ``until`` condition."""
    BREAKPOINT = "breakpoint"
    """A breakpoint was reached: an address or a trace event."""
    STOPPED = "stopped"
    """A callback or another thread asked for it."""
    LIMIT = "limit"
    """A limit was reached: of instructions, of resets, of wall time."""
    INTERRUPTED = "interrupted"
    """Ctrl-C."""


_REASONS: Final = {
    Halt.OFF: Reason.SYSTEM_OFF,
    Halt.RESET: Reason.SYSTEM_RESET,
    Halt.IDLE: Reason.IDLE,
    Halt.FAILED: Reason.FAILED,
}
FAILED: Final = (Reason.IDLE, Reason.STUCK, Reason.FAILED, Reason.LIMIT)
"""The reasons that are a failure, which a report explains."""
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
"""The exit status for a run of Non-secure software."""


def published(result: RunResult, failure: Failure | None) -> RunResult:
    """A result of the VMM as the API returns it: its reason is a ``Reason``, and a failure is explained."""
    return replace(result, reason=Reason(result.reason.value), failure=failure)


class End(NamedTuple):
    """Why a machine stopped or paused; ``text`` is the readable form."""

    reason: Reason
    text: str

    @classmethod
    def of(cls, halt: Halt, text: str, why: Reason | None) -> "End":
        """Classify why a machine stopped; ``why`` is the reason given when it was paused."""
        return cls(_REASONS.get(halt, why or Reason.STOPPED), text)


class NsResult(Struct, kw_only=True):
    """The result of a run of Non-secure software.

    ``status`` is the exit status for a command: 0 turned off, or ``until`` appeared; 1 a console showed a rejected
    pattern or not an expected one; 3 failed; 4 a limit; 130 interrupted.
    ``message`` explains any other than a normal end in one line, else it is empty.
    """

    status: int
    reason: Reason
    message: str
    failure: Failure | None = None
    """How it began to go wrong, why, and the registers at the end; None for a run that did not fail."""
    consoles: Mapping[str, bytes]
    """What each UART sent, by name: the last 8 MiB of it. ``on_output`` gets all of it."""
    dropped: Mapping[str, int]
    """The bytes that a UART sent before those in ``consoles``, of those that sent more than that."""
    missing: Sequence[str]
    """The expected patterns that no line matched."""
    resets: Sequence[str]
    """The reason of each system reset."""
    unclaimed: Sequence[str]
    """Accesses to devices that the machine lacks: names, or addresses of pages."""
    lacks: str = ""
    """The last instruction of a feature that its PE lacks, and the CPU model that has it; empty if there was none."""
    retired: Sequence[int]
    """Instructions retired by each PE."""
    ticks: int
    """Virtual time, in ticks of the system counter."""
    counter_hz: int
    """Ticks per second of virtual time."""
    wall_seconds: float

    def __post_init__(self) -> None:
        self.message = printable(self.message)

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


class Progress(Struct, frozen=True, kw_only=True):
    """How far a run of a Realm got. A Realm that has ``ended`` cannot run; any other continues with the next run.

    ``status`` is the exit status once it has ended, else None; ``message`` explains any other than a normal end.
    """

    reason: Reason
    status: int | None
    message: str
    failure: Failure | None = None
    """How it began to go wrong, why, and the registers at the end; None for a run that did not fail."""
    console: bytes
    """What the Realm sent during this run: the last 8 MiB of it. ``on_console`` gets all of it."""
    console_dropped: int = 0
    """The bytes that it sent during this run before those in ``console``."""
    instructions: int
    """Instructions that the Realm retired during this run."""
    ticks: int
    """Virtual time of this run, in ticks of the system counter."""

    def __post_init__(self) -> None:
        force_setattr(self, "message", printable(self.message))

    @property
    def ended(self) -> bool:
        """True if the Realm has ended."""
        return self.status is not None

    def __repr__(self) -> str:
        status = "" if self.status is None else f" ({self.status})"
        told = f": {self.message}" if self.message else ""
        return f"<Progress {self.reason}{status}, {self.instructions:,} instructions{told}>"


Verdict = tuple[int, Reason, str, Failure | None]
"""Status, reason and message of a run, and why it failed, if it did."""


def judge(
    platform: Platform, end: End, watch: Watch, max_resets: int, explain: Callable[[Reason, str], Failure]
) -> Verdict:
    """The verdict on a run with this end; ``explain`` reports a failure from its reason and from what has ended it."""
    if watch.rejected:
        return 1, Reason.REJECTED, watch.rejected, None
    reason = end.reason
    status = _STATUS[reason]
    stuck = [pe.index for pe in platform.pes if pe.on and pe.stuck]
    what = "" if status == 0 else end.text
    if reason is Reason.IDLE and stuck:
        reason, what = Reason.STUCK, f"PE {stuck[0]} takes exceptions without end"
    failure = explain(reason, what) if reason in FAILED else None
    if failure is not None and failure.cause:
        messages = [failure.message]
    else:
        messages = [f"{failure.message if failure is not None else what}: {where(platform)}"] if what else []
    if reason is Reason.SYSTEM_RESET and max_resets:
        status, reason = 4, Reason.LIMIT
        messages = [f"the system must be reset at most {max_resets} times: allow more with `max_resets`"]
    if watch.unseen:
        status = status or 1
        messages.append(not_shown(watch))
    return status, reason, "; ".join(messages), failure


def not_shown(watch: Watch) -> str:
    """What a message says of what should have appeared."""
    return f"no console showed {', '.join(map(repr, watch.unseen))}"


def where(platform: Platform) -> str:
    """Where the PEs that are on stand."""
    places = [
        f"PE {pe.index} is at {pe.elr:#x} in {SecurityState(pe.security).name.lower().replace('_', '-')} EL{pe.el}"
        for pe in platform.pes
        if pe.on
    ]
    return ", ".join(places) or "no PE is on"
