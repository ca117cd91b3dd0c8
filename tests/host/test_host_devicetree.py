"""The flattened device tree, read back by an independent parser."""

import fdt

from cca_arch.devicetree import flatten
from cca_host.kvmtool.devicetree import realm_tree


class TestRealm:
    """The tree of a Realm."""

    def test_realm(self):
        """A Realm finds its memory, CPUs, PSCI conduit, boot arguments and UART."""
        tree = fdt.parse_dtb(flatten(realm_tree(64 << 20, [0, 1, 0x100], "n=3 quiet")))
        assert tree.get_node("/memory@80000000").get_property("reg").data == [0, 0x8000_0000, 0, 64 << 20]
        assert [node.name for node in tree.get_node("/cpus").nodes] == ["cpu@0", "cpu@1", "cpu@100"]
        assert tree.get_node("/psci").get_property("method").data == ["smc"]
        assert tree.get_node("/chosen").get_property("bootargs").data == ["n=3 quiet"]
        assert tree.get_node("/serial@1000000").get_property("reg").data == [0, 0x100_0000, 0, 0x1000]
