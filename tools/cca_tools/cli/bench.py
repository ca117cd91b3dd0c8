"""``realmlab bench``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cca_platform.errors import MachineError
from cca_tools.cli.as_json import Json
from cca_tools.cli.output import out, progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cca_tools.bench import Change, Qemu

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
    markdown: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="Write the tables into this page, between its comments, or a new one; may be repeated."
        ),
    ] = None,
    scale: Annotated[
        bool, typer.Option("--scale", help="Measure how costs grow with sizes instead; --rows names what grows.")
    ] = False,
    most: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="With --scale: no pages, RECs ... beyond this size.")
    ] = None,
    picture: Annotated[
        str | None, typer.Option(metavar="FILE", help="With --scale: draw the curves into this file, as SVG.")
    ] = None,
    linux: Annotated[
        str | None, typer.Option(metavar="KERNEL", help="Measure how long this Linux takes to user space instead.")
    ] = None,
    initrd: Annotated[
        str | None, typer.Option(metavar="FILE", help="With --linux: its initial RAM disk, which prints a line.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Measure the speed of calls, devices, starts and guest code.

    Times are of the CPU, and beside them on the wall. A figure is the best of the rounds; its spread tells how far the
    worst one is from it. The loops of guest code run in a Realm, at Non-secure EL2 and on a Unicorn without hooks, and
    with --qemu on its board virt. The bounds are those of the tier that runs, stock or built.

    [bold]realmlab bench --rows alu,load,store --qemu auto[/bold]

    [bold]realmlab bench --save before.json[/bold], and after a change [bold]realmlab bench --compare before.json[/bold]

    [bold]realmlab bench --qemu auto --markdown figures.md[/bold]

    With --scale it builds Realms of 4 to 262,144 pages, of 1 to 512 RECs, 1 to 64 Realms, machines with 1 to 8 PEs and
    2 to 16 GiB, and tells what one more of each costs. The status is 1 if a cost grows faster than its work.

    [bold]realmlab bench --scale --most 4096 --picture scale.svg[/bold]

    With --linux it boots a kernel with 512M and one CPU in a Realm, in a plain VM, and with --qemu on its board virt,
    up to the first line that is not the kernel's own, with a quiet console and with the whole log.

    [bold]realmlab bench --linux vmlinuz --initrd initrd.cpio --qemu auto[/bold]
    """
    import msgspec

    from cca_platform.engine.library import tier
    from cca_tools import bench as b
    from cca_tools.cli.files import named, part, written

    outputs = {"save": [save] if save else [], "picture": [picture] if picture else [], "markdown": markdown or []}
    part(named([file for file in (compare, linux, initrd) if file]), outputs)
    names = [name.strip() for name in rows.split(",") if name.strip()]
    if scale:
        from cca_tools.cli.scale import scale as grow

        for option, value in (("qemu", qemu), ("save", save), ("compare", compare)):
            if value is not None:
                raise MachineError(f"`{option}` must not come with `scale`, which has figures of its own: leave it out")
        return grow(names, rounds, most, picture, markdown or [], as_json)
    if linux is not None:
        from cca_tools.cli.linux_bench import linux as boot

        for option, given in (("rows", rows), ("save", save), ("compare", compare)):
            if given:
                raise MachineError(f"`{option}` must not come with `linux`, which has other figures: leave it out")
        beside = _qemu(qemu)
        return boot(linux, initrd, rounds, None if beside is None else beside.path, markdown or [], as_json)
    if initrd is not None:
        raise MachineError("`initrd` must come with `linux`, whose RAM disk it is: add --linux")
    for option, there in (("most", most is not None), ("picture", picture is not None)):
        if there:
            raise MachineError(f"`{option}` must come with `scale`, whose sizes and curves it is about: add --scale")
    before = b.load(compare) if compare else None
    other = _qemu(qemu)
    for path in markdown or []:
        b.page(Path(path), {})
    tell, runs = progress(), tier()
    measured = b.measure(names, rounds, tell, runs)
    loops = [loop for loop in b.LOOPS if not names or any(name in loop.name for name in names)]
    places: list[b.Place] = [b.NsEl2(), b.Realm(), b.Bare(), *([other] if other else [])]
    timings = b.measure_guest(loops, rounds, places, tell)
    tell("")
    now = b.report(b.figures(measured, timings), other.version if other else None, runs)
    if save:
        written("save", save, msgspec.json.encode(now))
    for path in markdown or []:
        written("markdown", path, b.page(Path(path), b.blocks(measured, timings, now, runs)).encode())
    differences = b.changes(before.figures, now.figures) if before else []
    if as_json:
        found = {"rows": [row.as_json() for row in measured], **msgspec.to_builtins(now)}
        found["guest"] = [one._asdict() for one in b.summaries(timings, runs)]
        out().json(found | {"changes": [one._asdict() for one in differences]})
        return _status(differences)
    printer = out()
    if measured:
        b.table(measured, printer)
    if timings:
        b.guest_table(timings, printer, runs)
    if differences:
        b.changed(differences, printer)
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
