"""``realmlab run --world ns-el2``: firmware-level images on the whole board."""

import gc
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO

from cca_platform.errors import MachineError
from cca_tools.cli.summary import Outcome, counts, seconds, select
from realmlab.ns import NsMachine
from realmlab.options import NsMachineOptions, NsRunOptions, declared

if TYPE_CHECKING:
    from realmlab.results import NsResult

__all__ = ["run_images"]

_PLACES = 6  # places without a device that the summary names


def run_images(
    images: Sequence[str],
    options: Mapping[str, Any],
    tell: Callable[[bytes], object] | None,
    uart: Sequence[str],
) -> Outcome:
    """Run ``images`` with the options of ``NsMachine`` and of its run. ``tell`` gets what the first UART sends.

    ``uart`` are ``FILE`` or ``NAME=FILE``: files that also get what a UART sends. Raises MachineError for bad input and
    if a file is incomplete.
    """
    booted = NsMachine(images, **select(options, "board", *declared(NsMachineOptions)))
    with booted, _Files(uart, list(booted.uarts)) as files:
        gc.freeze()
        gc.enable()
        first = next(iter(booted.uarts))

        def output(name: str, data: bytes) -> None:
            if name == first and tell is not None:
                tell(data)
            files.write(name, data)

        result = booted.run(on_output=output, **select(options, *declared(NsRunOptions)))
        if tell is not None and sys.stdout.isatty() and not (result.console or b"\n").endswith(b"\n"):
            tell(b"\n")
    message = "; ".join(filter(None, (result.message, files.lost)))
    return Outcome(2 if files.lost else result.status, message, _rows(images, result), _facts(images, result))


class _Files:
    """The files that get what UARTs send, byte by byte, so that ``tail -f`` shows it at once.

    ``lost`` says which of them are incomplete.
    """

    def __init__(self, wanted: Sequence[str], uarts: Sequence[str]) -> None:
        self.lost = ""
        self._stack = ExitStack()
        self._files: dict[str, list[BinaryIO]] = {name: [] for name in uarts}
        with ExitStack() as stack:
            for text in wanted:
                name, _, path = text.partition("=")
                name = f"uart{name}" if name.isdigit() else name
                if not path or (name not in uarts and not text[:1].isdigit()):
                    name, path = uarts[0], text
                if name not in uarts:
                    raise MachineError(f"--uart must name one of {', '.join(uarts)}, not {name!r}")
                try:
                    file = stack.enter_context(open(path, "wb", buffering=0))
                except OSError as error:
                    raise MachineError(f"--uart must name a file to write, not {path!r} ({error.strerror})") from None
                self._files[name].append(file)
            self._stack = stack.pop_all()

    def write(self, uart: str, data: bytes) -> None:
        """Append what a UART sends."""
        for file in self._files[uart]:
            try:
                file.write(data)
            except OSError as error:
                self.lost = f"file {file.name!r} must take everything that {uart} sends ({error.strerror})"

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


def _rows(images: Sequence[str], result: "NsResult") -> list[tuple[str, str]]:
    """The summary as (label, text)."""
    retired = {index: count for index, count in enumerate(result.retired) if count}
    each = ", ".join(f"PE {index} {count:,}" for index, count in retired.items())
    places, more = ", ".join(result.unclaimed[:_PLACES]), len(result.unclaimed) - _PLACES
    no_device = [("no device", places + (f" and {more} more" if more > 0 else ""))] if places else []
    return [
        ("images", f"{' '.join(images)}: exit status {result.status} ({result.reason.replace('_', ' ')})"),
        ("guest", f"{result.instructions:,} instructions in {seconds(result.virtual_seconds)} of its own time"),
        ("PEs", each or "none retired an instruction"),
        ("resets", f"{len(result.resets)}: {counts(Counter(result.resets))}" if result.resets else "none"),
        *no_device,
        ("time", seconds(result.wall_seconds)),
    ]


def _facts(images: Sequence[str], result: "NsResult") -> dict[str, Any]:
    """The summary and what the UARTs sent, as plain data."""
    return {
        "images": list(images),
        "status": result.status,
        "reason": result.reason,
        "message": result.message,
        "console": result.console.decode(errors="replace"),
        "uarts": _texts(result.consoles),
        "missing": list(result.missing),
        "resets": list(result.resets),
        "unclaimed": list(result.unclaimed),
        "instructions": result.instructions,
        "retired": list(result.retired),
        "ticks": result.ticks,
        "seconds": result.wall_seconds,
    }


def _texts(consoles: Mapping[str, bytes]) -> dict[str, str]:
    return {name: sent.decode(errors="replace") for name, sent in consoles.items() if sent}
