"""What ``realmlab run`` does, and its options: those of :mod:`realmlab.options`, and a few for the output."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from cca_platform.errors import MachineError
from cca_tools.cli.output import INTERRUPTED, USAGE, err, out, say, write
from realmlab.options import BOARD, MachineOptions, NsMachineOptions, NsRunOptions, Option, RealmJobOptions, declared

if TYPE_CHECKING:
    from cca_platform.trace.trace import Trace
    from cca_tools.cli.consoles import Escape
    from cca_tools.cli.guests import Guest
    from cca_tools.cli.summary import Outcome

__all__ = ["COMMON", "ONLY", "OUTPUT", "UART", "Line", "World", "chosen", "flag_name", "run"]


class World(StrEnum):
    """The values of ``--world``."""

    REALM = "realm"
    NS_EL2 = "ns-el2"


_TABLES: Final = {World.REALM: (RealmJobOptions,), World.NS_EL2: (NsMachineOptions, NsRunOptions)}


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
OUTPUT: Final = {
    "world": Option(default=World.REALM, help="Run it in a Realm, or as software at Non-secure EL2.", kind=World),
    "as_json": Option(default=False, help="Print one JSON object.", flags=("--json",), kind=bool),
    "quiet": Option(default=False, help="No summary.", flags=("--quiet", "-q"), kind=bool),
    "console_escape": Option(
        default=False, help="Escape control characters that consoles send: for files of strangers.", kind=bool
    ),
}
"""The options that the API does not have: it has a class for each world, and prints nothing."""
UART: Final = Option(
    default=(),
    help="Also write what a UART sends to a file, or to stdout (-): the first UART, or the one with number or name N.",
    metavar="[N=]FILE",
    many=True,
)
"""Another one: the API has ``on_output``."""


class Line(Struct, frozen=True, kw_only=True):
    """A command line as it was given: ``given`` are the options of the API, of ``UART`` and of constants."""

    payload: str
    args: Sequence[str] = ()
    world: World = World.REALM
    as_json: bool = False
    quiet: bool = False
    console_escape: bool = False
    given: Mapping[str, Any] = {}


def flag_name(flag: str) -> str:
    """The name under which a constant's flag is in ``given``."""
    return flag.removeprefix("--").replace("-", "_")


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


def _require_options(world: World, options: dict[str, Any]) -> None:
    """Check the options before an output is begun, as far as that can be told without a machine.

    Raises MachineError. The board is read, once, and takes the place of its name.
    """
    from cca_platform.board import Board

    options["board"] = Board.load(options.get("board", BOARD.default))
    if world is World.REALM:
        from cca_tools.cli.realm_run import require_options
    else:
        from cca_tools.cli.ns_run import require_options
    require_options(options)


def chosen(world: World, given: Mapping[str, Any]) -> dict[str, Any]:
    """The API options that were given; raises MachineError for an option of another world."""
    named = dict(given)
    constants = {
        flag_name(flag): (name, value)
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


def run(line: Line, guest: "Guest | None" = None) -> int:
    """Run the payload of a command line, print what it sends and a summary, and return the exit status.

    A ``guest`` with our init reports its status over the console.
    """
    from cca_tools.cli.aborted import until_aborted

    payload, args, world, as_json = line.payload, line.args, line.world, line.as_json
    options = chosen(world, line.given)
    trace, uarts = options.pop("trace", None), options.pop("uart", ())
    programs = [payload] if world is World.REALM else [payload, *args]
    _part_files([payload, *args, *options.values()], trace, uarts)
    if trace is not None or uarts:
        from cca_tools.cli.files import require

        require(programs, options, "payload" if world is World.REALM else "image")
        _require_options(world, options)
    stream = _open_trace(trace)
    options["trace"] = stream
    lost = False
    outcome: Outcome
    tell, escape = _consoles(as_json, line.console_escape)
    try:
        with until_aborted(stream.close):
            if world is World.REALM:
                from cca_tools.cli.realm_run import run_in_realm

                outcome = run_in_realm(payload, options | {"args": args}, tell, escape, guest)
            else:
                from cca_tools.cli.ns_run import run_images

                outcome = run_images([payload, *args], options, tell, uarts, escape)
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
    if not line.quiet and not as_json:
        if outcome.failure is not None:
            for table in outcome.failure.tables():
                summary.show(table)
        events = [] if trace in (None, "-") else [("trace", f"{trace}: {stream.seq:,} events")]
        summary.show([*outcome.rows, *events])
    return USAGE if lost else outcome.status
