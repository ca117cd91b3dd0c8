"""``realmlab measure``: the Realm Initial Measurement of what a command would run, without running it.

The words after ``measure`` are those of the command. The Realm is built as for the run, by the same calls to the same
RMM, and destroyed before its first instruction.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cca_platform.errors import MachineError
from cca_tools.cli.as_json import Json
from cca_tools.cli.output import out
from cca_tools.cli.parameters import Rows, from_line, with_options
from cca_tools.cli.run import COMMON, ONLY, OUTPUT, World, chosen
from realmlab.options import BOARD, payload_completion

if TYPE_CHECKING:
    from cca_platform.machine.inspection import RealmFacts

__all__ = ["app", "measure", "show"]

app: Final = typer.Typer(
    help="Compute the initial measurement of a Realm without running it: put it before the words of a run.",
    no_args_is_help=True,
)
_OUTPUT_ONLY: Final = {name: one for name, one in OUTPUT.items() if name not in ("world", "as_json")}


def measure(payload: str, given: Mapping[str, Any]) -> "RealmFacts":
    """What the RMM says of a Realm that is built for ``payload`` with these options, some of which do not matter."""
    from cca_platform.board import Board
    from cca_tools.cli.realm_run import require_options
    from cca_tools.cli.summary import select
    from realmlab.machine import Machine
    from realmlab.options import MachineOptions, RealmOptions, declared

    if not given.get("realm", True):
        raise MachineError("only a Realm is measured, not a plain VM: leave --no-realm out")
    options = {name: one for name, one in given.items() if name not in ("trace", "console_input")}
    options["board"] = Board.load(options.get("board", BOARD.default))
    require_options(options)
    with (
        Machine(**select(options, "board", *declared(MachineOptions))) as machine,
        machine.realm(payload, **select(options, *declared(RealmOptions))) as realm,
    ):
        return realm.facts


def _name(facts: "RealmFacts") -> str:
    """The hash algorithm as options spell it."""
    return facts.hash_algo.replace("_", "").lower()


def show(facts: "RealmFacts", as_json: bool) -> None:
    """Print a measurement: as JSON, or as the policy, in TOML, that a verifier takes."""
    if as_json:
        out().json({"rim": facts.rim.hex(), "hash_algo": _name(facts), "rpv": facts.rpv.hex()})
        return
    out().line(f"# Realm Initial Measurement, {_name(facts)}: a policy for realmlab attest verify --policy")
    out().line(f'rim = "{facts.rim.hex()}"')
    out().line(f'rpv = "{facts.rpv.hex()}"')


def _rows() -> Rows:
    yield from ((name, option, None) for name, option in (*_OUTPUT_ONLY.items(), *COMMON.items()))
    yield from ((name, option, None) for name, option in ONLY[World.REALM].items())


@app.command()
@with_options(_rows())
def run(
    ctx: typer.Context,
    payload: Annotated[str, typer.Argument(help="As for realmlab run.", autocompletion=payload_completion)],
    args: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGS...]", help="The Realm's boot arguments.")
    ] = None,
    *,
    as_json: Json = False,
    **given: Any,
) -> int:
    """Compute the measurement of what `realmlab run` with these words runs, and print a policy that expects it.

    [bold]realmlab measure run attest > policy.toml[/bold]

    [bold]realmlab run attest -q | realmlab attest verify - --policy policy.toml[/bold]
    """
    options = chosen(World.REALM, from_line(ctx, {name: value for name, value in given.items() if name not in OUTPUT}))
    show(measure(payload, options | {"args": args or ()}), as_json)
    return 0
