"""Why a machine has stopped: kinds for programs that decide what to do next. The text is for people."""

from enum import StrEnum

__all__ = ["Halt"]


class Halt(StrEnum):
    """What has stopped a machine."""

    OFF = "off"
    """Software turned the system off."""
    RESET = "reset"
    """Software or a watchdog asked for a reset of the system."""
    IDLE = "idle"
    """Every PE is off, or waits for an interrupt that cannot come."""
    FAILED = "failed"
    """The machine cannot continue."""
    PAUSED = "paused"
    """The run is paused and can be resumed."""
