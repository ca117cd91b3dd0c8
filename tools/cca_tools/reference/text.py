"""What the reference pages are made of: the note at their head, tables, and the error of words that are missing."""

from collections.abc import Iterable

__all__ = ["NOTE", "ManualError", "table"]

NOTE = "<!-- Written by `make docs` from the tables in the code. -->\n"


class ManualError(Exception):
    """The manual lacks words that the tables need; the message says what to add."""


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"
