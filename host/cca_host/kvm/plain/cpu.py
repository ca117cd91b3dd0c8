"""A vCPU of a plain VM outside its guest: its registers, which are in a page of the host's, interrupts, answers."""

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cca_arch.emulation import RT_NONE, emulated_value
from cca_arch.rmi.v1_0 import RecMpidr
from cca_arch.sysregs import EL1H_MASKED, SCTLR_EL1_RES1, DataAbortEsr, Hcr, IchHcr, IchVmcr, Mdscr, Mpidr
from cca_arch.types import GRANULE_SIZE, INSTRUCTION_SIZE
from cca_host.kvm.cpu import FIRES, PENDING, TIMER_PPIS, Cpu, signalled_below
from cca_host.kvm.exits import Failure
from cca_host.kvm.plain.guest import PlainGuest
from cca_host.kvm.vgic import Vgic
from cca_platform.gic.virtual import VMCR_RESET
from cca_platform.isa import frame
from cca_platform.trace.events import InterruptInject

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["PlainCpu"]

_TWI, _TWE = Hcr.twi.mask, Hcr.twe.mask
_EN: Final = IchHcr.en.mask
_VEOIM: Final = IchVmcr.veoim.mask
_X, _PC = frame.offset("x0"), frame.offset("pc")
_TIMERS: Final = frame.offset("cntv_ctl_el0")
_TIMER_WORDS: Final = struct.Struct("<4Q")  # CNTV_CTL, CNTV_CVAL, CNTP_CTL, CNTP_CVAL: the order of the frame
_GPRS: Final = struct.Struct("<31Q")
_U64: Final = (1 << 64) - 1
_RESET: Final = {
    "pstate": EL1H_MASKED, "sctlr_el1": SCTLR_EL1_RES1, "mdscr_el1": int(Mdscr.make(tdcc=1))
}  # fmt: skip


class PlainCpu(Cpu[PlainGuest]):
    """vCPU ``index`` of a plain VM; ``siblings`` are all of the VM.

    ``frame`` is the PA of its EL1&0 register file. ``esr``, ``far`` and ``hpfar`` are those of the last exception to
    EL2. ``waited_with`` are the list registers with which it went to sleep by WFI; ``traps`` the traps of WFI and WFE.
    """

    def __init__(
        self, vm: PlainGuest, siblings: "Sequence[PlainCpu]", index: int, mpidr: int, on: bool, page: int
    ) -> None:
        super().__init__(vm, index, mpidr, on)
        self.siblings = siblings
        self.frame = page
        own = RecMpidr(mpidr)
        self.vmpidr = int(Mpidr.make(aff3=own.aff3, aff2=own.aff2, aff1=own.aff1, aff0=own.aff0, res1=1))
        self.traps = 0
        self.esr = self.far = self.hpfar = 0
        self.aborts = False
        """It takes an external abort, in place of its last access, when it is entered."""
        self.waited_with: tuple[int, ...] = ()
        self.vmcr_kept = VMCR_RESET
        self.active = (0, 0)
        self.loaded = False  # the PE has its virtual CPU interface
        self._lrs: tuple[int, ...] = ()  # as they were loaded last, for the trace

    def reset(self, pc: int, gprs: Sequence[int]) -> None:
        """Set all registers as PSCI CPU_ON says: EL1 with the MMU off, from ``pc`` on with X0 and up."""
        port = self.vm.system.port
        port.zero(self.frame, GRANULE_SIZE)
        for name, value in _RESET.items():
            port.write64(self.frame + frame.offset(name), value)
        port.write64(self.frame + _PC, pc)
        for number, value in enumerate(gprs):
            port.write64(self.frame + _X + 8 * number, value & _U64)
        self.vmcr_kept, self.active = VMCR_RESET, (0, 0)

    @property
    def registers(self) -> dict[str, int]:
        """The PA of each register by its architectural name, while it is not in the guest."""
        return {name: self.frame + frame.offset(name) for name in frame.EL1_FRAME}

    def trap(self, wfi: bool, wfe: bool) -> None:
        """Set whether WFI and WFE of the guest exit to the host."""
        self.traps = wfi * _TWI | wfe * _TWE

    def failed(self, what: str) -> Failure:
        """Describe a failure in one line, with the syndrome of the last exception."""
        return Failure(f"vCPU {self.index}: {what} (ESR {self.esr:#x}, HPFAR {self.hpfar:#x})")

    # -- interrupts ---------------------------------------------------------------------------------------------
    def load_interrupts(self, pe: "Pe", vgic: Vgic) -> None:
        """Load the virtual CPU interface of the PE with what is due."""
        if self.loaded:
            return
        words = vgic.load(self.index)
        pe.cpu_interface.virtual.load(words[0] | _EN, words[1:], self.vmcr_kept, *self.active)
        self.loaded = True
        if words != self._lrs:
            self._lrs = words
            trace = pe.machine.trace
            if trace.on and words[1]:
                event = InterruptInject(vm=self.vm.vmid, vcpu=self.index, hcr=words[0], lrs=words[1:])
                trace.emit(event, pe=pe)

    def store_interrupts(self, pe: "Pe", vgic: Vgic) -> None:
        """Take the virtual CPU interface back from the PE, with the lines of the timers as they are now."""
        if self.loaded:
            virtual, cpu = pe.cpu_interface.virtual, vgic.cpus[self.index]
            self.vmcr_kept, self.active = virtual.vmcr, (virtual.active[0], virtual.active[1])
            self.waited_with = tuple(virtual.lrs)
            if cpu.loaded or cpu.acknowledged:
                vgic.store(self.index, virtual.hcr, virtual.lrs, self.splits_end)
            virtual.load(0, ())
            self.loaded = False
        lines, line = pe.el1_timers(), vgic.cpus[self.index].private.line
        for number, intid in enumerate(TIMER_PPIS):
            level = bool(lines >> number & 1)
            if level != line >> intid & 1:
                vgic.drive(intid, level, self.index)

    @property
    def splits_end(self) -> bool:
        """ICC_CTLR_EL1.EOImode: EOIR only drops the priority; DIR deactivates."""
        return bool(self.vmcr_kept & _VEOIM)

    @property
    def vmcr(self) -> int:
        """ICH_VMCR_EL2 at the last exit."""
        return self.vmcr_kept

    @property
    def signalled_below(self) -> tuple[int, int]:
        """For each group, the limit below which a priority value must be for its interrupt to be signalled."""
        return signalled_below(self.vmcr_kept, self.waited_with)

    def _timers(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(control, clock value at which it fires) of the virtual and the physical timer, after an exit."""
        port = self.vm.system.port
        cntv_ctl, cntv_cval, cntp_ctl, cntp_cval = _TIMER_WORDS.unpack(
            port.read(self.frame + _TIMERS, _TIMER_WORDS.size)
        )
        return (cntv_ctl, cntv_cval + self.vm.cntvoff & _U64), (cntp_ctl, cntp_cval)

    @property
    def all_vcpus(self) -> "Sequence[PlainCpu]":
        """All vCPUs of the VM."""
        return self.siblings

    def timer_lines(self, now: int) -> tuple[bool, bool]:
        """(virtual, physical): whether each timer asserts its interrupt at clock value ``now``."""
        virtual, physical = (control & PENDING == FIRES and due <= now for control, due in self._timers())
        return virtual, physical

    def next_timer(self, now: int) -> int | None:
        """The clock value after ``now`` at which the next enabled, unmasked timer fires."""
        due = [compare for control, compare in self._timers() if control & PENDING == FIRES and compare > now]
        return min(due, default=None)

    # -- replies to the last exit -------------------------------------------------------------------------------
    def mmio_result(self, value: int = 0) -> None:
        """Complete the access of the last exit; ``value`` is what a read returns."""
        port, esr = self.vm.system.port, DataAbortEsr(self.esr)
        if not esr.wnr and esr.srt != RT_NONE:
            port.write64(self.frame + _X + 8 * esr.srt, emulated_value(self.esr, value))
        port.write64(self.frame + _PC, port.read64(self.frame + _PC) + INSTRUCTION_SIZE & _U64)

    def abort(self) -> None:
        """Inject an external abort into the guest in reply to the last exit."""
        self.aborts = True

    def host_call_result(self, gprs: list[int]) -> None:
        """Reply to the last exit with X0 and up."""
        self.vm.system.port.write(self.frame + _X, _GPRS.pack(*gprs))

    def host_call_status(self, status: int) -> None:
        """Reply to the last exit with X0."""
        self.vm.system.port.write64(self.frame + _X, status & _U64)
