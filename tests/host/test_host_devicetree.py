"""The flattened device tree, read back by an independent parser."""

import fdt

from cca_arch.devicetree import Node, flatten
from cca_host.kvm import System
from cca_host.kvmtool.devicetree import realm_tree
from cca_host.kvmtool.mmio import Devices
from cca_host.kvmtool.onboard import attach_rtc, attach_uart


class TestRealm:
    """The tree of a Realm."""

    def test_realm(self) -> None:
        """A Realm finds its memory, CPUs, PSCI conduit and boot arguments."""
        tree = fdt.parse_dtb(flatten(realm_tree(64 << 20, [0, 1, 0x100], {"bootargs": "n=3 quiet"})))
        assert tree.get_node("/memory@80000000").get_property("reg").data == [0, 0x8000_0000, 0, 64 << 20]
        assert [node.name for node in tree.get_node("/cpus").nodes] == ["cpu@0", "cpu@1", "cpu@100"]
        assert tree.get_node("/psci").get_property("method").data == ["smc"]
        assert tree.get_node("/chosen").get_property("bootargs").data == ["n=3 quiet"]

    def test_devices(self, system: System) -> None:
        """The nodes of devices are those of the device table: the UART that is the console, and the clock."""
        devices = Devices(system.machine)
        attach_rtc(devices)
        attach_uart(devices)
        tree = fdt.parse_dtb(flatten(realm_tree(64 << 20, [0], {}, devices.nodes())))
        console = tree.get_node(tree.get_node("/chosen").get_property("stdout-path").value)
        assert console.get_property("reg").data == [0, 0x100_0000, 0, 0x8000]
        assert console.get_property("reg-shift").value == 12
        assert console.get_property("compatible").value == "ns16550a"
        clock = tree.get_node("/rtc@1010000")
        assert clock.get_property("reg").data == [0, 0x101_0000, 0, 0x1000]
        assert clock.get_property("interrupts").data == [0, 1, 4]
        named = clock.get_property("clocks").value
        assert tree.get_node("/apb-pclk").get_property("phandle").value == named

    def test_completed(self, system: System) -> None:
        """The table adds what a node lacks: unit address, ``reg``, ``interrupts``; it keeps what is there."""
        devices = Devices(system.machine)
        attach_rtc(devices)
        rtc = devices.device("rtc")
        devices.attach(rtc, 0x200_0000, 0x200, node=Node("bare"))
        devices.attach(rtc, 0x1_2345_6000, 0x1000, intid=40, node=Node("far@1", {"reg": [7], "kept": "x"}))
        own, far = devices.nodes()[1:]
        assert own == Node("bare@2000000", {"reg": [0, 0x200_0000, 0, 0x200]})
        assert far == Node("far@1", {"reg": [7], "kept": "x", "interrupts": [0, 8, 4]})
