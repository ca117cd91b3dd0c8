"""Read trace files, choose from them, and show them with what their numbers mean."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec
from msgspec import Struct

from cca_arch.explain import explain_esr
from cca_platform.errors import MachineError
from cca_platform.schema import SchemaError, fit
from cca_platform.trace.events import SCHEMA, TraceStart, name_of
from cca_platform.trace.sinks import Console
from cca_platform.trace.trace import Record
from cca_platform.userfiles import KINDS, STDIN, lines, shown
from realmlab.symbols import Symbols

__all__ = ["Wanted", "note", "read", "show"]

_HEAD: Final = name_of(TraceStart)
_CODE: Final = ("pc", "elr", "vector")
"""The fields that are addresses of instructions."""


class Line(Struct):
    """What every record begins with; the fields of its event follow."""

    event: str
    seq: int | None = None
    time: int | None = None
    pe: int | None = None
    world: str | None = None
    el: int | None = None


class Wanted(Struct, frozen=True):
    """Which records to show: all that are left by each criterion that is given.

    ``events`` are the beginnings of names; ``pes`` are numbers, ``worlds`` names. ``since`` and ``until`` are in ticks,
    both included. A record without a time or a PE is left out when one is asked for.
    """

    events: tuple[str, ...] = ()
    pes: tuple[int, ...] = ()
    worlds: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None

    def __contains__(self, record: Record) -> bool:
        time = record.get("time")
        return (
            (not self.events or record["event"].startswith(self.events))
            and (not self.pes or record.get("pe") in self.pes)
            and (not self.worlds or record.get("world") in self.worlds)
            and (self.since is None or (time is not None and time >= self.since))
            and (self.until is None or (time is not None and time <= self.until))
        )


def read(path: Path) -> Iterator[Record]:
    """The records of a trace file, or of stdin (``-``), in order, including its head.

    Raises MachineError for a line that is not a record, and for another version of the catalogue.
    """
    decode = msgspec.json.Decoder(Record).decode
    for number, line in enumerate(lines(path, KINDS["trace"]), 1):
        try:
            record = decode(line)
        except RecursionError:
            raise _not_an_event(path, number, "lists and tables must not lie so deep in each other") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _not_an_event(path, number, str(error)) from None
        try:
            fit(record, Line, "a line")
        except SchemaError as error:
            raise _not_an_event(path, number, str(error)) from None
        _check(path, record)
        yield record


def _name(path: Path) -> str:
    return "stdin" if str(path) == STDIN else shown(path)


def _not_an_event(path: Path, number: int, why: str) -> MachineError:
    return MachineError(
        f"{_name(path)} must hold one event a line, not what line {number} has ({why}): "
        "give a file that realmlab run --trace wrote"
    )


def _check(path: Path, record: Record) -> None:
    """Check the head of a trace, which gives the version of the catalogue."""
    if record.get("event") == _HEAD and record.get("schema") != SCHEMA:
        raise MachineError(
            f"{_name(path)} must hold events by version {SCHEMA} of the catalogue, not {record.get('schema')!r}: "
            f"read it with Realmlab {record.get('realmlab')!r}, which wrote it"
        )


def show(path: Path, stream: TextIO, wanted: Wanted | None = None, symbols: Symbols | None = None) -> None:
    """Print the records that are wanted in readable form, each with its syndrome in words and its places in the code.

    ``symbols`` are those of the code that ran.
    """
    sink = Console(stream)
    for record in read(path):
        if wanted is None or record in wanted:
            sink.write(record, note(record, symbols))
        if sink.gone:
            return
    sink.close()


def note(record: Record, symbols: Symbols | None = None) -> str:
    """What the numbers of a record mean: a syndrome, and addresses of instructions that ``symbols`` knows."""
    said = []
    esr = _number(record.get("esr"))
    if esr:
        said.append(explain_esr(esr))
    for name in _CODE if symbols is not None else ():
        address = _number(record.get(name))
        place = None if address is None or symbols is None else symbols.place(address)
        if place is not None:
            said.append(f"{name} is {place}")
    return "; ".join(said)


def _number(value: Any) -> int | None:
    """The number of a word in a record, which is a stranger's: None if there is none."""
    try:
        return int(value, 16) if isinstance(value, str) and value.startswith("0x") else None
    except ValueError:
        return None
