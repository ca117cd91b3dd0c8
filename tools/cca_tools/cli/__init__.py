"""The command ``realmlab``, a module a command.

Exit status: the payload's own; 2 bad input; 3 the guest failed; 4 limit; 70 internal error; 130 Ctrl-C.

The module :mod:`~cca_tools.cli.commands` has all of them. What a command does not need is not imported, because
start-up time is part of every run: typer is not, for a plain ``run``.
"""

import errno
import gc
import os
import sys
from pathlib import Path

from cca_platform import compiled
from cca_platform.errors import CacheWarning, InternalError, LimitReached, MachineError
from cca_tools.cli.output import (
    INTERNAL,
    INTERRUPTED,
    LIMIT,
    USAGE,
    Interrupted,
    finish,
    lose,
    out,
    quietly,
    say,
    warn_in_lines,
)

__all__ = ["BUNDLE", "INTERRUPTED", "Interrupted", "main"]

BUNDLE = "realmlab-internal-error.json"
"""The file for the bundle of an internal error."""
_COMPLETES = "_REALMLAB_COMPLETE"  # set by the shell that asks what may follow


def keep_bundle(bundle: bytes) -> str:
    """Write the bundle of an internal error to where the command was given; what to tell of it."""
    try:
        Path(BUNDLE).write_bytes(bundle)
    except OSError as error:
        return f"its bundle cannot be written to {BUNDLE}: {error.strerror}"
    return f"its bundle is {BUNDLE}"


def main(argv: list[str] | None = None) -> int:
    """Run the command line ``argv`` and return the exit status. A user error prints one line on stderr; status 2."""
    gc.disable()  # modules are not garbage, and collecting while they load takes 0.15 s
    try:
        if (why := compiled.stale()) and _COMPLETES not in os.environ:
            say(f"the compiled modules are not used: {why}; make fast compiles them anew")
        with warn_in_lines(CacheWarning):
            return finish(_run(argv))
    finally:
        gc.enable()


def _unexpected(error: Exception) -> int:
    """The end of a command by an exception that nobody has expected: a user's device, or a fault of Realmlab."""
    if _COMPLETES in os.environ:  # the shell shows whatever is written now, in the middle of a command line
        return 1
    from cca_platform.devices.kinds import failed_module
    from cca_platform.pe.net import unexpected

    if (failed := failed_module(error)) is not None:
        say(str(failed))
        return USAGE
    internal = unexpected(error)
    say(f"{internal} ({keep_bundle(internal.bundle)})")
    return INTERNAL


def _lost_reader(error: BrokenPipeError) -> None:
    """Nobody reads the rest of the output."""
    with quietly(out().stream):
        raise error from None


def _run(argv: list[str] | None) -> int:
    try:
        if _COMPLETES not in os.environ:
            from cca_tools.cli.plain import plain

            line = plain(sys.argv[1:] if argv is None else argv)
            if line is not None:
                from cca_tools.cli.run import run

                return run(line)
        from cca_tools.cli import commands

        return commands.run(argv)
    except LimitReached as error:
        say(str(error))
        return LIMIT
    except MachineError as error:
        say(str(error))
        return USAGE
    except InternalError as error:
        say(f"{error} ({keep_bundle(error.bundle)})")
        return INTERNAL
    except (KeyboardInterrupt, Interrupted):
        say("interrupted")
        return INTERRUPTED
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):  # typer's way to tell
            if isinstance(end.code, str):
                say(end.code)  # Python would print it as it is
                return 1
            return int(end.code or 0)
        _lost_reader(end.__context__)
        return 0
    except BrokenPipeError as error:
        _lost_reader(error)
        return 0
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            return _unexpected(error)
        lose(error)
        return USAGE
    except Exception as error:
        return _unexpected(error)
