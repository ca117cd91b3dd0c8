"""Flattened device trees: what is written is what an independent parser reads, and what is damaged is refused."""

import struct

import fdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca_arch.devicetree import DeviceTreeError, Node, cells, checked, flatten

_CHILD = Node("child@1", {"b": [1, 2]}, [Node("grandchild")])
BLOB = flatten(Node("", {"a": 1, "text": "x", "none": None}, [_CHILD, Node("two")]))


class TestFlatten:
    """The flattened form holds what the tree says."""

    def test_property_kinds(self) -> None:
        """Each kind of value arrives."""
        props = {"none": None, "cell": 7, "cells": [1, 2**32 - 1], "text": "abc", "list": ("a", "bc"), "raw": b"\1\2\3"}
        tree = fdt.parse_dtb(flatten(Node("", props, [Node("child@1", {"cell": 1})])))
        root = tree.root
        assert root.get_property("none").name == "none"
        assert root.get_property("cell").data == [7]
        assert root.get_property("cells").data == [1, 2**32 - 1]
        assert root.get_property("text").data == ["abc"]
        assert root.get_property("list").data == ["a", "bc"]
        assert bytes(root.get_property("raw").data) == b"\1\2\3"
        assert tree.get_node("/child@1").get_property("cell").data == [1]

    def test_cells(self) -> None:
        """A 64-bit number is two cells, the high half first."""
        assert cells(0x1_2345_6789) == [1, 0x2345_6789]


class TestChecked:
    """A tree from elsewhere is read once before software gets it."""

    def test_whole(self) -> None:
        """A whole tree is taken, ours and others'; what follows it in the file is left out."""
        assert checked(BLOB) == BLOB
        assert checked(BLOB + b"more") == BLOB
        other = fdt.parse_dtb(BLOB).to_dtb(version=17)
        assert checked(other) == other

    def test_padded(self) -> None:
        """Nothing follows from the order of the blocks, and NOPs are no nodes."""
        nops = struct.pack(">I", 4) * 2
        at, structure = struct.unpack_from(">I", BLOB, 8)[0], BLOB[struct.unpack_from(">I", BLOB, 8)[0] :]
        data = bytearray(BLOB[:at] + nops + structure)
        for place in (4, 12, 36):
            struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] + 8)
        assert checked(bytes(data)) == data

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "which begins with d00dfeed"),
            (b"\x7fELF" + bytes(100), "which begins with d00dfeed"),
            (BLOB[:39], "which begins with d00dfeed"),
            (BLOB[:-1], f"must have the {len(BLOB)} bytes that its header names, not {len(BLOB) - 1}"),
        ],
    )
    def test_refused(self, data: bytes, message: str) -> None:
        """Something else, or a part of a tree."""
        with pytest.raises(DeviceTreeError, match=message):
            checked(data)

    @pytest.mark.parametrize(("place", "value"), [*((at, 1 << 20) for at in (8, 12, 16, 32, 36)), (8, 41), (16, 44)])
    def test_blocks(self, place: int, value: int) -> None:
        """A block that is not inside, or not aligned."""
        data = bytearray(BLOB)
        struct.pack_into(">I", data, place, value)
        with pytest.raises(DeviceTreeError, match="must have its blocks inside, aligned"):
            checked(bytes(data))

    @pytest.mark.parametrize(("place", "value"), [(20, 15), (24, 18)])
    def test_version(self, place: int, value: int) -> None:
        """Another version."""
        data = bytearray(BLOB)
        struct.pack_into(">I", data, place, value)
        with pytest.raises(DeviceTreeError, match="must be a device tree of version 17"):
            checked(bytes(data))

    @given(at=st.integers(40, len(BLOB) - 4), value=st.integers(0, 2**32 - 1) | st.integers(0, 12))
    def test_damaged(self, at: int, value: int) -> None:
        """Whatever is in it, it is taken or refused, and what is taken can be read by the independent parser."""
        data = bytearray(BLOB)
        struct.pack_into(">I", data, at & ~3, value)
        try:
            assert checked(bytes(data)) == data
        except DeviceTreeError as error:
            assert str(error) == "must be a whole device tree, not a damaged one"  # either is right

    @pytest.mark.parametrize(
        "tokens",
        [
            [1, 0, 9], [1, 0, 2], [2, 9], [3, 0, 0, 9], [1, 0, 3, 64, 0, 2, 9], [1, 0, 3, 0, 99, 2, 9], [1, 0, 7, 2, 9],
            [1, 0x61616161], [],
        ],
    )  # fmt: skip
    def test_structure(self, tokens: list[int]) -> None:
        """A node without an end, an end without a node, a property outside, too long or without a name, no end."""
        at = struct.unpack_from(">I", BLOB, 8)[0]
        data = bytearray(BLOB[:at] + struct.pack(f">{len(tokens)}I", *tokens))
        strings = len(data)
        data += b"a\0"
        for place, value in ((4, len(data)), (12, strings), (32, 2), (36, 4 * len(tokens))):
            struct.pack_into(">I", data, place, value)
        with pytest.raises(DeviceTreeError, match="must be a whole device tree"):
            checked(bytes(data))
