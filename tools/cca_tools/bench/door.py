"""Rows of the door to user space: what system calls add to what the kernel does anyway."""

import struct
from typing import TYPE_CHECKING, Final

from cca_arch.kvm import realm as k
from cca_arch.kvm import structures as s
from cca_arch.kvm.registers import core
from cca_arch.kvm.requests import KvmAttribute, KvmSystem, KvmVcpu, KvmVm
from cca_arch.kvm.values import (
    TARGET_GENERIC_V8,
    DeviceType,
    VcpuFeature,
    VgicAddr,
    VgicCtrl,
    VgicGroup,
    VmType,
)
from cca_tools.bench import loops
from cca_tools.bench.rig import PAGE, RAM, Bench
from cca_tools.bench.rows import Row
from cca_tools.bench.took import BATCHES, Took, Watch, least

if TYPE_CHECKING:
    from cca_host.kvm.uapi import Thread

__all__ = ["ROWS"]

_WIDTH: Final = 33
_SHARED: Final = 1 << _WIDTH - 1
_FRAMES: Final = ((VgicAddr.DIST, 0x3FFF_0000), (VgicAddr.REDIST, 0x3FFD_0000))
_MMIO: Final = struct.Struct("<QQIB")


def _done(answer: int) -> int:
    if answer < 0:
        raise AssertionError(f"a call of the benchmark must go well, not return {answer}")
    return answer


def _realm(me: "Thread", words: list[int]) -> tuple[int, int]:
    """A Realm of one vCPU that runs ``words``: the descriptor of the vCPU, and the address of its kvm_run."""
    kvm = me.open("/dev/kvm")
    vm = _done(me.ioctl(kvm, KvmSystem.CREATE_VM, VmType.make(ipa_size=_WIDTH, machine=k.VM_TYPE_ARM_REALM)))
    made = bytearray(s.KvmCreateDevice.pack(type=DeviceType.ARM_VGIC_V3))
    _done(me.ioctl(vm, KvmVm.CREATE_DEVICE, made))
    region = s.KvmUserspaceMemoryRegion.pack(guest_phys_addr=RAM, memory_size=PAGE, userspace_addr=me.mmap(PAGE))
    _done(me.ioctl(vm, KvmVm.SET_USER_MEMORY_REGION, region))
    vcpu = _done(me.ioctl(vm, KvmVm.CREATE_VCPU, 0))
    init = s.KvmVcpuInit.pack(target=TARGET_GENERIC_V8, features=[1 << VcpuFeature.PSCI_0_2, *[0] * 6])
    _done(me.ioctl(vcpu, KvmVcpu.ARM_VCPU_INIT, init))
    pc = s.KvmOneReg.pack(id=core("pc"), addr=me.put(RAM.to_bytes(8, "little")))
    _done(me.ioctl(vcpu, KvmVcpu.SET_ONE_REG, pc))
    gic = s.KvmCreateDevice.unpack(made).fd
    values = [(VgicGroup.ADDR, attr, me.put(address.to_bytes(8, "little"))) for attr, address in _FRAMES]
    for group, attr, address in (*values, (VgicGroup.CTRL, VgicCtrl.INIT, 0)):
        attribute = s.KvmDeviceAttr.pack(group=group, attr=attr, addr=address)
        _done(me.ioctl(gic, KvmAttribute.SET_DEVICE_ATTR, attribute))
    source = me.put(loops.code(words).ljust(PAGE, b"\0"))
    contents = k.ArmRmiPopulate.pack(base=RAM, size=PAGE, source_uaddr=source)
    _done(me.ioctl(vm, k.KvmRmiVm.ARM_RMI_POPULATE, contents))
    return vcpu, me.mmap(PAGE, vcpu)


def _mmio(bench: Bench) -> Took:
    """KVM_RUN up to a device of user space, less the same run without the door, in turns."""
    from cca_host.kvm.uapi import Userspace

    count, direct, through = 1000, list[Took](), list[Took]()
    with Userspace.of(bench.machine.host).spawn() as process:
        me = process.main
        fd, run = _realm(me, loops.store_forever(_SHARED))
        _done(me.ioctl(fd, KvmVcpu.RUN))
        target, page = me.vcpu(fd), me.view(run, s.KvmRun.size)
        vcpu, pe = target.vcpu, bench.machine.platform.pes[0]
        assert vcpu is not None
        reason, access, at = struct.Struct("<I").unpack_from, _MMIO.unpack_from, s.EXIT
        for _ in range(2 * BATCHES):
            watch = Watch()
            for _ in range(count):
                me.run(target, pe)
                reason(page, s.RUN_EXIT_REASON)
                access(page, at)
            through.append(watch.took())
            vcpu.mmio_result()
            watch = Watch()
            for _ in range(count):
                vcpu.run(pe)
                vcpu.mmio_result()
            direct.append(watch.took())
            vcpu.run(pe)  # the access that the door has yet to answer
        page.release()
    return least(through).without(least(direct)).each(count)


ROWS = (
    Row("mmio-door", "what kvm_run and the door to user space add to it", "us", (3, 2), (1.5, 1), _mmio),
)  # fmt: skip
