"""``realmlab bench --linux``."""

from collections.abc import Sequence
from pathlib import Path

from cca_platform.printer import Piece, Styled
from cca_tools.cli.files import written
from cca_tools.cli.output import out, progress

__all__ = ["linux"]


def linux(
    kernel: str, initrd: str | None, rounds: int, qemu: str | None, markdown: Sequence[str], as_json: bool
) -> int:
    """Measure how long a kernel takes to user space, ``qemu`` being QEMU's program if it is wanted, too."""
    from cca_platform.engine.library import tier
    from cca_tools.bench import linux as bench
    from cca_tools.bench import markdown as pages

    for path in markdown:
        pages.page(Path(path), {})
    tell = progress()
    boots = bench.measure_linux(kernel, initrd, rounds, qemu, tell)
    tell("")
    cells = bench.boot_cells(boots, tier())
    for path in markdown:
        written("markdown", path, pages.page(Path(path), {"linux": pages.table(cells)}).encode())
    if as_json:
        out().json({"boots": [boot.as_json() for boot in boots]})
    else:
        head, *rows = cells
        table: list[Sequence[Piece]] = [[Styled(text, "bold") for text in head], *rows]
        out().rows(table)
    return 0
