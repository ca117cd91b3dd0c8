"""The calls of a PE's software that were refused last: a report of a failure tells them, as software may not look.

Noted by whoever answers a call: the root monitor, the RMM, the host.
"""

from typing import Final, NamedTuple, Protocol

__all__ = ["Refused", "refuse"]

_KEPT: Final = 4


class Refused(NamedTuple):
    """A call that was answered with an error. ``pc`` is its instruction, 0 if whoever answers does not see it.

    ``security`` is the state of the caller; ``name`` is empty for a function that nobody knows; ``why`` is the failure
    condition of the specification, if one says more than the status.
    """

    security: int
    pc: int
    fid: int
    name: str
    status: str
    why: str = ""


class Caller(Protocol):
    """A PE."""

    refused: tuple[Refused, ...]


def refuse(pe: Caller, call: Refused) -> None:
    """Note a refused call; the same one again and again counts as one."""
    if not pe.refused or pe.refused[-1] != call:
        pe.refused = (*pe.refused[1 - _KEPT :], call)
