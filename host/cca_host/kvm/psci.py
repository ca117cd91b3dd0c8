"""PSCI calls that the RMM forwards to the host."""

from typing import Final

from cca_arch.psci import Psci, PsciStatus
from cca_arch.rmi.v1_0 import Rmi, rec_index
from cca_arch.sysregs import affinity_word
from cca_host.kvm.exits import CpuOff, Exit, HostCall, Idle, Interrupted, SystemEvent, SystemEventKind
from cca_host.kvm.kernel import RmiError
from cca_host.kvm.rec import Rec

__all__ = ["COMPLETED", "SYSTEM_OFF", "answer", "complete"]

SYSTEM_OFF: Final = {
    Psci.SYSTEM_OFF: SystemEventKind.OFF,
    Psci.SYSTEM_RESET: SystemEventKind.RESET,
    Psci.SYSTEM_RESET2: SystemEventKind.RESET,
    Psci.SYSTEM_RESET2_64: SystemEventKind.RESET,
}
"""The functions that end a VM."""
_CPU_ON: Final = (Psci.CPU_ON, Psci.CPU_ON_64)
COMPLETED: Final = (*_CPU_ON, Psci.AFFINITY_INFO, Psci.AFFINITY_INFO_64)
"""The functions that RMI_PSCI_COMPLETE completes."""
_SUSPEND: Final = (Psci.CPU_SUSPEND, Psci.CPU_SUSPEND_64)


def answer(vcpu: Rec) -> Exit | None:
    """Handle a PSCI exit, or pass it to the VMM."""
    fid, target = vcpu.page.gprs[:2]
    policy = vcpu.vm.policy
    if policy is not None and policy.forwards(fid):
        return HostCall(0, vcpu.page.gprs.tolist())
    if fid in SYSTEM_OFF:
        return SystemEvent(SYSTEM_OFF[Psci(fid)])
    if fid in COMPLETED:
        return _complete(vcpu, fid, target)
    if fid in _SUSPEND:
        return Idle(vcpu.deadline())
    if fid == Psci.CPU_OFF:
        vcpu.on = False
        return CpuOff()
    return None


def _complete(vcpu: Rec, fid: int, target: int) -> Exit | None:
    """Complete CPU_ON or AFFINITY_INFO."""
    other = _named(vcpu, target)
    if other is None:
        return vcpu.failed(f"PSCI call for MPIDR {target:#x}, which no vCPU has")
    turns_on = fid in _CPU_ON and not other.on
    _call(vcpu, other, turns_on, int(PsciStatus.DENIED if turns_on and other.deny_on else PsciStatus.SUCCESS))
    return Interrupted() if turns_on and other.on else None  # it can run now


def complete(vcpu: Rec, target: int, status: int) -> bool:
    """Complete the call of the last exit as the VMM decides; returns False if no vCPU has MPIDR ``target``.

    Raises RmiError if the RMM does not take the status.
    """
    other = _named(vcpu, target)
    if other is None:
        return False
    _call(vcpu, other, vcpu.page.gprs[0] in _CPU_ON and not other.on, status)
    return True


def _named(vcpu: Rec, target: int) -> Rec | None:
    """The REC with this MPIDR."""
    mpidr, siblings = affinity_word(target), vcpu.siblings
    index = rec_index(mpidr)
    other = siblings[index] if index < len(siblings) else None
    return other if other is not None and other.mpidr == mpidr else None


def _call(vcpu: Rec, other: Rec, turns_on: bool, status: int) -> None:
    """Call RMI_PSCI_COMPLETE: the RMM accepts DENIED only for CPU_ON of a REC that is off."""
    x0 = vcpu.vm.system.rmi(Rmi.PSCI_COMPLETE, vcpu.rec, other.rec, status)[0]
    if x0:
        raise RmiError(Rmi.PSCI_COMPLETE, x0, f"vCPU {vcpu.index} and vCPU {other.index}")
    if turns_on and status == PsciStatus.SUCCESS:
        other.on = True
