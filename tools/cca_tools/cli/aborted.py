"""The end of a run when the engine gives up: it calls abort(), from where no Python code goes on.

Unicorn's model ``max`` does so when it translates an unallocated instruction of half precision, which any software can
contain. What the command has to say is said all the same, before the process ends: the trace is whole, and the status
is that of a guest that failed.
"""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from cca_tools.cli.keyboard import restore
from cca_tools.cli.output import FAILED, finish, say

__all__ = ["until_aborted"]

_HANDLER: Final = ctypes.CFUNCTYPE(None, ctypes.c_int)
_MESSAGE: Final = (
    "the engine cannot translate what the software executes, and the run ends here: with --cpu max, an unallocated "
    "instruction of half precision does this; give --cpu a72, or take out the instruction"
)


@contextmanager
def until_aborted(close: Callable[[], object]) -> Iterator[None]:
    """A block in which abort() ends the process with a message, after ``close`` and after everything is written."""

    def end(number: int) -> None:
        restore()
        with suppress(Exception):
            close()
        say(_MESSAGE)
        status = finish(FAILED)
        os._exit(status)

    handler = _HANDLER(end)
    change = ctypes.CDLL(None).signal  # Python's own runs a handler later, and there is no later
    change.restype, change.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_void_p)
    before = change(signal.SIGABRT, ctypes.cast(handler, ctypes.c_void_p))
    try:
        yield
    finally:
        change(signal.SIGABRT, before)
