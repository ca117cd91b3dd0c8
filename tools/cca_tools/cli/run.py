"""``realmlab run``: the options that :mod:`realmlab.options` declares, and a few for the output."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cca_platform.errors import MachineError
from cca_tools.cli.output import INTERRUPTED, USAGE, Json, err, out, say, write
from realmlab.options import (
    BOARD,
    MachineOptions,
    NsMachineOptions,
    NsRunOptions,
    Option,
    RealmJobOptions,
    declared,
    payload_completion,
)

if TYPE_CHECKING:
    from cca_platform.trace.trace import Trace
    from cca_tools.cli.consoles import Escape
    from cca_tools.cli.summary import Outcome

__all__ = ["ABOUT_OUTPUT", "COMMON", "ONLY", "World", "run"]


class World(StrEnum):
    """The values of ``--world``."""

    REALM = "realm"
    NS_EL2 = "ns-el2"


_TABLES: Final = {World.REALM: (RealmJobOptions,), World.NS_EL2: (NsMachineOptions, NsRunOptions)}
_PANELS: Final = {World.REALM: "Realms", World.NS_EL2: "Firmware-level images (--world ns-el2)"}


def _offered(*tables: type) -> dict[str, Option]:
    """The options of tables that exist on the command line."""
    return {name: one for table in tables for name, one in declared(table).items() if not one.python_only}


_OFFERED: Final = {world: _offered(MachineOptions, *tables) for world, tables in _TABLES.items()}
COMMON: Final[dict[str, Option]] = {"board": BOARD} | {
    name: one for name, one in _OFFERED[World.REALM].items() if name in _OFFERED[World.NS_EL2]
}
"""The options that apply in every world."""
ONLY: Final = {
    world: {name: one for name, one in offered.items() if name not in COMMON} for world, offered in _OFFERED.items()
}
"""The options that apply in one world only."""

_UART: Final = Option(
    default=(),
    help="Also write what a UART sends to a file, or to stdout (-): the first UART, or the one with number or name N.",
    metavar="[N=]FILE",
    many=True,
)
ABOUT_OUTPUT: Final = {
    "world": "selects the machine of the API",
    "as_json": "what the command prints",
    "quiet": "what the command prints",
    "console_escape": "what the command prints",
    "uart": "on_output of the API",
}
"""The options that the API does not have, and why."""


def _parameter(name: str, option: Option, panel: str | None) -> Iterator[inspect.Parameter]:
    """The command's parameters for an option: one for the option itself and one for each constant's flag."""
    kind: Any = list[option.kind] | None if option.many else option.kind | None  # type: ignore[name-defined]
    choices, complete = option.choices, option.complete
    if choices and complete is None:

        def complete(incomplete: str) -> list[str]:
            return [choice for choice in choices if choice.startswith(incomplete)]

    default = option.default if isinstance(option.default, str | int) else None
    settings: dict[str, Any] = {
        "help": option.help,
        "metavar": option.metavar or "|".join(choices) or None,
        "autocompletion": complete,
        "rich_help_panel": panel,
    }
    yield _keyword(name, kind, typer.Option(option.spelling(name), *option.flags[1:], **settings), default)
    for flag, (_, meaning) in (option.constants or {}).items():
        info = typer.Option(flag, help=meaning, rich_help_panel=panel)
        yield _keyword(_of_flag(flag), bool, info, False)


def _of_flag(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _keyword(name: str, kind: Any, info: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info])


def _with_options(function: Callable[..., int]) -> Callable[..., int]:
    """Insert the declared options among those of the command."""
    signature = inspect.signature(function)
    parameters = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
    for name, option in COMMON.items():
        parameters += _parameter(name, option, None)
    for world, options in ONLY.items():
        for name, option in options.items():
            if not option.positional:
                parameters += _parameter(name, option, _PANELS[world])
    parameters += _parameter("uart", _UART, _PANELS[World.NS_EL2])
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": int}
    return function


def _open_trace(path: str | None) -> "Trace":
    from cca_platform.trace.trace import Trace

    if path is None:
        return Trace()
    from cca_platform.trace.sinks import Console, JsonLines

    return Trace(Console(err().stream) if path == "-" else JsonLines(path))


def _consoles(as_json: bool, escaped: bool) -> "tuple[Callable[[bytes], object] | None, Callable[[], Escape] | None]":
    """What takes the output of consoles, and what makes an escape for each."""
    if as_json or not escaped:
        return None if as_json else write, None
    from cca_tools.cli.consoles import Escape

    return write, partial(Escape, out().stream.encoding)


def _part_files(inputs: list[Any], trace: str | None, uarts: Sequence[str]) -> None:
    from cca_tools.cli.files import named, part
    from cca_tools.cli.uarts import STDOUT, file_of

    outputs = {"--trace": filter(None, [trace]), "--uart": map(file_of, uarts)}
    part(named(inputs), {option: [path for path in paths if path != STDOUT] for option, paths in outputs.items()})


def _chosen(ctx: typer.Context, world: World, given: dict[str, Any]) -> dict[str, Any]:
    """The API options that were given; raises MachineError for an option of another world."""
    named = {
        name: value
        for name, value in given.items()
        if (source := ctx.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    }
    constants = {
        _of_flag(flag): (name, value)
        for options in ONLY.values()
        for name, option in options.items()
        for flag, (value, _) in (option.constants or {}).items()
    }
    for other, options in ONLY.items():
        wrong = [name for name in named if constants.get(name, (name, None))[0] in options and other != world]
        wrong += ["uart"] if "uart" in named and world is World.REALM else []
        for name in wrong:
            raise MachineError(f"--{name.replace('_', '-')} must not be given with --world {world}: see --help")
    for flag, (name, value) in constants.items():
        if named.pop(flag, False):
            named[name] = value
    return named


@_with_options
def run(
    ctx: typer.Context,
    payload: Annotated[
        str,
        typer.Argument(
            help="An ELF file, an arm64 Linux Image or a raw binary; or the name of a bundled payload, such as "
            "[bold]hello[/bold]. With --world ns-el2: FILE or FILE@ADDRESS.",
            autocompletion=payload_completion,
        ),
    ],
    args: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- ARGS...]", help="The Realm's boot arguments. With --world ns-el2: more images, without --."
        ),
    ] = None,
    *,
    world: Annotated[World, typer.Option(help="Run it in a Realm, or as software at Non-secure EL2.")] = World.REALM,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No summary.")] = False,
    console_escape: Annotated[
        bool,
        typer.Option("--console-escape", help="Escape control characters that consoles send: for files of strangers."),
    ] = False,
    **given: Any,
) -> int:
    """Run a payload and print its output, then a summary on stderr.

    The exit status is the payload's; 2: bad input; 3: the guest failed; 4: a limit; 130: interrupted. With
    --world ns-el2: 0 if the system is turned off, is reset with --no-reset, or --until appears; 1 if --until or an
    --expect did not appear on a console, or a --reject did; 4 also for too many resets.

    [bold]realmlab run hello[/bold]

    [bold]realmlab run ./kernel.elf --vcpus 2 --memory 128M --trace run.jsonl -- console=hvc0[/bold]

    [bold]realmlab run --world ns-el2 tests.elf data.bin@0x90000000 --expect "0 failed" --timeout-insns 100000000[/bold]
    """
    from cca_tools.cli.aborted import until_aborted

    options = _chosen(ctx, world, given)
    trace, uarts = options.pop("trace", None), options.pop("uart", ())
    programs = [payload] if world is World.REALM else [payload, *(args or ())]
    _part_files([payload, *(args or ()), *options.values()], trace, uarts)
    if trace is not None or uarts:
        from cca_tools.cli.files import require

        require(programs, options, "payload" if world is World.REALM else "image")
    stream = _open_trace(trace)
    options["trace"] = stream
    lost = False
    outcome: Outcome
    tell, escape = _consoles(as_json, console_escape)
    try:
        with until_aborted(stream.close):
            if world is World.REALM:
                from cca_tools.cli.realm_run import run_in_realm

                outcome = run_in_realm(payload, options | {"args": args or ()}, tell, escape)
            else:
                from cca_tools.cli.ns_run import run_images

                outcome = run_images([payload, *(args or ())], options, tell, uarts, escape)
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    finally:
        try:
            stream.close()
        except MachineError as error:
            lost = True
            say(str(error))
    from cca_tools.cli import summary

    if as_json:
        told = None if trace is None else {"path": trace, "events": stream.seq}
        out().json({**outcome.facts, "trace": told})
    if outcome.message:
        say(outcome.message)
    if not quiet and not as_json:
        if outcome.failure is not None:
            for table in outcome.failure.tables():
                summary.show(table)
        events = [] if trace in (None, "-") else [("trace", f"{trace}: {stream.seq:,} events")]
        summary.show([*outcome.rows, *events])
    return USAGE if lost else outcome.status
