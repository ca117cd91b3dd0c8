"""A Realm with a PMU: what the host asks for, and what it does about an overflow."""

import fdt
import pytest
from host_code import report

from cca_arch.devicetree import flatten
from cca_arch.gic import GICR_SGI_BASE, GICR_STRIDE, Gicd, Ppi
from cca_arch.sysregs import REGISTERS
from cca_host.kvm import HostCall, Interrupted, Paused, Vm
from cca_host.kvmtool.devicetree import realm_tree
from cca_host.kvmtool.layout import DISTRIBUTOR_BASE, RAM_BASE, redistributor_base
from cca_host.kvmtool.options import RunOptions
from cca_host.kvmtool.saved import OptionsState
from cca_platform.errors import MachineError
from cca_platform.state import decode, encode


def write(code, name: str, register: int = 9):
    """MSR of a system register."""
    op0, op1, crn, crm, op2 = REGISTERS[name]
    return code.word(0xD500_0000 | op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5 | register)


def overflow(code):
    """Instructions after which the first counter has overflowed."""
    for name in ("pmintenset_el1", "pmovsset_el0", "pmcntenset_el0", "pmcr_el0"):
        write(code.mov(9, 1), name)
    return code


def enabled(system) -> bool:
    """Whether the host's interrupt of the PMU is enabled on its PE."""
    frame = system.machine.board.gic.redistributors + GICR_STRIDE * system.pe.index
    return bool(system.machine.bus.read(frame + GICR_SGI_BASE + Gicd.ISENABLER, 4) >> Ppi.PMU & 1)


class TestRequest:
    """What the host asks the RMM for."""

    def test_device_tree(self):
        """The device tree has a PMU with PPI 7 if the Realm has one."""
        tree = fdt.parse_dtb(flatten(realm_tree(64 << 20, [0], {}, pmu=True)))
        assert tree.get_node("/pmu").get_property("compatible").data == ["arm,armv8-pmuv3"]
        assert tree.get_node("/pmu").get_property("interrupts").data == [1, 7, 4]
        assert not fdt.parse_dtb(flatten(realm_tree(64 << 20, [0], {}))).exist_node("/pmu")

    @pytest.mark.parametrize("counters", [0, 7, -1])
    def test_counters(self, system, counters):
        """As many as the RMM offers, and one at least."""
        with pytest.raises(MachineError, match=f"`pmu_counters` must be 1 to 6, not {counters}"):
            Vm(system, pmu_counters=counters)

    def test_saved(self):
        """The option is part of a saved run."""
        state = OptionsState.of(RunOptions(payload="x", pmu_counters=3))
        assert decode(encode(state), OptionsState).options().pmu_counters == 3


class TestOverflow:
    """An overflow of the Realm's PMU."""

    def test_known(self, code, start, system):
        """The first exit tells of it; then the Realm runs on, with the interrupt of the PE disabled for that time."""
        vcpu = start(overflow(code).loop(), pmu_counters=2)
        assert vcpu.run() == Interrupted()
        assert (vcpu.page.pmu_overflow, enabled(system)) == (True, True)
        assert vcpu.run(until=system.machine.clock.now + 1000) == Paused()
        assert not enabled(system)
        assert vcpu.save().pmu_masked
        assert vcpu.kick() == Interrupted()
        assert (vcpu.page.pmu_overflow, enabled(system)) == (True, True)

    def test_injected(self, code, system):
        """The virtual PPI 23 is asserted while the PMU is, and no longer."""
        write(overflow(code).mov(9, 1), "pmovsclr_el0")
        report(code).loop()
        vm = Vm(system, pmu_counters=1)
        vm.create_vgic(DISTRIBUTOR_BASE, redistributor_base(1))
        vm.add_memory(RAM_BASE, 1 << 20)
        vm.init_ripas()
        vm.populate(RAM_BASE, bytes(code))
        vcpu = vm.create_vcpu(RAM_BASE)
        vm.activate()
        assert vcpu.run() == Interrupted()
        assert vm.vgic.cpus[0].private.line >> Ppi.PMU & 1 == 1
        assert isinstance(vcpu.run(), HostCall)
        assert vm.vgic.cpus[0].private.line >> Ppi.PMU & 1 == 0
