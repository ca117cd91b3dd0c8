"""The lines of a trace: an event in its written form, with sequence number, time and place in front.

A line is a structure whose fields are those of the record, in its order, so that one call encodes any number of them.
"""

import json
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct, defstruct

from cca_platform.printable import visible_json
from cca_platform.trace.events import Event, name_of
from cca_platform.trace.forms import UNSET, WORDS, FieldType, fields_of

__all__ = ["Line", "Record", "Writer", "Writers", "encoded", "record_of", "records_in"]

Record = dict[str, Any]
"""A line as a dictionary, which is what sinks and processors see."""


class Line(Struct, gc=False):
    """The head of every line. The class of an event's lines adds the fields of the event."""

    seq: int | None
    time: int
    pe: int | None
    world: str | None
    el: int | None
    event: str


Writer = Callable[[Event, int | None, int, int | None, str | None, int | None], Line]
"""Makes a line of an event, its sequence number, time, PE, world and exception level."""
_HEAD: Final = "seq, time, pe, world, el"
_encoder: Final = msgspec.json.Encoder()


class Writers(dict[type[Event], Writer]):
    """The writers of all event types, each made when it is looked up first."""

    def __missing__(self, event: type[Event]) -> Writer:
        made = self[event] = _writer(event)
        return made


def _writer(event: type[Event]) -> Writer:
    """Generate the writer of an event type: a call for each field would cost more than all the rest."""
    fields = fields_of(event)
    kind = defstruct(f"{event.__name__}Line", [(field.name, Any) for field in fields], bases=(Line,), gc=False)
    scope: dict[str, Any] = {"UNSET": UNSET, "kind": kind}
    scope |= {f"written_{field.name}": field.form.written for field in fields}
    values = ", ".join(map(_expression, fields))
    exec(f"def write(e, {_HEAD}): return kind({_HEAD}, {name_of(event)!r}, {values})", scope)
    write: Writer = scope["write"]
    return write


def _expression(field: FieldType) -> str:
    """The source of a field's written form."""
    if field.form.written is None:
        return f"e.{field.name}"
    same = [f"v.__class__ is {field.form.plain.__name__}"] if field.form.plain else []
    same += ["v is None"] if field.nullable else []
    same += ["v is UNSET"] if field.optional else []
    if not same:
        return _written(field, f"e.{field.name}")
    first, *others = same
    tests = " or ".join([first.replace("v", f"(v := e.{field.name})", 1), *others])
    return f"v if {tests} else {_written(field, 'v')}"


def _written(field: FieldType, value: str) -> str:
    """The source of the written form of a value: without a call of Python for the most frequent kinds."""
    if field.form is WORDS:
        return f"list(map(hex, {value}))"
    return f"written_{field.name}({value})"


def records_in(text: bytes) -> list[Record]:
    """The records of lines that have been encoded."""
    return msgspec.json.Decoder(Record).decode_lines(text)


def record_of(line: Line) -> Record:
    """The line as a dictionary, without the fields that the event does not have."""
    record: Record = msgspec.to_builtins(line)
    return record


def encoded(lines: list[Line] | list[Record]) -> bytes:
    """JSON Lines, with escapes in place of whatever a terminal would obey.

    It takes lists alone: msgspec loses a reference to the iterator of anything else.
    """
    try:
        text = _encoder.encode_lines(lines)
    except UnicodeEncodeError:  # a name that is not UTF-8
        pass
    else:
        if text.isascii() and b"\x7f" not in text:
            return text
    return b"".join(map(_visible, lines))


def _visible(line: Line | Record) -> bytes:
    try:
        text = _encoder.encode(line).decode()
    except UnicodeEncodeError:
        record = record_of(line) if isinstance(line, Line) else line
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    return visible_json(text).encode() + b"\n"
