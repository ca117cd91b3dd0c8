"""The model's KVM: the system, its VMs, Realms and plain ones, and their vCPUs."""

from cca_host.kvm.cpu import Cpu
from cca_host.kvm.exits import (
    CpuOff,
    Exit,
    Failure,
    HostCall,
    Idle,
    Interrupted,
    MemoryFault,
    Mmio,
    Paused,
    SystemEvent,
    SystemEventKind,
    Yield,
)
from cca_host.kvm.kernel import RmiError
from cca_host.kvm.plain.vm import PlainVm
from cca_host.kvm.system import System
from cca_host.kvm.vcpu import Vcpu
from cca_host.kvm.vm import Vm

__all__ = [
    "Cpu",
    "CpuOff",
    "Exit",
    "Failure",
    "HostCall",
    "Idle",
    "Interrupted",
    "MemoryFault",
    "Mmio",
    "Paused",
    "PlainVm",
    "RmiError",
    "System",
    "SystemEvent",
    "SystemEventKind",
    "Vcpu",
    "Vm",
    "Yield",
]
