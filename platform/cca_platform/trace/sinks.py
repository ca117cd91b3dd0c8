"""Trace sinks: a JSON Lines file, a terminal, a list, a counter."""

import contextlib
import os
from collections import Counter
from pathlib import Path
from typing import Any, Final, TextIO

from cca_platform.errors import MachineError
from cca_platform.printable import printable
from cca_platform.printer import Styled, colourful, joined
from cca_platform.trace.lines import Record, encoded

__all__ = ["Console", "Counts", "JsonLines", "Listing", "render"]


class JsonLines:
    """A file with one JSON object per line.

    Events wait for each other, at most some hundred of them for some 20 ms, but never when a call of the API returns,
    the machine waits, or a callback is called. A run that is killed (SIGKILL) loses those that wait.

    What a terminal would obey is escaped, so that a trace can be looked at with any tool.

    Raises MachineError if the file cannot be opened. If the file cannot be written any further (disk full), the run
    continues: the file keeps every complete line up to that point, and ``close`` reports the error.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.written = 0
        self._size = 0
        self._failed: OSError | None = None
        try:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise MachineError(
                f"trace file must be writable, not {str(self.path)!r} ({error.strerror}): name another with `trace`"
            ) from None

    def write(self, record: Record) -> None:
        """Add a line."""
        self.write_lines(encoded([record]), 1)

    def write_lines(self, lines: bytes, count: int) -> None:
        """Add ``count`` whole lines."""
        if self._failed is not None:
            return
        done = 0
        try:
            done = os.write(self._fd, lines)
            while done < len(lines):
                done += os.write(self._fd, lines[done:])
        except OSError as error:
            self._failed = error
            done = lines.rfind(b"\n", 0, done) + 1  # what is complete
            count = lines.count(b"\n", 0, done)
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size + done)
        self._size += done
        self.written += count

    def close(self) -> None:
        """MachineError when the file could not take the whole trace."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            os.close(fd)
        except OSError as error:
            self._failed = self._failed or error
        if self._failed is not None:
            raise MachineError(
                f"trace file {str(self.path)!r} must take the whole trace, not only its first {self.written} events "
                f"({self._failed.strerror}): free some space or name another file with `trace`"
            )


class Listing(list[Record]):
    """The records in memory, for tests and tools: ``[r["event"] for r in listing]``."""

    def write(self, record: Record) -> None:
        """Add a record."""
        self.append(record)

    def close(self) -> None:
        """Do nothing: the list stays available."""


class Counts:
    """Counts of each event, ``counts.events["smc.call"]``, and each command, ``counts.commands["REC_ENTER"]``."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.commands: Counter[str] = Counter()

    def write(self, record: Record) -> None:
        """Count a record."""
        self.events[record["event"]] += 1
        if record["event"].endswith(".call") and "cmd" in record:
            self.commands[str(record["cmd"])] += 1

    def close(self) -> None:
        """Do nothing: the counts stay available."""


_COLOURS: Final = {"ns": "green", "realm": "magenta", "root": "red", "secure": "blue"}


_DEPTH: Final = 16
"""Lists and tables in each other that a line shows; no event has so many."""


def _text(value: Any, depth: int = 0) -> str:
    """One word, whatever the value is: the text of a record may come from anybody."""
    if isinstance(value, list | dict) and depth == _DEPTH:
        return "..."
    if isinstance(value, list):
        return "[" + " ".join(_text(item, depth + 1) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + " ".join(f"{_text(key)}={_text(item, depth + 1)}" for key, item in value.items()) + "}"
    text = str(value)
    plain = printable(text) == text and text and " " not in text
    return text if plain else printable(repr(text))


def _pieces(record: Record, note: str = "") -> list[Styled]:
    """A record in pieces: time, PE, world and level, event, fields, and what there is to say of it."""
    fields = dict(record)
    _, time, pe, world, el, event = (fields.pop(key, None) for key in ("seq", "time", "pe", "world", "el", "event"))
    time, event = ("-" if value is None else _text(value) for value in (time, event))
    place = "-" if pe is None else f"{_text(pe)} {_text(world)} EL{_text(el)}"
    words = " ".join(f"{_text(key)}={_text(value)}" for key, value in fields.items())
    return [
        Styled(f"{time:>12}", "dim"),
        Styled(f"{place:<12}", _COLOURS.get(str(world), "")),
        Styled(f"{event:<18}" if words or note else event, "red" if event.startswith("fault.") else "bold"),
        *([Styled(words)] if words else ()),
        *([Styled(f" # {note}", "dim")] if note else ()),
    ]


def render(record: Record, colour: bool = False, note: str = "") -> str:
    """Format a record as one line, with what there is to say of it."""
    first, *others = _pieces(record, note)
    return joined([first, *(piece for other in others for piece in (" ", other))], colour)


class Console:
    """Readable lines on a text stream, in colour if it is a terminal, unless ``colour`` says otherwise.

    ``gone`` says that the reader has closed the stream (``| head``), which is not an error.
    """

    def __init__(self, stream: TextIO, colour: bool | None = None) -> None:
        self.stream = stream
        self.colour = colourful(stream) if colour is None else colour
        self.gone = False
        self._failed: OSError | None = None

    def write(self, record: Record, note: str = "") -> None:
        """Print a record, and what there is to say of it."""
        if self._failed is None and not self.gone:
            try:
                self.stream.write(render(record, self.colour, note) + "\n")
            except BrokenPipeError:
                self.gone = True
            except OSError as error:
                self._failed = error

    def close(self) -> None:
        """Flush the stream; raises MachineError if writing has failed."""
        if self._failed is not None:
            raise MachineError(f"the trace must have a stream that takes it, not one with {self._failed.strerror}")
        if not self.gone:
            try:
                self.stream.flush()
            except BrokenPipeError:
                self.gone = True
