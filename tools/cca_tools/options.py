"""The options of ``realmlab run``, and which of them belong to one world alone."""

from enum import StrEnum
from typing import Annotated, Final

import typer

__all__ = [
    "ONLY",
    "Arguments",
    "BoardName",
    "Clock",
    "ClockMode",
    "El",
    "Entry",
    "Expect",
    "HashAlgo",
    "Json",
    "MaxInsns",
    "MaxResets",
    "Measure",
    "NoReset",
    "Nonvolatile",
    "Payload",
    "Quiet",
    "Ram",
    "Reject",
    "Secure",
    "TraceFile",
    "Uart",
    "Until",
    "Vcpus",
    "Where",
    "World",
    "payload_completion",
]


class World(StrEnum):
    """The values of ``--world``."""

    REALM = "realm"
    NS_EL2 = "ns-el2"


class Clock(StrEnum):
    """The values of ``--clock``."""

    VIRTUAL = "virtual"
    HOST = "host"


class HashAlgo(StrEnum):
    """The values of ``--hash-algo``."""

    SHA256 = "sha256"
    SHA512 = "sha512"


ONLY: Final = {
    World.REALM: ("vcpus", "memory", "hash_algo"),
    World.NS_EL2: (
        "el", "entry", "secure", "until", "expect", "reject", "uart", "nonvolatile", "no_reset", "max_resets",
    ),
}  # fmt: skip
"""The options that only one world has."""

_REALM: Final = "Realms"
_NS: Final = "Firmware-level images (--world ns-el2)"


def payload_completion(incomplete: str) -> list[str]:
    """The names of payloads that begin so."""
    from realmlab.payloads import payload_names

    return [name for name in payload_names() if name.startswith(incomplete)]


def _board_completion(incomplete: str) -> list[str]:
    from cca_platform.machine.board import names

    return [name for name in names() if name.startswith(incomplete)]


# -- every world ----------------------------------------------------------------------------------------------------
Payload = Annotated[
    str,
    typer.Argument(
        help="An ELF file, an arm64 Linux Image or a raw binary; or the name of a payload that comes along, "
        "such as [bold]hello[/bold]. With --world ns-el2: FILE or FILE@ADDRESS.",
        autocompletion=payload_completion,
    ),
]
Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[-- ARGS...]", help="The Realm's boot arguments. With --world ns-el2: more images, without --."
    ),
]
Where = Annotated[World, typer.Option(help="Run it in a Realm, or as the software of Non-secure EL2.")]
BoardName = Annotated[
    str,
    typer.Option(metavar="NAME|FILE", help="fvp, virt, or a board's TOML file.", autocompletion=_board_completion),
]
TraceFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="Write every event as JSON Lines; [bold]-[/bold]: show them.")
]
ClockMode = Annotated[
    Clock, typer.Option(help="Time of the machine: retired instructions (repeatable), or the host's.")
]
MaxInsns = Annotated[
    int | None,
    typer.Option(
        "--max-insns", "--timeout-insns", metavar="N", help="End the run (exit status 4) after N instructions."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No summary.")]

# -- Realms -----------------------------------------------------------------------------------------------------------
Vcpus = Annotated[int, typer.Option(metavar="N", help="Number of vCPUs (RECs).", rich_help_panel=_REALM)]
Ram = Annotated[str, typer.Option(metavar="SIZE", help="RAM of the Realm: 64M, 1G ...", rich_help_panel=_REALM)]
Measure = Annotated[HashAlgo, typer.Option(help="Measure the Realm with this.", rich_help_panel=_REALM)]

# -- images at Non-secure EL2 -----------------------------------------------------------------------------------------
El = Annotated[int, typer.Option(metavar="1|2", help="Enter the images at this level.", rich_help_panel=_NS)]
Entry = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Start here, not where the first ELF file (else the first raw image) says.",
        rich_help_panel=_NS,
    ),
]
Secure = Annotated[
    str | None,
    typer.Option(
        metavar="IMAGE", help="Run this at Secure EL1.", autocompletion=payload_completion, rich_help_panel=_NS
    ),
]
Until = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Stop, with status 0, when a console shows this.", rich_help_panel=_NS),
]
Expect = Annotated[
    list[str] | None,
    typer.Option(metavar="REGEX", help="A console line has to match, or the status is 1.", rich_help_panel=_NS),
]
Reject = Annotated[
    list[str] | None,
    typer.Option(metavar="REGEX", help="Stop, with status 1, when a console line matches.", rich_help_panel=_NS),
]
Uart = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[N=]FILE",
        help="Write what a UART sends to a file, too: the first, or that with the number or name N.",
        rich_help_panel=_NS,
    ),
]
Nonvolatile = Annotated[
    list[str] | None,
    typer.Option(metavar="BASE:SIZE", help="DRAM that a system reset keeps.", rich_help_panel=_NS),
]
NoReset = Annotated[bool, typer.Option("--no-reset", help="A system reset ends the run.", rich_help_panel=_NS)]
MaxResets = Annotated[
    int, typer.Option(metavar="N", help="End the run (exit status 4) at one reset more.", rich_help_panel=_NS)
]
