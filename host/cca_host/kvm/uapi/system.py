"""/dev/kvm, which makes VMs, and /dev/rme: what the RMM is, and memory of Realms for the process that runs them."""

from collections.abc import Callable
from typing import Final

from cca_arch.errno import Errno
from cca_arch.kvm import realm as k
from cca_arch.kvm.requests import KvmSystem
from cca_arch.kvm.values import API_VERSION, IPA_SIZE_DEFAULT, VmType
from cca_arch.rmi.v1_0 import ABI_VERSION, Rmi
from cca_host.kvm.kernel import Kernel
from cca_host.kvm.uapi.capabilities import IPA_LIMIT, IPA_SIZE_MIN, RealmNumbers, has_rmm, value
from cca_host.kvm.uapi.files import Call, Row, Target, rows
from cca_host.kvm.uapi.kvm import Kvm, Machine
from cca_host.kvm.uapi.memory import AddressSpace
from cca_host.kvm.uapi.refusal import must
from cca_host.kvm.uapi.run import MMAP_SIZE
from cca_host.kvm.uapi.vm import VmTarget
from cca_host.kvm.vm import Vm

__all__ = ["DevKvm", "DevRme"]

_TYPE_MASK: Final = VmType.ipa_size.mask | VmType.machine.mask


class DevKvm(Target):
    """/dev/kvm. ``made`` hears of every new VM."""

    kind = "/dev/kvm"
    unknown = Errno.EINVAL

    def __init__(self, system: Kernel, numbers: RealmNumbers, made: Callable[[Kvm], object]) -> None:
        self.system = system
        self.numbers = numbers
        self._made = made

    def _version(self, call: Call) -> int:
        must(call.number == 0, Errno.EINVAL)
        return API_VERSION

    def _mmap_size(self, call: Call) -> int:
        must(call.number == 0, Errno.EINVAL)
        return MMAP_SIZE

    def _check_extension(self, call: Call) -> int:
        return value(self.system, self.numbers, None, call.number)

    def _create_vm(self, call: Call) -> int:
        wanted = VmType(call.number)
        must(not wanted & ~_TYPE_MASK and wanted.machine <= k.VM_TYPE_ARM_REALM, Errno.EINVAL)
        is_realm = wanted.machine == k.VM_TYPE_ARM_REALM
        width = wanted.ipa_size or IPA_SIZE_DEFAULT
        must(IPA_SIZE_MIN <= width <= IPA_LIMIT, Errno.EINVAL)
        if is_realm:
            must(has_rmm(self.system) and width <= self.system.features.S2SZ, Errno.EINVAL)
        kvm = Kvm(self.system, call.space, Machine.REALM if is_realm else Machine.PLAIN, width)
        fd = call.descriptors.install(VmTarget(kvm, self.numbers))
        kvm.get()
        self._made(kvm)
        return fd


DevKvm.requests = rows(
    Row(KvmSystem.GET_API_VERSION, None, DevKvm._version, (Errno.EINVAL,)),
    Row(KvmSystem.CREATE_VM, "type", DevKvm._create_vm, (Errno.EINVAL, Errno.EMFILE)),
    Row(KvmSystem.CHECK_EXTENSION, "capability", DevKvm._check_extension, (Errno.EINVAL,)),
    Row(KvmSystem.GET_VCPU_MMAP_SIZE, None, DevKvm._mmap_size, (Errno.EINVAL,)),
)


class DevRme(Target):
    """/dev/rme. Its memory shows a Realm's own pages at their places, where granule protection lets nobody look."""

    kind = "/dev/rme"

    def __init__(self, system: Kernel) -> None:
        self.system = system

    def admit(self, call: Call) -> None:
        """It is of use only with an RMM."""
        must(has_rmm(self.system), Errno.ENODEV)

    def check_mapping(self, offset: int, size: int) -> None:
        """Any memory can be mapped."""

    def page(self, space: AddressSpace, address: int, offset: int) -> int | None:
        """The Realm's page behind an address of its slot; None if it has none, and the process's own is there."""
        for watcher in space.watchers:
            if not isinstance(watcher, Kvm) or not isinstance(watcher.guest, Vm):
                continue
            for slot in watcher.slots.values():
                if slot.address <= address < slot.address + slot.size:
                    return watcher.guest.stage2.data.get(slot.base + address - slot.address)
        return None

    def _version(self, call: Call) -> int:
        lower, higher = self.system.rmi(Rmi.VERSION, ABI_VERSION)[1:3]
        call.write(k.RmeVersion.pack(lower=lower, higher=higher))
        return 0

    def _features(self, call: Call) -> int:
        record = call.take(k.RmeFeatures)
        x0, found = self.system.rmi(Rmi.FEATURES, record.index)[:2]
        must(not x0, Errno.ENXIO)
        call.write(k.RmeFeatures.pack(index=record.index, value=found))
        return 0


DevRme.requests = rows(
    Row(k.Rme.GET_VERSION, k.RmeVersion, DevRme._version, (Errno.ENODEV, Errno.EFAULT)),
    Row(k.Rme.GET_FEATURES, k.RmeFeatures, DevRme._features, (Errno.ENODEV, Errno.EFAULT, Errno.ENXIO)),
)
