"""The command ``realmlab``. Exit status: the payload's own; 2 bad input; 3 the guest failed; 4 limit; 130 Ctrl-C.

What a command needs is imported inside it: the start of the process is part of every run.
"""

import gc
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.exceptions import Abort, TyperException

from cca_platform.errors import MachineError
from cca_tools import options as o
from cca_tools.attest_cli import app as attest_app

if TYPE_CHECKING:
    from cca_platform.trace.trace import Trace
    from cca_tools.summary import Outcome

__all__ = ["app", "main"]

USAGE, INTERRUPTED = 2, 130

app = typer.Typer(
    name="realmlab",
    help="Run, trace and measure Realm payloads on the software stack of Arm CCA.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
trace_app = typer.Typer(help="Look at trace files.", no_args_is_help=True)
app.add_typer(trace_app, name="trace")
app.add_typer(attest_app, name="attest")


def _say(message: str) -> None:
    """One line on stderr."""
    print("realmlab: " + " ".join(message.split()), file=sys.stderr)


def _write(data: bytes) -> None:
    """Guest output to stdout, at once; a reader that went away (``| head``) does not end the run."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_trace(path: str | None) -> "Trace":
    from cca_platform.trace.trace import Trace

    if path is None:
        return Trace()
    from cca_platform.trace.sinks import Console, JsonLines

    return Trace(Console(sys.stderr) if path == "-" else JsonLines(path))


@app.command()
def run(
    ctx: typer.Context,
    payload: o.Payload,
    args: o.Arguments = None,
    world: o.Where = o.World.REALM,
    board: o.BoardName = "fvp",
    trace: o.TraceFile = None,
    clock: o.ClockMode = o.Clock.VIRTUAL,
    max_insns: o.MaxInsns = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    vcpus: o.Vcpus = 1,
    memory: o.Ram = "64M",
    hash_algo: o.Measure = o.HashAlgo.SHA256,
    el: o.El = 2,
    entry: o.Entry = None,
    secure: o.Secure = None,
    until: o.Until = None,
    expect: o.Expect = None,
    reject: o.Reject = None,
    uart: o.Uart = None,
    nonvolatile: o.Nonvolatile = None,
    no_reset: o.NoReset = False,
    max_resets: o.MaxResets = 16,
) -> int:
    """Run a payload: its output, then a summary on stderr.

    The exit status is the payload's; 2: bad input; 3: the guest failed; 4: instruction limit; 130: interrupted. With
    --world ns-el2 it is 0 when the system is turned off, reset with --no-reset, or --until appears; 1 when a console
    did not show what --until or --expect wants, or showed what --reject does not want; 4 for too many resets, too.

    [bold]realmlab run hello[/bold]

    [bold]realmlab run ./kernel.elf --vcpus 2 --memory 128M --trace run.jsonl -- console=hvc0[/bold]

    [bold]realmlab run --world ns-el2 tests.elf data.bin@0x90000000 --expect "0 failed" --timeout-insns 100000000[/bold]
    """
    for name in (name for other, names in o.ONLY.items() if other != world for name in names):
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise MachineError(f"--{name.replace('_', '-')} must not be given with --world {world}: see --help")
    stream = _open_trace(trace)
    lost = False
    outcome: Outcome
    try:
        if world is o.World.REALM:
            from cca_tools.realm_run import run_in_realm

            outcome = run_in_realm(
                payload,
                (board, stream, clock.value),
                None if as_json else _write,
                vcpus=vcpus,
                memory=memory,
                args=args or (),
                hash_algo=hash_algo.value,
                max_insns=max_insns,
            )
        else:
            from cca_tools.ns_run import run_images

            outcome = run_images(
                [payload, *(args or ())],
                (board, stream, clock.value),
                None if as_json else _write,
                el=el,
                entry=entry,
                secure=secure,
                nonvolatile=nonvolatile or (),
                uart=uart or (),
                until=until,
                expect=expect or (),
                reject=reject or (),
                max_insns=max_insns,
                max_resets=0 if no_reset else max_resets,
            )
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    finally:
        try:
            stream.close()
        except MachineError as error:
            lost = True
            _say(str(error))
    from cca_tools import summary

    if as_json:
        told = None if trace is None else {"path": trace, "events": stream.seq}
        print(json.dumps({**outcome.facts, "trace": told}, indent=2))
    if outcome.message:
        _say(outcome.message)
    if not quiet and not as_json:
        events = [] if trace in (None, "-") else [("trace", f"{trace}: {stream.seq:,} events")]
        summary.show([*outcome.rows, *events])
    return USAGE if lost else outcome.status


@app.command()
def bench(
    rows: Annotated[str, typer.Option(metavar="NAME,...", help="Only the rows whose name contains this.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Measure the paths that have a bound, and print measured, must, aim and verdict."""
    from cca_tools.bench import measure, table

    measured = measure([name.strip() for name in rows.split(",") if name.strip()])
    if as_json:
        print(json.dumps([row.as_json() for row in measured], indent=2))
    else:
        table(measured)
    return 0


@app.command()
def version(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> int:
    """Print the version, and those of the specifications and engines."""
    from importlib.metadata import version as installed

    from realmlab.version import SPECIFICATIONS, __version__

    engines = {name: installed(name) for name in ("unicorn", "numba")}
    python = ".".join(map(str, sys.version_info[:3]))
    if as_json:
        known = {"realmlab": __version__, "python": python, "engines": engines, "specifications": SPECIFICATIONS}
        print(json.dumps(known, indent=2))
        return 0
    print(f"realmlab {__version__}")
    for name, value in {**SPECIFICATIONS, **engines, "python": python}.items():
        print(f"  {name:<13} {value}")
    return 0


@app.command()
def payloads() -> int:
    """List the payloads that come along."""
    from realmlab.payloads import payload_names

    print("\n".join(payload_names()))
    return 0


@app.command()
def inspect(
    payload: Annotated[
        str, typer.Argument(help="An ELF file, or the name of a payload.", autocompletion=o.payload_completion)
    ],
    repair: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a copy with headers that hold together.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Show what is inside an ELF payload: entry, sections, symbols."""
    from cca_tools.inspection import inspect as show
    from realmlab.payloads import find_payload

    show(find_payload(payload), as_json, repair)
    return 0


@trace_app.command("show")
def trace_show(
    file: Annotated[Path, typer.Argument(help="A trace file.")],
    event: Annotated[str, typer.Option(metavar="NAME", help="Only events whose name starts so, such as rmi.")] = "",
) -> int:
    """Show a trace file for people, in colour on a terminal."""
    from cca_tools.traces import show

    show(file, sys.stdout, event)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command line ``argv``; the exit status. A user's mistake is one line on stderr and status 2."""
    gc.disable()  # modules are no garbage: to look for it while they load takes 0.15 s
    try:
        return int(app(argv, prog_name="realmlab", standalone_mode=False) or 0)
    except TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            return USAGE
        _say(f"{error.format_message().rstrip('.')}: see realmlab --help")
        return error.exit_code
    except MachineError as error:
        _say(str(error))
        return USAGE
    except (KeyboardInterrupt, Abort):
        _say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        gc.enable()
