"""Files that people write, against their schema: a msgspec Struct, from which messages and reference are made too.

`parse_toml` and `parse_json` make tables of text, however it is nested; `fit` makes the Struct of a table, or says
which field is wrong: ``region[1].pas: must be one of secure, non_secure, realm or root, not 5``.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

__all__ = [
    "Address", "Frequency", "Intid", "Name", "SchemaError", "fields", "fit", "parse_json", "parse_toml", "within",
    "words",
]  # fmt: skip

_T = TypeVar("_T")

ADDRESS_BITS: Final = 52
Address = Annotated[int, Meta(ge=0, le=(1 << ADDRESS_BITS) - 1)]
"""A physical address, or a number of bytes."""
Frequency = Annotated[int, Meta(ge=1, le=(1 << 32) - 1)]
"""In Hz, as CNTFRQ_EL0 holds it."""
Intid = Annotated[int, Meta(ge=0, le=1019)]
"""The number of an interrupt."""
Name = Annotated[str, Meta(min_length=1, max_length=100)]
"""A name that messages and events show."""

_MOST_PARTS: Final = 32
"""Parts of a dotted key: tomllib takes time by their square."""
_PART: Final = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+"""
_DOTTED: Final = re.compile(rf"(?<![\w-]){_PART}(?:\.[ \t]*+{_PART}){{{_MOST_PARTS}}}")
_DEEP: Final = "must nest a few levels, not so many"
_PLACE: Final = re.compile(r" - at `(?P<key>key` in `)?\$(?P<path>(?:\.\w+|\[\d+\]|\[\.\.\.\])*)`\Z")
_STEP: Final = re.compile(r"\.(?P<name>\w+)|\[(?P<index>\d+|\.\.\.)\]")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(.*)`")
_INVALID: Final = "Invalid enum value"
_OURS: Final = ("Expected ", _INVALID, "Object ")
_LONG: Final = 60
_PLAIN: Final = 10_000
"""Larger numbers are shown in hexadecimal, unless they are round."""


class SchemaError(ValueError):
    """What is wrong in a file, and where: a sentence that the caller puts behind the name of the file."""


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML; raises SchemaError, also for what would take too long."""
    if _DOTTED.search(text):
        raise SchemaError(_DEEP)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise SchemaError(_DEEP) from None
    except ValueError as error:
        raise SchemaError(f"must be TOML: {_why(error)}") from None


def parse_json(text: str) -> Any:
    """Parse JSON in which no key is given twice; raises SchemaError."""
    from json import loads

    try:
        return loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise SchemaError(_DEEP) from None
    except SchemaError:
        raise
    except ValueError as error:
        raise SchemaError(f"must be JSON: {_why(error)}") from None


def _why(error: ValueError) -> str:
    """What a parser says, but for Python's own words on a number with thousands of digits."""
    text = str(error)
    return "a number has thousands of digits" if "set_int_max_str_digits" in text else text


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name, value in pairs:
        if name in table:
            raise SchemaError(f"must have each key once, not {_shown(name)} again")
        table[name] = value
    return table


def fit(data: Any, kind: type[_T], name: str, before: Mapping[str, int] | None = None) -> _T:
    """``data`` as the Struct ``kind``; raises SchemaError with the path of the field that is wrong.

    ``name`` stands for the whole. ``before`` are the rows that come before those of the file, by key: paths count those
    of the file.
    """
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        message = str(error)
    try:
        said = _said(message, data, kind, name, before or {})
    except (AssertionError, AttributeError, LookupError, StopIteration, TypeError):
        said = f"{name} has a key that must not be there"  # one that looks like a path in a message
    raise SchemaError(said)


def within(name: str, error: SchemaError) -> str:
    """What is wrong in a part of a file, behind the name of the part."""
    text = str(error)
    return text if text.startswith(name) else f"{name}: {text}"


def _said(message: str, data: Any, kind: Any, name: str, before: Mapping[str, int]) -> str:
    """What msgspec says, in our words."""
    found = _PLACE.search(message)
    what, path = (message[: found.start()], found["path"]) if found else (message, "")
    place, value, expected = _walk(path, data, kind, before)
    if unknown := _UNKNOWN.fullmatch(what):
        import difflib

        known = [one.encode_name for one in _table(expected).fields]
        near = difflib.get_close_matches(unknown[1][:_LONG], known, 1)
        guess = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(known)}"
        return f"{place}{'.' * bool(place)}{_cut(unknown[1])}: no such key; {guess}"
    if missing := _MISSING.fullmatch(what):
        wanted = next(one.type for one in _table(expected).fields if one.encode_name == missing[1])
        return f"{place or name} must have the key {missing[1]!r}: {words(wanted)}"
    if not what.startswith(_OURS):
        return f"{place}: {what}" if place else what
    if found and found["key"]:
        return f"{place}: must have keys that are {words(expected.key_type)}"
    if what.startswith(_INVALID):
        expected = next(one for one in getattr(expected, "types", (expected,)) if type(one).__name__ == "LiteralType")
    return f"{place + ':' if place else name} must be {words(expected)}, not {_shown(value)}"


def _walk(path: str, data: Any, kind: Any, before: Mapping[str, int]) -> tuple[str, Any, Any]:
    """(the path in the file, the value there, its type) for msgspec's path."""
    from msgspec import inspect

    expected: Any = _bare(inspect.type_info(kind))
    place, key = "", ""
    for step in _STEP.finditer(path):
        expected = _inside(expected, step["name"])
        if step["name"]:
            key = step["name"]
            place += f".{key}" if place else key
            data = data.get(key)
        elif step["index"] == "...":  # a value of a table: which one is not told
            key, data = next(((name, one) for name, one in data.items() if not _is(one, expected)), ("...", None))
            place += f".{_cut(key)}"
        else:
            index = int(step["index"])
            data = data[index]
            place += f"[{index - (before.get(key, 0) if place == key else 0)}]"
    return place, data, expected


def _inside(expected: Any, name: str | None) -> Any:
    """The type of a field, or of the items of a list or table."""
    for one in getattr(expected, "types", (expected,)):
        kind = type(one).__name__
        if name and kind == "StructType":
            return _bare(next(field.type for field in one.fields if field.encode_name == name))
        if not name and kind == "ListType":
            return _bare(one.item_type)
        if not name and kind == "DictType":
            return _bare(one.value_type)
    raise AssertionError(f"{expected} has nothing inside")


def _table(expected: Any) -> Any:
    """The Struct among the types that a value may have."""
    return next(one for one in getattr(expected, "types", (expected,)) if type(one).__name__ == "StructType")


def _is(value: Any, expected: Any) -> bool:
    """True if a value of a table with any keys has its type."""
    kind = type(expected).__name__
    if kind == "UnionType":
        return any(_is(value, _bare(one)) for one in expected.types)
    if kind == "ListType":
        return isinstance(value, list) and all(_is(one, _bare(expected.item_type)) for one in value)
    if kind == "StructType":
        with suppress(msgspec.ValidationError):
            msgspec.convert(value, expected.cls)
            return True
        return False
    return kind != "StrType" or isinstance(value, str)


def _bare(expected: Any) -> Any:
    """A type without its description."""
    return expected.type if type(expected).__name__ == "Metadata" else expected


def words(expected: Any) -> str:
    """What a value must be, by its type as ``msgspec.inspect`` has it."""
    expected = _bare(expected)
    kind = type(expected).__name__
    if kind == "UnionType":
        return " or ".join(words(one) for one in expected.types if type(one).__name__ != "NoneType")
    if kind == "LiteralType":
        return f"one of {', '.join(map(str, expected.values))}"
    if kind == "ListType":
        if type(_bare(expected.item_type)).__name__ == "StructType":
            return f"{_range(expected) or 'any number of'} tables in double brackets"
        each = words(expected.item_type)
        return f"a list of {each}" if each == "text" else f"a list{_count(expected)}, each {each}"
    if kind == "DictType":
        return f"a table from names to {words(expected.value_type)}"
    if kind == "IntType":
        return "a whole number" + _between(expected)
    return _WORDS[kind] + (_count(expected) if kind == "StrType" else "")


_WORDS: Final = {
    "StrType": "text",
    "BoolType": "true or false",
    "FloatType": "a number",
    "StructType": "a table",
    "AnyType": "anything",
}


def _between(number: Any) -> str:
    least, most = number.ge, number.le
    if least is not None and most is not None:
        return f" from {_number(least)} to {_number(most)}"
    return f" of {_number(least)} or more" if least is not None else ""


def _count(several: Any) -> str:
    found = _range(several)
    return f" of {found} {'characters' if type(several).__name__ == 'StrType' else 'items'}" if found else ""


def _range(several: Any) -> str:
    least, most = several.min_length or 0, several.max_length
    if most is not None:
        return f"{least} to {most}"
    return f"{least} or more" if least else ""


def _number(value: int) -> str:
    return str(value) if abs(value) < _PLAIN or (abs(value) < _PLAIN**3 and value % _PLAIN == 0) else f"{value:#x}"


def _shown(value: Any) -> str:
    """A value of a file for a message: never longer than a line."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return _cut(_number(value))
    return _cut(repr(value) if isinstance(value, str) else str(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONG else text[:_LONG] + "..."


def fields(kind: type) -> Iterator[tuple[str, str, str, str]]:
    """(key, what it must be, its default, what it means) of each field of a Struct, for the reference."""
    from msgspec import inspect

    for one in _table(inspect.type_info(kind)).fields:
        about = getattr(one.type, "extra_json_schema", None) or {}
        yield one.encode_name, words(one.type), _default(one), str(about.get("description", ""))


def _default(field: Any) -> str:
    """What a key has unless it is given: empty if it must be given."""
    if field.required:
        return ""
    value = field.default
    if isinstance(value, bool | int):
        return _shown(value)
    return value if isinstance(value, str) and value else "none"
