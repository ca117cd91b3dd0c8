"""Ctrl-C while a Realm runs."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["interruptible"]


@contextmanager
def interruptible(interrupt: Callable[[], object]) -> Iterator[None]:
    """Call ``interrupt`` on Ctrl-C, for an orderly end of the run; a second Ctrl-C raises KeyboardInterrupt at once.

    Threads other than the main thread leave signals alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        if seen:
            raise KeyboardInterrupt
        seen = True
        interrupt()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
