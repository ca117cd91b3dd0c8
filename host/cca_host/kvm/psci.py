"""PSCI calls that the RMM forwards to the host."""

from typing import Final

from cca_arch.psci import Psci, PsciStatus
from cca_arch.rmi.v1_0 import Rmi, rec_index
from cca_arch.sysregs import affinity_word
from cca_host.kvm.exits import CpuOff, Exit, Idle, SystemEvent, SystemEventKind
from cca_host.kvm.kernel import RmiError
from cca_host.kvm.rec import Rec

__all__ = ["SYSTEM_OFF", "answer"]

SYSTEM_OFF: Final = {
    Psci.SYSTEM_OFF: SystemEventKind.OFF,
    Psci.SYSTEM_RESET: SystemEventKind.RESET,
    Psci.SYSTEM_RESET2: SystemEventKind.RESET,
    Psci.SYSTEM_RESET2_64: SystemEventKind.RESET,
}
"""The functions that end a VM."""
_CPU_ON: Final = (Psci.CPU_ON, Psci.CPU_ON_64)
_COMPLETED: Final = (*_CPU_ON, Psci.AFFINITY_INFO, Psci.AFFINITY_INFO_64)
_SUSPEND: Final = (Psci.CPU_SUSPEND, Psci.CPU_SUSPEND_64)


def answer(vcpu: Rec) -> Exit | None:
    """Handle a PSCI exit, or pass it to the VMM."""
    fid, target = vcpu.page.gprs[:2]
    if fid in SYSTEM_OFF:
        return SystemEvent(SYSTEM_OFF[Psci(fid)])
    if fid in _COMPLETED:
        return _complete(vcpu, fid, target)
    if fid in _SUSPEND:
        return Idle(vcpu.deadline())
    if fid == Psci.CPU_OFF:
        vcpu.on = False
        return CpuOff()
    return None


def _complete(vcpu: Rec, fid: int, target: int) -> Exit | None:
    """Call RMI_PSCI_COMPLETE for CPU_ON and AFFINITY_INFO; finds the target REC by its MPIDR.

    The RMM accepts DENIED only for CPU_ON of a REC that is off.
    """
    mpidr, siblings = affinity_word(target), vcpu.siblings
    index = rec_index(mpidr)
    other = siblings[index] if index < len(siblings) else None
    if other is None or other.mpidr != mpidr:
        return vcpu.failed(f"PSCI call for MPIDR {target:#x}, which no vCPU has")
    turns_on = fid in _CPU_ON and not other.on
    status = int(PsciStatus.DENIED if turns_on and other.deny_on else PsciStatus.SUCCESS)
    x0 = vcpu.vm.system.rmi(Rmi.PSCI_COMPLETE, vcpu.rec, other.rec, status)[0]
    if x0:
        raise RmiError(Rmi.PSCI_COMPLETE, x0, f"vCPU {vcpu.index} and vCPU {other.index}")
    if turns_on and status == PsciStatus.SUCCESS:
        other.on = True
    return None
