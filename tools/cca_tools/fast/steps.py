"""The steps of a build: programs that run with a line of progress, and end in order whatever happens."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from cca_platform.errors import MachineError
from cca_tools.cli.output import err, out, progress

__all__ = ["Steps", "room"]

_COUNTED: Final = re.compile(r"\[(\d+)/(\d+)\]")
_TAIL: Final = 15  # lines of a program that has failed
_PART: Final = 10  # percent, from which to which a line is written where no terminal is


class Steps:
    """Runs one step after the other; everything that they write goes to ``log``."""

    def __init__(self, log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        self._environment = environment
        self._page, self._status = out(), progress()
        self._terminal = err().terminal and err().colour

    def say(self, text: str, more: bool = False) -> None:
        """Show a line; with ``more``, a terminal writes the next one over it."""
        if self._terminal:
            self._status(text if more else "")
        if not (more and self._terminal):
            self._page.line(text)
            self._page.flush()

    def run(self, what: str, *command: str, cwd: Path | None = None) -> None:
        """Run a program to its end. ``what`` says what it does, to people; its failure is a ``MachineError``."""
        self.say(f"{what} ...", more=True)
        process = subprocess.Popen(
            command, cwd=cwd, env=dict(self._environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace", start_new_session=True,
        )  # fmt: skip
        with process:
            try:
                last = self._follow(what, process)
                status = process.wait()
            except BaseException:
                _end(process)
                raise
        if status:
            raise MachineError(self._failure(what, status, last))
        self.say(f"{what}: done")

    def _follow(self, what: str, process: "subprocess.Popen[str]") -> list[str]:
        """Read what the program writes; its last lines."""
        last: list[str] = []
        shown = 0
        assert process.stdout is not None
        with self._log.open("a", encoding="utf-8") as log:
            for line in process.stdout:
                log.write(line)
                last = [*last[1 - _TAIL :], line.rstrip()]
                counted = _COUNTED.match(line)
                if counted is None:
                    continue
                done, whole = map(int, counted.groups())
                part = 100 * done // whole
                if self._terminal or part >= shown + _PART:
                    shown = part
                    self.say(f"{what}: {done} of {whole}", more=True)
        return last

    def _failure(self, what: str, status: int, last: Sequence[str]) -> str:
        self.say(f"{what}: failed")
        err().lines(last)
        text = "\n".join(last)
        if "No space left" in text or "ENOSPC" in text or "NoSpaceLeft" in text:
            return f"{what}: there is no space left in {self._log.parent}; TMPDIR names another place"
        if what.startswith("fetch"):
            return f"{what}: not possible; the lines above are pip's. It needs the network once, or PIP_FIND_LINKS"
        return f"{what}: status {status}; the lines above are the program's last"


def _end(process: "subprocess.Popen[str]") -> None:
    """End a program and all that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def room(place: Path, needed: int) -> None:
    """There must be ``needed`` bytes free in ``place``."""
    free = shutil.disk_usage(place).free
    if free < needed:
        raise MachineError(
            f"make fast needs {needed >> 20} MiB of free space in {place}, not {free >> 20}: TMPDIR names another place"
        )
