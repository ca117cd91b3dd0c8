"""How a run of Non-secure software ended: what stopped the machine, and what that means to a command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cca_arch.types import SecurityState
from cca_platform.machine.machine import Machine as Platform

from .console import SEEN, Watch

__all__ = ["INTERRUPTED", "LIMIT", "RESET", "NsResult", "judge"]

RESET: Final = "system reset"
LIMIT: Final = "limit"
INTERRUPTED: Final = "interrupted"
_ENDS: Final = {
    "system off": (0, "system_off"),
    RESET: (0, "system_reset"),
    SEEN: (0, "until"),
    "every PE": (3, "idle"),
    LIMIT: (4, "limit"),
    INTERRUPTED: (130, INTERRUPTED),
}
"""How the reason begins for which a machine stopped -> exit status, reason of the run."""
_FAILED: Final = (3, "failed")


@dataclass(slots=True, kw_only=True)
class NsResult:
    """How a run of Non-secure software ended, and what it took.

    ``status`` is the exit status that a command should have: 0 turned off, or ``until`` appeared; 1 a console showed
    what it must not, or did not show what it must; 3 failed; 4 instruction limit, or too many resets; 130 interrupted.
    ``reason`` is ``until``, ``rejected``, ``system_off``, ``system_reset``, ``idle``, ``stuck`` (exceptions without
    end), ``failed``, ``limit`` or ``interrupted``; ``message`` explains all but a plain end in one line, else it is
    empty.
    """

    status: int
    reason: str
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


def judge(platform: Platform, end: str, watch: Watch, max_resets: int) -> tuple[int, str, str]:
    """(status, reason, message) of a run that stopped for the reason ``end``."""
    if watch.rejected:
        return 1, "rejected", watch.rejected
    status, reason = next((row for start, row in _ENDS.items() if end.startswith(start)), _FAILED)
    stuck = [pe.index for pe in platform.pes if pe.on and pe.stuck]
    messages = [] if status == 0 else [f"{end}: {_where(platform)}"]
    if reason == "idle" and stuck:
        reason = "stuck"
        messages = [f"PE {stuck[0]} takes exceptions without end, are its vectors in place? {_where(platform)}"]
    elif reason == "system_reset" and max_resets:
        status, reason = 4, "limit"
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
