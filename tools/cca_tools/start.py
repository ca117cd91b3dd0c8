"""The start of every command: until its modules are loaded, a signal ends the process with one line.

Nothing is imported here that takes time. Later on, SIGTERM (``kill``, a container that stops) and SIGHUP (a terminal
that closes) are what Ctrl-C is: the run ends in order, with its summary and the whole trace. The exit status is 128 and
the number of the signal.
"""

import os
import signal
import sys
from types import FrameType
from typing import Final

__all__ = ["main"]

_INTERRUPTED: Final = 128
_OTHERS: Final = (signal.SIGTERM, signal.SIGHUP)


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once: there is nothing to finish yet."""
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"realmlab: interrupted\n")
    os._exit(_INTERRUPTED + number)


def _open_streams() -> None:
    """Streams that take every text.

    What was closed before the start is a stream that nobody reads; no file of a run may take its number. What an
    encoding cannot show is an escape.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is not None:
            if number:
                stream.reconfigure(errors="backslashreplace")
            continue
        nowhere = os.open(os.devnull, os.O_RDWR)
        setattr(sys, name, os.fdopen(nowhere, "r" if number == 0 else "w", encoding="utf-8"))


def main() -> int:
    """Run the command line and return the exit status."""
    _open_streams()
    heeded = [one for one in (signal.SIGINT, *_OTHERS) if signal.getsignal(one) is not signal.SIG_IGN]  # nohup
    for one in heeded:
        signal.signal(one, _leave)
    import threading

    from cca_tools import cli
    from cca_tools.cli.output import report

    sys.excepthook = report
    threading.excepthook = lambda told: report(told.exc_type, told.exc_value, told.exc_traceback)
    sys.unraisablehook = lambda told: report(told.exc_type, told.exc_value, told.exc_traceback)

    came: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        came.append(number)
        handle = signal.getsignal(signal.SIGINT)
        if handle is not interrupt and callable(handle):  # a run has its own way to end
            handle(number, frame)
        else:
            raise cli.Interrupted

    for one in heeded:
        signal.signal(one, interrupt)
    try:
        status = cli.main()
    except cli.Interrupted:  # while the last lines were written
        status = cli.INTERRUPTED
    for one in heeded:
        signal.signal(one, signal.SIG_IGN)  # everything is done and said
    return _INTERRUPTED + came[0] if came and status == cli.INTERRUPTED else status
