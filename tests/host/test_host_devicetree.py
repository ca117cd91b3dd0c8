"""The flattened device tree, read back by an independent parser."""

import fdt

from cca_host.kvmtool.devicetree import Node, flatten, realm_tree


class TestFlatten:
    """The flattened form holds what the tree says."""

    def test_property_kinds(self):
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

    def test_realm(self):
        """A Realm finds its memory, CPUs, PSCI conduit, boot arguments and UART."""
        tree = fdt.parse_dtb(flatten(realm_tree(64 << 20, [0, 1, 0x100], "n=3 quiet")))
        assert tree.get_node("/memory@80000000").get_property("reg").data == [0, 0x8000_0000, 0, 64 << 20]
        assert [node.name for node in tree.get_node("/cpus").nodes] == ["cpu@0", "cpu@1", "cpu@100"]
        assert tree.get_node("/psci").get_property("method").data == ["smc"]
        assert tree.get_node("/chosen").get_property("bootargs").data == ["n=3 quiet"]
        assert tree.get_node("/serial@1000000").get_property("reg").data == [0, 0x100_0000, 0, 0x1000]
