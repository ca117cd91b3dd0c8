"""Tools that build: run, with what they say shown as it is."""

import subprocess
from pathlib import Path

from cca_platform.errors import MachineError

__all__ = ["BuildError", "run_tool"]


class BuildError(MachineError):
    """A tool failed; what it printed has been shown."""


def run_tool(what: str, *command: str, cwd: Path | None = None) -> None:
    """Run a tool on ``what``; its output goes to stderr. Raises BuildError with its status if it fails."""
    try:
        done = subprocess.run(command, cwd=cwd, stdout=2, check=False)
    except OSError as error:
        raise MachineError(f"{command[0]} cannot be run: {error.strerror}") from None
    if done.returncode:
        raise BuildError(f"{what} does not build: {Path(command[0]).name} ended with status {done.returncode}")
