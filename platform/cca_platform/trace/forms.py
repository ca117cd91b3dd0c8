"""The kinds of event fields, and their written form in records.

An address, a register or a size is a string ``"0x..."``, a count is a number, a member of an enumeration is its name,
bytes are hexadecimal digits. The kind is part of a field's annotation and alone determines the written form::

    level: Annotated[Count, "level of the table"]
    ipa: Annotated[Address | UnsetType, "faulting IPA"] = UNSET   # not every event of this type has it

"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Annotated, Any, Final, NamedTuple, get_args, get_type_hints

from msgspec import UNSET, UnsetType

__all__ = [
    "UNSET",
    "WORDS",
    "Address",
    "Arguments",
    "Count",
    "Fid",
    "FieldType",
    "Flag",
    "Form",
    "Name",
    "Named",
    "Octets",
    "Status",
    "Text",
    "UnsetType",
    "Word",
    "Words",
    "fields_of",
]

Written = Callable[[Any], Any]


class Form(NamedTuple):
    """A kind of field: its name in the reference, and the function from a value to its written form.

    A value of the type ``plain`` is its own written form; without the function, every value is.
    """

    name: str
    written: Written | None
    plain: type | None = None


def _name(value: str | Enum) -> str:
    return str(value) if isinstance(value, str) else value._name_  # a StrEnum is its text


def _status(value: int | Enum) -> int | str:
    return value.name if isinstance(value, Enum) else value


def _words(values: Sequence[int]) -> list[str]:
    return list(map(hex, values))


def _argument(value: int | str) -> str:
    if isinstance(value, str):
        return value
    return value.name if isinstance(value, Enum) else hex(value)


def _arguments(values: Sequence[int] | Mapping[str, int | str]) -> list[str] | dict[str, str]:
    if values.__class__ is dict or isinstance(values, Mapping):
        return {name: hex(value) if value.__class__ is int else _argument(value) for name, value in values.items()}
    return [_argument(value) for value in values]


Address = Annotated[int, Form("address", hex)]
"""PA, IPA, VA or the address of a device register."""
Word = Annotated[int, Form("word", hex)]
"""The contents of a register, a size, flags."""
Fid = Annotated[int, Form("FID", hex)]
"""A function identifier as a number, even if the emitter passes a member of an enumeration."""
Count = Annotated[int, Form("number", int, int)]
"""A decimal number: levels, indexes, instructions, exit statuses."""
Flag = Annotated[bool, Form("true or false", bool, bool)]
"""A Boolean."""
Name = Annotated[str | Enum, Form("name", _name, str)]
"""A text, or a member of an enumeration of the specifications."""
Text = Annotated[str, Form("name", None)]
"""A text."""
Status = Annotated[int | Enum, Form("number or name", _status, int)]
"""A status: its name if the emitter knows it, else its number."""
Octets = Annotated[bytes, Form("bytes", bytes.hex)]
"""A digest or a measurement."""
WORDS: Final = Form("words", _words)
Words = Annotated[Sequence[int], WORDS]
"""Several registers, in order."""
Arguments = Annotated[Sequence[int] | Mapping[str, int | str], Form("words", _arguments)]
"""Arguments or results: registers in order, or by the specification's names; enumerations by member name."""
Named = Annotated[Mapping[str, str], Form("words", None)]
"""Arguments by the specification's names, in their written form."""


class FieldType(NamedTuple):
    """A field of an event type."""

    name: str
    form: Form
    meaning: str
    optional: bool
    """True if events may lack it."""
    nullable: bool
    """True if it can be null."""


@cache
def fields_of(event: type) -> tuple[FieldType, ...]:
    """The fields of an event type in record order."""
    return tuple(_field(name, hint) for name, hint in get_type_hints(event, include_extras=True).items())


def _field(name: str, hint: Any) -> FieldType:
    value, *notes = get_args(hint)
    parts = get_args(value)
    forms = [note for note in (*notes, *(note for part in parts for note in get_args(part))) if isinstance(note, Form)]
    meanings = [note for note in notes if isinstance(note, str)]
    assert len(forms) == len(meanings) == 1, f"field {name} must have a kind and a meaning, not {hint}"
    return FieldType(name, forms[0], meanings[0], UnsetType in parts, type(None) in parts)
