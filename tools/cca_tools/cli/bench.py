"""``realmlab bench``."""

from typing import Annotated

import typer

from cca_tools.cli.output import Json, out

__all__ = ["bench"]


def bench(
    rows: Annotated[str, typer.Option(metavar="NAME,...", help="Only the rows whose names contain this.")] = "",
    as_json: Json = False,
) -> int:
    """Measure the paths that have bounds, and print measured, must, aim and verdict."""
    from cca_tools.bench import measure, table

    measured = measure([name.strip() for name in rows.split(",") if name.strip()])
    if as_json:
        out().json([row.as_json() for row in measured])
    else:
        table(measured, out().stream)
    return 0
