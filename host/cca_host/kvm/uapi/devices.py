"""The devices of a VM (KVM_CREATE_DEVICE): its GICv3, and the one through which it is made a Realm."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from cca_arch.errno import Errno
from cca_arch.gic import FIRST_SPECIAL, FIRST_SPI, GICD_SIZE, GICR_STRIDE
from cca_arch.kvm import realm as k
from cca_arch.kvm.requests import KvmAttribute
from cca_arch.kvm.structures import KvmDeviceAttr
from cca_arch.kvm.values import DeviceType, VgicAddr, VgicAttr, VgicCtrl, VgicGroup
from cca_arch.sysregs import affinity_word
from cca_host.kvm.uapi import realm
from cca_host.kvm.uapi.files import Call, Row, Target, rows
from cca_host.kvm.uapi.kvm import Kvm, Phase
from cca_host.kvm.uapi.refusal import Refusal, must
from cca_host.kvm.vgic import INTIDS
from cca_host.kvm.vgic_mmio import VgicMmio

__all__ = ["DEVICES", "Attribute", "DeviceTarget", "RealmTarget", "VgicTarget"]

_FRAME: Final = 0x1_0000  # what the addresses of a GIC's frames are multiples of
_LINES: Final = 32
_REGISTER: Final = 4
_PATH: Final = 4096  # the longest path, in bytes


class Attribute(NamedTuple):
    """An attribute of a device: how many bytes its value has, who sets and gets it, and how that can fail.

    ``attr`` is None for all attributes of the group: a register's offset.
    """

    group: Any
    attr: Any
    size: int
    put: Callable[[Any, bytes, int], object] | None
    get: Callable[[Any, int], bytes] | None
    errors: tuple[Errno, ...] = ()

    @property
    def name(self) -> str:
        """Group and attribute in words."""
        attr = "OFFSET" if self.attr is None else getattr(self.attr, "name", str(self.attr))
        return f"{self.group.name}.{attr}"


class DeviceTarget(Target):
    """A device of a VM: everything goes through its attributes."""

    attributes: Mapping[tuple[int, int | None], Attribute] = MappingProxyType({})
    type: int

    def __init__(self, kvm: Kvm) -> None:
        self.kvm = kvm

    def admit(self, call: Call) -> None:
        """It belongs to the VM's process."""
        must(call.space is self.kvm.space, Errno.EIO)

    def closed(self) -> None:
        """It stays as long as its VM does."""
        self.kvm.put()

    def _find(self, call: Call) -> tuple[Attribute, int, int]:
        record = call.take(KvmDeviceAttr)
        must(not record.flags, Errno.EINVAL)
        found = self.attributes.get((record.group, record.attr)) or self.attributes.get((record.group, None))
        if found is None:
            raise Refusal(Errno.ENXIO)
        return found, record.attr, record.addr

    def _put(self, call: Call) -> int:
        found, attr, address = self._find(call)
        if found.put is None:
            raise Refusal(Errno.ENXIO)
        found.put(self, call.space.read(address, found.size), attr)
        return 0

    def _get(self, call: Call) -> int:
        found, attr, address = self._find(call)
        if found.get is None:
            raise Refusal(Errno.ENXIO)
        call.space.write(address, found.get(self, attr))
        return 0

    def _has(self, call: Call) -> int:
        self._find(call)
        return 0


_ERRORS: Final = (Errno.EFAULT, Errno.EINVAL, Errno.ENXIO)
DeviceTarget.requests = rows(
    Row(KvmAttribute.SET_DEVICE_ATTR, KvmDeviceAttr, DeviceTarget._put, _ERRORS),
    Row(KvmAttribute.GET_DEVICE_ATTR, KvmDeviceAttr, DeviceTarget._get, _ERRORS),
    Row(KvmAttribute.HAS_DEVICE_ATTR, KvmDeviceAttr, DeviceTarget._has, _ERRORS),
)


def _attributes(*table: Attribute) -> dict[tuple[int, int | None], Attribute]:
    return {(int(one.group), None if one.attr is None else int(one.attr)): one for one in table}


# -- the GICv3 --------------------------------------------------------------------------------------------------------
class VgicTarget(DeviceTarget):
    """The GICv3 of a VM."""

    kind = "GICv3"
    type = DeviceType.ARM_VGIC_V3

    @staticmethod
    def made(kvm: Kvm) -> None:
        """It is created: the VM may not have one, and no vCPU may be made yet."""
        must(not kvm.vgic_made, Errno.EEXIST)
        must(kvm.guest is None or not kvm.guest.vcpus, Errno.EBUSY)
        kvm.vgic_made = True
        realm.wire_gic(kvm)

    def _address(self, value: bytes, old: int | None, size: int) -> int:
        address = int.from_bytes(value, "little")
        must(old is None, Errno.EEXIST)
        must(not address % _FRAME, Errno.EINVAL)
        must(address + size <= self.kvm.limit, Errno.E2BIG)
        return address

    def put_distributor(self, value: bytes, attr: int) -> None:
        """The address of the distributor's frame."""
        self.kvm.distributor = self._address(value, self.kvm.distributor, GICD_SIZE)
        realm.wire_gic(self.kvm)

    def put_redistributors(self, value: bytes, attr: int) -> None:
        """The address of the first redistributor; those of the other vCPUs follow."""
        self.kvm.redistributors = self._address(value, self.kvm.redistributors, GICR_STRIDE)
        realm.wire_gic(self.kvm)

    def distributor(self, attr: int) -> bytes:
        """The address of the distributor's frame: all ones before it has one."""
        return _word(self.kvm.distributor)

    def redistributors(self, attr: int) -> bytes:
        """The address of the first redistributor."""
        return _word(self.kvm.redistributors)

    def put_lines(self, value: bytes, attr: int) -> None:
        """The number of interrupts, SGIs and PPIs included."""
        lines = int.from_bytes(value, "little")
        must(2 * FIRST_SPI <= lines < FIRST_SPECIAL and not lines % _LINES and lines <= INTIDS, Errno.EINVAL)
        must(not self.kvm.vgic_ready and not self.kvm.vgic_lines, Errno.EBUSY)
        self.kvm.vgic_lines = lines

    def lines(self, attr: int) -> bytes:
        """The number of interrupts."""
        return (self.kvm.vgic_lines or INTIDS).to_bytes(4, "little")

    def _frame(self, attr: int, redistributor: bool) -> tuple[VgicMmio, int]:
        """The registers, and the address of the one that an attribute names."""
        which, kvm = VgicAttr(attr), self.kvm
        must(kvm.vgic_ready and kvm.guest is not None and kvm.guest.gic_frames is not None, Errno.EBUSY)
        assert kvm.guest is not None and kvm.guest.gic_frames is not None
        frames, size = kvm.guest.gic_frames, GICR_STRIDE if redistributor else GICD_SIZE
        must(which.offset < size and not which.offset % _REGISTER, Errno.ENXIO)
        if not redistributor:
            return frames, frames.distributor + which.offset
        cpus = [affinity_word(cpu.affinity) for cpu in frames.vgic.cpus]
        must(which.mpidr in cpus, Errno.EINVAL)
        return frames, frames.redistributors + GICR_STRIDE * cpus.index(which.mpidr) + which.offset

    def put_register(self, value: bytes, attr: int) -> None:
        """A register of the distributor."""
        frames, address = self._frame(attr, False)
        frames.write(address, _REGISTER, int.from_bytes(value, "little"))

    def register(self, attr: int) -> bytes:
        """A register of the distributor."""
        frames, address = self._frame(attr, False)
        return frames.read(address, _REGISTER).to_bytes(_REGISTER, "little")

    def put_vcpu_register(self, value: bytes, attr: int) -> None:
        """A register of a vCPU's redistributor."""
        frames, address = self._frame(attr, True)
        frames.write(address, _REGISTER, int.from_bytes(value, "little"))

    def vcpu_register(self, attr: int) -> bytes:
        """A register of a vCPU's redistributor."""
        frames, address = self._frame(attr, True)
        return frames.read(address, _REGISTER).to_bytes(_REGISTER, "little")

    def init(self, value: bytes, attr: int) -> None:
        """All vCPUs are there: interrupts can come."""
        self.kvm.vgic_ready = True


def _word(value: int | None) -> bytes:
    return ((1 << 64) - 1 if value is None else value).to_bytes(8, "little")


_PLACE: Final = (Errno.EEXIST, Errno.EINVAL, Errno.E2BIG)
VgicTarget.attributes = _attributes(
    Attribute(VgicGroup.ADDR, VgicAddr.DIST, 8, VgicTarget.put_distributor, VgicTarget.distributor, _PLACE),
    Attribute(VgicGroup.ADDR, VgicAddr.REDIST, 8, VgicTarget.put_redistributors, VgicTarget.redistributors, _PLACE),
    Attribute(VgicGroup.NR_IRQS, 0, 4, VgicTarget.put_lines, VgicTarget.lines, (Errno.EINVAL, Errno.EBUSY)),
    Attribute(VgicGroup.DIST_REGS, None, 4, VgicTarget.put_register, VgicTarget.register, (Errno.EBUSY, Errno.ENXIO)),
    Attribute(
        VgicGroup.REDIST_REGS, None, 4, VgicTarget.put_vcpu_register, VgicTarget.vcpu_register,
        (Errno.EBUSY, Errno.ENXIO, Errno.EINVAL),
    ),
    Attribute(VgicGroup.CTRL, VgicCtrl.INIT, 0, VgicTarget.init, None),
)  # fmt: skip


# -- the device that makes a VM a Realm -------------------------------------------------------------------------------
class RealmTarget(DeviceTarget):
    """The device through which user space makes the VM a Realm, step by step."""

    kind = "Realm"
    type = k.DEV_TYPE_ARM_REALM

    @staticmethod
    def made(kvm: Kvm) -> None:
        """It is created: the VM is to be a Realm."""
        must(not kvm.realm_device, Errno.EEXIST)
        must(not kvm.vcpus and (kvm.is_realm or not kvm.slots), Errno.EBUSY)
        must(kvm.guest is None, Errno.EBUSY)
        kvm.become_realm()
        kvm.realm_device = kvm.explicit = True

    def put_hash(self, value: bytes, attr: int) -> None:
        """RmiHashAlgorithm."""
        realm.configure_hash(self.kvm, int.from_bytes(value, "little"), Errno.EBUSY)

    def put_rpv(self, value: bytes, attr: int) -> None:
        """64 bytes."""
        realm.configure_rpv(self.kvm, value, Errno.EBUSY)

    def put_pmu(self, value: bytes, attr: int) -> None:
        """The event counters of its PMU."""
        realm.configure_pmu(self.kvm, int.from_bytes(value, "little"), Errno.EBUSY)

    def pmu(self, attr: int) -> bytes:
        """The event counters of its PMU."""
        return (self.kvm.pmu_counters or 0).to_bytes(4, "little")

    def hash_algo(self, attr: int) -> bytes:
        """RmiHashAlgorithm."""
        return self.kvm.hash_algo.to_bytes(4, "little")

    def rpv(self, attr: int) -> bytes:
        """64 bytes."""
        return self.kvm.rpv.ljust(realm.RPV_SIZE, b"\0")

    def create(self, value: bytes, attr: int) -> None:
        """REALM_CREATE."""
        must(not self.kvm.vcpus, Errno.EBUSY)
        realm.create(self.kvm, Errno.EEXIST)

    def init_ripas(self, value: bytes, attr: int) -> None:
        """RTT_INIT_RIPAS."""
        record = k.RmeInitRipas.unpack(value)
        must(not any(record.reserved), Errno.EINVAL)
        realm.init_ripas(self.kvm, record.base, record.size, Errno.EINVAL)

    def populate(self, value: bytes, attr: int) -> None:
        """DATA_CREATE of every page."""
        record = k.RmePopulate.unpack(value)
        must(not any(record.reserved), Errno.EINVAL)
        realm.populate(self.kvm, record.base, record.size, None, record.flags, Errno.EINVAL)

    def limit(self, value: bytes, attr: int) -> None:
        """Keep the Realm within some granules: the rest of its pages goes to a file of the host."""
        record, kvm = k.RealmLimit.unpack(value), self.kvm
        must(not record.reserved and 0 < record.length <= _PATH, Errno.EINVAL)
        must(kvm.phase is Phase.CREATED, Errno.EBUSY)
        path = kvm.space.read(record.path, record.length)
        with kvm.troubles():
            kvm.realm.limit_memory(record.limit, path.decode("utf-8", "surrogateescape"))

    def activate(self, value: bytes, attr: int) -> None:
        """REC_CREATE of every vCPU, in their order, and REALM_ACTIVATE."""
        realm.may(self.kvm, realm.Step.ACTIVATE, Errno.EINVAL)
        for vcpu in self.kvm.vcpus:
            must(vcpu.initialized, Errno.ENOEXEC)
            vcpu.make()
        realm.activate(self.kvm, Errno.EINVAL)


_CONFIG, _CONTROL = k.RealmGroup.CONFIG, k.RealmGroup.CONTROL
RealmTarget.attributes = _attributes(
    Attribute(
        _CONFIG, k.RealmConfig.HASH_ALGO, 4, RealmTarget.put_hash, RealmTarget.hash_algo, (Errno.EBUSY, Errno.EINVAL)
    ),
    Attribute(_CONFIG, k.RealmConfig.RPV, realm.RPV_SIZE, RealmTarget.put_rpv, RealmTarget.rpv, (Errno.EBUSY,)),
    Attribute(
        _CONFIG, k.RealmConfig.PMU_COUNTERS, 4, RealmTarget.put_pmu, RealmTarget.pmu, (Errno.EBUSY, Errno.EINVAL)
    ),
    Attribute(
        _CONTROL, k.RealmControl.CREATE, 0, RealmTarget.create, None,
        (Errno.EBUSY, Errno.EEXIST, Errno.EINVAL, Errno.ENXIO),
    ),
    Attribute(
        _CONTROL, k.RealmControl.INIT_RIPAS, k.RmeInitRipas.size, RealmTarget.init_ripas, None,
        (Errno.EINVAL, Errno.ENXIO),
    ),
    Attribute(
        _CONTROL, k.RealmControl.POPULATE, k.RmePopulate.size, RealmTarget.populate, None,
        (Errno.EINVAL, Errno.EEXIST, Errno.EFAULT, Errno.ENXIO),
    ),
    Attribute(
        _CONTROL, k.RealmControl.LIMIT, k.RealmLimit.size, RealmTarget.limit, None,
        (Errno.EINVAL, Errno.EBUSY, Errno.EFAULT, Errno.ENOMEM),
    ),
    Attribute(
        _CONTROL, k.RealmControl.ACTIVATE, 0, RealmTarget.activate, None,
        (Errno.EINVAL, Errno.ENOEXEC, Errno.ENXIO),
    ),
)  # fmt: skip

DEVICES: Final = {int(one.type): one for one in (VgicTarget, RealmTarget)}
"""The devices that KVM_CREATE_DEVICE knows, by type."""
