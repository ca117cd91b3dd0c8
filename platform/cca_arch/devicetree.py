"""Device trees and their flattened form, version 17 (devicetree.org): how software learns what a machine has."""

import struct

from msgspec import Struct, field

__all__ = ["DeviceTreeError", "Node", "Value", "cells", "checked", "flatten"]

_MAGIC, _VERSION, _LAST_COMPATIBLE = 0xD00D_FEED, 17, 16
_BEGIN, _END_OF_NODE, _PROPERTY, _NOP, _END_OF_TREE = 1, 2, 3, 4, 9
_BEGIN_NODE, _END_NODE, _PROP, _END = (
    struct.pack(">I", token) for token in (_BEGIN, _END_OF_NODE, _PROPERTY, _END_OF_TREE)
)
_HEADER = struct.Struct(">10I")
_BYTES = "surrogateescape"  # an argument of a command that is not UTF-8 has its bytes in the tree
_MAGIC_BYTES = struct.pack(">I", _MAGIC)

Value = None | int | str | bytes | list[int] | tuple[str, ...]


class Node(Struct):
    """A node: ``props`` in order, then ``children``.

    A property is None (empty), an int (one cell), a list of ints (cells), a str, a tuple of str (a list) or bytes.
    """

    name: str
    props: dict[str, Value] = field(default_factory=dict)
    children: "list[Node]" = field(default_factory=list)


def _encode(value: Value) -> bytes:
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode(errors=_BYTES) + b"\0"
    if isinstance(value, tuple):
        return b"".join(item.encode(errors=_BYTES) + b"\0" for item in value)
    numbers = [value] if isinstance(value, int) else value
    return struct.pack(f">{len(numbers)}I", *numbers)


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


class _Strings:
    """The strings block, with each property name once."""

    def __init__(self) -> None:
        self.data = b""
        self._offsets: dict[str, int] = {}

    def offset(self, name: str) -> int:
        if name not in self._offsets:
            self._offsets[name] = len(self.data)
            self.data += name.encode() + b"\0"
        return self._offsets[name]


def _structure(node: Node, strings: _Strings) -> bytes:
    parts = [_BEGIN_NODE, _pad(node.name.encode() + b"\0")]
    for name, value in node.props.items():
        data = _encode(value)
        parts += [_PROP, struct.pack(">2I", len(data), strings.offset(name)), _pad(data)]
    parts += [_structure(child, strings) for child in node.children]
    return b"".join([*parts, _END_NODE])


def flatten(root: Node) -> bytes:
    """Flatten the device tree ``root``: boot CPU 0, no reservations."""
    strings = _Strings()
    structure = _structure(root, strings) + _END
    reserved = bytes(16)
    at_structure = _HEADER.size + len(reserved)
    at_strings = at_structure + len(structure)
    header = _HEADER.pack(
        _MAGIC,
        at_strings + len(strings.data),
        at_structure,
        at_strings,
        _HEADER.size,
        _VERSION,
        _LAST_COMPATIBLE,
        0,
        len(strings.data),
        len(structure),
    )
    return header + reserved + structure + strings.data


def cells(value: int) -> list[int]:
    """A 64-bit number as two cells."""
    return [value >> 32, value & 0xFFFF_FFFF]


class DeviceTreeError(ValueError):
    """Data that is no flattened device tree: the message says why, after the name of the file."""


def checked(data: bytes) -> bytes:
    """The flattened device tree at the start of ``data``; raises DeviceTreeError if it is damaged."""
    if len(data) < _HEADER.size or not data.startswith(_MAGIC_BYTES):
        raise DeviceTreeError("must be a flattened device tree (.dtb), which begins with d00dfeed")
    _, total, structure, strings, reserved, version, compatible, _, *sizes = _HEADER.unpack_from(data)
    strings_size, structure_size = sizes
    if total > len(data):
        raise DeviceTreeError(f"must have the {total} bytes that its header names, not {len(data)}")
    if version < _LAST_COMPATIBLE or compatible > _VERSION:
        raise DeviceTreeError(f"must be a device tree of version 17, not {version}")
    if version < _VERSION:
        structure_size = total - structure
    if structure % 4 or reserved % 8 or max(structure + structure_size, strings + strings_size, reserved + 16) > total:
        raise DeviceTreeError("must have its blocks inside, aligned")
    try:
        _walk(data[structure : structure + structure_size], data[strings : strings + strings_size])
    except (struct.error, ValueError):
        raise DeviceTreeError("must be a whole device tree, not a damaged one") from None
    return data[:total]


def _walk(structure: bytes, strings: bytes) -> None:
    """Go through a structure block to its end; raises ValueError or struct.error unless it is one tree."""
    at = depth = 0
    while True:
        token = struct.unpack_from(">I", structure, at)[0]
        at += 4
        if token == _BEGIN:
            at = _aligned(structure.index(b"\0", at) + 1)
            depth += 1
        elif token == _END_OF_NODE:
            depth -= 1
        elif token == _PROPERTY:
            size, name = struct.unpack_from(">2I", structure, at)
            strings.index(b"\0", name)
            at = _aligned(at + 8 + size)
        elif token == _END_OF_TREE:
            if depth:
                raise ValueError("a node has no end")
            return
        elif token != _NOP:
            raise ValueError("not a token")
        if depth < 0 or (depth == 0 and token == _PROPERTY) or at > len(structure):
            raise ValueError("outside of a node")


def _aligned(at: int) -> int:
    return -(-at // 4) * 4
