"""The output of commands: messages on stderr, guest output on stdout, and the exit statuses."""

import os
import sys
from typing import Annotated, Final

import typer

from realmlab.options import spelled

__all__ = ["INTERNAL", "INTERRUPTED", "USAGE", "Json", "say", "write"]

USAGE: Final = 2
INTERNAL: Final = 70
INTERRUPTED: Final = 130

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def say(message: str) -> None:
    """Print one line on stderr; API parameters that it names become command-line options."""
    print("realmlab: " + " ".join(spelled(message).split()), file=sys.stderr)


def write(data: bytes) -> None:
    """Write guest output to stdout at once. A closed pipe (``| head``) does not end the run."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
