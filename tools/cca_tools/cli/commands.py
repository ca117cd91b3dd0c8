"""All commands, for typer."""

from collections.abc import Sequence
from typing import Any, Final

import typer
from typer.exceptions import Abort, TyperException

from cca_tools.cli import attest, bench, inspect, linux, lkvm, measure, payloads, projects, run_command, trace, version
from cca_tools.cli.help import call
from cca_tools.cli.output import INTERRUPTED, USAGE, out, quietly, say

__all__ = ["app", "run"]

app: Final = typer.Typer(
    name="realmlab",
    help="Run, trace and measure Realm payloads on the software stack of Arm CCA.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for _command in (
    run_command.run, linux.linux, projects.new, projects.build, projects.sdk, payloads.payloads, inspect.inspect,
    bench.bench, version.version,
):  # fmt: skip
    app.command()(_command)
app.add_typer(trace.app, name="trace")
app.add_typer(lkvm.app, name="lkvm")
app.add_typer(measure.app, name="measure")
app.add_typer(attest.app, name="attest")


def _remedy(error: Any) -> str:
    """What to do about an error of usage."""
    path = error.ctx.command_path if getattr(error, "ctx", None) else "realmlab"
    if type(error).__name__ == "NoSuchOption" and not error.possibilities and path.endswith(" run"):
        return f"see {path} --help, and give arguments of the payload after --"
    return f"see {path} --help"


def run(argv: Sequence[str] | None) -> int:
    """Run the command that ``argv`` names; what is wrong with the line itself is said here."""
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
    except Abort:
        say("interrupted")
        return INTERRUPTED
