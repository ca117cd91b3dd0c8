"""``realmlab trace``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cca_platform.errors import MachineError
from cca_tools.cli.output import out
from realmlab.options import payload_completion

if TYPE_CHECKING:
    from realmlab.symbols import Symbols

__all__ = ["app"]

app = typer.Typer(help="Show trace files.", no_args_is_help=True)


@app.command("show")
def trace_show(
    file: Annotated[Path, typer.Argument(help="A trace file; [bold]-[/bold]: stdin.")],
    event: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only events whose names start with this, such as rmi. Several are allowed."),
    ] = None,
    pe: Annotated[
        list[int] | None, typer.Option(metavar="N", help="Only events of this PE. Several are allowed.")
    ] = None,
    world: Annotated[
        list[str] | None,
        typer.Option(metavar="ns|realm|secure|root", help="Only events of this world. Several are allowed."),
    ] = None,
    since: Annotated[int | None, typer.Option(metavar="TICKS", help="Only events from this time on.")] = None,
    until: Annotated[int | None, typer.Option(metavar="TICKS", help="Only events up to this time.")] = None,
    symbols: Annotated[
        str | None,
        typer.Option(
            metavar="PAYLOAD",
            help="Name places in the code by the symbols of this ELF file or bundled payload.",
            autocompletion=payload_completion,
        ),
    ] = None,
) -> int:
    """Print a trace file in readable form, in colour on a terminal; what a syndrome means follows after #.

    [bold]realmlab trace show run.jsonl --event rec. --event fault. --symbols hello[/bold]

    [bold]tail -f run.jsonl | realmlab trace show - --pe 1[/bold]
    """
    from cca_tools.traces import Wanted, show

    chosen = Wanted(tuple(event or ()), tuple(pe or ()), tuple(world or ()), since, until)
    show(file, out().stream, chosen, None if symbols is None else _symbols(symbols))
    return 0


def _symbols(payload: str) -> "Symbols":
    """The symbols of a payload where it runs; raises MachineError if it cannot be read or is no ELF file."""
    from cca_arch.elf import Elf, ElfError
    from cca_host.kvmtool.loader import unwrapped
    from cca_platform.userfiles import KINDS, read_program
    from realmlab.payloads import find_payload
    from realmlab.symbols import Symbols, loaded

    data = unwrapped(read_program(find_payload(payload), KINDS["payload"]), "`symbols`")
    try:
        Elf(data)
        file = loaded(data)
    except ElfError as error:
        raise MachineError(f"`symbols` {error}") from None
    return Symbols(lambda: [file])
