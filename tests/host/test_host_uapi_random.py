"""Random system calls in random order: each has an answer, and nothing is left once the process has ended."""

from typing import Any

import pytest
import uapi_vmm as u
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cca_arch.fields import Struct
from cca_arch.kvm import realm as k
from cca_arch.kvm import structures as s
from cca_arch.kvm.requests import KvmAttribute, KvmSystem, KvmVcpu, KvmVm
from cca_arch.kvm.values import DeviceType, MemFlags, VcpuFeature
from cca_host.kvm import System
from cca_host.kvm.uapi import RealmNumbers, Thread, Userspace
from cca_host.kvm.uapi.devices import RealmTarget
from cca_host.kvm.uapi.system import DevKvm, DevRme
from cca_host.kvm.uapi.vcpu import VcpuTarget
from cca_host.kvm.uapi.vm import VmTarget

ROWS = [row for one in (DevKvm, DevRme, VmTarget, VcpuTarget, RealmTarget) for row in one.requests.values()]
NUMBERS = (
    *range(10), 33, 40, 100, 300, 4096, 8192, u.RAM, 1 << 20, 1 << 32, (1 << 64) - 4096, (1 << 64) - 1,
    k.VM_TYPE_ARM_REALM << 8 | 33, DeviceType.ARM_VGIC_V3, k.DEV_TYPE_ARM_REALM, u.PSCI, u.PSCI | 1 << k.VCPU_REC,
    RealmNumbers().rme, u.DISTRIBUTOR, u.REDISTRIBUTORS, MemFlags.GUEST_MEMFD,
)  # fmt: skip
"""Values that mean something somewhere."""
SIZE = 1 << 20


class Chaos:
    """A thread that does what numbers tell it to do: steps that make sense, and others."""

    def __init__(self, thread: Thread, data: st.DataObject) -> None:
        self.thread = thread
        self.data = data
        self.scratch = thread.mmap(0x4000)
        self.numbers = (*NUMBERS, self.scratch, self.scratch + 0x1000)

    def number(self) -> int:
        return self.data.draw(st.sampled_from(self.numbers))

    def fd(self) -> int:
        return self.data.draw(st.integers(2, 12))

    def argument(self, row: Any) -> Any:
        if isinstance(row.argument, Struct):
            members = {
                name: (bytes(one.size) if one.size not in (1, 2, 4, 8) else self._fitting(one.size, one.count))
                for name, one in row.argument.members.items()
            }
            return bytearray(row.argument.pack(**members))
        return bytearray(self.number().to_bytes(8, "little")[:4]) if row.size else self.number()

    def _fitting(self, size: int, count: int) -> Any:
        values = [self.number() % (1 << 8 * size) for _ in range(count)]
        return values[0] if count == 1 else values

    # -- what can be done -------------------------------------------------------------------------------------------
    def anything(self) -> int:
        row = self.data.draw(st.sampled_from(ROWS))
        if row.request is KvmVcpu.RUN:
            return self.run()
        return self.thread.ioctl(self.fd(), row.request, self.argument(row))

    def open(self) -> int:
        return self.thread.open(self.data.draw(st.sampled_from(["/dev/kvm", "/dev/rme"])))

    def close(self) -> int:
        return self.thread.close(self.fd())

    def dup(self) -> int:
        return self.thread.dup(self.fd())

    def map(self) -> int:
        return self.thread.mmap(self.number() % SIZE, self.fd())

    def unmap(self) -> int:
        return self.thread.munmap(self.scratch if self.number() == 4096 else self.number(), 4096)

    def vm(self) -> int:
        return self.thread.ioctl(3, KvmSystem.CREATE_VM, k.VM_TYPE_ARM_REALM << 8 | 33)

    def gic(self) -> int:
        return self.thread.ioctl(self.fd(), KvmVm.CREATE_DEVICE, bytearray(s.KvmCreateDevice.pack(type=7)))

    def memory(self) -> int:
        region = s.KvmUserspaceMemoryRegion.pack(
            slot=self.number() % 3, guest_phys_addr=u.RAM, memory_size=0x4000, userspace_addr=self.scratch
        )
        return self.thread.ioctl(self.fd(), KvmVm.SET_USER_MEMORY_REGION, region)

    def vcpu(self) -> int:
        fd = self.thread.ioctl(self.fd(), KvmVm.CREATE_VCPU, self.number() % 3)
        features = self.data.draw(st.sampled_from([u.PSCI, u.PSCI | 1 << k.VCPU_REC, 0, 1 << VcpuFeature.SVE]))
        return self.thread.ioctl(fd, KvmVcpu.ARM_VCPU_INIT, s.KvmVcpuInit.pack(target=5, features=[features, *[0] * 6]))

    def finalize(self) -> int:
        return self.thread.ioctl(self.fd(), KvmVcpu.ARM_VCPU_FINALIZE, k.VCPU_REC.to_bytes(4, "little"))

    def step(self) -> int:
        command = self.data.draw(st.sampled_from(list(k.RmeCommand)))
        argument = k.RmePopulate.pack(base=u.RAM, size=0x2000, flags=self.number() % 2)
        address = self.thread.put(argument)
        enable = s.KvmEnableCap.pack(cap=RealmNumbers().rme, args=[command, address, 0, 0])
        return self.thread.ioctl(self.fd(), KvmVm.ENABLE_CAP, enable)

    def populate(self) -> int:
        populate = k.ArmRmiPopulate.pack(base=u.RAM + self.number() % 4 * 4096, size=4096, source_uaddr=self.scratch)
        return self.thread.ioctl(self.fd(), k.KvmRmiVm.ARM_RMI_POPULATE, populate)

    def attribute(self) -> int:
        request = self.data.draw(st.sampled_from(list(KvmAttribute)))
        value = self.thread.put(self.number().to_bytes(8, "little") * 8)
        group, attr = self.data.draw(st.integers(0, 4)), self.data.draw(st.integers(0, 3))
        return self.thread.ioctl(self.fd(), request, s.KvmDeviceAttr.pack(group=group, attr=attr, addr=value))

    def run(self) -> int:
        """Of a vCPU whose page says that it has to come back at once."""
        fd = self.fd()
        page = self.thread.mmap(4096, fd)
        if page > 0:
            try:
                self.thread.write(page + s.RUN_IMMEDIATE_EXIT, b"\1")
            finally:
                self.thread.munmap(page, 4096)
        return self.thread.ioctl(fd, KvmVcpu.RUN)


DEEDS = [
    Chaos.anything, Chaos.open, Chaos.close, Chaos.dup, Chaos.map, Chaos.unmap, Chaos.vm, Chaos.gic, Chaos.memory,
    Chaos.vcpu, Chaos.finalize, Chaos.step, Chaos.step, Chaos.populate, Chaos.attribute, Chaos.run,
]  # fmt: skip
BEGINNINGS = [None, u.plain, u.with_capability, u.with_populate, u.with_device]
"""A VM, or one that is complete: its first run is what is left."""


@pytest.fixture
def userspace(system: System) -> Any:
    """The processes of the host."""
    return Userspace.of(system)


@settings(max_examples=120, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_random(userspace: Userspace, system: System, data: st.DataObject) -> None:
    """Whatever a process does, each call has an answer, and its end gives everything back."""
    process = userspace.spawn()
    try:
        chaos = Chaos(process.main, data)
        begin = data.draw(st.sampled_from(BEGINNINGS))
        if begin is None:
            chaos.thread.open("/dev/kvm")
            chaos.vm()
        else:
            begin(process.main, bytes(0x1000))
        for deed in data.draw(st.lists(st.sampled_from(DEEDS), max_size=30)):
            answer = deed(chaos)
            assert isinstance(answer, int) and answer >= -133
        state = userspace.save()
        assert len(state.processes) == 1
    finally:
        process.exit()
    assert userspace.vms == [] and userspace.processes == {}
    assert (system.delegated, system.pages.used, system.pages.lost, system.vmids) == (0, 0, [], set())
