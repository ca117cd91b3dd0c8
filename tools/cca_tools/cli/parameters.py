"""Parameters of commands for typer, made from the declarations of :mod:`realmlab.options`."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from cca_tools.cli.run import flag_name
from realmlab.options import Option

__all__ = ["Rows", "from_line", "parameters", "with_options"]

Rows = Iterable[tuple[str, Option, str | None]]
"""Options by name, each with the panel of the help that it is in."""


def parameters(name: str, option: Option, panel: str | None = None) -> Iterator[inspect.Parameter]:
    """The command's parameters for an option: one for the option itself and one for each constant's flag."""
    kind: Any = option.kind
    if option.many:
        kind = list[kind] | None
    elif kind is not bool and not issubclass(kind, StrEnum):
        kind = kind | None
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
        yield _keyword(flag_name(flag), bool, typer.Option(flag, help=meaning, rich_help_panel=panel), False)


def _keyword(name: str, kind: Any, info: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info])


def with_options(rows: Rows) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Add options to the parameters of a command, which takes them as ``**given``."""

    def add(function: Callable[..., int]) -> Callable[..., int]:
        signature = inspect.signature(function)
        found = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        for name, option, panel in rows:
            if not option.positional:
                found += parameters(name, option, panel)
        function.__signature__ = signature.replace(parameters=found)  # type: ignore[attr-defined]
        function.__annotations__ = {one.name: one.annotation for one in found} | {"return": int}
        return function

    return add


def from_line(ctx: typer.Context, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were on the command line, without those that have their defaults."""
    return {
        name: value
        for name, value in given.items()
        if (source := ctx.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    }
