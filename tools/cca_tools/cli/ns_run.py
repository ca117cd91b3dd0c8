"""``realmlab run --world ns-el2``: firmware-level images on the whole board."""

import gc
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cca_platform.board import Board
from cca_platform.errors import MachineError
from cca_tools.cli.consoles import Escape
from cca_tools.cli.output import out
from cca_tools.cli.summary import Outcome, counts, lacking, seconds, select
from cca_tools.cli.uarts import Uarts, uart_names
from realmlab.bundled import BUNDLED
from realmlab.ns import NsMachine
from realmlab.options import BOARD, NsMachineOptions, NsRunOptions, declared, read

if TYPE_CHECKING:
    from realmlab.results import NsResult

__all__ = ["require_options", "run_images"]

_PLACES = 6  # places without a device that the summary names


def require_options(options: Mapping[str, Any]) -> None:
    """Check the options of a machine and its run; raises MachineError if they cannot be met."""
    for table in (NsMachineOptions, NsRunOptions):
        read(table, select(options, *declared(table)))


def run_images(
    images: Sequence[str],
    options: Mapping[str, Any],
    tell: Callable[[bytes], object] | None,
    uart: Sequence[str],
    escape: Callable[[], Escape] | None = None,
) -> Outcome:
    """Run ``images`` with the options of ``NsMachine`` and of its run. ``tell`` gets what the first UART sends.

    ``uart`` are ``FILE`` or ``NAME=FILE``: files that also get what a UART sends, or ``-`` for ``tell``.
    ``escape`` makes what shows the output of a UART there. Raises MachineError for bad input.
    """
    named = options.get("board", BOARD.default)
    board = named if isinstance(named, Board) else Board.load(named)
    _check_needs(images, options)
    with (
        Uarts(uart, uart_names(board), tell, escape) as uarts,
        NsMachine(images, board=board, on_output=uarts.write, **select(options, *declared(NsMachineOptions))) as booted,
    ):
        uarts.booted(list(booted.uarts))
        gc.freeze()
        gc.enable()
        result = booted.run(**select(options, *declared(NsRunOptions)))
        lost = [uarts.lost, _keep(booted)]
        if tell is not None and out().terminal and not (result.console or b"\n").endswith(b"\n"):
            tell(b"\n")
    message = "; ".join(filter(None, (result.message, *lost)))
    rows = _rows(images, result, uarts)
    return Outcome(2 if any(lost) else result.status, message, rows, _facts(images, result), result.failure)


def _keep(machine: NsMachine) -> str:
    """Write the files of nonvolatile memory; returns what went wrong."""
    try:
        machine.write_nonvolatile()
    except MachineError as error:
        return str(error)
    return ""


def _check_needs(images: Sequence[str], options: Mapping[str, Any]) -> None:
    """Check that a bundled payload has the options that it cannot do without."""
    for name in images:
        needed = BUNDLED[name].options.split() if name in BUNDLED else []
        missing = [word for word in needed if word.startswith("--") and word[2:].replace("-", "_") not in options]
        if missing:
            raise MachineError(f"payload {name!r} must have {' and '.join(missing)}: {BUNDLED[name].command(name)}")


def _rows(images: Sequence[str], result: "NsResult", uarts: Uarts) -> list[tuple[str, str]]:
    """The summary as (label, text)."""
    retired = {index: count for index, count in enumerate(result.retired) if count}
    each = ", ".join(f"PE {index} {count:,}" for index, count in retired.items())
    places, more = ", ".join(result.unclaimed[:_PLACES]), len(result.unclaimed) - _PLACES
    no_device = [("no device", places + (f" and {more} more" if more > 0 else ""))] if places else []
    sizes = {name: len(sent) + result.dropped.get(name, 0) for name, sent in result.consoles.items()}
    unseen = uarts.unseen(name for name, size in sizes.items() if size)
    said = ", ".join(f"{name} sent {sizes[name]:,} bytes" for name in unseen)
    silent = [("consoles", f"{said}; {uarts.first} nothing: --uart {unseen[0]}=- shows it")] if unseen else []
    return [
        ("images", f"{' '.join(images)}: exit status {result.status} ({result.reason.replace('_', ' ')})"),
        ("guest", f"{result.instructions:,} instructions in {seconds(result.virtual_seconds)} of its own time"),
        ("PEs", each or "none retired an instruction"),
        ("resets", f"{len(result.resets)}: {counts(Counter(result.resets))}" if result.resets else "none"),
        *no_device,
        *lacking(result.lacks, result.message),
        *silent,
        ("time", seconds(result.wall_seconds)),
    ]


def _facts(images: Sequence[str], result: "NsResult") -> dict[str, Any]:
    """The summary and what the UARTs sent, as plain data."""
    return {
        "images": list(images),
        "status": result.status,
        "reason": result.reason,
        "message": result.message,
        "failure": None if result.failure is None else result.failure.plain(),
        "console": result.console.decode(errors="replace"),
        "uarts": _texts(result.consoles),
        "dropped": dict(result.dropped),
        "missing": list(result.missing),
        "resets": list(result.resets),
        "unclaimed": list(result.unclaimed),
        "lacks": result.lacks,
        "instructions": result.instructions,
        "retired": list(result.retired),
        "ticks": result.ticks,
        "seconds": result.wall_seconds,
    }


def _texts(consoles: Mapping[str, bytes]) -> dict[str, str]:
    return {name: sent.decode(errors="replace") for name, sent in consoles.items() if sent}
