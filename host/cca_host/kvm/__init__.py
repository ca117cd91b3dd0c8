"""KVM of the model: the system, its Realm VMs and their vCPUs, over RMI calls."""

from cca_host.kvm.exits import CpuOff, Exit, Failure, HostCall, Idle, Interrupted, Mmio, SystemEvent, Yield
from cca_host.kvm.system import RmiError, System
from cca_host.kvm.vcpu import Vcpu
from cca_host.kvm.vm import Vm

__all__ = [
    "CpuOff",
    "Exit",
    "Failure",
    "HostCall",
    "Idle",
    "Interrupted",
    "Mmio",
    "RmiError",
    "System",
    "SystemEvent",
    "Vcpu",
    "Vm",
    "Yield",
]
