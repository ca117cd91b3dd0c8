"""``realmlab bench``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cca_platform.errors import MachineError
from cca_tools.cli.as_json import Json
from cca_tools.cli.output import out, progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cca_tools.bench import Change
    from cca_tools.bench.guest import Qemu

__all__ = ["bench"]

_WORSE = 1


def bench(
    rows: Annotated[
        str, typer.Option(metavar="NAME,...", help="Only the rows and loops whose names contain this.")
    ] = "",
    rounds: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Rounds; the best of them counts.")] = 3,
    qemu: Annotated[
        str | None,
        typer.Option(metavar="auto|FILE", help="Run the guest code with QEMU, too: of your PATH, or this program."),
    ] = None,
    save: Annotated[str | None, typer.Option(metavar="FILE", help="Write all figures to this file, as JSON.")] = None,
    compare: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Tell what is worse than in this file of --save; the status is 1 if any is."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Measure the speed of calls, devices, starts and guest code.

    Times are of the CPU. A figure is the best of the rounds; its spread tells how far the worst one is from it. The
    loops of guest code run in a Realm, at Non-secure EL2 and on a Unicorn without hooks, and with --qemu on its board
    virt.

    [bold]realmlab bench --rows alu,load,store --qemu auto[/bold]

    [bold]realmlab bench --save before.json[/bold], and after a change [bold]realmlab bench --compare before.json[/bold]
    """
    import msgspec

    from cca_tools.bench import (
        LOOPS,
        changed,
        changes,
        figures,
        guest_table,
        load,
        measure,
        measure_guest,
        report,
        table,
    )  # fmt: skip
    from cca_tools.cli.files import named, part

    part(named([compare] if compare else []), {"save": [save] if save else []})
    before = load(compare) if compare else None
    other = _qemu(qemu)
    names = [name.strip() for name in rows.split(",") if name.strip()]
    tell = progress()
    measured = measure(names, rounds, tell)
    loops = [loop for loop in LOOPS if not names or any(name in loop.name for name in names)]
    timings = measure_guest(loops, rounds, other, tell)
    tell("")
    now = report(figures(measured, timings), other.version if other else None)
    if save:
        _save(save, msgspec.json.encode(now))
    differences = changes(before.figures, now.figures) if before else []
    if as_json:
        found = {"rows": [row.as_json() for row in measured], **msgspec.to_builtins(now)}
        out().json(found | {"changes": [one._asdict() for one in differences]})
        return _status(differences)
    printer = out()
    if measured:
        table(measured, printer)
    if timings:
        guest_table(timings, printer)
    if differences:
        changed(differences, printer)
    return _status(differences)


def _status(differences: "Sequence[Change]") -> int:
    return _WORSE if any(one.verdict == "worse" for one in differences) else 0


def _qemu(name: str | None) -> "Qemu | None":
    if name is None:
        return None
    from cca_tools.bench import Qemu

    try:
        return Qemu() if name == "auto" else Qemu(name)
    except OSError:
        what = "no qemu-system-aarch64 is on the PATH" if name == "auto" else f"{name} cannot be run"
        raise MachineError(f"{what}: install the package qemu-system-arm, or give --qemu the program") from None


def _save(path: str, data: bytes) -> None:
    from realmlab.files import replace

    try:
        replace(Path(path), data)
    except OSError as error:
        raise MachineError(f"`save` {path} cannot be written ({error.strerror}): write elsewhere") from None
