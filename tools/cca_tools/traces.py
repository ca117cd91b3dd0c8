"""Reading trace files."""

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from cca_platform.errors import MachineError
from cca_platform.trace.sinks import Console
from cca_platform.trace.trace import Record

__all__ = ["read", "show"]


def read(path: Path) -> Iterator[Record]:
    """The records of a trace file, in order; MachineError names the line that is none."""
    import msgspec

    decode = msgspec.json.Decoder(Record).decode
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise MachineError(
                        f"{path} must hold one event a line, not what line {number} has ({error}): "
                        "give a file that realmlab run --trace wrote"
                    ) from None
    except OSError as error:
        raise MachineError(f"trace file must be readable, not {str(path)!r} ({error.strerror})") from None


def show(path: Path, stream: TextIO, prefix: str = "") -> None:
    """Write the events whose name starts with ``prefix`` for people."""
    sink = Console(stream)
    for record in read(path):
        if str(record.get("event", "")).startswith(prefix):
            sink.write(record)
    sink.close()
