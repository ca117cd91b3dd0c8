"""A strict CBOR (RFC 8949) decoder for untrusted bytes.

A verifier must not read ambiguous data: definite lengths, no duplicate keys, no trailing bytes, valid
UTF-8, at most MAX_DEPTH levels of nesting. Anything else raises CborError, and no input raises anything else.
"""

import json
import struct
from typing import Any, Final, NamedTuple

from cca_platform.errors import OneLine
from cca_platform.printable import printable

__all__ = ["MAX_DEPTH", "CborError", "Tag", "decode", "diagnostic", "encode_bytes", "encode_text"]

MAX_DEPTH: Final = 16
_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_ARGUMENT: Final = {24: ">B", 25: ">H", 26: ">I", 27: ">Q"}
_SIMPLE_VALUES: Final = {20: False, 21: True, 22: None}
_FLOATS: Final = {25: ">e", 26: ">f", 27: ">d"}


class CborError(OneLine, ValueError):
    """The bytes are not exactly one well-formed item."""


class Tag(NamedTuple):
    """A tagged item. Tags are not interpreted."""

    number: int
    value: Any


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise CborError(f"CBOR must go on at byte {self.at} for {size} bytes, not end at {len(self.data)}")
        taken, self.at = self.data[self.at : end], end
        return taken

    def head(self) -> tuple[int, int, int]:
        """(major type, additional information, argument)."""
        start = self.at
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if info < 24:
            return major, info, info
        if info not in _ARGUMENT:
            raise CborError(f"CBOR must have definite lengths, not the initial byte {first:#04x} at {start}")
        (argument,) = struct.unpack(_ARGUMENT[info], self.take(struct.calcsize(_ARGUMENT[info])))
        return major, info, argument

    def item(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise CborError(f"CBOR must nest at most {MAX_DEPTH} levels")
        start = self.at
        major, info, argument = self.head()
        if major == _UNSIGNED:
            return argument
        if major == _NEGATIVE:
            return -1 - argument
        if major == _BYTES:
            return self.take(argument)
        if major == _TEXT:
            return self.text(argument)
        if major in (_ARRAY, _MAP) and argument > len(self.data) - self.at:
            raise CborError(f"CBOR must have room for {argument} items at byte {start}")
        if major == _ARRAY:
            return [self.item(depth + 1) for _ in range(argument)]
        if major == _MAP:
            return self.map(argument, depth)
        if major == _TAG:
            return Tag(argument, self.item(depth + 1))
        return self.simple(info, argument, start)

    def text(self, size: int) -> str:
        try:
            return self.take(size).decode()
        except UnicodeDecodeError:
            raise CborError(f"CBOR text must be UTF-8 at byte {self.at - size}") from None

    def map(self, count: int, depth: int) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for _ in range(count):
            at = self.at
            key = self.item(depth + 1)
            if isinstance(key, bool) or not isinstance(key, (int, str)):
                raise CborError(f"a key of a CBOR map must be an integer or text at byte {at}")
            if key in result:
                raise CborError(f"a key of a CBOR map must occur once, not {key!r} again at byte {at}")
            result[key] = self.item(depth + 1)
        return result

    def simple(self, info: int, argument: int, start: int) -> Any:
        if info in _FLOATS:
            return struct.unpack(_FLOATS[info], argument.to_bytes(1 << (info - 24), "big"))[0]
        if info in _SIMPLE_VALUES:  # not the argument: false in two bytes is not well-formed
            return _SIMPLE_VALUES[info]
        raise CborError(f"a simple value of CBOR must be false, true or null, not {argument} at byte {start}")


def decode(data: bytes) -> Any:
    """Decode the single item in ``data``; raises CborError for anything else."""
    reader = _Reader(data)
    value = reader.item(0)
    if reader.at != len(data):
        raise CborError(f"CBOR must end after its item at byte {reader.at}, not go on to {len(data)}")
    return value


def diagnostic(value: Any) -> str:
    """A decoded item in the diagnostic notation of RFC 8949, section 8: text is quoted, bytes are ``h'00ff'``."""
    if isinstance(value, Tag):
        return f"{value.number}({diagnostic(value.value)})"
    if isinstance(value, bytes):
        return f"h'{value.hex()}'"
    if isinstance(value, list):
        return f"[{', '.join(map(diagnostic, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{diagnostic(key)}: {diagnostic(item)}" for key, item in value.items()) + "}"
    return printable(json.dumps(value, ensure_ascii=False))


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes((major << 5 | argument,))
    info = next(info for info, code in _ARGUMENT.items() if argument >> 8 * struct.calcsize(code) == 0)
    return bytes((major << 5 | info,)) + struct.pack(_ARGUMENT[info], argument)


def encode_bytes(value: bytes) -> bytes:
    """A byte string."""
    return _head(_BYTES, len(value)) + value


def encode_text(value: str) -> bytes:
    """A text string."""
    return _head(_TEXT, len(value.encode())) + value.encode()
