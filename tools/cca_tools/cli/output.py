"""How commands speak: lines for the user on stderr, guest output on stdout, and the exit statuses."""

import os
import sys
from typing import Annotated, Final

import typer

from realmlab.options import spelled

__all__ = ["INTERRUPTED", "USAGE", "Json", "say", "write"]

USAGE: Final = 2
INTERRUPTED: Final = 130

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def say(message: str) -> None:
    """One line on stderr; parameters of the API that it names become options."""
    print("realmlab: " + " ".join(spelled(message).split()), file=sys.stderr)


def write(data: bytes) -> None:
    """Guest output to stdout, at once; a reader that went away (``| head``) does not end the run."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
