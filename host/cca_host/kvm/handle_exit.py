"""Handling of REC exits: resolve them and enter again, or hand them to the VMM."""

from collections.abc import Callable
from typing import Final

from cca_arch.rmi.v1_0 import RecExitReason, Rmi, RmiRipas
from cca_arch.sysregs import DataAbortEsr, Ec, Esr, Hpfar, WfxEsr
from cca_arch.types import GRANULE_SIZE
from cca_host.kvm import psci, sysregs
from cca_host.kvm.backing import NotMapped
from cca_host.kvm.exits import Exit, HostCall, Idle, Interrupted, MemoryFault, Mmio, Yield
from cca_host.kvm.kernel import Kernel
from cca_host.kvm.pages import NoPages
from cca_host.kvm.rec import Rec
from cca_host.kvm.vgic_mmio import VgicMmio
from cca_platform.trace.events import MmioRead, MmioWrite

__all__ = ["answer", "change_ripas", "gic_access"]

_WFE: Final = 1  # of WfxEsr.ti: WFE, or WFET
_OFFSET: Final = 0xFFF
_FIPA: Final = Hpfar.fipa.mask


def answer(vcpu: Rec, reason: int) -> Exit | None:
    """Handle the last exit of ``vcpu``; returns an exit for the VMM, or None to enter the REC again."""
    handler = _ANSWERS.get(reason)
    if handler is None:
        return vcpu.failed(f"unknown REC exit reason {reason}")
    try:
        return handler(vcpu)
    except NoPages as error:
        return vcpu.failed(str(error))


def _sync(vcpu: Rec) -> Exit | None:
    esr = Esr(vcpu.page.esr)
    if esr.ec in (Ec.DATA_ABORT, Ec.INSTRUCTION_ABORT):
        return _abort(vcpu, DataAbortEsr(esr))
    if esr.ec == Ec.WFX:
        return Yield() if WfxEsr(esr).ti & _WFE else Idle(vcpu.deadline())
    if esr.ec == Ec.SYSREG:
        sysregs.answer(vcpu)
        return vcpu.preempted()
    return vcpu.failed("an exception that the host does not know")


def _abort(vcpu: Rec, esr: DataAbortEsr) -> Exit | None:
    vm, stage2 = vcpu.vm, vcpu.vm.stage2
    ipa = (vcpu.page.hpfar & _FIPA) >> Hpfar.fipa.low << 12
    address = ipa & ~stage2.half
    if ipa >= 1 << vm.ipa_width:
        return vcpu.failed(f"IPA {ipa:#x} is outside its {vm.ipa_width}-bit IPA space")
    if vm.policy is not None and vm.policy.refuses(address, ipa == address):
        return MemoryFault(address, GRANULE_SIZE, ipa == address)
    if ipa & stage2.half:
        if vm.in_memory(address):
            try:
                stage2.share(address)
            except NotMapped:
                return MemoryFault(address, GRANULE_SIZE, False)
            return None
        if not esr.isv:
            vcpu.abort()  # no syndrome, so nothing to emulate
            return None
        return _mmio(vcpu, esr, address)
    if not vm.in_memory(ipa):
        return vcpu.failed(f"the Realm {_access(esr)} IPA {ipa:#x}, which is no memory")
    if not stage2.fault_in(ipa):
        return vcpu.failed(f"the Realm {_access(esr)} IPA {ipa:#x}, {_ripas_of(vcpu, ipa)}")
    return None


def _mmio(vcpu: Rec, esr: DataAbortEsr, page: int) -> Exit | None:
    """An access to a page without memory: for the virtual GIC or the VMM."""
    write, size = bool(esr.wnr), 1 << esr.sas
    access = Mmio(page | vcpu.page.far & _OFFSET, size, write, vcpu.page.gprs[0] if write else 0)
    frames = vcpu.vm.gic_frames
    if frames is None or not frames.claims(access.ipa):
        return access
    gic_access(vcpu.vm.system, frames, access)
    vcpu.mmio_result(access.value)
    return vcpu.preempted() if write else None


def gic_access(system: Kernel, frames: VgicMmio, access: Mmio) -> None:
    """A register of the virtual GIC: the value of a read is left in ``access``."""
    trace = system.machine.trace
    if access.write:
        frames.write(access.ipa, access.size, access.value)
    else:
        access.value = frames.read(access.ipa, access.size)
    if trace.on:
        event = MmioWrite if access.write else MmioRead
        trace.emit(event(device="gic", address=access.ipa, size=access.size, value=access.value))


def _access(esr: DataAbortEsr) -> str:
    if esr.ec == Ec.INSTRUCTION_ABORT:
        return "fetched from"
    return "wrote" if esr.isv and esr.wnr else "touched"


def _ripas_of(vcpu: Rec, ipa: int) -> str:
    ripas = vcpu.vm.system.rmi(Rmi.RTT_READ_ENTRY, vcpu.vm.rd, ipa, 3)[4]
    name = RmiRipas(ripas).name if ripas in tuple(RmiRipas) else f"{ripas:#x}"
    return f"which is mapped with RIPAS {name}; the Realm itself must make it RAM"


def _irq(vcpu: Rec) -> Exit | None:
    """The slice is over, or the PMU has overflowed; else a timer or the virtual interface wanted the host, once."""
    system = vcpu.vm.system
    over = system.irqchip.handle(system.pe) or system.pe.stuck or vcpu.page.pmu_overflow
    return Interrupted() if over else None


def _fiq(vcpu: Rec) -> Exit:
    return Interrupted()


def _serror(vcpu: Rec) -> Exit:
    return vcpu.failed("SError")


def _host_call(vcpu: Rec) -> Exit:
    return HostCall(vcpu.page.imm, vcpu.page.gprs.tolist())


def _ripas_change(vcpu: Rec) -> Exit | None:
    vm = vcpu.vm
    base, top, ripas = vcpu.page.ripas_change
    if vm.policy is not None and vm.policy.converts(base):
        return MemoryFault(base, top - base, ripas == RmiRipas.RAM)
    change_ripas(vcpu)
    return None


def change_ripas(vcpu: Rec) -> None:
    """Apply the change of RIPAS of the last exit: reject RAM where the VM has none, and destroy what becomes EMPTY."""
    vm = vcpu.vm
    base, top, ripas = vcpu.page.ripas_change
    if ripas == RmiRipas.RAM and not vm.all_in_memory(base, top):
        vcpu.reject_ripas()
        return
    reached = vm.stage2.set_ripas(vcpu.rec, base, top, ripas == RmiRipas.RAM)
    if ripas == RmiRipas.EMPTY:
        vm.stage2.destroy_data(base, reached)


_ANSWERS: Final[dict[int, Callable[[Rec], Exit | None]]] = {
    int(RecExitReason.SYNC): _sync,
    int(RecExitReason.IRQ): _irq,
    int(RecExitReason.FIQ): _fiq,
    int(RecExitReason.PSCI): psci.answer,
    int(RecExitReason.RIPAS_CHANGE): _ripas_change,
    int(RecExitReason.HOST_CALL): _host_call,
    int(RecExitReason.SERROR): _serror,
}
