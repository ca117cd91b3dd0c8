"""The page of messages: what each means, and what helps. Its words are in TOML."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

from cca_tools.reference.text import NOTE, table

__all__ = ["Row", "find", "messages", "rows"]

_WORDS: Final = "messages.toml"
_ANYTHING: Final = "…"
_INTRODUCTION: Final = """# What a message means

`realmlab: ` and a line are what a command says if it cannot do what was asked, or if a run has failed; exceptions of
the API have the same words. Here they are, with … for what differs: names, numbers, what was given instead. Search the
page for the words that do not differ. Most messages end with what helps, behind a colon.
"""


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
        return re.fullmatch(re.escape(self.says).replace(_ANYTHING, ".*"), message, re.DOTALL) is not None


@cache
def rows() -> tuple[Row, ...]:
    """Every row, in the order of the page."""
    return tuple(_rows())


def _rows() -> Iterator[Row]:
    text = resources.files("cca_tools.reference").joinpath(_WORDS).read_text(encoding="utf-8")
    for group, found in tomllib.loads(text).items():
        for says, (cause, remedy) in found.items():
            yield Row(group, says, cause, remedy)


def find(message: str) -> Row | None:
    """The row that explains a message: of those that fit, the one that says most of it."""
    fitting = [row for row in rows() if row.fits(message)]
    return max(fitting, key=lambda row: row.literal, default=None)


def messages() -> str:
    """The page."""
    parts = [f"{NOTE}\n{_INTRODUCTION}"]
    for group in dict.fromkeys(row.group for row in rows()):
        shown = ((_code(row.says), row.cause, row.remedy) for row in rows() if row.group == group)
        parts.append(f"\n## {group}\n\n" + table(("Message", "What it means", "What to do"), shown))
    return "".join(parts)


def _code(text: str) -> str:
    """Text as code, whatever it has of backquotes."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"
