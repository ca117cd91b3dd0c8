"""The output of commands: messages on stderr, guest output on stdout, and the exit statuses.

The reader of the output may stop at any time (``| head``); every command then ends quietly. A stream that fails for
another reason, such as a full disk, causes status 2 and one line.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Final, TextIO

import typer

from cca_platform.printable import printable
from realmlab.options import spelled

__all__ = [
    "INTERNAL",
    "INTERRUPTED",
    "LIMIT",
    "USAGE",
    "Interrupted",
    "Json",
    "finish",
    "lose",
    "quietly",
    "say",
    "write",
]

USAGE: Final = 2
LIMIT: Final = 4
INTERNAL: Final = 70
INTERRUPTED: Final = 130

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


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


def say(message: str) -> None:
    """Print one line on stderr; API parameters that it names become command-line options."""
    with quietly(sys.stderr):
        print("realmlab: " + printable(" ".join(spelled(message).split())), file=sys.stderr)


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
