"""A processing element: one engine, four worlds, and the exceptions that move it between them.

A level is either a Python program (the monitor at EL3, the RMM at R-EL2, the host at NS-EL2) or AArch64 code on the
engine. Both are reached the same way: by an exception, and left the same way: by ERET. While Python has the PE, its
general registers are ``x``, and ``elr``/``spsr`` are the return address and PSTATE of the code that was interrupted.
"""

import ctypes
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from cca_arch.types import SecurityState
from cca_platform.engine import hooks
from cca_platform.isa import frame, registers
from cca_platform.mmu.tlb import Tlb
from cca_platform.native import block as w
from cca_platform.pe import exceptions, interrupts, timers
from cca_platform.pe.identification import IdRegisters

if TYPE_CHECKING:
    from cca_platform.engine.engine import Engine
    from cca_platform.gic import CpuInterface
    from cca_platform.machine.machine import Machine

__all__ = ["MachineStopped", "Pe", "Program"]

_U64: Final = (1 << 64) - 1
_HCR_VSE: Final = 1 << 8
_HCR_TWI: Final = 1 << 13
_HCR_TID3: Final = 1 << 18
_HCR_TGE: Final = 1 << 27
_HCR_RW: Final = 1 << 31  # RAO/WI: no level has AArch32
_ENGINE_HCR: Final = _HCR_RW | _HCR_TWI | _HCR_TID3  # what the engine itself has to trap for a level above in Python
_EL2H: Final = 9  # PSTATE.M without the bits that say AArch64
_NO_FAR: Final = -(1 << 63)
_STUCK: Final = 1_000  # runs of the engine without one instruction retired, before a PE counts as stuck
_SLICE: Final = 4_000_000  # ticks without a look at signals: about 10 ms
_ROOT, _NON_SECURE = int(SecurityState.ROOT), int(SecurityState.NON_SECURE)
_CNTHCTL_RESET: Final = 3  # EL1PCEN, EL1PCTEN
_SERROR: Final = 0x2F << 26 | 1 << 25
_ILLEGAL_STATE: Final = 0x0E << 26 | 1 << 25
_KINDS: Final = {interrupts.IRQ: "IRQ", interrupts.FIQ: "FIQ", interrupts.SERROR: "SError"}
_VIRTUAL: Final = 1 << 16  # of what interrupts.due gives


def _signed(far: int | None) -> int:
    """FAR as the hooks take it."""
    return _NO_FAR if far is None else far - (far >> 63 << 64)


class MachineStopped(Exception):
    """The machine was powered off or reset; the text is the reason."""


class Program(Protocol):
    """An exception level that Python implements."""

    def on_sync(self, pe: "Pe", esr: int, far: int, hpfar: int) -> None:
        """A synchronous exception or an SError was taken to this level; returning resumes the interrupted code."""

    def on_irq(self, pe: "Pe") -> None:
        """A physical interrupt, IRQ or FIQ, was taken to this level."""

    def on_eret(self, pe: "Pe") -> None:
        """A higher level returned to this one."""


class Pe:
    """One PE of a machine. ``security`` and ``el`` are its current state; SCR_EL3 of EL3 itself shows in ``security``.

    ``on`` says whether it runs code of its own (PSCI), ``waiting`` whether that code sits in WFI, ``stuck`` whether it
    takes abort after abort without retiring an instruction: then, as in WFI, only an interrupt changes anything.
    ``x`` are X0..X30 and ``interrupted_at`` is (``elr``, ``spsr``), both in place.
    """

    def __init__(self, machine: "Machine", index: int, mpidr: int) -> None:
        self.machine = machine
        self.index = index
        self.mpidr = mpidr
        self._trace = machine.trace
        self._programs = machine.programs
        self._clock = machine.clock
        self._cpu_interface = machine.gic.cpus[index]
        self.block = np.zeros(w.P_WORDS, np.int64)
        self.address = int(self.block.ctypes.data)
        self.words = memoryview(self.block.data).cast("B").cast("Q")
        self.x = self.words[w.P_X : w.P_X + 31]
        self.interrupted_at = self.words[w.P_PC : w.P_PSTATE + 1]
        self.tlb = Tlb(self)
        self._engine: Engine | None = None
        self._moves = 0
        self._power_on()
        self.ids = IdRegisters(self, machine.board)

    def _power_on(self) -> None:
        self.security = SecurityState.NON_SECURE
        self.el = 2
        self.on = False
        self.waiting = False
        self.stuck = False
        self._fruitless = 0
        self._progress = -1
        self._reloaded = False
        self._turn_over = False
        block, era = self.block, int(self.block[w.P_TLB_ERA])
        block.fill(0)
        block[w.P_MACHINE] = self.machine.memory.block_address
        block[w.P_TLB_PAGES] = self.tlb.address
        block[w.P_TLB_ERA] = max(era, 1)
        block[w.P_COUNTER_HZ] = self.machine.board.counter_hz
        block[w.P_HCR] = _HCR_RW
        block[w.P_CNTHCTL] = _CNTHCTL_RESET
        block[w.P_SECURITY] = -1
        block[w.P_HAS_PAN] = self.machine.cpu != "a72"

    def __repr__(self) -> str:
        return f"Pe({self.index}, {SecurityState(self.security).name}, EL{self.el}, elr={self.elr:#x})"

    @property
    def elr(self) -> int:
        """Return address of the exception that is being handled: where the interrupted code goes on."""
        return self.words[w.P_PC]

    @elr.setter
    def elr(self, value: int) -> None:
        self.words[w.P_PC] = value & _U64

    @property
    def spsr(self) -> int:
        """PSTATE of the interrupted code."""
        return self.words[w.P_PSTATE]

    @spsr.setter
    def spsr(self, value: int) -> None:
        self.words[w.P_PSTATE] = value & 0xFFFF_FFFF

    @property
    def retired(self) -> int:
        """Instructions that this PE has retired."""
        return self.words[w.P_RETIRED]

    @property
    def engine(self) -> "Engine":
        """The processor; made when it is first needed."""
        if self._engine is None:
            from cca_platform.engine.engine import Engine

            self._engine = Engine(self.machine.memory, self.block, self._interrupt, self.machine.cpu)
            self.machine.memory.block[w.M_PES_USED] += 1
            self.machine.memory.requesters.append(self.tlb)
            self._id_table = self.ids.table()
            self.block[w.P_ID_TABLE] = self._id_table.ctypes.data
            for name, value in self.ids.reset().items():
                self._engine.write_system(frame.SYSTEM_REGISTERS[name], value)
        return self._engine

    @property
    def has_engine(self) -> bool:
        """Whether code has run on this PE since its reset."""
        return self._engine is not None

    # -- calls between levels ----------------------------------------------------------------------------------------
    def smc(self, *args: int) -> list[int]:
        """SMC #0 from the current level in Python; X0..X4 when that level has the PE again.

        Until then the PE runs what the call started: an RMI_REC_ENTER runs Realm code. MachineStopped when the machine
        was powered off meanwhile.
        """
        x = self.x
        for at, value in enumerate(args):
            x[at] = value
        security, el = self.security, self.el
        self._take_program(_ROOT, 3, exceptions.SMC_0)
        while self.el != el or self.security != security:
            self.step()
        if self.machine.stopped is not None:
            raise MachineStopped(self.machine.stopped)
        return x[:5].tolist()

    def leave(self, *args: int) -> None:
        """SMC #0 from the current level in Python for a call that does not return: the caller must return at once."""
        x = self.x
        for at, value in enumerate(args):
            x[at] = value
        self._take_program(_ROOT, 3, exceptions.SMC_0)

    def eret(self, security: SecurityState, el: int) -> None:
        """Exception return from the current level in Python to a lower one; the caller must return at once."""
        self._moves += 1
        self.security = security
        self.el = el
        program = self._programs.get((security, el))
        if program is not None:
            program.on_eret(self)
        else:
            self.on = True
            if self._reloaded:
                registers.select_sp(self.address)
            self._fruitless, self.stuck = 0, False

    def _take_program(self, security: int, el: int, esr: int | None, far: int = 0, hpfar: int = 0) -> None:
        """An exception to a level in Python, an interrupt without ``esr``; it may resume the code or move on."""
        came, moves = self.el, self._moves
        self.el = el
        program = self._programs[security, el]
        if esr is None:
            program.on_irq(self)
        else:
            program.on_sync(self, esr, far, hpfar)
        if self._moves == moves:
            self.el = came

    # -- registers ---------------------------------------------------------------------------------------------------
    def save_el1(self, address: int) -> None:
        """Store the EL1&0 register file (``frame.EL1_FRAME``) of the interrupted code to host memory."""
        self.engine.save(address)

    def restore_el1(self, address: int) -> None:
        """Load the EL1&0 register file from host memory; ``elr`` and ``spsr`` become its PC and PSTATE."""
        if self.engine.load(address):
            self.tlb.stale = True
        self._reloaded = True

    def save_el2(self, address: int, replaced: bool = False) -> None:
        """Store the EL2 registers of real EL2 code (``frame.EL2_FRAME``) to host memory.

        ``replaced``: only those that an EL2 in Python will have values of its own for (``frame.EL2_REPLACED``).
        """
        self.engine.save_el2(address, replaced)
        if self.words[w.P_PSTATE] & 0xD == _EL2H:
            ctypes.c_uint64.from_address(address + frame.offset_el2("sp_el2")).value = self.words[w.P_SP]

    def restore_el2(self, address: int, replaced: bool = False) -> None:
        """Load the EL2 registers of real EL2 code from host memory; ``elr`` and ``spsr`` are the caller's to set."""
        self.engine.load_el2(address, replaced)
        self.words[w.P_VMPIDR] = _U64  # EL2 code has a value of its own
        self._reloaded = True

    def set_el2(self, hcr: int, vtcr: int, vttbr: int, vmpidr: int, mdcr: int = 0) -> None:
        """The EL2 controls under which lower levels run, set by an EL2 in Python; CPTR_EL2 traps nothing."""
        words = self.words
        hcr |= _HCR_RW
        words[w.P_VTCR], words[w.P_VTTBR] = vtcr, vttbr
        words[w.P_CNTHCTL], words[w.P_CNTVOFF] = _CNTHCTL_RESET, 0
        self.tlb.vmid = vttbr >> 48
        if words[w.P_HCR] != hcr or words[w.P_VMPIDR] != vmpidr:
            words[w.P_HCR], words[w.P_VMPIDR] = hcr, vmpidr
            self.engine.put_el2(hcr & _ENGINE_HCR, mdcr, vmpidr, self.ids.midr)

    def run_under(self, scr: int) -> None:
        """SCR_EL3 of the security state that EL3 has returned to just now, until it leaves: not ``machine.scr``'s."""
        self.words[w.P_SECURITY], self.words[w.P_SCR] = self.security, scr
        self.tlb.stale = True

    def mask_timers(self, virtual: bool, physical: bool) -> None:
        """CNTHCTL_EL2.{CNTVMASK, CNTPMASK}: keep an EL1 timer that asserts its interrupt already from interrupting."""
        self.words[w.P_TIMER_MASK] = virtual | physical << 1

    def read_sysreg(self, name: str) -> int:
        """An EL1 or EL2 system register of the interrupted code, by its name in :mod:`cca_platform.isa.frame`."""
        return self.engine.read_system(frame.SYSTEM_REGISTERS[name])

    def write_sysreg(self, name: str, value: int) -> None:
        """Write a system register of the interrupted code."""
        self.engine.write_system(frame.SYSTEM_REGISTERS[name], value)
        self.tlb.stale = True

    def id_register(self, op0: int, op1: int, crn: int, crm: int, op2: int) -> int:
        """An identification register as the PE itself has it; encodings without a register read as zero."""
        return self.ids.read(op0, op1, crn, crm, op2)

    # -- time and interrupts -----------------------------------------------------------------------------------------
    @property
    def gic(self) -> "CpuInterface":
        """The CPU interface of the interrupt controller, which knows what the timers of this PE signal now."""
        self._tell_timers()
        return self._cpu_interface

    def _tell_timers(self) -> None:
        """Give the interrupt controller the outputs of the timers, which are levels."""
        words = self.words
        now = int(timers.outputs(self.address, self._clock.now))
        changed = words[w.P_TIMER_OUTPUTS] ^ now
        if changed:
            words[w.P_TIMER_OUTPUTS] = now
            for timer, intid in enumerate(timers.INTIDS):
                if changed >> timer & 1:
                    self.machine.gic.set_ppi(self.index, intid, bool(now >> timer & 1))

    def signal(self, bits: int) -> None:
        """What the interrupt controller signals to this PE now: ``block.SIGNAL_*`` of it."""
        words = self.words
        words[w.P_SIGNALS] = words[w.P_SIGNALS] & ~w.SIGNAL_GIC | bits

    def clear_exclusive(self) -> None:
        """Clear the exclusive monitor: what the code has loaded by now, another PE may write before it goes on."""
        if self._engine is not None:
            self._engine.clear_exclusive()

    def raise_serror(self, iss: int = 0) -> None:
        """Make a physical SError pending, with this ISS (IDS and below)."""
        self.words[w.P_SERROR] = iss
        self.words[w.P_SIGNALS] |= w.SIGNAL_SERROR

    def host_timer(self, deadline: int | None) -> None:
        """CNTHP: its interrupt (INTID 26) from clock value ``deadline`` on; None turns it off."""
        words = self.words
        words[w.P_CNTHP_CTL] = deadline is not None
        words[w.P_CNTHP_CVAL] = deadline or 0

    def deadline(self) -> int | None:
        """Clock value at which a timer of this PE or a device next changes what it signals, or None."""
        ticks = int(timers.next_change(self.address, self._clock.now))
        due = self.machine.bus.deadline
        if due is not None:
            ticks = min(ticks, due)
        return None if ticks == timers.NEVER else ticks

    def interrupted(self) -> bool:
        """Whether a physical interrupt waits for this PE, whatever it masks."""
        self._tell_timers()
        return bool(self.words[w.P_SIGNALS] & w.SIGNAL_PHYSICAL)

    def asleep(self) -> bool:
        """Whether this PE waits, and no interrupt wakes it; one that is stuck needs an interrupt that it takes."""
        if not self.waiting:
            return False
        self._tell_timers()  # another PE may have run past what this one waits for
        return self.stuck or not interrupts.wakes(self.address, self.words[w.P_PSTATE])

    # -- running -----------------------------------------------------------------------------------------------------
    def run(self, until: int) -> None:
        """Run code of this PE until the clock reads ``until``, it waits, or the machine stops."""
        self._turn_over = False
        while self._clock.now < until and self.machine.stopped is None and self.on and not self._turn_over:
            self.step(until)
            if self.waiting:
                return

    def end_turn(self) -> None:
        """Let ``run`` return at the next block: another PE has an interrupt."""
        self._turn_over = True
        self.words[w.P_SLICE_END] = 0
        interrupts.set_budget(self.address)

    def step(self, until: int | None = None) -> None:
        """Run the code of the current level until something happens, and deal with that."""
        machine = self.machine
        if machine.stopped is not None:
            raise MachineStopped(machine.stopped)
        if (self.security, self.el) in self._programs:
            raise AssertionError(f"{self!r} must have code to run, not a Python program")
        clock, words = self._clock, self.words
        clock.follow()
        now = clock.now
        due = machine.bus.deadline
        if due is not None and due <= now:
            machine.bus.advance(now)
            if machine.stopped is not None:
                return
            due = machine.bus.deadline
        self._tell_timers()
        taken = self._settle()
        if taken:
            self._take_interrupt(taken)
            return
        self.count_fruitless()
        if self.stuck or self.asleep():
            self._wait()
            return
        self.waiting = False
        end = now + _SLICE if until is None else min(until, now + _SLICE)
        words[w.P_SLICE_END] = end if due is None else min(end, due)
        self.tlb.synchronise()
        interrupts.set_budget(self.address)
        engine = self.engine
        stop = engine.run()
        if stop is engine.LEFT:
            return
        self.el = words[w.P_PSTATE] >> 2 & 3
        if stop is engine.REFUSED:
            exceptions.refused(self)
        elif stop is engine.HALTED:
            self._wait()
        elif words[w.P_FAULT_KIND]:
            exceptions.walk_refused(self)
        elif words[w.P_PC] & 3:
            exceptions.misaligned(self)

    def _take_interrupt(self, taken: int) -> None:
        """Take an interrupt that ``interrupts.due`` found: to a program in Python or to the vector of real code."""
        words = self.words
        target, kind = taken & 3, taken & 0x180
        if taken & interrupts.ILLEGAL:
            self.take(_ILLEGAL_STATE, target)
            return
        self.waiting = False
        if self._trace.on:
            virtual = bool(words[w.P_SIGNALS] & (w.SIGNAL_VIRQ | w.SIGNAL_VFIQ)) and target == 1
            self._trace.emit("interrupt.take", pe=self, kind=_KINDS[kind], elr=self.elr, target=target, virtual=virtual)
        esr = _SERROR
        if kind == interrupts.SERROR:
            if taken & _VIRTUAL:
                hcr = words[w.P_HCR] & ~_HCR_VSE
                words[w.P_HCR] = hcr
                self.engine.write_system(frame.SYSTEM_REGISTERS["hcr_el2"], hcr)
            else:
                esr |= words[w.P_SERROR]
                words[w.P_SIGNALS] &= ~w.SIGNAL_SERROR
        security = _ROOT if target == 3 else self.security
        if (security, target) not in self._programs:
            hooks.take_exception(self.address, target, esr, _NO_FAR, kind)
            self.el = target
            self._fruitless, self.stuck = 0, False
        elif kind == interrupts.SERROR:
            self._take_program(security, target, esr)
        else:
            self.clear_exclusive()  # as its exception return will do
            self._take_program(security, target, None)

    def _wait(self) -> None:
        """WFI, or a guest that is stuck: nothing happens on this PE before an interrupt.

        Where PEs take turns, the machine lets idle time pass; under a host in Python this PE is the only one.
        """
        self.waiting = True
        if self.on and self._programs.get((_NON_SECURE, 2)) is None:
            return
        if not self.asleep():
            return
        due = self.deadline()
        if due is None:
            what = "takes aborts without end" if self.stuck else "waits for an interrupt that cannot come"
            self.machine.stop(f"PE {self.index} {what}")
            return
        self._clock.skip_to(due)

    # -- exceptions --------------------------------------------------------------------------------------------------
    def _interrupt(self, number: int) -> bool:
        """The engine's interrupt hook: whether it may go on with what the block now holds."""
        self._reloaded = False
        self.el = el = self.words[w.P_PSTATE] >> 2 & 3
        security = self.security
        exceptions.interrupt(self, number)
        if self.machine.stopped is not None or self.stuck or self.waiting or not self.on:
            return False
        if (self.security, self.el) in self._programs:
            return False
        if self.security == security and self.el == el and not self._reloaded and not self.tlb.stale:
            return True
        if self._settle() or self.tlb.code_is_stale:
            return False
        self.tlb.synchronise()
        interrupts.set_budget(self.address)
        return True

    def _settle(self) -> int:
        """Let the security state be known before code runs; the interrupt that it takes instead, or 0."""
        words, security = self.words, self.security
        if words[w.P_SECURITY] != security:
            words[w.P_SECURITY] = security
            words[w.P_SCR] = self.machine.scr[security]
            self.tlb.stale = True  # the engine's TLB does not know security states
        if words[w.P_SIGNALS] or words[w.P_HCR] & _HCR_VSE:
            return int(interrupts.due(self.address, words[w.P_PSTATE]))
        return 0

    def take(self, esr: int, target: int, far: int | None = None, hpfar: int | None = None) -> None:
        """Take a synchronous exception from the current code to exception level ``target``.

        To a program in Python, or architecturally into the vector table of real code. ``far`` or ``hpfar`` None leaves
        that register alone.
        """
        if target == 1 and self.words[w.P_HCR] & _HCR_TGE and self.security != 0:
            target = 2
        if target == 3 or (self.security, target) in self._programs:
            self._take_program(_ROOT if target == 3 else self.security, target, esr, far or 0, hpfar or 0)
            return
        elr, spsr = self.elr, self.spsr
        if target == 2 and hpfar is not None:
            self.engine.write_system(frame.SYSTEM_REGISTERS["hpfar_el2"], hpfar)
        hooks.take_exception(self.address, target, esr, _signed(far), 0)
        self.el = target
        if self._trace.on:
            self._trace.emit(
                "exception.take", pe=self, kind="sync", esr=esr, far=far or 0, hpfar=hpfar or 0, elr=elr, spsr=spsr,
                target=target, vector=self.elr,
            )  # fmt: skip

    def power_off(self) -> None:
        """Run no code any more; what it has of timers and SErrors is lost."""
        self.on = False
        words = self.words
        for timer in range(len(timers.INTIDS)):
            words[w.P_TIMERS + 2 * timer] = 0
        words[w.P_TIMER_MASK] = 0
        words[w.P_SIGNALS] &= ~w.SIGNAL_SERROR
        self._tell_timers()

    def inject(self, esr: int, far: int | None = None) -> None:
        """Take a synchronous exception to EL1 of the interrupted code, on behalf of EL2."""
        hooks.take_exception(self.address, 1, esr, _signed(far), 0)

    def is_python(self, el: int) -> bool:
        """Whether a level of the current security state is a Python program."""
        return (self.security, el) in self._programs

    def count_fruitless(self) -> None:
        """Note a run or an exception; too many in a row that retire nothing make the PE ``stuck``."""
        retired = self.words[w.P_RETIRED]
        if retired != self._progress:
            self._progress, self._fruitless = retired, 0
        self._fruitless += 1
        self.stuck = self._fruitless > _STUCK

    def retire_one(self) -> None:
        """Account for an instruction that was done on the engine's behalf."""
        self.words[w.P_RETIRED] += 1
        self._clock.skip_to(self._clock.now + 1)

    # -- snapshots ---------------------------------------------------------------------------------------------------
    def save(self) -> dict[str, Any]:
        """Everything of the PE, as plain data."""
        frames = bytearray(frame.EL1_FRAME_SIZE + frame.EL2_FRAME_SIZE)
        if self._engine is not None:
            address = ctypes.addressof(ctypes.c_char.from_buffer(frames))
            self._engine.save(address)
            self._engine.save_el2(address + frame.EL1_FRAME_SIZE)
        return {
            "security": int(self.security),
            "el": self.el,
            "on": self.on,
            "waiting": self.waiting,
            "fruitless": (self.stuck, self._fruitless, self._progress),
            "words": self.block.copy(),
            "vmid": self.tlb.vmid,
            "engine": bytes(frames) if self._engine is not None else None,
            "context": None if self._engine is None else (self._engine, self._engine.save_context()),
        }

    def restore(self, data: dict[str, Any]) -> None:
        """Put back what ``save`` gave."""
        self.security = SecurityState(data["security"])
        self.el, self.on, self.waiting = data["el"], data["on"], data["waiting"]
        self.stuck, self._fruitless, self._progress = data["fruitless"]
        self.tlb.vmid = data["vmid"]
        if data["engine"] is None:
            self.close()
        else:
            frames = bytearray(data["engine"])
            address = ctypes.addressof(ctypes.c_char.from_buffer(frames))
            owner, context = data["context"]
            if self._engine is not None and owner is self._engine:
                self._engine.restore_context(context)
            self.engine.load_el2(address + frame.EL1_FRAME_SIZE)
            self.engine.load(address)
        for start, stop in _SAVED_WORDS:
            self.block[start:stop] = data["words"][start:stop]
        self.block[w.P_REGIME] = self.block[w.P_VMPIDR] = -1
        self._moves += 1
        self.tlb.stale = True

    def reset(self) -> None:
        """As after power-on: off, without a register, a translation or a pending exception of before."""
        self.close()
        self._power_on()
        self.tlb.reset()
        self._moves += 1

    def close(self) -> None:
        """Let go of the engine."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None
            self.machine.memory.block[w.M_PES_USED] -= 1
            self.machine.memory.requesters.remove(self.tlb)


# what of the block is state: regime controls, retired count, timers, general registers
_SAVED_WORDS: Final = (
    (w.P_SECURITY, w.P_VSTTBR + 1),
    (w.P_RETIRED, w.P_RETIRED + 1),
    (w.P_TIMERS, w.P_SERROR + 1),
    (w.P_X, w.P_PSTATE + 1),
)
