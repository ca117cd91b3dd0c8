"""Calls of a level in Python that run code before they complete, for tests that have nothing to do meanwhile."""

from cca_platform.errors import MachineStopped
from cca_platform.pe.pe import Pe

__all__ = ["call"]


def call(pe: Pe, *args: int) -> list[int]:
    """SMC #0 from the level in Python on ``pe``, and all code that it starts: X0..X4, or MachineStopped."""
    pe.start_call(*args)
    while not pe.call_done:
        pe.step()
    if pe.machine.stopped is not None:
        raise MachineStopped(pe.machine.stopped)
    return pe.x[:5].tolist()
