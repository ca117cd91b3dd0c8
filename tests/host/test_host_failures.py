"""A build that fails anywhere leaves the machine as it was: every RMI call of a build is refused once."""

from collections.abc import Iterator
from typing import Any

import pytest

from cca_arch.rmi.v1_0 import Rmi, RmiStatus
from cca_host.kvm import RmiError, System
from cca_host.kvmtool import RunOptions, RunReason, Vmm
from cca_host.kvmtool.layout import DTB_SIZE, RAM_BASE
from cca_platform.errors import MachineError
from cca_platform.trace.sinks import Listing
from realmlab.payloads import find_payload

pytestmark = pytest.mark.pure("a host in machine code calls its RMM directly")


@pytest.fixture(scope="module")
def options() -> RunOptions:
    return RunOptions(payload=find_payload("hello"), vcpus=2, memory=4 << 20)


def books(system: System) -> Any:
    """All that the host and the machine keep of Realms."""
    machine = system.machine
    return system.delegated, system.dirty, system.pages.save(), set(system.vmids), [*system.guests], {*machine.parts}


def refused(system: System, monkeypatch: pytest.MonkeyPatch, number: int) -> list[int]:
    """From now on the RMM refuses the call with this number; the list gets the commands."""
    made: list[int] = []
    call = System.rmi

    def rmi(self: System, fid: int, *args: int) -> list[int]:
        made.append(fid)
        if len(made) == number + 1:
            return [RmiStatus.ERROR_INPUT, 0, 0, 0, 0]
        return call(self, fid, *args)

    monkeypatch.setattr(System, "rmi", rmi)
    return made


@pytest.fixture
def calls(system: System, options: RunOptions) -> Iterator[list[int]]:
    """The commands of the build, in their order."""
    system.probe()
    with pytest.MonkeyPatch.context() as patch:
        made = refused(system, patch, -2)
        vmm = Vmm(system, options)
        vmm.build()
        count = len(made)
        vmm.destroy()
    yield made[:count]


class TestRefusals:
    """The RMM refuses one call of a build."""

    def test_each(self, system: System, options: RunOptions, calls: list[int]) -> None:
        """The host has its granules, pages and VMIDs back, and the next Realm runs as if nothing had been."""
        assert {*calls} == {
            Rmi.GRANULE_DELEGATE, Rmi.REALM_CREATE, Rmi.REC_AUX_COUNT, Rmi.RTT_CREATE, Rmi.RTT_INIT_RIPAS,
            Rmi.DATA_CREATE, Rmi.REC_CREATE, Rmi.REALM_ACTIVATE,
        }  # fmt: skip
        before = books(system)
        whole = Vmm(system, options).run()
        assert (whole.status, books(system)) == (0, before)
        for number, fid in enumerate(calls):
            with pytest.MonkeyPatch.context() as patch:
                made = refused(system, patch, number)
                vmm = Vmm(system, options)
                with pytest.raises(RmiError, match=f"RMI_{Rmi(fid).name} answered RMI_ERROR_INPUT"):
                    vmm.build()
                assert made[number] == fid
                vmm.fail("refused")
                vmm.destroy()
            assert books(system) == before, (number, Rmi(fid).name)
            assert (vmm.result().reason, vmm.result().message) == (RunReason.FAILED, "refused")
        again = Vmm(system, options).run()
        assert (again.status, again.console, again.instructions) == (0, whole.console, whole.instructions)

    def test_no_memory_left(self, system: System, options: RunOptions) -> None:
        """The host's memory ends at any page of a build."""
        before = books(system)
        take, left = type(system.pages)._bump, 0

        def bump(self: Any, count: int) -> int:
            nonlocal left
            left -= 1
            if left < 0:
                self.used -= count
                raise MachineError("the host has no pages left")
            return take(self, count)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(system.pages), "_bump", bump)
            for number in range(200):
                left = number
                vmm = Vmm(system, options)
                try:
                    vmm.build()
                except MachineError:
                    vmm.destroy()
                    assert books(system) == before, number
                else:
                    break
        vmm.destroy()
        assert number > 10 and books(system) == before


class TestSharing:
    """The RMM refuses a call of a page that is shared."""

    def test_each(self, system: System, realm: Any, code: Any) -> None:
        """The host page is free again, and can be shared later."""
        number = 0
        while True:
            vm = realm(code.loop())
            used = system.pages.used
            with pytest.MonkeyPatch.context() as patch:
                made = refused(system, patch, number)
                try:
                    vm.stage2.share(RAM_BASE)
                except RmiError:
                    assert system.pages.used == used + len(vm.stage2.tables) - 1 and not vm.stage2.shared
                else:
                    break
            vm.stage2.share(RAM_BASE)
            vm.destroy()
            assert vm.troubles == []
            number += 1
        assert len(made) == number > 2
        vm.destroy()


class TestLimits:
    """What does not fit is refused before anything is built."""

    def test_arguments(self, system: System, options: RunOptions) -> None:
        """The device tree with the arguments has its place at the end of memory, and no more."""
        system.probe()
        before, made = books(system), system.calls.copy()
        given = {"payload": options.payload, "memory": 4 << 20}
        with pytest.raises(MachineError, match=r"`args` must fit .* into 2 MiB, not \d+ bytes too much"):
            Vmm(system, RunOptions(**given, args=("x" * DTB_SIZE,))).build()
        assert (books(system), system.calls) == (before, made)

    def test_contents_outside_memory(self, system: System, realm: Any, code: Any) -> None:
        """Contents lie in the memory that the VM has."""
        vm = realm(code.loop())
        for ipa, size in ((RAM_BASE + (4 << 20) - 4096, 4097), (RAM_BASE - 4096, 1), (0, 1)):
            with pytest.raises(MachineError, match=r"contents must lie in memory, not at 0x.* to 0x"):
                vm.populate(ipa, bytes(size))


class TestTraps:
    """What of a Realm exits by itself."""

    @pytest.mark.parametrize(("vcpus", "traps"), [(1, 4), (2, 12), (3, 12)])
    def test_hints(self, system: System, vcpus: int, traps: int) -> None:
        """WFI always; WFE as soon as another vCPU can send the event."""
        vmm = Vmm(system, RunOptions(payload=find_payload("hello"), vcpus=vcpus, memory=4 << 20))
        vmm.build()
        assert vmm.vm is not None
        assert [vcpu.traps for vcpu in vmm.vm.vcpus] == [traps] * vcpus
        vmm.destroy()

    def test_destroyed_before_it_is_built(self, system: System) -> None:
        """A run that never was has no end to tell of, whether traced or not."""
        events = Listing()
        system.machine.trace.add(events)
        Vmm(system, RunOptions(payload=find_payload("hello"), memory=4 << 20)).destroy()
        system.machine.trace.close()
        assert [event for event in events if event["event"] == "run.stop"] == []
