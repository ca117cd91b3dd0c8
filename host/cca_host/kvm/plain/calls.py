"""Calls of a plain VM by HVC or SMC: PSCI 1.1 and the SMCCC, which the host kernel itself implements."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cca_arch.psci import PSCI_VERSION, AffinityInfo, Psci, PsciStatus
from cca_arch.rmi.v1_0 import rec_index
from cca_arch.smccc import FUNCTION, NOT_SUPPORTED, PSCI_FIDS, SMCCC_VERSION, Fid, Smccc
from cca_arch.sysregs import MPIDR_AFFINITY, affinity_word
from cca_host.kvm.exits import CpuOff, Exit, Idle, Interrupted, SystemEvent
from cca_host.kvm.psci import SYSTEM_OFF
from cca_platform.trace.events import PsciCall

if TYPE_CHECKING:
    from cca_host.kvm.plain.cpu import PlainCpu
    from cca_platform.pe.pe import Pe

__all__ = ["serve"]

_SMC64: Final = Fid.smc64.mask
_W: Final = 0xFFFF_FFFF
_LEVELS: Final = 3  # of affinity, above level 0
_OK: Final = int(PsciStatus.SUCCESS)
_INVALID: Final = int(PsciStatus.INVALID_PARAMETERS)
_BELOW: Final = (0, 0xFF, 0xFFFF, 0xFF_FFFF)  # by the lowest affinity level: what of a target does not count

Result = tuple[int, Exit | None]
"""X0, and an exit for the VMM."""


def serve(vcpu: "PlainCpu", pe: "Pe") -> Exit | None:
    """Answer the call in X0 and up; the PC is past it."""
    x = pe.x
    fid = x[0] & FUNCTION
    args = x[1:4].tolist()
    if not fid & _SMC64:
        args = [value & _W for value in args]
    handler = _SERVICES.get(fid)
    trace = pe.machine.trace
    if trace.on and fid & ~_SMC64 in PSCI_FIDS:
        name = Psci(fid).name if fid in _KNOWN else "UNKNOWN"
        trace.emit(PsciCall(fid=fid, cmd=name, args=args, vm=vcpu.vm.vmid, vcpu=vcpu.index), pe=pe)
    status, found = (NOT_SUPPORTED, None) if handler is None else handler(vcpu, args)
    x[0], x[1], x[2], x[3] = status, 0, 0, 0
    return found


def _named(vcpu: "PlainCpu", target: int) -> "PlainCpu | None":
    """The vCPU with this affinity."""
    index = rec_index(affinity_word(target))
    siblings = vcpu.siblings
    if target & ~MPIDR_AFFINITY or index >= len(siblings):
        return None
    return siblings[index] if siblings[index].mpidr == affinity_word(target) else None


def _cpu_on(vcpu: "PlainCpu", args: list[int]) -> Result:
    other = _named(vcpu, args[0])
    if other is None:
        return _INVALID, None
    if other.on:
        return int(PsciStatus.ALREADY_ON), None
    if other.deny_on:
        return int(PsciStatus.DENIED), None
    other.reset(args[1], [args[2]])
    other.on = True
    return _OK, Interrupted()  # it can run now


def _affinity_info(vcpu: "PlainCpu", args: list[int]) -> Result:
    target, level = args[:2]
    if level > _LEVELS or target & ~MPIDR_AFFINITY:
        return _INVALID, None
    wanted, below = affinity_word(target), _BELOW[level]
    found = [other for other in vcpu.siblings if other.mpidr & ~below == wanted & ~below]
    if not found:
        return _INVALID, None
    return int(AffinityInfo.ON if any(other.on for other in found) else AffinityInfo.OFF), None


def _cpu_off(vcpu: "PlainCpu", args: list[int]) -> Result:
    vcpu.on = False
    return _OK, CpuOff()


def _features(vcpu: "PlainCpu", args: list[int]) -> Result:
    return _OK if args[0] & _W in _SERVICES else NOT_SUPPORTED, None


def _system_off(kind: SystemEvent) -> Callable[["PlainCpu", list[int]], Result]:
    return lambda vcpu, args: (int(PsciStatus.INTERNAL_FAILURE), kind)


def _arch_features(vcpu: "PlainCpu", args: list[int]) -> Result:
    return _OK if args[0] & _W in (Smccc.VERSION, Smccc.ARCH_FEATURES) else NOT_SUPPORTED, None


_SERVICES: Final[dict[int, Callable[["PlainCpu", list[int]], Result]]] = {
    int(Psci.VERSION): lambda vcpu, args: (PSCI_VERSION, None),
    int(Psci.FEATURES): _features,
    **{int(fid): _cpu_on for fid in (Psci.CPU_ON, Psci.CPU_ON_64)},
    **{int(fid): _affinity_info for fid in (Psci.AFFINITY_INFO, Psci.AFFINITY_INFO_64)},
    **{int(fid): lambda vcpu, args: (_OK, Idle(None)) for fid in (Psci.CPU_SUSPEND, Psci.CPU_SUSPEND_64)},
    int(Psci.CPU_OFF): _cpu_off,
    **{int(fid): _system_off(SystemEvent(kind)) for fid, kind in SYSTEM_OFF.items()},
    int(Smccc.VERSION): lambda vcpu, args: (SMCCC_VERSION, None),
    int(Smccc.ARCH_FEATURES): _arch_features,
}
"""Every other function is NOT_SUPPORTED."""
_KNOWN: Final = frozenset(int(fid) for fid in Psci)
