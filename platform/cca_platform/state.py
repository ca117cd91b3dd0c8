"""Saved state: the state of a component as plain data under a declared schema with a version.

Every component with state returns it as its own :class:`State` (``save``) and takes it back (``restore``). The machine
uses these records for snapshots, restores into another machine of the same board, and differences. A record holds
64-bit integers, bytes, text, tuples, dictionaries and other records, and nothing that is specific to the process.
"""

import struct
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from cca_platform.errors import StateError

__all__ = ["AnyState", "Difference", "State", "decode", "diff", "encode", "from_words", "to_words"]

_TAG = "schema"
_WORD = 32


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field=_TAG):
    """The saved state of one kind of component.

    A subclass declares the fields, and its ``tag``, "NAME/VERSION": ``class UartState(State, frozen=True,
    tag="uart/1")``. Changing the fields or their meaning increments the version.
    """

    @classmethod
    def kind(cls) -> str:
        """The name of the schema."""
        return str(cls.__struct_config__.tag).partition("/")[0]

    @classmethod
    def version(cls) -> int:
        """The version of the schema."""
        return int(str(cls.__struct_config__.tag).partition("/")[2])


if TYPE_CHECKING:
    AnyState = State
else:  # the type of a field whose component is known at run time alone: ``decode`` finds its class by the tag
    AnyState = Any

S = TypeVar("S", bound=State)


class Difference(NamedTuple):
    """One difference between two states; a field that only one of them has is None in the other."""

    path: str
    old: Any
    new: Any


def encode(state: State) -> bytes:
    """Encode the state as MessagePack."""
    return msgspec.msgpack.encode(state)


def decode(data: bytes, kind: type[S]) -> S:
    """Decode what ``encode`` wrote; raises StateError unless it is a state of this kind and version."""
    try:
        found = _revive(msgspec.msgpack.decode(data), "")
    except msgspec.DecodeError as error:
        raise StateError(f"saved state must be MessagePack: {error}") from None
    except RecursionError:
        raise StateError("saved state must nest a few levels, not so many") from None
    if not isinstance(found, kind):
        raise StateError(f"saved state must be {kind.__struct_config__.tag}, not {_name(found)}")
    return found


def diff(old: object, new: object, path: str = "") -> Iterator[Difference]:
    """The differences of two states in field order: "gic.cpus[1].pmr" with both values."""
    if old is new:
        return
    if isinstance(old, State) and type(old) is type(new):
        for field in old.__struct_fields__:
            yield from diff(getattr(old, field), getattr(new, field), f"{path}.{field}" if path else field)
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from diff(old.get(key), new.get(key), f"{path}[{key!r}]")
    elif isinstance(old, tuple | list) and isinstance(new, tuple | list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from diff(one, other, f"{path}[{index}]")
    elif old != new:
        yield Difference(path, old, new)


def to_words(bits: int, count: int) -> tuple[int, ...]:
    """Split a set of ``count`` numbers, an integer with one bit each, into 32-bit words."""
    words = -(-count // _WORD)
    return struct.unpack(f"<{words}I", bits.to_bytes(4 * words, "little"))


def from_words(words: tuple[int, ...]) -> int:
    """Join the words of ``to_words`` into a set."""
    return int.from_bytes(struct.pack(f"<{len(words)}I", *words), "little")


def _revive(plain: Any, path: str) -> Any:
    """Plain data with every record in it as an object of its class, the innermost first."""
    if isinstance(plain, list):
        return [_revive(item, f"{path}[{index}]") for index, item in enumerate(plain)]
    if not isinstance(plain, dict):
        return plain
    found = {key: _revive(value, _join(path, key)) for key, value in plain.items()}
    if _TAG not in found:
        return found
    try:
        return msgspec.convert(found, _class_of(str(found[_TAG])))
    except msgspec.ValidationError as error:
        raise StateError(f"saved state {path or 'of the whole'} must fit {found[_TAG]}: {error}") from None


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _name(found: object) -> str:
    return str(found.__struct_config__.tag) if isinstance(found, State) else type(found).__name__


@cache
def _class_of(tag: str) -> type[State]:
    """The declared class with this tag."""
    classes = {str(one.__struct_config__.tag): one for one in _declared(State)}
    if tag in classes:
        return classes[tag]
    kind = tag.partition("/")[0]
    known = sorted(name for name in classes if name.partition("/")[0] == kind)
    if known:
        raise StateError(f"saved state of {kind} must have version {known[0].partition('/')[2]}: it is {tag}")
    raise StateError(f"saved state must be of a component that this machine knows, not {tag!r}")


def _declared(base: type[State]) -> Iterator[type[State]]:
    for one in base.__subclasses__():
        yield one
        yield from _declared(one)
