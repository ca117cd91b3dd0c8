"""``realmlab attest``. Exit status of ``verify``: 0 verified, 1 not verified, 2 bad input."""

from pathlib import Path
from typing import Annotated

import typer

from cca_platform.errors import MachineError
from cca_tools.cli.as_json import Json
from cca_tools.cli.output import out, quietly

__all__ = ["app"]

NOT_VERIFIED = 1

app = typer.Typer(help="Show and verify attestation tokens.", no_args_is_help=True)

Token = Annotated[
    str, typer.Argument(metavar="TOKEN", help="A file with a token, binary or in hex; [bold]-[/bold]: stdin.")
]


@app.command()
def verify(
    token: Token,
    cpak: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM", help="The platform's public key to trust. Default: the development keys, which are public."
        ),
    ] = None,
    challenge: Annotated[
        str | None, typer.Option(metavar="HEX", help="The challenge that was sent: up to 64 bytes, zero-padded.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Expected values, in TOML or JSON (.json).")
    ] = None,
    as_json: Json = False,
) -> int:
    """Verify a CCA token: signatures, binding, profile, claims, freshness and policy.

    Exit status: 0 verified; 1 not verified, with the reason; 2 bad input.

    [bold]realmlab run attest -q | realmlab attest verify -[/bold]
    """
    from cca_platform.userfiles import KINDS
    from cca_platform.userfiles import read as read_file
    from realmlab import attest
    from realmlab.attest.render import report_data, show_report
    from realmlab.attest.source import read

    expected = None if challenge is None else _challenge(challenge)
    wanted = None if policy is None else attest.load_policy(policy)
    keys = attest.development_keys() if cpak is None else {str(cpak): attest.load_key(read_file(cpak, KINDS["cpak"]))}
    report = attest.verify(read(token), keys, expected, wanted)
    page = out()
    with quietly(page.stream):  # a reader that stops does not change the verdict
        if as_json:
            page.json(report_data(report))
        else:
            show_report(report, page.stream)
    return 0 if report.verified else NOT_VERIFIED


@app.command()
def show(token: Token, as_json: Json = False) -> int:
    """Show the claims of a CCA token and what is odd about it, without verifying it."""
    from realmlab.attest.look import look
    from realmlab.attest.render import look_data, show_look
    from realmlab.attest.source import read
    from realmlab.attest.token import TokenError

    try:
        found = look(read(token))
    except TokenError as error:
        raise MachineError(str(error)) from None
    if as_json:
        out().json(look_data(found))
    else:
        show_look(found, out().stream)
    return 0


@app.command()
def cpak(
    board: Annotated[str, typer.Option(metavar="NAME|FILE", help="fvp, virt, or a board's TOML file.")] = "fvp",
) -> int:
    """Print the public half of the development CPAK of a board's machines, in PEM."""
    from cca_firmware.bl31.attestation import cpak_pem
    from cca_platform.board import Board

    out().text(cpak_pem(Board.load(board).name))
    return 0


def _challenge(text: str) -> bytes:
    from realmlab.attest.policy import hex_bytes

    try:
        value = hex_bytes(text)
    except ValueError as error:
        raise MachineError(f"challenge: {error}") from None
    if len(value) > 64:
        raise MachineError(f"challenge must have at most 64 bytes, not {len(value)}")
    return value
