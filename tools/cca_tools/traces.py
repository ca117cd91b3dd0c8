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
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise MachineError(
                        f"{path} must hold one event a line, not what line {number} has ({error}): "
                        "give a file that realmlab run --trace wrote"
                    ) from None
                _check(path, record)
                yield record
    except OSError as error:
        raise MachineError(f"trace file must be readable, not {str(path)!r} ({error.strerror})") from None


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
        if str(record.get("event", "")).startswith(prefix):
            sink.write(record)
    sink.close()
