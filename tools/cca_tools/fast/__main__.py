"""``python -m cca_tools.fast`` builds what ``make fast`` gives, unless it is there already."""

import argparse
import fcntl
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from cca_platform import tier
from cca_platform.errors import MachineError
from cca_tools.cli.output import out, say
from cca_tools.fast import engine, modules

__all__ = ["main"]


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Build what is missing or out of date; the process's status."""
    parser = argparse.ArgumentParser(prog="python -m cca_tools.fast", description=__doc__)
    parser.add_argument("--force", action="store_true", help="build anew what is there")
    given = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _stop)
    try:
        return _build(given.force)
    except MachineError as error:
        say(str(error))
        return 1
    except OSError as error:
        say(f"make fast: {error}; nothing was changed")
        return 1
    except KeyboardInterrupt:
        say("interrupted; nothing was changed")
        return 130


def _build(force: bool) -> int:
    folder = tier.folder()
    if folder is None:
        raise MachineError(f"{tier.VARIABLE} must name a folder or be unset for make fast, not empty")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another one may be at it: then there is nothing left to do
        done = engine.build(folder / "engine", force)
        page = out()
        page.line(f"the engine is in {os.path.relpath(folder)}: " + ("built" if done else "nothing to do"))
        page.line(f"the hot modules: {modules.build(folder / 'compiled', force)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
