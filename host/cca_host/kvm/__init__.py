"""The model's KVM: the system, its Realm VMs and their vCPUs, on top of RMI calls."""

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
from cca_host.kvm.kernel import RmiError
from cca_host.kvm.system import System
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
    "Paused",
    "RmiError",
    "System",
    "SystemEvent",
    "SystemEventKind",
    "Vcpu",
    "Vm",
    "Yield",
]
