"""Read trace files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

import msgspec

from cca_platform.errors import MachineError
from cca_platform.trace.events import SCHEMA, TraceStart, name_of
from cca_platform.trace.sinks import Console
from cca_platform.trace.trace import Record

__all__ = ["read", "show"]

_HEAD: Final = name_of(TraceStart)
_NONE: Final = type(None)
_PLACE: Final[dict[str, tuple[type, ...]]] = {
    "event": (str,),
    "seq": (int, _NONE),
    "time": (int, _NONE),
    "pe": (int, _NONE),
    "world": (str, _NONE),
    "el": (int, _NONE),
}
"""What every record begins with."""


def read(path: Path) -> Iterator[Record]:
    """The records of a trace file in order, including its head.

    Raises MachineError for a line that is not a record, and for another version of the catalogue.
    """
    decode = msgspec.json.Decoder(Record).decode
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    record = decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    raise _not_an_event(path, number, str(error)) from None
                wrong = [name for name, kinds in _PLACE.items() if not isinstance(record.get(name), kinds)]
                if wrong:
                    raise _not_an_event(path, number, f"no {wrong[0]}" if wrong[0] not in record else f"its {wrong[0]}")
                _check(path, record)
                yield record
    except OSError as error:
        raise MachineError(f"trace file must be readable, not {str(path)!r} ({error.strerror})") from None


def _not_an_event(path: Path, number: int, why: str) -> MachineError:
    return MachineError(
        f"{path} must hold one event a line, not what line {number} has ({why}): "
        "give a file that realmlab run --trace wrote"
    )


def _check(path: Path, record: Record) -> None:
    """Check the head of a trace, which gives the version of the catalogue."""
    if record.get("event") == _HEAD and record.get("schema") != SCHEMA:
        raise MachineError(
            f"{path} must hold events by version {SCHEMA} of the catalogue, not {record.get('schema')!r}: "
            f"read it with Realmlab {record.get('realmlab')!r}, which wrote it"
        )


def show(path: Path, stream: TextIO, prefix: str = "") -> None:
    """Print the events whose names start with ``prefix`` in readable form."""
    sink = Console(stream)
    for record in read(path):
        if record["event"].startswith(prefix):
            sink.write(record)
        if sink.gone:
            return
    sink.close()
