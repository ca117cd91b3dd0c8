"""Starting Debian's Linux as a user does: by the command, in a process of its own."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

__all__ = ["PROGRAM", "linux", "realmlab", "typed"]

PROGRAM = [sys.executable, "-c", "import sys; from cca_tools.start import main; sys.exit(main())"]
_PATIENCE = 240.0  # seconds, on a busy machine
_PART = 4096


def realmlab(*words: str, text: bytes = b"", folder: Path | None = None) -> "subprocess.CompletedProcess[bytes]":
    """What the command does with these words, and ``text`` on stdin."""
    return subprocess.run(
        [*PROGRAM, *words], input=text, capture_output=True, timeout=_PATIENCE, check=False, cwd=folder
    )


def linux(*words: str, text: bytes = b"") -> tuple[int, str, str]:
    """Status, stdout and stderr of ``realmlab linux`` with these words."""
    done = realmlab("linux", "-q", *words, text=text)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def typed(words: Sequence[str], answers: Sequence[tuple[str, bytes]]) -> tuple[int, str]:
    """Status and screen of the command at a terminal, where each text is typed when a pattern has been shown."""
    child, screen = pty.fork()
    if child == 0:
        os.execvp(PROGRAM[0], [*PROGRAM, *words])
    shown, seen, waiting, until = b"", 0, list(answers), time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if select.select([screen], [], [], 1)[0]:
            try:
                data = os.read(screen, _PART)
            except OSError:  # the end, on Linux
                break
            if not data:
                break
            shown += data
        if waiting and (found := re.search(waiting[0][0].encode(), shown[seen:])):
            seen += found.end()
            os.write(screen, waiting.pop(0)[1])
    _, status = os.waitpid(child, 0)
    os.close(screen)
    return os.waitstatus_to_exitcode(status), shown.decode(errors="replace")
