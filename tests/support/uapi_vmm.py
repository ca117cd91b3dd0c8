"""A VMM in Python that makes Realms and plain VMs by ioctls, in each flavour of the interface."""

import struct
from collections.abc import Sequence

from cca_arch.fields import Struct
from cca_arch.kvm import realm as k
from cca_arch.kvm import registers as r
from cca_arch.kvm import structures as s
from cca_arch.kvm.requests import KvmAttribute, KvmSystem, KvmVcpu, KvmVm
from cca_arch.kvm.values import (
    DeviceType,
    ExitReason,
    MemFlags,
    MemoryAttribute,
    SmcccAction,
    VcpuFeature,
    VgicAddr,
    VgicCtrl,
    VgicGroup,
    VmGroup,
    VmType,
)
from cca_host.kvm.uapi import RealmNumbers, Thread

RAM = 0x8000_0000
DISTRIBUTOR = 0x3FFF_0000
REDISTRIBUTORS = 0x3FF0_0000
WIDTH = 33
PSCI = 1 << VcpuFeature.PSCI_0_2


class Vmm:
    """A VM of thread ``thread``, which makes everything itself; a request that fails raises AssertionError."""

    def __init__(self, thread: Thread, machine: int = k.VM_TYPE_ARM_REALM, width: int = WIDTH) -> None:
        self.thread = thread
        self.kvm = self.done(thread.open("/dev/kvm"))
        self.vm = self.call(self.kvm, KvmSystem.CREATE_VM, VmType.make(ipa_size=width, machine=machine))
        self.vcpus: list[int] = []
        self.pages: list[int] = []
        self.realm_device = 0
        self.memory = 0
        self.size = 0
        self.forward()

    @staticmethod
    def done(answer: int) -> int:
        assert answer >= 0, answer
        return answer

    def call(self, fd: int, request: int, argument: "int | bytes | bytearray" = 0) -> int:
        return self.done(self.thread.ioctl(fd, request, argument))

    def attribute(self, fd: int, group: int, attr: int, value: bytes = b"") -> None:
        address = self.thread.put(value)
        self.call(fd, KvmAttribute.SET_DEVICE_ATTR, s.KvmDeviceAttr.pack(group=group, attr=attr, addr=address))
        self.done(self.thread.munmap(address, max(len(value), 1)))

    def forward(self, base: int = 0, count: int = 0x1000) -> None:
        """Calls of the guest come to us: by default, all host calls with a small number."""
        filtered = s.KvmSmcccFilter.pack(base=base, nr_functions=count, action=SmcccAction.FWD_TO_USER)
        self.attribute(self.vm, VmGroup.SMCCC_CTRL, 0, filtered)

    def device(self, kind: int) -> int:
        made = bytearray(s.KvmCreateDevice.pack(type=kind))
        self.call(self.vm, KvmVm.CREATE_DEVICE, made)
        fd: int = s.KvmCreateDevice.unpack(made).fd
        return fd

    def gic(self) -> int:
        """A GICv3 with addresses, which is not initialised yet."""
        gic = self.device(DeviceType.ARM_VGIC_V3)
        self.place(gic)
        return gic

    def place(self, gic: int) -> None:
        """Addresses for a GIC."""
        for attr, address in ((VgicAddr.DIST, DISTRIBUTOR), (VgicAddr.REDIST, REDISTRIBUTORS)):
            self.attribute(gic, VgicGroup.ADDR, attr, address.to_bytes(8, "little"))

    def ready(self, gic: int) -> None:
        self.attribute(gic, VgicGroup.CTRL, VgicCtrl.INIT)

    def ram(self, size: int, private: bool = False, base: int = RAM, rme: bool = False) -> None:
        """One slot of memory, with guest memory for its private pages."""
        thread = self.thread
        fd = self.done(thread.open("/dev/rme")) if rme else None
        self.memory, self.size = self.done(thread.mmap(size, fd)), size
        if not private:
            region = s.KvmUserspaceMemoryRegion.pack(
                slot=0, guest_phys_addr=base, memory_size=size, userspace_addr=self.memory
            )
            self.call(self.vm, KvmVm.SET_USER_MEMORY_REGION, region)
            return
        memfd = self.call(self.vm, KvmVm.CREATE_GUEST_MEMFD, s.KvmCreateGuestMemfd.pack(size=size))
        region = s.KvmUserspaceMemoryRegion2.pack(
            slot=0, flags=MemFlags.GUEST_MEMFD, guest_phys_addr=base, memory_size=size, userspace_addr=self.memory,
            guest_memfd=memfd,
        )  # fmt: skip
        self.call(self.vm, KvmVm.SET_USER_MEMORY_REGION2, region)
        attributes = s.KvmMemoryAttributes.pack(address=base, size=size, attributes=MemoryAttribute.PRIVATE)
        self.call(self.vm, KvmVm.SET_MEMORY_ATTRIBUTES, attributes)

    def vcpu(self, pc: int = 0, gprs: Sequence[int] = (), features: int = PSCI, thread: Thread | None = None) -> int:
        """The next vCPU, of our own thread or another one, which then has to make its calls."""
        mine = thread or self.thread
        fd = self.done(mine.ioctl(self.vm, KvmVm.CREATE_VCPU, len(self.vcpus)))
        power = 1 << VcpuFeature.POWER_OFF if self.vcpus else 0
        init = s.KvmVcpuInit.pack(target=5, features=[features | power, *[0] * 6])
        self.done(mine.ioctl(fd, KvmVcpu.ARM_VCPU_INIT, init))
        size = self.call(self.kvm, KvmSystem.GET_VCPU_MMAP_SIZE)
        self.pages.append(self.done(mine.mmap(size, fd)))
        self.vcpus.append(fd)
        for identifier, value in ((r.core("pc"), pc), *((r.gpr(n), value) for n, value in enumerate(gprs))):
            self.set_reg(len(self.vcpus) - 1, identifier, value, mine)
        return fd

    def set_reg(self, index: int, identifier: int, value: int, thread: Thread | None = None) -> None:
        address = self.thread.put(value.to_bytes(8, "little"))
        argument = s.KvmOneReg.pack(id=identifier, addr=address)
        self.done((thread or self.thread).ioctl(self.vcpus[index], KvmVcpu.SET_ONE_REG, argument))
        self.thread.munmap(address, 8)

    def get_reg(self, index: int, identifier: int) -> int:
        address = self.thread.put(bytes(8))
        self.call(self.vcpus[index], KvmVcpu.GET_ONE_REG, s.KvmOneReg.pack(id=identifier, addr=address))
        return int.from_bytes(self.thread.read(address, 8), "little")

    # -- the flavours -----------------------------------------------------------------------------------------------
    def enable(self, command: int, argument: bytes = b"", numbers: RealmNumbers | None = None) -> None:
        address = self.thread.put(argument)
        cap = (numbers or RealmNumbers()).rme
        self.call(self.vm, KvmVm.ENABLE_CAP, s.KvmEnableCap.pack(cap=cap, args=[command, address, 0, 0]))
        self.thread.munmap(address, max(len(argument), 1))

    def control(self, attr: int, argument: bytes = b"") -> None:
        self.attribute(self.realm_device, k.RealmGroup.CONTROL, attr, argument)

    def run(self, index: int = 0, thread: Thread | None = None) -> int:
        """KVM_RUN: the answer."""
        return (thread or self.thread).ioctl(self.vcpus[index], KvmVcpu.RUN)

    def exit(self, index: int = 0) -> "tuple[ExitReason, bytes]":
        """Why the last KVM_RUN has come back, and what goes with it."""
        page = self.thread.read(self.pages[index], s.EXIT + 256)
        reason = struct.unpack_from("<I", page, s.RUN_EXIT_REASON)[0]
        return ExitReason(reason), page[s.EXIT :]

    def exit_as(self, structure: Struct, index: int = 0) -> object:
        return structure.unpack(self.exit(index)[1])


def plain(thread: Thread, program: bytes, size: int = 4 << 20) -> Vmm:
    """A plain VM of one vCPU."""
    vmm = Vmm(thread, machine=0)
    gic = vmm.gic()
    vmm.ram(size)
    thread.write(vmm.memory, program)
    vmm.vcpu(RAM, gprs=[5, 6])
    vmm.ready(gic)
    return vmm


def with_capability(thread: Thread, program: bytes, size: int = 4 << 20, **gprs: int) -> Vmm:
    """A Realm by KVM_CAP_ARM_RME, in the order of the populate ioctl: contents, REC, RIPAS."""
    vmm = Vmm(thread)
    gic = vmm.gic()
    vmm.ram(size)
    vmm.enable(k.RmeCommand.CREATE_REALM)
    vmm.vcpu(RAM, features=PSCI | 1 << k.VCPU_REC)
    vmm.ready(gic)
    thread.write(vmm.memory, program)
    populate = k.RmePopulate.pack(base=RAM, size=-(-len(program) // 4096) * 4096, flags=k.POPULATE_MEASURE)
    vmm.enable(k.RmeCommand.POPULATE_REALM, populate)
    vmm.call(vmm.vcpus[0], KvmVcpu.ARM_VCPU_FINALIZE, k.VCPU_REC.to_bytes(4, "little"))
    vmm.enable(k.RmeCommand.INIT_RIPAS_REALM, k.RmeInitRipas.pack(base=RAM, size=size))
    vmm.enable(k.RmeCommand.ACTIVATE_REALM)
    return vmm


def with_populate(
    thread: Thread, program: bytes, size: int = 4 << 20, vcpus: int = 1, forward: Sequence[int] = ()
) -> Vmm:
    """A Realm by KVM_ARM_RMI_POPULATE, which the first KVM_RUN activates."""
    vmm = Vmm(thread)
    for function in forward:
        vmm.forward(function, 1)
    gic = vmm.gic()
    vmm.ram(size, private=True)
    for _ in range(vcpus):
        vmm.vcpu(RAM)
    vmm.ready(gic)
    source = thread.put(program)
    whole = -(-len(program) // 4096) * 4096
    populate = k.ArmRmiPopulate.pack(base=RAM, size=whole, source_uaddr=source, flags=k.POPULATE_MEASURE)
    assert vmm.call(vmm.vm, k.KvmRmiVm.ARM_RMI_POPULATE, populate) == whole
    return vmm


def with_device(thread: Thread, program: bytes, size: int = 4 << 20) -> Vmm:
    """A Realm by the device, in the order of the populate ioctl."""
    vmm = Vmm(thread, machine=0)
    vmm.realm_device = vmm.device(k.DEV_TYPE_ARM_REALM)
    gic = vmm.gic()
    vmm.ram(size, rme=True)
    vmm.control(k.RealmControl.CREATE)
    vmm.vcpu(RAM, features=PSCI | 1 << k.VCPU_REC)
    vmm.ready(gic)
    thread.write(vmm.memory, program)
    populate = k.RmePopulate.pack(base=RAM, size=-(-len(program) // 4096) * 4096, flags=k.POPULATE_MEASURE)
    vmm.control(k.RealmControl.POPULATE, populate)
    vmm.call(vmm.vcpus[0], KvmVcpu.ARM_VCPU_FINALIZE, k.VCPU_REC.to_bytes(4, "little"))
    vmm.control(k.RealmControl.INIT_RIPAS, k.RmeInitRipas.pack(base=RAM, size=size))
    vmm.control(k.RealmControl.ACTIVATE)
    return vmm
