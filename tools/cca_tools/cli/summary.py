"""The summary of a run, in a few readable lines."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from cca_platform.printer import Printer, Styled
from cca_tools.cli.output import err, quietly
from realmlab.options import spelled

if TYPE_CHECKING:
    from cca_platform.failure import Failure

__all__ = ["Outcome", "counts", "lacking", "seconds", "select", "show"]


class Outcome(NamedTuple):
    """The result of a run: exit status, message or none, the summary as (label, text), and as plain data.

    ``failure`` says why it failed.
    """

    status: int
    message: str
    rows: list[tuple[str, str]]
    facts: dict[str, Any]
    failure: "Failure | None" = None


def select(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The options with these names."""
    return {name: options[name] for name in names if name in options}


def counts(numbers: Mapping[str, int], prefix: str = "") -> str:
    """Names without ``prefix``, with their counts, the highest first."""
    ranked = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name.removeprefix(prefix)} {count:,}" for name, count in ranked) or "none"


def lacking(lacks: str, message: str) -> list[tuple[str, str]]:
    """The row about an instruction that the CPU model lacks, unless the message has it."""
    return [("cpu", spelled(lacks))] if lacks and lacks not in message else []


def seconds(time: float) -> str:
    """Format a time in a suitable unit."""
    for unit, name in ((1.0, "s"), (1e-3, "ms")):
        if time >= unit:
            return f"{time / unit:.3g} {name}"
    return f"{time / 1e-6:.3g} us"


def show(table: list[tuple[str, str]], stream: TextIO | None = None) -> None:
    """Print the summary on stderr, or on ``stream``."""
    page = err() if stream is None else Printer(stream)
    with quietly(page.stream):
        page.rows((Styled(label, "bold cyan"), text) for label, text in table)
