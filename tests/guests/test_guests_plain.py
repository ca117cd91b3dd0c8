"""Plain VMs: the payloads of Realms run at Non-secure EL1 under the host alone, and are seen by the same tools."""

import pytest

import realmlab
from cca_arch.types import Pas, SecurityState
from cca_host.kvmtool.layout import RAM_BASE
from cca_platform.errors import MachineError
from realmlab import Listing, Trace


class TestPayloads:
    @pytest.mark.parametrize(
        ("name", "vcpus", "shows"),
        [
            ("hello", 1, "No RSI: this is a plain VM. PSCI 1.1\n"),
            ("uart", 1, "Hello through the UART\n"),
            ("irq", 2, "22 passed, 0 failed\n"),
            ("smp", 4, "smp: 4 vCPUs counted to 4000\nsmp: vCPU 1 came back\n"),
            ("el0", 1, "the kernel is whole\n"),
            ("selfmod", 1, "selfmod: 1000 versions, 0 wrong\n"),
            ("crosscode", 2, "crosscode: 100 versions, 0 wrong\n"),
        ],
    )
    def test_runs(self, name: str, vcpus: int, shows: str) -> None:
        """A payload does what it does in a Realm, without one call to the RMM, and all memory comes back."""
        with realmlab.Machine() as machine:
            result = machine.run_realm(name, realm=False, vcpus=vcpus, max_insns=50_000_000)
            assert (result.status, result.message) == (0, "")
            assert shows in result.console.decode()
            assert (result.realm, result.calls, result.world_switches, result.granules_peak) == (False, {}, 0, 0)
            assert (machine.host.pages.used, machine.host.vmids) == (0, set())

    def test_two_runs_are_the_same(self) -> None:
        """The same inputs give the same trace."""
        traces = []
        for _ in range(2):
            listing = Listing()
            with realmlab.Machine(trace=Trace(listing)) as machine:
                machine.run_realm("irq", realm=False, vcpus=2, max_insns=20_000_000)
            traces.append(list(listing))
        assert traces[0] == traces[1]

    def test_denied(self) -> None:
        """A vCPU that the host does not let the VM turn on stays off."""
        with realmlab.Machine() as machine:
            result = machine.run_realm("smp", realm=False, vcpus=4, deny_cpu_on=(2,), max_insns=50_000_000)
        assert result.console.decode().splitlines()[0] == "smp: vCPU 2 is denied"


class TestTools:
    def test_live(self) -> None:
        """Registers, tables, breakpoints and steps of a plain VM are there, on the PE and in between; it has no REC."""
        with realmlab.Machine() as machine, machine.realm("hello", realm=False, vcpus=2) as vm:
            assert repr(vm.vcpus[0]) == "<Vcpu 0: on, not in its guest>"
            assert (vm.vcpus[0].regs.pc, vm.vcpus[0].cpu) == (RAM_BASE, None)
            vm.break_on("main")
            assert vm.run().reason == "breakpoint"
            cpu = vm.vcpus[0].cpu
            assert cpu is not None
            assert (cpu.world, cpu.el) == (SecurityState.NON_SECURE, 1)
            at = vm.symbols.address("main")
            assert vm.vcpus[0].regs.pc == at
            pa = vm.rtt.translate(at)
            assert machine.platform.memory.port(SecurityState.NON_SECURE).pas is Pas.NON_SECURE
            assert machine.read(pa, 4) == vm.read(at, 4)
            assert vm.step().regs.pc == at + 4
            for ask in (lambda: vm.rd, lambda: vm.vcpus[0].rec, lambda: vm.facts):
                with pytest.raises(MachineError, match="must be a Realm"):
                    ask()
            assert vm.run().status == 0

    def test_snapshots(self) -> None:
        """A plain VM goes back to a snapshot from the middle of its run, and ends as it did, also when it is gone."""
        with realmlab.Machine() as machine:
            vm = machine.realm("irq", realm=False, vcpus=2)
            vm.run(max_insns=30_000)
            snapshot = machine.snapshot()
            first = vm.run()
            machine.restore(snapshot)
            assert vm.run() == first
            machine.restore(snapshot)
            vm.destroy()
            machine.restore(snapshot)
            assert vm.run() == first
            assert vm.destroy().status == 0

    def test_failure(self) -> None:
        """What goes wrong in a plain VM is explained as in a Realm."""
        with realmlab.Machine() as machine:
            result = machine.run_realm("jump", realm=False, max_insns=10_000_000)
            assert "a jump to 0x123456789000, where no memory is" in result.message
            assert "the VM is idle for ever" in machine.run_realm("idle", realm=False).message

    def test_options(self) -> None:
        """What only a Realm has is refused."""
        with realmlab.Machine() as machine:
            for given in ({"rpv": b"x"}, {"pmu_counters": 2}):
                with pytest.raises(MachineError, match="a plain VM has no `rpv` and no `pmu_counters`"):
                    machine.run_realm("hello", realm=False, **given)

    def test_beside_realms(self) -> None:
        """Realms and plain VMs live side by side, and take turns."""
        with realmlab.Machine() as machine:
            vms = [machine.realm("irq", realm=realm, vcpus=2) for realm in (True, False, True, False)]
            for part in range(1, 4):
                for vm in vms:
                    vm.run(max_insns=7_000 * part)
            for vm in vms:
                assert vm.run(max_insns=50_000_000).status == 0
                assert vm.destroy().console.decode().endswith("22 passed, 0 failed\n")
