"""``realmlab bench --scale``."""

from collections.abc import Sequence
from pathlib import Path

from cca_platform.errors import MachineError
from cca_platform.printer import Piece, Styled
from cca_tools.cli.files import written
from cca_tools.cli.output import out, progress

__all__ = ["scale"]

_FASTER = 1


def scale(
    names: Sequence[str], rounds: int, most: int | None, picture: str | None, markdown: Sequence[str], as_json: bool
) -> int:
    """Measure how costs grow; the status is 1 if one grows faster than its work."""
    from cca_tools.bench import markdown as pages
    from cca_tools.bench import scale as s

    for path in markdown:
        pages.page(Path(path), {})
    tell = progress()
    curves = s.measure(names, rounds, most, tell)
    tell("")
    if not curves:
        raise MachineError(f"`rows` must be part of one of {', '.join(one.name for one in s.FAMILIES)} with `scale`")
    if picture:
        written("picture", picture, s.draw(curves).encode())
    rows = s.cells(curves)
    for path in markdown:
        written("markdown", path, pages.page(Path(path), {"scale": pages.table(rows)}).encode())
    if as_json:
        out().json({"curves": [curve.as_json() for curve in curves]})
    else:
        colours = {"ok": "green", "FASTER": "bold red"}
        head, *rest = rows
        table: list[Sequence[Piece]] = [[Styled(text, "bold") for text in head]]
        table += [[*row[:-1], Styled(row[-1], colours[row[-1]])] for row in rest]
        out().rows(table)
    return 0 if all(curve.good for curve in curves) else _FASTER
