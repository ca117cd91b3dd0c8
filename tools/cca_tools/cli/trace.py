"""``realmlab trace``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(help="Show trace files.", no_args_is_help=True)


@app.command("show")
def trace_show(
    file: Annotated[Path, typer.Argument(help="A trace file.")],
    event: Annotated[
        str, typer.Option(metavar="NAME", help="Only events whose names start with this, such as rmi.")
    ] = "",
) -> int:
    """Print a trace file in readable form, in colour on a terminal."""
    from cca_tools.traces import show

    show(file, sys.stdout, event)
    return 0
