"""The door for all output of commands: text on stdout, messages on stderr, what guests send, and the exit statuses.

Commands print by :func:`out` and :func:`say` alone: both show text of strangers, and never let a terminal obey it. What
a console sends goes through :func:`write` as it is, for that is what a console is for.

The reader of the output may stop at any time (``| head``); every command then ends quietly. A stream that fails for
another reason, such as a full disk, causes status 2 and one line.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final, TextIO

from cca_platform.printable import printable
from cca_platform.printer import Printer
from realmlab.options import spelled

__all__ = [
    "FAILED",
    "INTERNAL",
    "INTERRUPTED",
    "LIMIT",
    "USAGE",
    "Interrupted",
    "err",
    "finish",
    "lose",
    "murmur",
    "out",
    "progress",
    "quietly",
    "report",
    "say",
    "terminal",
    "warn_in_lines",
    "write",
]

USAGE: Final = 2
FAILED: Final = 3
LIMIT: Final = 4
INTERNAL: Final = 70
INTERRUPTED: Final = 130
_LONGEST: Final = 2000  # characters of a message


class Interrupted(BaseException):
    """Ctrl-C, or a signal like it. Typer would make an exit status of KeyboardInterrupt, without a word."""


_lost: list[str] = []  # why stdout is incomplete


def _discard(stream: TextIO) -> None:
    """Send what is left, and whatever follows, to nowhere."""
    with suppress(OSError, ValueError):  # a stream without a file, as in tests
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextmanager
def quietly(stream: TextIO | None) -> Iterator[None]:
    """A block that writes to ``stream`` and ends without an error if the reader closes it."""
    try:
        yield
        if stream is not None:
            stream.flush()
    except BrokenPipeError:
        if stream is not None:
            _discard(stream)


def out() -> Printer:
    """The printer of stdout."""
    return Printer(sys.stdout)


def err() -> Printer:
    """The printer of stderr, for what is no message: a trace, a summary."""
    return Printer(sys.stderr)


def say(message: str) -> None:
    """Print one line on stderr; API parameters that it names become command-line options.

    Of a very long one, such as a file name of 4,000 letters, the middle is left out.
    """
    text = printable(spelled(message))
    if len(text) > _LONGEST:
        half = _LONGEST // 2
        text = f"{text[:half]} [... {len(text) - 2 * half:,} more characters ...] {text[-half:]}"
    with quietly(sys.stderr):
        err().line("realmlab: ", text)


@contextmanager
def warn_in_lines(own: type[Warning]) -> Iterator[None]:
    """A block whose warnings are lines on stderr: of the class ``own`` the message, of others also place and class."""

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int,
        file: TextIO | None = None, line: str | None = None,
    ) -> None:  # fmt: skip
        ours = issubclass(category, own)
        say(str(message) if ours else f"{category.__name__}: {message} ({filename}, line {lineno})")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def report(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """Print the traceback of an error that nobody expects, whose text may be of strangers: for ``sys.excepthook``."""
    import traceback

    with quietly(sys.stderr):
        for part in traceback.format_exception(kind, error, trace):
            err().text(part)


def progress() -> Callable[[str], None]:
    """A function for what is being done: on a line of stderr that goes away with ""; nothing if nobody looks there."""
    page = err()
    if not (page.terminal and page.colour):
        return lambda what: None

    shown = ""

    def tell(what: str) -> None:
        nonlocal shown
        if what != shown:
            with quietly(page.stream):
                page.status(what)
            shown = what

    return tell


def write(data: bytes) -> None:
    """Write guest output to stdout at once. A stdout that takes no more does not end the run."""
    if sys.stdout is None:  # closed before the start
        return
    try:
        with quietly(sys.stdout):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
    except OSError as error:
        lose(error)


def terminal() -> bool | None:
    """True if somebody sits at stdin, None if there is none."""
    return None if sys.stdin is None or sys.stdin.closed else sys.stdin.isatty()


def murmur(data: bytes) -> None:
    """Write guest output that is not the answer, such as that of a boot, to stderr at once, if that can be."""
    stream = getattr(sys.stderr, "buffer", None)
    if stream is not None:
        with suppress(OSError), quietly(sys.stderr):
            sys.stderr.flush()
            stream.write(data)
            stream.flush()


def lose(error: OSError) -> None:
    """Stdout takes no more: ``finish`` will say so."""
    _lost.append(error.strerror or str(error))
    _discard(sys.stdout)


def finish(status: int) -> int:
    """Bring everything to stdout; returns the exit status."""
    if sys.stdout is not None:
        try:
            with quietly(sys.stdout):
                pass
        except OSError as error:
            lose(error)
    if _lost:
        say(f"stdout must take the whole output ({_lost[0]}): free some space or write elsewhere")
        _lost.clear()
        return USAGE
    return status
