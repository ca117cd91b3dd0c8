"""The command ``realmlab``. Exit status: the payload's own; 2 bad input; 3 the guest failed; 4 limit; 130 Ctrl-C.

What a command needs is imported inside it: the start of the process is part of every run.
"""

import gc
import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.exceptions import Abort, TyperException

from cca_platform.types import MachineError
from cca_tools.attest_cli import app as attest_app

if TYPE_CHECKING:
    from cca_platform.trace import Trace

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


class Clock(StrEnum):
    """The values of ``--clock``."""

    VIRTUAL = "virtual"
    HOST = "host"


class HashAlgo(StrEnum):
    """The values of ``--hash-algo``."""

    SHA256 = "sha256"
    SHA512 = "sha512"


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
    from cca_platform.trace import Trace

    if path is None:
        return Trace()
    from cca_platform.sinks import Console, JsonLines

    return Trace(Console(sys.stderr) if path == "-" else JsonLines(path))


def _payload_names(incomplete: str) -> list[str]:
    from realmlab.payloads import payload_names

    return [name for name in payload_names() if name.startswith(incomplete)]


@app.command()
def run(
    payload: Annotated[
        str,
        typer.Argument(
            help="An ELF file, an arm64 Linux Image or a raw binary; or the name of a payload that comes along, "
            "such as [bold]hello[/bold].",
            autocompletion=_payload_names,
        ),
    ],
    args: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGS...]", help="The Realm's boot arguments.")
    ] = None,
    vcpus: Annotated[int, typer.Option(metavar="N", help="Number of vCPUs (RECs).")] = 1,
    memory: Annotated[str, typer.Option(metavar="SIZE", help="RAM of the Realm: 64M, 1G ...")] = "64M",
    board: Annotated[str, typer.Option(metavar="NAME|FILE", help="fvp, virt, or a board's TOML file.")] = "fvp",
    trace: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write every event as JSON Lines; [bold]-[/bold]: show them.")
    ] = None,
    clock: Annotated[
        Clock, typer.Option(help="Time of the machine: retired instructions (repeatable), or the host's.")
    ] = Clock.VIRTUAL,
    max_insns: Annotated[
        int | None, typer.Option(metavar="N", help="End the run (exit status 4) after N instructions.")
    ] = None,
    hash_algo: Annotated[HashAlgo, typer.Option(help="Measure the Realm with this.")] = HashAlgo.SHA256,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No summary.")] = False,
) -> int:
    """Run a payload in a Realm: its output, then a summary on stderr.

    The exit status is the payload's; 2: bad input; 3: the guest failed; 4: instruction limit; 130: interrupted.

    [bold]realmlab run hello[/bold]

    [bold]realmlab run ./kernel.elf --vcpus 2 --memory 128M --trace run.jsonl -- console=hvc0[/bold]
    """
    stream = _open_trace(trace)
    lost = False
    try:
        from cca_tools import summary
        from realmlab.machine import Machine

        with Machine(board, stream, clock.value) as machine:
            gc.freeze()
            gc.enable()
            result = machine.run_realm(
                payload,
                vcpus=vcpus,
                memory=memory,
                args=args or (),
                hash_algo=hash_algo.value,
                max_insns=max_insns,
                on_console=None if as_json else _write,
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
    if as_json:
        print(json.dumps(summary.as_json(payload, result, trace, stream.seq), indent=2))
    if result.message:
        _say(result.message)
    if not quiet and not as_json:
        summary.show(summary.rows(payload, result, None if trace == "-" else trace, stream.seq))
    return USAGE if lost else result.status


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
        str, typer.Argument(help="An ELF file, or the name of a payload.", autocompletion=_payload_names)
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
