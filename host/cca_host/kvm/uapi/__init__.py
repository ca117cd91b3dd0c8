"""KVM as user space knows it: processes open /dev/kvm and /dev/rme, and make VMs, vCPUs and Realms by ioctls.

Numbers, structures and errors are Linux's (:mod:`cca_arch.kvm`, :mod:`cca_arch.errno`)::

    main = Userspace.of(system).spawn().main
    kvm = main.open("/dev/kvm")
    vm = main.ioctl(kvm, KvmSystem.CREATE_VM, VmType.make(ipa_size=33, machine=VM_TYPE_ARM_REALM))
"""

from cca_host.kvm.cpu import Cpu
from cca_host.kvm.exits import (
    CpuOff,
    Exit,
    Failure,
    HostCall,
    Idle,
    Interrupted,
    Mmio,
    Paused,
    SystemEvent,
    SystemEventKind,
    Yield,
)
from cca_host.kvm.kernel import Kernel, RmiError
from cca_host.kvm.plain.vm import PlainVm
from cca_host.kvm.uapi.capabilities import RealmNumbers
from cca_host.kvm.uapi.limits import must_be_plain, must_be_realm
from cca_host.kvm.uapi.process import Advice, Process, Thread
from cca_host.kvm.uapi.refusal import UserFault
from cca_host.kvm.uapi.userspace import Userspace
from cca_host.kvm.vm import HASH_ALGORITHMS, Vm

__all__ = [
    "HASH_ALGORITHMS",
    "Advice",
    "Cpu",
    "CpuOff",
    "Exit",
    "Failure",
    "HostCall",
    "Idle",
    "Interrupted",
    "Kernel",
    "KernelVm",
    "Mmio",
    "Paused",
    "Process",
    "RealmNumbers",
    "RmiError",
    "SystemEvent",
    "SystemEventKind",
    "Thread",
    "UserFault",
    "Userspace",
    "Yield",
    "must_be_plain",
    "must_be_realm",
]

KernelVm = Vm | PlainVm
"""A VM in the kernel."""
