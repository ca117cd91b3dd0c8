"""The request numbers of ioctls: how Linux makes them, and KVM's, each with the structure that it points to."""

from enum import IntEnum
from typing import Final

from cca_arch.fields import Bits, Field, Struct
from cca_arch.kvm import structures as s

__all__ = [
    "KVMIO",
    "Direction",
    "Ioctl",
    "KvmAttribute",
    "KvmSystem",
    "KvmVcpu",
    "KvmVm",
    "io",
    "ior",
    "iow",
    "iowr",
]

KVMIO: Final = 0xAE
"""The type of KVM's requests."""


class Direction(IntEnum):
    """Who reads the argument, as bits: user space writes it, or reads what the kernel has put there."""

    NONE = 0
    WRITE = 1
    READ = 2
    BOTH = 3


class Ioctl(Bits):
    """A request number."""

    nr = Field(7, 0)
    type = Field(15, 8)
    size = Field(29, 16)
    direction = Field(31, 30, Direction)


def _request(direction: Direction, kind: int, number: int, argument: Struct | int) -> int:
    size = argument if isinstance(argument, int) else argument.size
    return int(Ioctl.make(nr=number, type=kind, size=size, direction=direction))


def io(kind: int, number: int) -> int:
    """``_IO``: a request whose argument is a number, or none."""
    return _request(Direction.NONE, kind, number, 0)


def ior(kind: int, number: int, argument: Struct | int) -> int:
    """``_IOR``: the kernel fills the argument; a structure, or its size in bytes."""
    return _request(Direction.READ, kind, number, argument)


def iow(kind: int, number: int, argument: Struct | int) -> int:
    """``_IOW``: the kernel reads the argument."""
    return _request(Direction.WRITE, kind, number, argument)


def iowr(kind: int, number: int, argument: Struct | int) -> int:
    """``_IOWR``: the kernel reads the argument and writes it back."""
    return _request(Direction.BOTH, kind, number, argument)


class KvmSystem(IntEnum):
    """Requests on /dev/kvm, by their names without ``KVM_``."""

    GET_API_VERSION = io(KVMIO, 0x00)
    CREATE_VM = io(KVMIO, 0x01)
    CHECK_EXTENSION = io(KVMIO, 0x03)
    GET_VCPU_MMAP_SIZE = io(KVMIO, 0x04)


class KvmVm(IntEnum):
    """Requests on a VM. It takes CHECK_EXTENSION and those of :class:`KvmAttribute`, too."""

    CREATE_VCPU = io(KVMIO, 0x41)
    GET_DIRTY_LOG = iow(KVMIO, 0x42, s.KvmDirtyLog)
    SET_USER_MEMORY_REGION = iow(KVMIO, 0x46, s.KvmUserspaceMemoryRegion)
    SET_USER_MEMORY_REGION2 = iow(KVMIO, 0x49, s.KvmUserspaceMemoryRegion2)
    CREATE_IRQCHIP = io(KVMIO, 0x60)
    IRQ_LINE = iow(KVMIO, 0x61, s.KvmIrqLevel)
    IRQ_LINE_STATUS = iowr(KVMIO, 0x67, s.KvmIrqLevel)
    IRQFD = iow(KVMIO, 0x76, s.KvmIrqfd)
    IOEVENTFD = iow(KVMIO, 0x79, s.KvmIoeventfd)
    ENABLE_CAP = iow(KVMIO, 0xA3, s.KvmEnableCap)
    SIGNAL_MSI = iow(KVMIO, 0xA5, s.KvmMsi)
    ARM_SET_DEVICE_ADDR = iow(KVMIO, 0xAB, s.KvmArmDeviceAddr)
    ARM_PREFERRED_TARGET = ior(KVMIO, 0xAF, s.KvmVcpuInit)
    SET_MEMORY_ATTRIBUTES = iow(KVMIO, 0xD2, s.KvmMemoryAttributes)
    CREATE_GUEST_MEMFD = iowr(KVMIO, 0xD4, s.KvmCreateGuestMemfd)
    CREATE_DEVICE = iowr(KVMIO, 0xE0, s.KvmCreateDevice)


class KvmVcpu(IntEnum):
    """Requests on a vCPU. It takes those of :class:`KvmAttribute`, too."""

    RUN = io(KVMIO, 0x80)
    GET_MP_STATE = ior(KVMIO, 0x98, s.KvmMpState)
    SET_MP_STATE = iow(KVMIO, 0x99, s.KvmMpState)
    SET_GUEST_DEBUG = iow(KVMIO, 0x9B, s.KvmGuestDebug)
    GET_VCPU_EVENTS = ior(KVMIO, 0x9F, s.KvmVcpuEvents)
    SET_VCPU_EVENTS = iow(KVMIO, 0xA0, s.KvmVcpuEvents)
    ENABLE_CAP = iow(KVMIO, 0xA3, s.KvmEnableCap)
    GET_ONE_REG = iow(KVMIO, 0xAB, s.KvmOneReg)
    SET_ONE_REG = iow(KVMIO, 0xAC, s.KvmOneReg)
    ARM_VCPU_INIT = iow(KVMIO, 0xAE, s.KvmVcpuInit)
    GET_REG_LIST = iowr(KVMIO, 0xB0, s.KvmRegList)
    ARM_VCPU_FINALIZE = iow(KVMIO, 0xC2, 4)
    PRE_FAULT_MEMORY = iowr(KVMIO, 0xD5, s.KvmPreFaultMemory)


class KvmAttribute(IntEnum):
    """Requests on a device, a VM or a vCPU."""

    SET_DEVICE_ATTR = iow(KVMIO, 0xE1, s.KvmDeviceAttr)
    GET_DEVICE_ATTR = iow(KVMIO, 0xE2, s.KvmDeviceAttr)
    HAS_DEVICE_ATTR = iow(KVMIO, 0xE3, s.KvmDeviceAttr)
