"""The command ``realmlab``, a module a command.

Exit status: the payload's own; 2 bad input; 3 the guest failed; 4 limit; 70 internal error; 130 Ctrl-C.

Commands import what they need inside the function, because start-up time is part of every run.
"""

import errno
import gc
import os
from pathlib import Path
from typing import Any

import typer
from typer.exceptions import Abort, TyperException

from cca_platform.errors import CacheWarning, InternalError, LimitReached, MachineError
from cca_tools.cli import attest, bench, inspect, payloads, projects, run, trace, version
from cca_tools.cli.help import call
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

__all__ = ["BUNDLE", "INTERRUPTED", "Interrupted", "app", "main"]

BUNDLE = "realmlab-internal-error.json"
"""The file for the bundle of an internal error."""
_COMPLETES = "_REALMLAB_COMPLETE"  # set by the shell that asks what may follow

app = typer.Typer(
    name="realmlab",
    help="Run, trace and measure Realm payloads on the software stack of Arm CCA.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for _command in (
    run.run, projects.new, projects.build, projects.sdk, payloads.payloads, inspect.inspect, bench.bench,
    version.version,
):  # fmt: skip
    app.command()(_command)
app.add_typer(trace.app, name="trace")
app.add_typer(attest.app, name="attest")


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
        with warn_in_lines(CacheWarning):
            return finish(_run(argv))
    finally:
        gc.enable()


def _remedy(error: Any) -> str:
    """What to do about an error of usage."""
    path = error.ctx.command_path if getattr(error, "ctx", None) else "realmlab"
    if type(error).__name__ == "NoSuchOption" and not error.possibilities and path.endswith(" run"):
        return f"see {path} --help, and give arguments of the payload after --"
    return f"see {path} --help"


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


def _run(argv: list[str] | None) -> int:
    try:
        return int(call(app, argv) or 0)
    except TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            if error.message:  # help that is printed already is not in it
                with quietly(out().stream):
                    out().text(error.message)
            return USAGE
        say(f"{' '.join(error.format_message().split()).rstrip('.')}: {_remedy(error)}")
        return error.exit_code
    except LimitReached as error:
        say(str(error))
        return LIMIT
    except MachineError as error:
        say(str(error))
        return USAGE
    except InternalError as error:
        say(f"{error} ({keep_bundle(error.bundle)})")
        return INTERNAL
    except (KeyboardInterrupt, Interrupted, Abort):
        say("interrupted")
        return INTERRUPTED
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):  # typer's way to tell
            if isinstance(end.code, str):
                say(end.code)  # Python would print it as it is
                return 1
            return int(end.code or 0)
        with quietly(out().stream):
            raise end.__context__ from None
        return 0
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            return _unexpected(error)
        lose(error)
        return USAGE
    except Exception as error:
        return _unexpected(error)
