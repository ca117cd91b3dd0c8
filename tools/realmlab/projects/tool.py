"""Tools that build: run, with what they say shown line by line."""

import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cca_platform.errors import MachineError
from cca_platform.printer import Printer

__all__ = ["BuildError", "run_tool"]


class BuildError(MachineError):
    """A tool failed; what it printed has been shown."""


def run_tool(what: str, *command: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> None:
    """Run a tool on ``what``; its lines go to stderr, printable: they quote sources, which may be of strangers.

    Raises BuildError with its status if it fails.
    """
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    except OSError as error:
        raise MachineError(f"{command[0]} cannot be run: {error.strerror}") from None
    said = done.stdout.decode(errors="surrogateescape").expandtabs()
    if said:
        with suppress(BrokenPipeError):
            Printer(sys.stderr).text(said)
    if done.returncode:
        raise BuildError(f"{what} does not build: {Path(command[0]).name} ended with status {done.returncode}")
