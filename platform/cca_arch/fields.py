"""Immutable bit fields and memory structures, declared once and tested against the specification's tables.

A register or descriptor is an ``int`` with named fields::

    class Esr(Bits):
        ec = Field(31, 26)
        il = Field(25)

    Esr(0x96000007).ec == 0x25
    Esr.make(ec=0x24, il=1).replace(il=0)

A structure in memory is a list of members at offsets::

    RsiHostCall = Struct("RsiHostCall", 0x100, Member("imm", 0x0, 2), Member("gprs", 0x8, 8, count=31))
    RsiHostCall.unpack(page).imm
    RsiHostCall.pack(imm=3)
"""

import struct
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self, overload

__all__ = ["Bits", "Field", "Member", "Record", "Struct"]

_SCALAR = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Field:
    """Bits ``high`` down to ``low`` of a :class:`Bits` value; ``type`` converts values that are read."""

    def __init__(self, high: int, low: int | None = None, type: Any = int) -> None:
        self.high = high
        self.low = high if low is None else low
        self.type = type
        self.width = self.high - self.low + 1
        self.ones = (1 << self.width) - 1
        self.mask = self.ones << self.low
        self.name = "?"

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, value: None, owner: type) -> Self: ...
    @overload
    def __get__(self, value: int, owner: type) -> Any: ...
    def __get__(self, value: int | None, owner: type) -> Any:
        if value is None:
            return self
        bits = value >> self.low & self.ones
        return bits if self.type is int else self.type(bits)

    def insert(self, value: int) -> int:
        """Shift ``value`` to the position of this field; raises ValueError if it does not fit."""
        if value & ~self.ones:
            raise ValueError(f"{self.name} must fit {self.width} bits, not {value:#x}")
        return value << self.low

    def __repr__(self) -> str:
        return f"Field({self.high}, {self.low}, name={self.name!r})"


class Bits(int):
    """An integer with named bit fields."""

    _fields: ClassVar[dict[str, Field]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = {name: field for name, field in vars(cls).items() if isinstance(field, Field)}
        cls._fields = {**cls._fields, **own}

    @classmethod
    def fields(cls) -> Mapping[str, Field]:
        """Every field of the class by name, inherited ones first."""
        return cls._fields

    @classmethod
    def make(cls, **values: int) -> Self:
        """Make a value with the named fields set and all other bits zero."""
        return cls(0).replace(**values)

    def replace(self, **values: int) -> Self:
        """Return this value with the named fields changed."""
        result = int(self)
        fields = self._fields
        for name, value in values.items():
            if name not in fields:
                raise ValueError(f"{type(self).__name__} has no field {name!r}; it has {', '.join(fields)}")
            result = result & ~fields[name].mask | fields[name].insert(int(value))
        return type(self)(result)

    def __repr__(self) -> str:
        named = ", ".join(f"{name}={int(getattr(self, name)):#x}" for name in type(self).fields())
        return f"{type(self).__name__}({int(self):#x}: {named})"


class Member(NamedTuple):
    """A member of a structure: ``size`` bytes at ``offset``, ``count`` of them in a row.

    Sizes 1, 2, 4 and 8 are little-endian unsigned integers (``signed`` for signed ones); any other size is bytes.
    ``Struct.pack`` zeroes the whole structure first, so members may be smaller than their slots.
    """

    name: str
    offset: int
    size: int
    count: int = 1  # type: ignore[assignment] # the word of structures; tuple.count is never called
    signed: bool = False


class Record:
    """The unpacked members of a structure as attributes."""

    def __init__(self, kind: str, values: dict[str, Any]) -> None:
        self.__dict__.update(values)
        self._kind = kind

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{self._kind} has no member {name!r}")

    def __repr__(self) -> str:
        values = ", ".join(f"{k}={v!r}" for k, v in self.__dict__.items() if k != "_kind")
        return f"{self._kind}({values})"


class Struct:
    """A structure in memory: its size and its members at their offsets."""

    def __init__(self, name: str, size: int, *members: Member) -> None:
        self.name = name
        self.size = size
        self.members = {member.name: member for member in members}
        self._codecs = {member.name: self._codec(member) for member in members}
        end = max((m.offset + m.size * m.count for m in members), default=0)
        if end > size:
            raise ValueError(f"{name} must hold its members in {size:#x} bytes, not {end:#x}")

    @staticmethod
    def _codec(member: Member) -> tuple[struct.Struct, bool]:
        if member.size in _SCALAR:
            letter = _SCALAR[member.size]
            return struct.Struct(f"<{member.count}{letter.lower() if member.signed else letter}"), member.count == 1
        return struct.Struct(f"<{member.size * member.count}s"), True

    def codec(self) -> struct.Struct:
        """One codec for all members in offset order, gaps zero, to pack many structures of a kind fast."""
        form, at = "<", 0
        for member in sorted(self.members.values(), key=lambda item: item.offset):
            part = self._codecs[member.name][0]
            form += f"{member.offset - at}x{part.format[1:]}"
            at = member.offset + part.size
        return struct.Struct(f"{form}{self.size - at}x")

    def offset(self, member: str) -> int:
        """The byte offset of a member."""
        return self.members[member].offset

    def unpack(self, data: bytes | bytearray | memoryview) -> Record:
        """Unpack all members from ``data``, which has at least ``size`` bytes."""
        if len(data) < self.size:
            raise ValueError(f"{self.name} needs {self.size:#x} bytes, not {len(data):#x}")
        values: dict[str, Any] = {}
        for name, (codec, single) in self._codecs.items():
            got = codec.unpack_from(data, self.members[name].offset)
            values[name] = got[0] if single else got
        return Record(self.name, values)

    def pack(self, **values: Any) -> bytes:
        """Pack the structure; members not named, and all gaps, are zero."""
        data = bytearray(self.size)
        self.pack_into(data, **values)
        return bytes(data)

    def pack_into(self, data: bytearray | memoryview, /, **values: Any) -> None:
        """Write only the named members into ``data``."""
        for name, value in values.items():
            if name not in self._codecs:
                raise ValueError(f"{self.name} has no member {name!r}; it has {', '.join(self._codecs)}")
            codec, single = self._codecs[name]
            if single:
                codec.pack_into(data, self.members[name].offset, value)
            else:
                codec.pack_into(data, self.members[name].offset, *value)
