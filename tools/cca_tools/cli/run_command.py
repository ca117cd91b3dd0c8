"""The command ``realmlab run`` for typer, made from the options of :mod:`cca_tools.cli.run`: its help, its errors."""

from typing import Annotated, Any, Final

import typer

from cca_tools.cli import run as running
from cca_tools.cli.parameters import Rows, from_line, with_options
from cca_tools.cli.run import COMMON, ONLY, OUTPUT, UART, Line, World
from realmlab.options import payload_completion

__all__ = ["run"]

_PANELS: Final = {World.REALM: "Realms", World.NS_EL2: "Firmware-level images (--world ns-el2)"}


def _rows() -> Rows:
    yield from ((name, option, None) for name, option in (*OUTPUT.items(), *COMMON.items()))
    for world, options in ONLY.items():
        yield from ((name, option, _PANELS[world]) for name, option in options.items())
    yield "uart", UART, _PANELS[World.NS_EL2]


@with_options(_rows())
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
    return running.run(Line(payload=payload, args=args or (), given=from_line(ctx, given), **output))
