"""The door through which text goes to a terminal, a pipe or a file that people read.

Everything that a :class:`Printer` gets is text of strangers unless it is its own: it is shown by
:func:`~cca_platform.printable.printable`, with no markup in it. Only a :class:`Styled` piece has a look, and only the
printer makes the escape sequences for it. A new line begins where a call says so, nowhere else.
"""

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from operator import gt
from typing import Any, Final, NamedTuple, TextIO

from cca_platform.printable import json_text, printable

__all__ = ["Piece", "Printer", "Styled", "colourful", "joined"]

_ERASE: Final = "\x1b[K"
_RESET: Final = "\x1b[0m"
_STYLES: Final = {
    "bold": "\x1b[1m",
    "dim": "\x1b[2m",
    "red": "\x1b[31m",
    "green": "\x1b[32m",
    "yellow": "\x1b[33m",
    "blue": "\x1b[34m",
    "magenta": "\x1b[35m",
    "cyan": "\x1b[36m",
    "bold red": "\x1b[1;31m",
    "bold cyan": "\x1b[1;36m",
}
_DUMB: Final = ("", "dumb", "unknown")
_COLUMNS: Final = 80  # of a terminal that does not tell
_DIGITS: Final = 6  # of a width that can be
_INDENT: Final = 2
_WIDEST: Final = 40  # columns of any column but the last
_NARROW: Final = 16  # columns for the text of a row, below which it begins on a line of its own


class Styled(NamedTuple):
    """A piece of text and its look, one of ``bold``, ``dim``, a colour, ``bold red``, ``bold cyan``; "" is none."""

    text: str
    style: str = ""


Piece = str | Styled
"""What a line is made of."""


def colourful(stream: TextIO) -> bool:
    """True if what is written there may have colours: on a terminal, unless NO_COLOR or TERM say otherwise.

    FORCE_COLOR asks for them elsewhere, too. Variables that are empty are not set (no-color.org).
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "") not in ("", "0"):
        return True
    return stream.isatty() and os.environ.get("TERM", "") not in _DUMB


def _cells(text: str) -> int:
    """The columns that printable text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def _cell(piece: Piece) -> Styled:
    return Styled(printable(piece)) if isinstance(piece, str) else Styled(printable(piece.text), piece.style)


def joined(pieces: Iterable[Piece], colour: bool = False) -> str:
    """A line made of pieces, with escape sequences for their looks if ``colour``."""
    cells = map(_cell, pieces)
    if not colour:
        return "".join(cell.text for cell in cells)
    return "".join(f"{_STYLES[style]}{text}{_RESET}" if style and text else text for text, style in cells)


class Printer:
    """Lines, rows and JSON on a stream; raises what the stream raises."""

    def __init__(self, stream: TextIO, colour: bool | None = None) -> None:
        self.stream = stream
        self.colour = colourful(stream) if colour is None else colour

    @property
    def terminal(self) -> bool:
        """True if somebody looks at it."""
        return self.stream.isatty()

    def line(self, *pieces: Piece) -> None:
        """Print one line."""
        self.stream.write(joined(pieces, self.colour) + "\n")

    def lines(self, lines: Iterable[str]) -> None:
        """Print several lines at once, so that those of no other thread come between them."""
        self.stream.write("".join(joined([one]) + "\n" for one in lines))

    def text(self, text: str) -> None:
        """Print text that may have several lines, each as a line."""
        self.lines(text.removesuffix("\n").split("\n"))

    def rows(self, rows: Iterable[Sequence[Piece]]) -> None:
        """Print a table: columns in line, two spaces between them.

        On a terminal, the last column is folded at its edge, and begins on the next line if hardly any room is left.
        Only a row begins at the edge of the screen, never the rest of its text. A row with a cell that is too wide for
        its column has no columns.
        """
        table = [[_cell(piece) for piece in row] for row in rows]
        widths = [
            max((width for row in table if (width := _cells(row[at].text)) <= _WIDEST), default=0)
            for at in range(len(table[0]) - 1 if table else 0)
        ]
        edge = self._width()
        for *heads, last in table:
            sizes = [_cells(head.text) for head in heads]
            if any(map(gt, sizes, widths)) or (edge is not None and sum(sizes) + 2 * len(sizes) > edge + 2):
                self._folded([], Styled("  ".join(cell.text for cell in (*heads, last)), last.style), 0, edge)
                continue
            padded: list[Piece] = []
            for head, size, width in zip(heads, sizes, widths, strict=True):
                padded += [head, " " * (width + 2 - size)]
            self._folded(padded, last, sum(widths) + 2 * len(widths), edge)

    def _folded(self, heads: Sequence[Piece], last: Styled, indent: int, edge: int | None) -> None:
        """Print a row whose last column begins at ``indent``."""
        if edge is None or indent + _cells(last.text) <= edge:
            self._row(*heads, last)
            return
        below = max(indent, _INDENT)
        if edge - below < _NARROW:
            if joined(heads).strip():
                self._row(*heads)
            rest, below = _fold(last.text, max(edge - _INDENT, _NARROW)), _INDENT
        else:
            first, *rest = _fold(last.text, edge - below)
            self._row(*heads, Styled(first, last.style))
        for part in rest:
            self._row(" " * below, Styled(part, last.style))

    def status(self, text: str) -> None:
        """Replace the line of a terminal where the cursor is by as much of ``text`` as fits; "" takes it away."""
        cut = next(_cut(printable(text), max((self._width() or _COLUMNS) - 1, 1)))
        self.stream.write(f"\r{_ERASE}{cut}")

    def json(self, data: Any) -> None:
        """Print ``data`` as JSON in ASCII, several lines."""
        self.stream.write(json_text(data) + "\n")

    def flush(self) -> None:
        """Bring out what has been printed."""
        self.stream.flush()

    def _row(self, *pieces: Piece) -> None:
        self.stream.write(joined(pieces, self.colour).rstrip() + "\n")

    def _width(self) -> int | None:
        """The columns of a terminal; None for what has no edge."""
        if not self.terminal:
            return None
        try:
            columns = os.get_terminal_size(self.stream.fileno()).columns
        except (OSError, ValueError):
            columns = 0
        wanted = os.environ.get("COLUMNS", "")
        if wanted.isascii() and wanted.isdigit() and len(wanted) < _DIGITS and int(wanted):
            return int(wanted)
        return columns or _COLUMNS


def _fold(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` columns, broken at spaces where there are any; one at least."""
    lines: list[str] = []
    line, used = "", 0
    for word in text.split(" "):
        size = _cells(word)
        if used + 1 + size <= width and (line or lines):
            line, used = f"{line} {word}", used + 1 + size
            continue
        if line:
            lines.append(line)
        *parts, line = _cut(word, width)
        lines += parts
        used = _cells(line)
    return [*lines, line]


def _cut(word: str, width: int) -> Iterator[str]:
    """Parts of a word, each of at most ``width`` columns; a character is one part at least."""
    start = used = 0
    for at, one in enumerate(word):
        size = _cells(one)
        if used + size > width and at > start:
            yield word[start:at]
            start, used = at, 0
        used += size
    yield word[start:]
