"""A vCPU: its REC, its run page, and the loop that answers each REC exit or hands it to the VMM."""

import struct
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from cca_arch.fields import Bits, Field
from cca_arch.psci import Psci, PsciStatus, mpidr_affinity
from cca_arch.rmi.v1_0 import (
    RecEnterFlags,
    RecExitReason,
    Rmi,
    RmiRecEnter,
    RmiRecExit,
    RmiResponse,
    RmiRipas,
    RmiStatus,
)
from cca_arch.types import GRANULE_SIZE
from cca_host.kvm.exits import CpuOff, Exit, Failure, HostCall, Idle, Interrupted, Mmio, SystemEvent, Yield
from cca_host.kvm.irqchip import PHYSICAL_TIMER, VIRTUAL_TIMER
from cca_host.kvm.system import RmiError
from cca_host.kvm.vgic import NUM_LRS
from cca_platform.isa.sysinsn import SysregIss
from cca_platform.trace.events import InterruptInject, MmioRead, MmioWrite

if TYPE_CHECKING:
    from cca_host.kvm.vgic import Vgic
    from cca_host.kvm.vgic_mmio import VgicMmio
    from cca_host.kvm.vm import Vm
    from cca_platform.pe.pe import Pe

__all__ = ["Vcpu"]

_REC_ENTER = int(Rmi.REC_ENTER)
_EXIT_BASE: Final = 0x800  # of the exit half of the run page
_ENTER_GPRS: Final = RmiRecEnter.offset("gprs")
_EMUL_MMIO = int(RecEnterFlags.make(emul_mmio=1))
_INJECT_SEA = int(RecEnterFlags.make(inject_sea=1))
_TRAP_WFI = int(RecEnterFlags.make(trap_wfi=1))
_TRAP_WFE = int(RecEnterFlags.make(trap_wfe=1))
_NO_INTERRUPTS: Final = (0,) * (1 + NUM_LRS)
_REJECT = int(RecEnterFlags.make(ripas_response=RmiResponse.REJECT))
_MASK = (1 << 64) - 1


def _word(member: str) -> int:
    return RmiRecExit.offset(member) // 8


_ESR, _FAR, _HPFAR, _GPRS, _IMM = (_word(name) for name in ("esr", "far", "hpfar", "gprs", "imm"))
_TIMERS = (
    (VIRTUAL_TIMER, _word("cntv_ctl"), _word("cntv_cval")), (PHYSICAL_TIMER, _word("cntp_ctl"), _word("cntp_cval"))
)  # fmt: skip
_SGI_GROUPS: Final = {  # MSR of ICC_SGI1R_EL1, ICC_ASGI1R_EL1 and ICC_SGI0R_EL1: the groups that it can make pending
    (3, 0, 12, 11, 5): 0b11, (3, 0, 12, 11, 6): 0b01, (3, 0, 12, 11, 7): 0b01,
}  # fmt: skip
_GIC, _VMCR = _word("gicv3_hcr"), _word("gicv3_vmcr")
_ENTER_GIC: Final = RmiRecEnter.offset("gicv3_hcr")
_GIC_CODEC: Final = struct.Struct(f"<{1 + NUM_LRS}Q")  # ICH_HCR_EL2 and the list registers
_RIPAS_BASE, _RIPAS_TOP, _RIPAS_VALUE = _word("ripas_base"), _word("ripas_top"), _word("ripas_value")

_EC_WFX, _EC_SYSREG, _EC_FETCH, _EC_DATA = 0x01, 0x18, 0x20, 0x24
_SYSTEM_OFF = {
    Psci.SYSTEM_OFF: "off",
    Psci.SYSTEM_RESET: "reset",
    Psci.SYSTEM_RESET2: "reset",
    Psci.SYSTEM_RESET2_64: "reset",
}
_CPU_ON = (Psci.CPU_ON, Psci.CPU_ON_64)
_COMPLETED = (*_CPU_ON, Psci.AFFINITY_INFO, Psci.AFFINITY_INFO_64)
_SUSPEND = (Psci.CPU_SUSPEND, Psci.CPU_SUSPEND_64)


class _Abort(Bits):
    """ESR_EL2 of a data abort as REC exit gives it."""

    ec = Field(31, 26)
    isv = Field(24)
    sas = Field(23, 22)
    wnr = Field(6)
    dfsc = Field(5, 0)


class Vcpu:
    """vCPU ``index`` of a VM. ``on`` follows PSCI; ``exits`` counts REC exits by reason."""

    def __init__(self, vm: "Vm", index: int, mpidr: int, rec: int, aux: list[int], on: bool) -> None:
        self.vm = vm
        self.index = index
        self.mpidr = mpidr
        self.rec = rec
        self.aux = aux
        self.on = on
        self.deny_on = False
        """Whether the host refuses PSCI CPU_ON of this vCPU; the caller then gets DENIED."""
        self.exits: Counter[int] = Counter()
        self.traps = 0
        """RecEnterFlags given at each entry: WFI and WFE traps."""
        self.run_page = vm.system.pages.take()
        vm.system.port.zero(self.run_page, GRANULE_SIZE)
        self._flags = 0
        self._flags_in_page = 0
        self._gic_in_page = _NO_INTERRUPTS
        self._attach()

    def _attach(self) -> None:
        port = self.vm.system.port
        self._exit = port.view(self.run_page + _EXIT_BASE, GRANULE_SIZE - _EXIT_BASE).cast("Q")
        answers: dict[RecExitReason, Callable[[], Exit | None]] = {
            RecExitReason.SYNC: self._sync,
            RecExitReason.IRQ: self._irq,
            RecExitReason.FIQ: Interrupted,
            RecExitReason.PSCI: self._psci,
            RecExitReason.RIPAS_CHANGE: self._ripas_change,
            RecExitReason.HOST_CALL: self._host_call,
            RecExitReason.SERROR: self._serror,
        }
        self._answers = {int(reason): answer for reason, answer in answers.items()}

    def trap(self, wfi: bool, wfe: bool) -> None:
        """Whether WFI and WFE of the Realm exit to the host."""
        self.traps = wfi * _TRAP_WFI | wfe * _TRAP_WFE

    def run(self, pe: "Pe | None" = None) -> Exit:
        """Run on ``pe`` until something happens that the VMM has to know. RmiError when the REC cannot be entered."""
        system = self.vm.system
        on = system.pe if pe is None else pe
        here, system.pe = system.pe, on
        calls, rec, run_page, vgic = system.calls, self.rec, self.run_page, self.vm.vgic
        try:
            while True:
                flags = self._flags | self.traps
                if flags != self._flags_in_page:
                    system.port.write64(run_page, flags)
                    self._flags_in_page = flags
                if vgic is not None:
                    self._load_gic(vgic)
                calls[_REC_ENTER] += 1
                on.start_call(_REC_ENTER, rec, run_page)
                while not on.call_done:
                    on.step()
                x0 = on.x[0]
                if x0:
                    return self._refused(x0)
                self._flags = 0
                if vgic is not None:
                    self._store_gic(vgic)
                reason = self._exit[0] & 0xFF
                self.exits[reason] += 1
                result = self._answers.get(reason, self._unknown)()
                if result is not None:
                    return result
        finally:
            system.pe = here

    def _unknown(self) -> Exit:
        return self._failed(f"unknown REC exit reason {self._exit[0] & 0xFF}")

    def _refused(self, x0: int) -> Exit:
        if x0 == RmiStatus.ERROR_REALM | 1 << 8:
            return SystemEvent("off")  # by another vCPU
        raise RmiError(_REC_ENTER, x0, f"vCPU {self.index}")

    # -- interrupts ---------------------------------------------------------------------------------------------
    def _drive_timers(self, vgic: "Vgic") -> None:
        """The lines of the Realm's timers, as the last exit shows them."""
        exit, now, line = self._exit, self.vm.system.machine.clock.now, vgic.cpus[self.index].private.line
        for intid, control, compare in _TIMERS:
            level = exit[control] & 3 == 1 and exit[compare] <= now
            if level != line >> intid & 1:
                vgic.drive(intid, level, self.index)

    def _load_gic(self, vgic: "Vgic") -> None:
        """What the vCPU has to see at this entry; a timer may have fired since the last exit."""
        self._drive_timers(vgic)
        words = vgic.load(self.index)
        if words != self._gic_in_page:
            system = self.vm.system
            system.port.write(self.run_page + _ENTER_GIC, _GIC_CODEC.pack(*words))
            self._gic_in_page = words
            if system.machine.trace.on and words[1]:
                system.machine.trace.emit(InterruptInject(rec=self.rec, hcr=words[0], lrs=words[1:]), pe=system.pe)

    def _store_gic(self, vgic: "Vgic") -> None:
        """What became of the list registers and the timers."""
        if vgic.cpus[self.index].loaded:
            vgic.store(self.index, self._exit[_GIC], self._exit[_GIC + 1 : _GIC + 1 + NUM_LRS])
        self._drive_timers(vgic)

    def wakes(self) -> bool:
        """Whether an interrupt ends the wait of a vCPU that is :class:`Idle`."""
        vgic = self.vm.vgic
        return vgic is not None and vgic.wakes(self.index, self._exit[_VMCR] >> 24 & 0xFF)

    def _irq(self) -> Exit:
        system = self.vm.system
        system.irqchip.handle(system.pe)
        return Interrupted()

    def _sysreg(self) -> None:
        """A trapped write of the Realm: an SGI; anything else is ignored."""
        iss, vgic = SysregIss(self._exit[_ESR]), self.vm.vgic
        groups = _SGI_GROUPS.get((iss.op0, iss.op1, iss.crn, iss.crm, iss.op2))
        if vgic is not None and groups is not None:
            vgic.generate(self.index, self._exit[_GPRS], groups)

    def _gic_access(self, frames: "VgicMmio", access: Mmio) -> None:
        """A register of the virtual GIC."""
        trace = self.vm.system.machine.trace
        if access.write:
            frames.write(access.ipa, access.size, access.value)
        else:
            access.value = frames.read(access.ipa, access.size)
        if trace.on:
            event = MmioWrite if access.write else MmioRead
            trace.emit(event(device="gic", address=access.ipa, size=access.size, value=access.value))
        self.mmio_result(access.value)

    # -- what the VMM answers -----------------------------------------------------------------------------------
    def mmio_result(self, value: int = 0) -> None:
        """Complete the access of the last :class:`Mmio` exit; ``value`` is what a read returns."""
        self.vm.system.port.write64(self.run_page + _ENTER_GPRS, value & _MASK)
        self._flags |= _EMUL_MMIO

    def abort(self) -> None:
        """Answer the last :class:`Mmio` exit by an external abort in the Realm."""
        self._flags |= _INJECT_SEA

    def host_call_result(self, gprs: list[int]) -> None:
        """Answer the last :class:`HostCall` exit: X values that the Realm finds in its RsiHostCall."""
        data = b"".join(value.to_bytes(8, "little") for value in gprs)
        self.vm.system.port.write(self.run_page + _ENTER_GPRS, data)

    def host_call_status(self, status: int) -> None:
        """Answer the last :class:`HostCall` exit by one value in gprs[0]; the others stay as they were."""
        data = self._exit[_GPRS + 1 : _GPRS + 31].tobytes()
        self.vm.system.port.write(self.run_page + _ENTER_GPRS, (status & _MASK).to_bytes(8, "little") + data)

    # -- REC exits ----------------------------------------------------------------------------------------------
    def _sync(self) -> Exit | None:
        esr = _Abort(self._exit[_ESR])
        if esr.ec in (_EC_DATA, _EC_FETCH):
            return self._abort(esr)
        if esr.ec == _EC_WFX:
            return Yield() if esr & 1 else Idle(self.deadline())
        if esr.ec == _EC_SYSREG:
            self._sysreg()
            return None
        return self._failed("an exception that the host does not know")

    def _abort(self, esr: _Abort) -> Exit | None:
        vm, stage2 = self.vm, self.vm.stage2
        hpfar = self._exit[_HPFAR]
        ipa = (hpfar >> 4 & 0xFF_FFFF_FFFF) << 12
        address = ipa & ~stage2.half
        if ipa >= 1 << vm.ipa_width:
            return self._failed(f"IPA {ipa:#x} is outside its {vm.ipa_width}-bit IPA space")
        if ipa & stage2.half:
            if vm.in_memory(address):
                stage2.share(address)
                return None
            if not esr.isv:
                self._flags |= _INJECT_SEA  # no syndrome, so nothing to emulate
                return None
            write, size = bool(esr.wnr), 1 << esr.sas
            access = Mmio(address | self._exit[_FAR] & 0xFFF, size, write, self._exit[_GPRS] if write else 0)
            if vm.gic_frames is None or not vm.gic_frames.claims(access.ipa):
                return access
            self._gic_access(vm.gic_frames, access)
            return None
        if not vm.in_memory(ipa):
            return self._failed(f"the Realm {_access(esr)} IPA {ipa:#x}, which is no memory")
        if not stage2.fault_in(ipa):
            return self._failed(f"the Realm {_access(esr)} IPA {ipa:#x}, {self._ripas_of(ipa)}")
        return None

    def _ripas_of(self, ipa: int) -> str:
        ripas = self.vm.system.rmi(Rmi.RTT_READ_ENTRY, self.vm.rd, ipa, 3)[4]
        name = RmiRipas(ripas).name if ripas in tuple(RmiRipas) else f"{ripas:#x}"
        return f"which is mapped with RIPAS {name}; the Realm itself must make it RAM"

    def _failed(self, what: str) -> Failure:
        """A failure in one line, with the syndrome of the last exit (the PC is the Realm's secret)."""
        return Failure(f"vCPU {self.index}: {what} (ESR {self._exit[_ESR]:#x}, HPFAR {self._exit[_HPFAR]:#x})")

    def _serror(self) -> Exit:
        return self._failed("SError")

    def _host_call(self) -> Exit:
        return HostCall(self._exit[_IMM] & 0xFFFF, self._exit[_GPRS : _GPRS + 31].tolist())

    def _ripas_change(self) -> Exit | None:
        vm, words = self.vm, self._exit
        base, top, ripas = words[_RIPAS_BASE], words[_RIPAS_TOP], words[_RIPAS_VALUE] & 0xFF
        if ripas == RmiRipas.RAM and not any(low <= base and top <= high for low, high in vm.slots):
            self._flags |= _REJECT
            return None
        reached = vm.stage2.set_ripas(self.rec, base, top)
        if ripas == RmiRipas.EMPTY:
            vm.stage2.destroy_data(base, reached)
        return None

    def _psci(self) -> Exit | None:
        fid, target = self._exit[_GPRS], self._exit[_GPRS + 1]
        if fid in _SYSTEM_OFF:
            return SystemEvent(_SYSTEM_OFF[Psci(fid)])
        if fid in _COMPLETED:
            return self._psci_complete(fid, target)
        if fid in _SUSPEND:
            return Idle(self.deadline())
        if fid == Psci.CPU_OFF:
            self.on = False
            return CpuOff()
        return None

    def _psci_complete(self, fid: int, target: int) -> Exit | None:
        """RMI_PSCI_COMPLETE for CPU_ON and AFFINITY_INFO, the target REC by its MPIDR.

        The RMM takes DENIED only for CPU_ON of a REC that is off.
        """
        other = self.vm.vcpu_of(_rec_mpidr(mpidr_affinity(target)))
        if other is None:
            return self._failed(f"PSCI call for MPIDR {target:#x}, which no vCPU has")
        turns_on = fid in _CPU_ON and not other.on
        status = int(PsciStatus.DENIED if turns_on and other.deny_on else PsciStatus.SUCCESS)
        x0 = self.vm.system.rmi(Rmi.PSCI_COMPLETE, self.rec, other.rec, status)[0]
        if x0:
            raise RmiError(Rmi.PSCI_COMPLETE, x0, f"vCPU {self.index} and vCPU {other.index}")
        if turns_on and status == PsciStatus.SUCCESS:
            other.on = True
        return None

    def deadline(self) -> int | None:
        """Clock value at which the next enabled, unmasked timer of the last exit fires."""
        words = self._exit
        due = [words[compare] for _, control, compare in _TIMERS if words[control] & 3 == 1]
        return min(due) if due else None

    # -- the end, snapshots -------------------------------------------------------------------------------------
    def destroy(self) -> None:
        """REC_DESTROY, and its granules back."""
        system = self.vm.system
        self._exit.release()
        system.pages.give(self.run_page)
        x0 = system.rmi(Rmi.REC_DESTROY, self.rec)[0]
        for page in (*self.aux, self.rec):
            system.undelegate(page)
        if x0:
            raise RmiError(Rmi.REC_DESTROY, x0, f"vCPU {self.index}")

    def save(self) -> dict[str, Any]:
        """Plain data for a snapshot."""
        names = (
            "index", "mpidr", "rec", "aux", "on", "deny_on", "traps", "run_page", "_flags", "_flags_in_page",
            "_gic_in_page",
        )  # fmt: skip
        return {**{name: getattr(self, name) for name in names}, "exits": dict(self.exits)}

    def restore(self, vm: "Vm", state: dict[str, Any]) -> None:
        """Back to what :meth:`save` gave."""
        self.__dict__.update(state)
        self.vm, self.exits = vm, Counter(state["exits"])
        self._attach()


def _access(esr: _Abort) -> str:
    if esr.ec == _EC_FETCH:
        return "fetched from"
    return "wrote" if esr.isv and esr.wnr else "touched"


def _rec_mpidr(affinity: int) -> int:
    """RmiRecMpidr of a PSCI target: Aff3 moves from bits 39:32 to 31:24."""
    return affinity & 0xFF_FFFF | (affinity >> 32 & 0xFF) << 24
