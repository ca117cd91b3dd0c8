"""The command ``realmlab run`` for typer, made from the options of :mod:`cca_tools.cli.run`: its help, its errors."""

import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final

import typer

from cca_tools.cli import run as running
from cca_tools.cli.run import COMMON, ONLY, OUTPUT, UART, Line, World, flag_name
from realmlab.options import Option, payload_completion

__all__ = ["run"]

_PANELS: Final = {World.REALM: "Realms", World.NS_EL2: "Firmware-level images (--world ns-el2)"}


def _parameter(name: str, option: Option, panel: str | None = None) -> Iterator[inspect.Parameter]:
    """The command's parameters for an option: one for the option itself and one for each constant's flag."""
    kind: Any = option.kind
    if option.many:
        kind = list[kind] | None
    elif kind is not bool and kind is not World:
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


def _with_options(function: Callable[..., int]) -> Callable[..., int]:
    """Add the declared options to those of the command."""
    signature = inspect.signature(function)
    parameters = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
    for name, option in (*OUTPUT.items(), *COMMON.items()):
        parameters += _parameter(name, option)
    for world, options in ONLY.items():
        for name, option in options.items():
            if not option.positional:
                parameters += _parameter(name, option, _PANELS[world])
    parameters += _parameter("uart", UART, _PANELS[World.NS_EL2])
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": int}
    return function


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
    output = {name: given.pop(name) for name in OUTPUT}
    named = {
        name: value
        for name, value in given.items()
        if (source := ctx.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    }
    return running.run(Line(payload=payload, args=args or (), given=named, **output))
