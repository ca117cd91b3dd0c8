"""Why a machine runs no code any more: kinds, for whoever decides what to do next. The text says more, for people."""

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
    """It cannot go on."""
    PAUSED = "paused"
    """Somebody wants to look, and will let it go on."""
