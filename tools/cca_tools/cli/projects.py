"""``realmlab new``, ``build`` and ``sdk``: payloads of one's own."""

import os
import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cca_tools.cli.output import out, say, write

__all__ = ["build", "new", "sdk"]


class World(StrEnum):
    """Where the payload runs."""

    REALM = "realm"
    NS = "ns"
    SECURE = "secure"


class Language(StrEnum):
    """What it is written in."""

    C = "c"
    RUST = "rust"


class BoardName(StrEnum):
    """The boards whose addresses the SDK knows."""

    FVP = "fvp"
    VIRT = "virt"


def new(
    world: Annotated[World, typer.Argument(help="Where it runs: at Realm EL1, Non-secure EL2 or Secure EL1.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or an empty folder.")],
    *,
    lang: Annotated[Language, typer.Option(help="C, or Rust without std for a Realm.")] = Language.C,
    board: Annotated[BoardName, typer.Option(help="The board that a payload of another world is for.")] = BoardName.FVP,
    name: Annotated[str | None, typer.Option(help="The payload's name: the folder's, unless given.")] = None,
) -> int:
    """Write a project: a payload of your own that builds and runs as it is.

    [bold]realmlab new realm mine[/bold]

    [bold]cd mine && realmlab build && realmlab run build/mine.elf[/bold]
    """
    from realmlab.projects.project import new_project

    made = new_project(world.value, folder, name, lang.value, board.value)
    out().line(f"cd {shlex.quote(str(folder))} && realmlab build && {made.run}")
    return 0


def build(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The folder of the project.")] = Path(),
    *,
    cc: Annotated[
        str | None,
        typer.Option(metavar="zig|gcc|PATH", help="The compiler: zig if it is installed, else gcc, unless given."),
    ] = None,
) -> int:
    """Compile and link the payload in a folder, and check that it can be run.

    [bold]realmlab build mine --cc gcc[/bold]
    """
    from realmlab.projects.build import build_project

    built = build_project(folder, cc)
    for note in built.notes:
        say(note)
    out().line(f"{built.path}: built with {built.compiler}")
    return 0


def sdk(
    print_path: Annotated[bool, typer.Option("--print-path", help="Print the folder of the SDK, for a build.")] = False,
    print_zig: Annotated[bool, typer.Option("--print-zig", help="Print the program zig, for a build.")] = False,
) -> int:
    """What the SDK has: start code, linker scripts, the runtime of each world, and headers.

    [bold]realmlab sdk --print-path[/bold]
    """
    from realmlab.projects.compilers import find_zig
    from realmlab.projects.contents import contents
    from realmlab.projects.worlds import SDK

    if print_path or print_zig:
        for asked, path in ((print_path, SDK), (print_zig, find_zig() or "")):
            if asked:
                write(os.fsencode(path) + b"\n")  # as it is, for programs
        return 0
    page = out()
    page.line(str(SDK))
    for folder, rows in contents().items():
        page.text(f"\n{folder}/")
        for file, purpose in rows:
            page.line(f"  {file:<15} {purpose}")
    return 0
