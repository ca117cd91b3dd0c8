"""What KVM_CHECK_EXTENSION answers, on /dev/kvm and on a VM."""

from collections.abc import Callable
from typing import Final

from cca_arch.errno import Errno
from cca_arch.kvm.realm import CAP_ARM_RME_FIRST, CAP_ARM_RMI
from cca_arch.kvm.values import Cap, MemoryAttribute
from cca_host.kvm.kernel import Kernel
from cca_host.kvm.uapi.kvm import Kvm
from cca_host.kvm.uapi.memoryslots import MAX_SLOTS
from cca_host.kvm.uapi.refusal import Refusal
from cca_platform.errors import MachineError
from cca_platform.state import State

__all__ = ["CAPABILITIES", "IPA_LIMIT", "IPA_SIZE_MIN", "MAX_VCPUS", "REALM_ONLY", "RealmNumbers", "has_rmm", "value"]

IPA_LIMIT: Final = 48
"""The widest guest addresses of a plain VM."""
IPA_SIZE_MIN: Final = 32
MAX_VCPUS: Final = 512


class RealmNumbers(State, frozen=True, tag="host.uapi.numbers/1"):
    """The numbers of the capabilities that no Linux has merged: those of a series, or of your kernel.

    ``rme`` is KVM_CAP_ARM_RME, with its sub-commands; ``rmi`` is KVM_CAP_ARM_RMI, with the populate ioctl.
    """

    rme: int = CAP_ARM_RME_FIRST
    rmi: int = CAP_ARM_RMI


def has_rmm(system: Kernel) -> bool:
    """True if an RMM answers that the host can use."""
    try:
        system.probe()
    except MachineError:
        return False
    return True


def max_vcpus(system: Kernel, kvm: Kvm | None) -> int:
    """The most vCPUs of a VM."""
    return min(MAX_VCPUS, system.max_vcpus) if kvm is not None and kvm.is_realm else MAX_VCPUS


def _one(system: Kernel, kvm: Kvm | None) -> int:
    return 1


def _attributes(system: Kernel, kvm: Kvm | None) -> int:
    return int(MemoryAttribute.PRIVATE) if kvm is None or kvm.is_realm else 0


def _private(system: Kernel, kvm: Kvm | None) -> int:
    return int(kvm is None or kvm.is_realm)


def _pes(system: Kernel, kvm: Kvm | None) -> int:
    return len(system.machine.pes)


def _devid(system: Kernel, kvm: Kvm | None) -> int:
    if kvm is None:
        raise Refusal(Errno.EINVAL)
    return 0


CAPABILITIES: Final[dict[Cap, Callable[[Kernel, Kvm | None], int]]] = {
    Cap.IRQCHIP: _one,
    Cap.USER_MEMORY: _one,
    Cap.NR_VCPUS: _pes,
    Cap.NR_MEMSLOTS: lambda system, kvm: MAX_SLOTS,
    Cap.MP_STATE: _one,
    Cap.SYNC_MMU: _one,
    Cap.DESTROY_MEMORY_REGION_WORKS: _one,
    Cap.JOIN_MEMORY_REGIONS_WORKS: _one,
    Cap.INTERNAL_ERROR_DATA: _one,
    Cap.VCPU_EVENTS: _one,
    Cap.MAX_VCPUS: max_vcpus,
    Cap.MAX_VCPU_ID: max_vcpus,
    Cap.ONE_REG: _one,
    Cap.SIGNAL_MSI: _one,
    Cap.ARM_PSCI: _one,
    Cap.ARM_PSCI_0_2: _one,
    Cap.DEVICE_CTRL: _one,
    Cap.ENABLE_CAP_VM: _one,
    Cap.VM_ATTRIBUTES: _one,
    Cap.CHECK_EXTENSION_VM: _one,
    Cap.MSI_DEVID: _devid,
    Cap.IMMEDIATE_EXIT: _one,
    Cap.ARM_VM_IPA_SIZE: lambda system, kvm: IPA_LIMIT,
    Cap.ARM_IRQ_LINE_LAYOUT_2: _one,
    Cap.ARM_INJECT_EXT_DABT: _one,
    Cap.SYSTEM_EVENT_DATA: _one,
    Cap.USER_MEMORY2: _one,
    Cap.MEMORY_FAULT_INFO: _one,
    Cap.MEMORY_ATTRIBUTES: _attributes,
    Cap.GUEST_MEMFD: _private,
}
"""The capabilities that this KVM has; of all others the value is 0."""
REALM_ONLY: Final = (
    Cap.IRQCHIP, Cap.ARM_PSCI, Cap.ARM_PSCI_0_2, Cap.NR_VCPUS, Cap.MAX_VCPUS, Cap.MAX_VCPU_ID, Cap.MSI_DEVID,
    Cap.ARM_VM_IPA_SIZE, Cap.VM_ATTRIBUTES, Cap.USER_MEMORY, Cap.USER_MEMORY2, Cap.MEMORY_FAULT_INFO,
    Cap.MEMORY_ATTRIBUTES, Cap.GUEST_MEMFD, Cap.NR_MEMSLOTS, Cap.DEVICE_CTRL, Cap.ENABLE_CAP_VM, Cap.CHECK_EXTENSION_VM,
    Cap.SYNC_MMU, Cap.DESTROY_MEMORY_REGION_WORKS, Cap.JOIN_MEMORY_REGIONS_WORKS, Cap.INTERNAL_ERROR_DATA,
    Cap.SYSTEM_EVENT_DATA, Cap.ONE_REG, Cap.MP_STATE, Cap.IMMEDIATE_EXIT, Cap.VCPU_EVENTS, Cap.ARM_IRQ_LINE_LAYOUT_2,
    Cap.SIGNAL_MSI,
)  # fmt: skip
"""Those that the descriptor of a Realm's VM has, too."""


def value(system: Kernel, numbers: RealmNumbers, kvm: Kvm | None, capability: int) -> int:
    """What a capability is, for the host or for one VM."""
    if capability in (numbers.rme, numbers.rmi):
        return int(has_rmm(system))
    if capability not in CAPABILITIES or (kvm is not None and kvm.is_realm and capability not in REALM_ONLY):
        return 0
    return CAPABILITIES[Cap(capability)](system, kvm)
