"""What a plain VM's exceptions to EL2 come to: most the host kernel handles at once, the rest is for the VMM."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cca_arch.emulation import RT_NONE, emulated_value, sea_esr, stored_value
from cca_arch.rmi.v1_0 import RecExitReason
from cca_arch.sysregs import FSC_LEVEL, DataAbortEsr, Ec, Esr, Fsc, Hpfar, WfxEsr, syndrome
from cca_arch.types import GRANULE_SIZE, INSTRUCTION_SIZE
from cca_host.kvm.backing import NotMapped
from cca_host.kvm.exits import Exit, HostCall, Idle, MemoryFault, Mmio, Yield
from cca_host.kvm.handle_exit import gic_access
from cca_host.kvm.pages import NoPages
from cca_host.kvm.plain import calls, sysregs

if TYPE_CHECKING:
    from cca_host.kvm.plain.cpu import PlainCpu
    from cca_platform.pe.pe import Pe

__all__ = ["answer"]

_EC, _EC_LOW = Esr.ec.mask, Esr.ec.low
_ISV, _WNR = DataAbortEsr.isv.mask, DataAbortEsr.wnr.mask
_SAS, _SAS_ONES = DataAbortEsr.sas.low, DataAbortEsr.sas.ones
_SRT, _SRT_ONES = DataAbortEsr.srt.low, DataAbortEsr.srt.ones
_FSC: Final = DataAbortEsr.fsc.mask
_FIPA, _FIPA_LOW = Hpfar.fipa.mask, Hpfar.fipa.low
_OFFSET: Final = 0xFFF
_IMMEDIATE: Final = 0xFFFF  # of HVC
_WFE: Final = 1  # of WfxEsr.ti: WFE, or WFET
_UNDEFINED: Final = syndrome(Ec.UNKNOWN)
_SYNC, _PSCI = int(RecExitReason.SYNC), int(RecExitReason.PSCI)
_HOST_CALL, _SERROR = int(RecExitReason.HOST_CALL), int(RecExitReason.SERROR)


def answer(vcpu: "PlainCpu", pe: "Pe") -> tuple[int, Exit | None]:
    """Handle the exception that ``vcpu`` has just taken: its reason, and an exit for the VMM, or None to go on."""
    handler = _ANSWERS.get((vcpu.esr & _EC) >> _EC_LOW, _undefined)
    try:
        return handler(vcpu, pe)
    except NoPages as error:
        return _SYNC, vcpu.failed(str(error))


def _undefined(vcpu: "PlainCpu", pe: "Pe") -> tuple[int, Exit | None]:
    """What the host does not offer is undefined."""
    pe.inject(_UNDEFINED)
    return _SYNC, None


def _wait(vcpu: "PlainCpu", pe: "Pe") -> tuple[int, Exit | None]:
    pe.elr += INSTRUCTION_SIZE
    return _SYNC, Yield() if WfxEsr(vcpu.esr).ti & _WFE else Idle(None)


def _hypercall(vcpu: "PlainCpu", pe: "Pe") -> tuple[int, Exit | None]:
    """HVC #0 is a call of the SMCCC, any other is one to the VMM."""
    immediate = vcpu.esr & _IMMEDIATE
    if immediate:
        return _HOST_CALL, HostCall(immediate, pe.x.tolist())
    return _PSCI, calls.serve(vcpu, pe)


def _smc(vcpu: "PlainCpu", pe: "Pe") -> tuple[int, Exit | None]:
    """SMC is trapped before it is executed."""
    pe.elr += INSTRUCTION_SIZE
    return _PSCI, calls.serve(vcpu, pe)


def _system_register(vcpu: "PlainCpu", pe: "Pe") -> tuple[int, Exit | None]:
    return _SYNC, sysregs.access(vcpu, pe)


def _serror(vcpu: "PlainCpu", pe: "Pe") -> tuple[int, Exit | None]:
    return _SERROR, vcpu.failed("SError")


def _abort(vcpu: "PlainCpu", pe: "Pe") -> tuple[int, Exit | None]:
    """A fault of stage 2: RAM is mapped; elsewhere it is a device, or nothing, which answers with an abort."""
    vm, esr = vcpu.vm, vcpu.esr
    ipa = (vcpu.hpfar & _FIPA) >> _FIPA_LOW << 12
    if esr & _FSC & ~FSC_LEVEL == Fsc.TRANSLATION and vm.in_memory(ipa):
        try:
            vm.fault_in(ipa)
        except NotMapped:
            return _SYNC, MemoryFault(ipa, GRANULE_SIZE, False)
        return _SYNC, None
    is_data = (esr & _EC) >> _EC_LOW == Ec.DATA_ABORT
    if ipa >> vm.ipa_width or not is_data or not esr & _ISV or vm.in_memory(ipa):
        pe.inject(sea_esr(esr, pe.spsr), vcpu.far)
        return _SYNC, None
    return _SYNC, _mmio(vcpu, pe, ipa | vcpu.far & _OFFSET)


def _mmio(vcpu: "PlainCpu", pe: "Pe", ipa: int) -> Exit | None:
    """An access to a page without memory: for the virtual GIC or the VMM."""
    esr, size = vcpu.esr, 1 << (vcpu.esr >> _SAS & _SAS_ONES)
    srt, write = esr >> _SRT & _SRT_ONES, bool(esr & _WNR)
    value = stored_value(esr, 0 if srt == RT_NONE else pe.x[srt]) if write else 0
    access, frames, vgic = Mmio(ipa, size, write, value), vcpu.vm.gic_frames, vcpu.vm.vgic
    if frames is None or vgic is None or not frames.claims(ipa):
        return access
    vcpu.store_interrupts(pe, vgic)
    gic_access(vcpu.vm.system, frames, access)
    vcpu.load_interrupts(pe, vgic)
    if not write and srt != RT_NONE:
        pe.x[srt] = emulated_value(esr, access.value)
    pe.elr += INSTRUCTION_SIZE
    return vcpu.preempted() if write else None


_ANSWERS: Final[dict[int, Callable[["PlainCpu", "Pe"], tuple[int, Exit | None]]]] = {
    int(Ec.WFX): _wait,
    int(Ec.HVC): _hypercall,
    int(Ec.SMC): _smc,
    int(Ec.SYSREG): _system_register,
    int(Ec.INSTRUCTION_ABORT): _abort,
    int(Ec.DATA_ABORT): _abort,
    int(Ec.SERROR): _serror,
}
"""ESR_EL2.EC -> handler; any other class is undefined for the guest."""
