"""``realmlab inspect``: the contents of an ELF payload, and a repaired copy if its headers are broken."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cca_platform.errors import MachineError
from cca_tools.cli.as_json import Json
from cca_tools.cli.output import err, out
from realmlab.options import payload_completion

__all__ = ["inspect"]


def inspect(
    payload: Annotated[
        str, typer.Argument(help="An ELF file, or the name of a payload.", autocompletion=payload_completion)
    ],
    repair: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a copy with repaired headers.")] = None,
    as_json: Json = False,
) -> int:
    """Show the contents of an ELF payload: entry, sections, symbols."""
    from realmlab.payloads import find_payload

    _show(find_payload(payload), as_json, repair)
    return 0


def _show(path: Path, as_json: bool, repaired: Path | None) -> None:
    """Print entry, sections and symbols of the ELF file ``path``; write a repaired copy to ``repaired``.

    Raises MachineError if it cannot be read, parsed or written.
    """
    from cca_host.kvmtool.analysis import analyse
    from cca_host.kvmtool.repair import repair
    from cca_platform.userfiles import KINDS, read_program
    from cca_tools.cli.files import part
    from realmlab.files import replace

    if repaired is not None:
        part([str(path)], {"--repair": [str(repaired)]})
    data = read_program(path, KINDS["payload"])
    if repaired is not None:
        data = repair(data)
        try:
            replace(repaired, data)
        except OSError as error:
            raise MachineError(f"{repaired} must be writable ({error.strerror}): name another file") from None
    found = analyse(data)
    if as_json:
        out().json(asdict(found))
        return
    kind = "position-independent" if found.position_independent else "fixed"
    at = found.symbol_at(found.entry)
    page = out()
    page.line(f"{path.name}: {kind}, entry {found.entry:#x}{f' ({at.name})' if at else ''}")
    for section in found.sections:
        page.line(f"  {section.address:#014x}  {section.size:#10x}  {section.name}")
    page.line(f"{len(found.symbols)} symbols")
    for symbol in found.symbols:
        page.line(f"  {symbol.address:#014x}  {symbol.size:#10x}  {symbol.name}{'()' if symbol.function else ''}")
    if repaired is not None:
        err().line(f"repaired copy: {repaired}")
