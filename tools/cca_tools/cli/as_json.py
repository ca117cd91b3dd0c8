"""The option ``--json`` of commands."""

from typing import Annotated

import typer

__all__ = ["Json"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
