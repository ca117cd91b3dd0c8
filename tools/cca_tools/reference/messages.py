"""The page of messages: what each means, and what helps.

What commands and the API refuse is explained in TOML, failed runs by the table of causes.
"""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

from cca_tools.reference.text import NOTE, table
from realmlab.failure import CAUSES

__all__ = ["Row", "causes", "find", "messages", "rows"]

_WORDS: Final = "messages.toml"
_ANYTHING: Final = "…"
_INTRODUCTION: Final = """# What a message means

`realmlab: ` and a line are what a command says if it cannot do what was asked, or if a run has failed; exceptions of
the API have the same words. Here they are, with … for what differs: names, numbers, what was given instead. Search the
page for the words that do not differ. Most messages end with what helps, behind a colon. A parameter of the API, such
as `memory`, is the option `--memory` in what a command says.

A run that fails says what ended it, the cause, what helps, and what became of the first exception:
[the ends of runs](#ends-of-runs) have the first part, the tables below them the causes.
"""
_FAILED: Final = {
    "exceptions": (
        "Failed runs: exceptions",
        "An exception whose handler does not come back, or exceptions without end. The cause is that of the first. "
        "`rule` in `--json` and in `result.failure` has the name.",
    ),
    "waiting": (
        "Failed runs: idle for ever",
        "Every vCPU or PE waits. The cause is why nothing comes.",
    ),
    "limits": (
        "Failed runs: limits",
        "The software does not end by itself, and a limit has ended it. The causes above apply, too.",
    ),
}
"""The heading and introduction for each way in which runs fail."""
_ENDS: Final = "Ends of runs"
_PARAMETER: Final = re.compile(r"`([a-z_]+|…)`")
"""A parameter of the API, in whose place a command line names its option."""
_VALUE: Final = re.compile(r"\{[^}]*\}")


class Row(NamedTuple):
    """A message, in which … stands for what differs, its cause and what helps."""

    group: str
    says: str
    cause: str
    remedy: str

    @property
    def literal(self) -> int:
        """How many characters of it do not differ."""
        return len(self.says) - self.says.count(_ANYTHING)

    def fits(self, message: str) -> bool:
        """True if the message is one of these."""
        return re.fullmatch(self._pattern, message, re.DOTALL) is not None

    def part_of(self, message: str) -> bool:
        """True if the message has it somewhere."""
        return re.search(self._pattern, message, re.DOTALL) is not None

    @property
    def _pattern(self) -> str:
        said = _PARAMETER.sub(r"(?:`\1`|--[a-z-]+)", re.escape(self.says))
        return said.replace(_ANYTHING, ".*")


@cache
def rows() -> tuple[Row, ...]:
    """Every row, in the order of the page."""
    return tuple(_rows())


def _rows() -> Iterator[Row]:
    text = resources.files("cca_tools.reference").joinpath(_WORDS).read_text(encoding="utf-8")
    for group, found in tomllib.loads(text).items():
        for says, (cause, remedy) in found.items():
            yield Row(group, says, cause, remedy)


@cache
def causes() -> dict[str, tuple[Row, ...]]:
    """The causes of failed runs, by how they fail; the group of a row is its name. Each is there once."""
    found: dict[str, tuple[Row, ...]] = {}
    seen: set[str] = set()
    for kind, rules in CAUSES.items():
        new = [rule for rule in rules if rule.name not in seen]
        seen |= {rule.name for rule in new}
        found[kind] = tuple(Row(rule.name, _shown(rule.cause), _shown(rule.cause), _shown(rule.remedy)) for rule in new)
    return found


def _shown(text: str) -> str:
    """A sentence of the table of causes, with … for the values in it."""
    return re.sub(f"{_ANYTHING}+", _ANYTHING, _VALUE.sub(_ANYTHING, text))


def find(message: str) -> Row | None:
    """The row that explains a message: of those that fit, the one that says most of it.

    For a run that failed, it is the cause, if the message has one of the table.
    """
    found = max((row for row in rows() if row.fits(message)), key=_literal, default=None)
    if found is None or found.group != _ENDS:
        return found
    known = (row for several in causes().values() for row in several if row.part_of(message))
    return max(known, key=_literal, default=found)


def _literal(row: Row) -> int:
    return row.literal


def messages() -> str:
    """The page."""
    parts = [f"{NOTE}\n{_INTRODUCTION}"]
    for group in dict.fromkeys(row.group for row in rows()):
        shown = ((_code(row.says), row.cause, row.remedy) for row in rows() if row.group == group)
        parts.append(f"\n## {group}\n\n" + table(("Message", "What it means", "What to do"), shown))
    for kind, found in causes().items():
        title, about = _FAILED[kind]
        listed = ((f"`{row.group}`", _code(row.cause), _help(row.remedy)) for row in found)
        parts.append(f"\n## {title}\n\n{about}\n\n" + table(("Name", "Cause", "What to do"), listed))
    return "".join(parts)


def _help(remedy: str) -> str:
    """What helps, if not the message alone knows it."""
    return remedy[:1].upper() + remedy[1:] + "." if remedy.strip(_ANYTHING) else "The message says what helps."


def _code(text: str) -> str:
    """Text as code, whatever it has of backquotes."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"
