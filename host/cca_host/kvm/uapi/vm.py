"""A VM's descriptor: the ioctls of a VM."""

from typing import TYPE_CHECKING, Final

from cca_arch.errno import Errno
from cca_arch.fields import Record
from cca_arch.gic import FIRST_SPI
from cca_arch.kvm import realm as k
from cca_arch.kvm import structures as s
from cca_arch.kvm.requests import KvmAttribute, KvmSystem, KvmVm
from cca_arch.kvm.values import (
    TARGET_GENERIC_V8,
    CreateDeviceFlags,
    IrqLine,
    IrqType,
    SmcccAction,
    VmGroup,
)
from cca_host.kvm.uapi import memoryslots, realm
from cca_host.kvm.uapi.capabilities import RealmNumbers, max_vcpus, value
from cca_host.kvm.uapi.devices import DEVICES
from cca_host.kvm.uapi.files import Call, Row, Target, rows
from cca_host.kvm.uapi.kvm import Kvm, Phase
from cca_host.kvm.uapi.refusal import Refusal, must
from cca_host.kvm.uapi.runpage import UserPage
from cca_host.kvm.uapi.vcpu import VcpuTarget
from cca_host.kvm.vgic import INTIDS
from cca_platform.errors import MachineError

if TYPE_CHECKING:
    from cca_host.kvm.uapi.memory import AddressSpace

__all__ = ["VmTarget"]

_FIRST_PPI: Final = 16
_CONFIG: Final = k.RmeConfigRpv.size
_TOP: Final = 1 << 32  # of the identifiers of functions


class VmTarget(Target):
    """The VM ``kvm``, which belongs to the process that has made it."""

    kind = "VM"
    unknown = Errno.EINVAL

    def __init__(self, kvm: Kvm, numbers: RealmNumbers) -> None:
        self.kvm = kvm
        self.numbers = numbers

    def admit(self, call: Call) -> None:
        """A VM belongs to the process that has made it."""
        must(call.space is self.kvm.space, Errno.EIO)

    def closed(self) -> None:
        """It stays as long as a descriptor of its vCPUs, devices or guest memory is open."""
        self.kvm.put()

    # -- capabilities -----------------------------------------------------------------------------------------------
    def _check_extension(self, call: Call) -> int:
        return value(self.kvm.system, self.numbers, self.kvm, call.number)

    def _enable(self, call: Call) -> int:
        record = call.take(s.KvmEnableCap)
        must(not record.flags and record.cap == self.numbers.rme and self.kvm.is_realm, Errno.EINVAL)
        command, address = record.args[0], record.args[1]
        answer = _COMMANDS.get(command)
        if answer is None:
            raise Refusal(Errno.EINVAL)
        self.kvm.explicit = True
        answer(self.kvm, call.space, address)
        return 0

    # -- memory -----------------------------------------------------------------------------------------------------
    def _region(self, call: Call) -> int:
        memoryslots.set_region(self.kvm, call)
        return 0

    def _region2(self, call: Call) -> int:
        memoryslots.set_region2(self.kvm, call)
        return 0

    def _memfd(self, call: Call) -> int:
        return memoryslots.create_guest_memfd(self.kvm, call)

    def _attributes(self, call: Call) -> int:
        memoryslots.set_attributes(self.kvm, call)
        return 0

    def _populate(self, call: Call) -> int:
        """KVM_ARM_RMI_POPULATE: creates the Realm if there is none."""
        record, kvm = call.take(k.ArmRmiPopulate), self.kvm
        must(kvm.is_realm, Errno.ENXIO)
        must(not record.flags & ~k.POPULATE_MEASURE and not record.reserved, Errno.EINVAL)
        must(record.size and not (record.base | record.size | record.source_uaddr) & 0xFFF, Errno.EINVAL)
        must(record.base + record.size <= kvm.limit, Errno.EINVAL)
        if kvm.phase is Phase.CONFIG:
            realm.create(kvm, Errno.EBUSY)
        realm.may(kvm, realm.Step.POPULATE, Errno.EBUSY)
        slot = kvm.slot(record.base)
        if slot is not None and slot.private:
            whole = [(record.base, record.base + record.size)]
            must(kvm.private.within(*whole[0]) == whole, Errno.EINVAL)
        return realm.populate(kvm, record.base, record.size, record.source_uaddr, record.flags, Errno.EBUSY)

    # -- vCPUs and devices ------------------------------------------------------------------------------------------
    def _create_vcpu(self, call: Call) -> int:
        kvm, number = self.kvm, call.number
        must(number < max_vcpus(kvm.system, kvm), Errno.EINVAL)
        must(not kvm.vgic_ready, Errno.EBUSY)
        must(all(one.number != number for one in kvm.vcpus), Errno.EEXIST)
        try:
            page = UserPage.new(kvm.system)
        except MachineError:
            raise Refusal(Errno.ENOMEM) from None
        vcpu = VcpuTarget(kvm, number, call.tid, page)
        try:
            fd = call.descriptors.install(vcpu)
        except Refusal:
            kvm.system.pages.give(page.pa)
            raise
        kvm.vcpus.append(vcpu)
        kvm.get()
        return fd

    def _preferred(self, call: Call) -> int:
        call.write(s.KvmVcpuInit.pack(target=TARGET_GENERIC_V8, features=[0] * 7))
        return 0

    def _create_device(self, call: Call) -> int:
        record = call.take(s.KvmCreateDevice)
        target = DEVICES.get(record.type)
        if target is None:
            raise Refusal(Errno.ENODEV)
        if record.flags & CreateDeviceFlags.TEST:
            return 0
        target.made(self.kvm)
        fd = call.descriptors.install(target(self.kvm))
        self.kvm.get()
        call.write(s.KvmCreateDevice.pack(type=record.type, fd=fd, flags=record.flags))
        return 0

    def _create_irqchip(self, call: Call) -> int:
        raise Refusal(Errno.ENODEV)

    def _irq_line(self, call: Call) -> int:
        record: Record = call.take(s.KvmIrqLevel)
        line, kvm = IrqLine(record.irq), self.kvm
        must(line.type in tuple(IrqType), Errno.EINVAL)
        must(kvm.vgic_made and line.type != IrqType.CPU, Errno.ENXIO)
        vcpu = line.vcpu2 << 8 | line.vcpu
        if line.type == IrqType.PPI:
            must(any(one.number == vcpu for one in kvm.vcpus), Errno.EINVAL)
            must(_FIRST_PPI <= line.num < FIRST_SPI, Errno.EINVAL)
        else:
            must(line.num >= FIRST_SPI, Errno.EINVAL)
        must(kvm.vgic_ready, Errno.EBUSY)
        must(line.num < (kvm.vgic_lines or INTIDS), Errno.EINVAL)
        guest = kvm.guest
        must(guest is not None and (line.type == IrqType.SPI or vcpu < len(guest.vcpus)), Errno.EBUSY)
        assert guest is not None
        guest.irq_line(line.num, bool(record.level), vcpu if line.type == IrqType.PPI else 0)
        return 0

    def _msi(self, call: Call) -> int:
        """A message-based SPI, by a write to the distributor's GICD_SETSPI_NSR."""
        record, kvm = call.take(s.KvmMsi), self.kvm
        must(not record.flags, Errno.EINVAL)
        must(kvm.vgic_ready, Errno.ENODEV)
        guest, address = kvm.guest, record.address_hi << 32 | record.address_lo
        must(guest is not None and guest.gic_frames is not None, Errno.EBUSY)
        assert guest is not None and guest.gic_frames is not None
        must(guest.gic_frames.takes_message(address), Errno.EINVAL)
        guest.message(address, record.data)
        return 1

    # -- attributes -------------------------------------------------------------------------------------------------
    def _filter(self, call: Call) -> int:
        """KVM_ARM_VM_SMCCC_FILTER, the one attribute that can be set: before the first run, ranges that do not meet."""
        attribute, kvm = call.take(s.KvmDeviceAttr), self.kvm
        if attribute.group == k.VM_GROUP_SHOWN and not attribute.flags:
            return self._show(call, attribute.attr, attribute.addr)
        address = self._find(call)
        record = s.KvmSmcccFilter.unpack(call.space.read(address, s.KvmSmcccFilter.size))
        must(not any(record.pad) and record.action in tuple(SmcccAction), Errno.EINVAL)
        base, top = record.base, record.base + record.nr_functions
        must(base < top <= _TOP, Errno.EINVAL)
        must(not (kvm.forwarded.within(base, top) or kvm.denied.within(base, top)), Errno.EEXIST)
        must(kvm.phase is not Phase.ACTIVATED, Errno.EBUSY)
        if record.action == SmcccAction.FWD_TO_USER:
            kvm.forwarded.add(base, top)
        elif record.action == SmcccAction.DENY:
            kvm.denied.add(base, top)
        return 0

    def _show(self, call: Call, ipa: int, address: int) -> int:
        """Let the guest read a byte without an exit, at a page that is no memory."""
        kvm, value = self.kvm, int.from_bytes(call.space.read(address, 4), "little")
        must(not ipa & 0xFFF and ipa < kvm.limit and value <= k.SHOWN_NOTHING, Errno.EINVAL)
        must(kvm.slot(ipa) is None, Errno.EEXIST)
        if kvm.guest is None:
            raise Refusal(Errno.EBUSY)
        with kvm.troubles():
            if value == k.SHOWN_NOTHING:
                kvm.guest.hide(ipa)
            else:
                kvm.guest.show(ipa, value)
        return 0

    def _has(self, call: Call) -> int:
        self._find(call)
        return 0

    def _find(self, call: Call) -> int:
        record = call.take(s.KvmDeviceAttr)
        must(not record.flags, Errno.EINVAL)
        must((record.group, record.attr) == (VmGroup.SMCCC_CTRL, 0), Errno.ENXIO)
        address: int = record.addr
        return address

    def _get(self, call: Call) -> int:
        self._find(call)
        raise Refusal(Errno.ENXIO)


# -- the sub-commands of the capability -------------------------------------------------------------------------------
def _configure(kvm: Kvm, space: "AddressSpace", address: int) -> None:
    data = space.read(address, _CONFIG)
    item = k.RmeConfigRpv.unpack(data).cfg
    must(kvm.phase is Phase.CONFIG, Errno.EBUSY)
    if item == k.RmeConfigItem.RPV:
        realm.configure_rpv(kvm, k.RmeConfigRpv.unpack(data).rpv, Errno.EBUSY)
    elif item == k.RmeConfigItem.HASH_ALGO:
        realm.configure_hash(kvm, k.RmeConfigHashAlgo.unpack(data).hash_algo, Errno.EBUSY)
    elif item == k.RmeConfigItem.PMU:
        realm.configure_pmu(kvm, k.RmeConfigPmu.unpack(data).num_pmu_cntrs, Errno.EBUSY)
    else:
        raise Refusal(Errno.EINVAL)


def _create(kvm: Kvm, space: "AddressSpace", address: int) -> None:
    must(not kvm.vcpus, Errno.EBUSY)
    realm.create(kvm, Errno.EEXIST)


def _init_ripas(kvm: Kvm, space: "AddressSpace", address: int) -> None:
    record = k.RmeInitRipas.unpack(space.read(address, k.RmeInitRipas.size))
    must(not any(record.reserved), Errno.EINVAL)
    realm.init_ripas(kvm, record.base, record.size, Errno.EINVAL)


def _populate_slot(kvm: Kvm, space: "AddressSpace", address: int) -> None:
    record = k.RmePopulate.unpack(space.read(address, k.RmePopulate.size))
    must(not any(record.reserved), Errno.EINVAL)
    realm.populate(kvm, record.base, record.size, None, record.flags, Errno.EINVAL)


def _activate(kvm: Kvm, space: "AddressSpace", address: int) -> None:
    realm.activate(kvm, Errno.EINVAL)


_COMMANDS: Final = {
    int(k.RmeCommand.CONFIG_REALM): _configure,
    int(k.RmeCommand.CREATE_REALM): _create,
    int(k.RmeCommand.INIT_RIPAS_REALM): _init_ripas,
    int(k.RmeCommand.POPULATE_REALM): _populate_slot,
    int(k.RmeCommand.ACTIVATE_REALM): _activate,
}

_SLOT: Final = (Errno.EFAULT, Errno.EINVAL, Errno.EEXIST)
VmTarget.requests = rows(
    Row(KvmSystem.CHECK_EXTENSION, "capability", VmTarget._check_extension, (Errno.EINVAL,)),
    Row(KvmVm.SET_USER_MEMORY_REGION, s.KvmUserspaceMemoryRegion, VmTarget._region, _SLOT),
    Row(KvmVm.SET_USER_MEMORY_REGION2, s.KvmUserspaceMemoryRegion2, VmTarget._region2, (*_SLOT, Errno.EBADF)),
    Row(KvmVm.SET_MEMORY_ATTRIBUTES, s.KvmMemoryAttributes, VmTarget._attributes, (Errno.EFAULT, Errno.EINVAL)),
    Row(
        KvmVm.CREATE_GUEST_MEMFD, s.KvmCreateGuestMemfd, VmTarget._memfd,
        (Errno.EFAULT, Errno.EINVAL, Errno.EMFILE),
    ),
    Row(
        KvmVm.CREATE_VCPU, "number", VmTarget._create_vcpu,
        (Errno.EINVAL, Errno.EEXIST, Errno.EBUSY, Errno.EMFILE),
    ),
    Row(KvmVm.ARM_PREFERRED_TARGET, s.KvmVcpuInit, VmTarget._preferred, (Errno.EFAULT,)),
    Row(
        KvmVm.CREATE_DEVICE, s.KvmCreateDevice, VmTarget._create_device,
        (Errno.EFAULT, Errno.ENODEV, Errno.EEXIST, Errno.EBUSY, Errno.EMFILE),
    ),
    Row(KvmVm.CREATE_IRQCHIP, None, VmTarget._create_irqchip, (Errno.ENODEV,)),
    Row(
        KvmVm.IRQ_LINE, s.KvmIrqLevel, VmTarget._irq_line,
        (Errno.EFAULT, Errno.EINVAL, Errno.ENXIO, Errno.EBUSY),
    ),
    Row(
        KvmVm.SIGNAL_MSI, s.KvmMsi, VmTarget._msi, (Errno.EFAULT, Errno.EINVAL, Errno.ENODEV, Errno.EBUSY),
    ),
    Row(
        KvmVm.ENABLE_CAP, s.KvmEnableCap, VmTarget._enable,
        (Errno.EFAULT, Errno.EINVAL, Errno.EBUSY, Errno.EEXIST, Errno.ENXIO),
    ),
    Row(
        k.KvmRmiVm.ARM_RMI_POPULATE, k.ArmRmiPopulate, VmTarget._populate,
        (Errno.EFAULT, Errno.EINVAL, Errno.EBUSY, Errno.ENXIO, Errno.EEXIST),
    ),
    Row(
        KvmAttribute.SET_DEVICE_ATTR, s.KvmDeviceAttr, VmTarget._filter,
        (Errno.EFAULT, Errno.EINVAL, Errno.ENXIO, Errno.EEXIST, Errno.EBUSY),
    ),
    Row(KvmAttribute.GET_DEVICE_ATTR, s.KvmDeviceAttr, VmTarget._get, (Errno.EFAULT, Errno.EINVAL, Errno.ENXIO)),
    Row(KvmAttribute.HAS_DEVICE_ATTR, s.KvmDeviceAttr, VmTarget._has, (Errno.EFAULT, Errno.EINVAL, Errno.ENXIO)),
)  # fmt: skip
