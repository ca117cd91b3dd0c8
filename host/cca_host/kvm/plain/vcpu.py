"""A vCPU of a plain VM: the switch to Non-secure EL1 and back, and its state in between.

While it is in the guest, its registers are the PE's. What the host kernel can do by itself it does there
(:mod:`cca_host.kvm.plain.trapped`), and the guest goes on with the registers as they are: an exit to the VMM alone
saves them in ``frame``, a page of the host's memory.
"""

import struct
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cca_arch.emulation import RT_NONE, emulated_value, sea_esr
from cca_arch.rmi.v1_0 import RecExitReason, RecMpidr
from cca_arch.sysregs import (
    EL1H_MASKED,
    PMU_COUNTERS,
    SCTLR_EL1_RES1,
    DataAbortEsr,
    Hcr,
    IchHcr,
    IchVmcr,
    Mdcr,
    Mdscr,
    Mpidr,
)
from cca_arch.types import GRANULE_SIZE, INSTRUCTION_SIZE, SecurityState
from cca_host.kvm.cpu import FIRES, PENDING, TIMER_PPIS, Cpu, signalled_below
from cca_host.kvm.exits import Exit, Failure, Idle, Interrupted
from cca_host.kvm.plain import trapped
from cca_host.kvm.plain.guest import PlainGuest
from cca_host.kvm.vgic import Vgic
from cca_platform.gic.virtual import VMCR_RESET
from cca_platform.isa import frame
from cca_platform.state import State
from cca_platform.trace.events import InterruptInject, VmExit

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["PlainVcpu", "PlainVcpuState"]

_NS: Final = SecurityState.NON_SECURE
_HCR: Final = int(
    Hcr.make(
        vm=1, swio=1, ptw=1, fmo=1, imo=1, amo=1, fb=1, bsu=1, tid3=1, tsc=1, tidcp=1, tacr=1, tsw=1, rw=1, tlor=1,
        apk=1, api=1, fwb=1,
    )
)  # fmt: skip
"""What KVM sets for a guest; its registers of performance monitors and debugging are trapped by MDCR_EL2."""
_MDCR: Final = int(Mdcr.make(tdra=1, tdosa=1, tda=1, tpm=1, tpmcr=1, hpmd=1, hpmn=PMU_COUNTERS))
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
_IRQ: Final = int(RecExitReason.IRQ)


class PlainVcpuState(State, frozen=True, tag="host.plain-vcpu/1"):
    """Saved state of a :class:`PlainVcpu`; ``active`` are ICH_AP0R0_EL2 and ICH_AP1R0_EL2."""

    index: int
    mpidr: int
    on: bool
    deny_on: bool
    exits: dict[int, int]
    running: int | None
    frame: int
    traps: int
    esr: int
    far: int
    hpfar: int
    aborts: bool
    waited_with: tuple[int, ...]
    vmcr: int
    active: tuple[int, int]


class PlainVcpu(Cpu[PlainGuest]):
    """vCPU ``index`` of a plain VM; ``siblings`` are all of the VM.

    ``frame`` is the PA of its EL1&0 register file. ``esr``, ``far`` and ``hpfar`` are those of the last exception to
    EL2. ``waited_with`` are the list registers with which it went to sleep by WFI.
    """

    def __init__(
        self, vm: PlainGuest, siblings: "Sequence[PlainVcpu]", index: int, mpidr: int, on: bool, page: int
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
        self._vmcr = VMCR_RESET
        self._active = (0, 0)
        self._loaded = False  # the PE has its virtual CPU interface
        self._lrs: tuple[int, ...] = ()  # as they were loaded last, for the trace
        self._exit: Exit | None = None  # why it left the guest, until the exit is handled

    def reset(self, pc: int, gprs: Sequence[int]) -> None:
        """Set all registers as PSCI CPU_ON says: EL1 with the MMU off, from ``pc`` on with X0 and up."""
        port = self.vm.system.port
        port.zero(self.frame, GRANULE_SIZE)
        for name, value in _RESET.items():
            port.write64(self.frame + frame.offset(name), value)
        port.write64(self.frame + _PC, pc)
        for number, value in enumerate(gprs):
            port.write64(self.frame + _X + 8 * number, value & _U64)
        self._vmcr, self._active = VMCR_RESET, (0, 0)

    def trap(self, wfi: bool, wfe: bool) -> None:
        """Set whether WFI and WFE of the guest exit to the host."""
        self.traps = wfi * _TWI | wfe * _TWE

    def failed(self, what: str) -> Failure:
        """Describe a failure in one line, with the syndrome of the last exception."""
        return Failure(f"vCPU {self.index}: {what} (ESR {self.esr:#x}, HPFAR {self.hpfar:#x})")

    # -- the switch ---------------------------------------------------------------------------------------------
    def _enter(self, pe: "Pe") -> None:
        """Load the PE and return to EL1."""
        vm, vgic = self.vm, self.vm.vgic
        if vgic is not None:
            self.drive_timers(vgic)
            self.load_interrupts(pe, vgic)
        pe.set_el2(_HCR | self.traps, vm.stage2.vtcr, vm.stage2.vttbr, self.vmpidr, _MDCR, vm.cntvoff)
        pe.restore_el1(vm.system.port.host_address(self.frame, frame.EL1_FRAME_SIZE))
        if self.aborts:
            self.aborts = False
            pe.inject(sea_esr(self.esr, pe.spsr), self.far)
        self._mask_timers(pe)
        self.waited_with = ()
        self.running = pe.index
        vm.system.in_guest[pe.index] = self
        pe.eret(_NS, 1)

    def _exited(self, pe: "Pe") -> Exit | None:
        """Save what the guest has left on the PE; the exit was handled when it was taken."""
        self.running = None
        system = self.vm.system
        system.in_guest.pop(pe.index, None)
        pe.save_el1(system.port.host_address(self.frame, frame.EL1_FRAME_SIZE))
        if self.vm.vgic is not None:
            self.store_interrupts(pe, self.vm.vgic)
        pe.mask_timers(True, True)
        found, self._exit = self._exit, None
        if isinstance(found, Idle):
            found.deadline = self.deadline()
        return found

    def on_sync(self, pe: "Pe", esr: int, far: int, hpfar: int) -> None:
        """Take an exception of the guest to EL2."""
        self.esr, self.far, self.hpfar = esr, far, hpfar
        reason, found = trapped.answer(self, pe)
        self.exits[reason] += 1
        self._tell(pe, reason, esr, far, hpfar)
        if found is not None:
            self._exit = found
            pe.stay()

    def on_irq(self, pe: "Pe") -> None:
        """Take a physical interrupt: a timer or the virtual interface wants the host, or the slice is over."""
        vm = self.vm
        self.exits[_IRQ] += 1
        self._tell(pe, _IRQ, 0, 0, 0)
        if vm.vgic is not None:
            self.store_interrupts(pe, vm.vgic)  # which nobody signals any more
        lines = pe.el1_timers()
        pe.mask_timers(bool(lines & 1), bool(lines & 2))
        if vm.system.irqchip.handle(pe) or pe.stuck or self._pausing:
            self._exit = Interrupted()
            pe.stay()
        elif vm.vgic is not None:
            self.load_interrupts(pe, vm.vgic)

    def _tell(self, pe: "Pe", reason: int, esr: int, far: int, hpfar: int) -> None:
        trace = pe.machine.trace
        if trace.on:
            name = RecExitReason(reason).name
            event = VmExit(vm=self.vm.vmid, vcpu=self.index, reason=name, pc=pe.elr, esr=esr, far=far, hpfar=hpfar)
            trace.emit(event, pe=pe)

    # -- interrupts ---------------------------------------------------------------------------------------------
    def load_interrupts(self, pe: "Pe", vgic: Vgic) -> None:
        """Load the virtual CPU interface of the PE with what is due."""
        if self._loaded:
            return
        words = vgic.load(self.index)
        pe.cpu_interface.virtual.load(words[0] | _EN, words[1:], self._vmcr, *self._active)
        self._loaded = True
        if words != self._lrs:
            self._lrs = words
            trace = pe.machine.trace
            if trace.on and words[1]:
                event = InterruptInject(vm=self.vm.vmid, vcpu=self.index, hcr=words[0], lrs=words[1:])
                trace.emit(event, pe=pe)

    def store_interrupts(self, pe: "Pe", vgic: Vgic) -> None:
        """Take the virtual CPU interface back from the PE, with the lines of the timers as they are now."""
        if self._loaded:
            virtual, cpu = pe.cpu_interface.virtual, vgic.cpus[self.index]
            self._vmcr, self._active = virtual.vmcr, (virtual.active[0], virtual.active[1])
            self.waited_with = tuple(virtual.lrs)
            if cpu.loaded or cpu.acknowledged:
                vgic.store(self.index, virtual.hcr, virtual.lrs, self.splits_end)
            virtual.load(0, ())
            self._loaded = False
        lines, line = pe.el1_timers(), vgic.cpus[self.index].private.line
        for number, intid in enumerate(TIMER_PPIS):
            level = bool(lines >> number & 1)
            if level != line >> intid & 1:
                vgic.drive(intid, level, self.index)

    def _mask_timers(self, pe: "Pe") -> None:
        """What the virtual GIC knows needs no physical interrupt."""
        lines = pe.el1_timers()
        pe.mask_timers(bool(lines & 1), bool(lines & 2))

    @property
    def splits_end(self) -> bool:
        """ICC_CTLR_EL1.EOImode: EOIR only drops the priority; DIR deactivates."""
        return bool(self._vmcr & _VEOIM)

    @property
    def vmcr(self) -> int:
        """ICH_VMCR_EL2 at the last exit."""
        return self._vmcr

    @property
    def signalled_below(self) -> tuple[int, int]:
        """For each group, the limit below which a priority value must be for its interrupt to be signalled."""
        return signalled_below(self._vmcr, self.waited_with)

    def _timers(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(control, clock value at which it fires) of the virtual and the physical timer, after an exit."""
        port = self.vm.system.port
        cntv_ctl, cntv_cval, cntp_ctl, cntp_cval = _TIMER_WORDS.unpack(
            port.read(self.frame + _TIMERS, _TIMER_WORDS.size)
        )
        return (cntv_ctl, cntv_cval + self.vm.cntvoff & _U64), (cntp_ctl, cntp_cval)

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

    # -- the end, snapshots -------------------------------------------------------------------------------------
    def destroy(self) -> None:
        """Return its page; ends a paused run first."""
        self.kick()
        self.vm.system.pages.give(self.frame)

    def save(self) -> PlainVcpuState:
        """State for a snapshot."""
        return PlainVcpuState(
            index=self.index, mpidr=self.mpidr, on=self.on, deny_on=self.deny_on, exits=dict(self.exits),
            running=self.running, frame=self.frame, traps=self.traps, esr=self.esr, far=self.far, hpfar=self.hpfar,
            aborts=self.aborts, waited_with=self.waited_with, vmcr=self._vmcr, active=self._active,
        )  # fmt: skip

    def restore(self, vm: PlainGuest, siblings: "Sequence[PlainVcpu]", state: PlainVcpuState) -> None:
        """Restore what :meth:`save` returned in place, so that references stay valid."""
        PlainVcpu.__init__(self, vm, siblings, state.index, state.mpidr, state.on, state.frame)
        self.deny_on, self.exits, self.running = state.deny_on, Counter(state.exits), state.running
        self.traps, self.esr, self.far, self.hpfar = state.traps, state.esr, state.far, state.hpfar
        self.aborts, self.waited_with = state.aborts, state.waited_with
        self._vmcr, self._active, self._loaded = state.vmcr, state.active, state.running is not None
