"""Interrupts and timers of a PE: what is pending, what wakes it, and how it takes an interrupt."""

from typing import TYPE_CHECKING, Final

from cca_arch.gic import SPURIOUS, Ppi
from cca_arch.sysregs import Ec, Hcr, encodings, syndrome
from cca_arch.types import SecurityState, Ticks
from cca_platform.engine import hooks, interrupts, pmu, timers
from cca_platform.native import block as w
from cca_platform.pe.events import stirred
from cca_platform.pe.levels import take_program
from cca_platform.trace.events import InterruptTake
from cca_platform.trace.forms import UNSET, UnsetType

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = [
    "asleep",
    "clear_exclusive",
    "deadline",
    "el1_timers",
    "host_timer",
    "interrupted",
    "look",
    "lost",
    "mask_timers",
    "raise_serror",
    "raise_virtual_serror",
    "signal",
    "take_interrupt",
    "tell_timers",
    "withdraw_virtual_serror",
]

_HCR_VSE: Final = Hcr.vse.mask
_HCR_ROUTES: Final = Hcr.fmo.mask | Hcr.imo.mask | Hcr.amo.mask | Hcr.tge.mask
_NO_FAR: Final = -(1 << 63)
_SERROR: Final = syndrome(Ec.SERROR)
_ILLEGAL_STATE: Final = syndrome(Ec.ILLEGAL_STATE)
_KINDS: Final = {interrupts.IRQ: "IRQ", interrupts.FIQ: "FIQ", interrupts.SERROR: "SError"}
_KIND, _VIRTUAL = interrupts.IRQ | interrupts.FIQ, 1 << 16  # parts of the result of interrupts.due
_EL1_TIMERS: Final = 1 << timers.CNTV | 1 << timers.CNTP
_ROOT: Final = int(SecurityState.ROOT)
_PMU: Final = int(Ppi.PMU)


def tell_timers(pe: "Pe") -> None:
    """Pass the outputs of the timers and of the PMU, which are levels, to the interrupt controller."""
    if interrupts.told(pe.address):
        return
    words = pe.words
    if words[w.P_PMOVS] or words[w.P_PMU_OUTPUT]:
        overflow = int(pmu.asserted(pe.address))
        if overflow != words[w.P_PMU_OUTPUT]:
            words[w.P_PMU_OUTPUT] = overflow
            pe.machine.gic.set_ppi(pe.index, _PMU, bool(overflow))
    now = int(timers.outputs(pe.address, pe.clock.now))
    changed = words[w.P_TIMER_OUTPUTS] ^ now
    if changed:
        words[w.P_TIMER_OUTPUTS] = now
        for timer, intid in enumerate(timers.INTIDS):
            if changed >> timer & 1:
                pe.machine.gic.set_ppi(pe.index, intid, bool(now >> timer & 1))


def signal(pe: "Pe", bits: int) -> None:
    """Set what the interrupt controller signals to this PE: its ``block.SIGNAL_*``."""
    words = pe.words
    words[w.P_SIGNALS] = words[w.P_SIGNALS] & ~w.SIGNAL_GIC | bits


def look(pe: "Pe") -> None:
    """Let code look at its interrupts before its next block: a Python level has changed them, and it goes on."""
    interrupts.set_budget(pe.address)


def clear_exclusive(pe: "Pe") -> None:
    """Clear the exclusive monitor: another PE may write what the code has loaded before it resumes.

    If it was held, that is an event, as it is when another PE clears the global monitor.
    """
    if pe.has_engine and pe.engine.monitor.held:
        pe.words[w.P_EVENT] = 1
        pe.engine.clear_exclusive()


def raise_serror(pe: "Pe", iss: int = 0) -> None:
    """Make a physical SError pending, with this ISS (IDS and below)."""
    pe.words[w.P_SERROR] = iss
    pe.words[w.P_SIGNALS] |= w.SIGNAL_SERROR


def raise_virtual_serror(pe: "Pe", iss: int) -> None:
    """HCR_EL2.VSE, for a Python EL2: EL1 takes an SError with this ISS once it is unmasked."""
    pe.words[w.P_VSERROR] = iss
    pe.words[w.P_HCR] |= _HCR_VSE


def withdraw_virtual_serror(pe: "Pe") -> bool:
    """Withdraw the virtual SError of a Python EL2; returns True if it was still pending."""
    words = pe.words
    pending = words[w.P_HCR] & _HCR_VSE
    words[w.P_VSERROR], words[w.P_HCR] = 0, words[w.P_HCR] & ~_HCR_VSE
    return bool(pending)


def host_timer(pe: "Pe", deadline: Ticks | None) -> None:
    """Set CNTHP: it interrupts (INTID 26) from clock value ``deadline`` on; None disables it."""
    words = pe.words
    words[w.P_CNTHP_CTL] = deadline is not None
    words[w.P_CNTHP_CVAL] = deadline or 0


def deadline(pe: "Pe") -> Ticks | None:
    """The clock value at which a timer of this PE next asserts its interrupt or, in WFE, sends an event; or None."""
    ticks = int(timers.next_change(pe.address, pe.clock.now))
    if pe.wfe is not None:
        ticks = min(ticks, int(timers.next_event(pe.address, pe.clock.now)))
    return None if ticks == timers.NEVER else Ticks(ticks)


def interrupted(pe: "Pe") -> bool:
    """True if a physical interrupt is pending for this PE, masked or not."""
    tell_timers(pe)
    return bool(pe.words[w.P_SIGNALS] & w.SIGNAL_PHYSICAL)


def asleep(pe: "Pe") -> bool:
    """True if this PE waits and nothing wakes it; a stuck PE needs an interrupt that it takes."""
    if not pe.waiting:
        return False
    if pe.wfe is None or pe.stuck:
        return pe.stuck or not awake(pe)
    tell_timers(pe)
    return not stirred(pe, pe.wfe)


def awake(pe: "Pe") -> bool:
    """True if an interrupt ends WFI on this PE, or keeps it from waiting."""
    tell_timers(pe)  # another PE may have run past what this one waits for
    return bool(interrupts.wakes(pe.address, pe.words[w.P_PSTATE]))


def lost(pe: "Pe") -> bool:
    """Whether it takes exceptions without end, and no interrupt can change that: EL2, which might get one, has none.

    What EL3 gets is over without a change.
    """
    routed = pe.security != SecurityState.SECURE and pe.words[w.P_HCR] & _HCR_ROUTES
    return pe.stuck and (pe.el == 2 or not routed)


def mask_timers(pe: "Pe", virtual: bool, physical: bool) -> None:
    """Set CNTHCTL_EL2.{CNTVMASK, CNTPMASK}: mask EL1 timers that already assert their interrupts."""
    pe.words[w.P_TIMER_MASK] = virtual | physical << 1


def el1_timers(pe: "Pe") -> int:
    """The EL1 timers that assert their interrupt now, masked or not: bit 0 for CNTV, bit 1 for CNTP."""
    return int(timers.asserted(pe.address, pe.clock.now)) & _EL1_TIMERS


def _intid(pe: "Pe", kind: int, virtual: bool) -> int | UnsetType:
    """The INTID of the interrupt to take; None for an SError and for HCR_EL2.VI and VF."""
    if kind == interrupts.SERROR:
        return UNSET
    cpu = pe.cpu_interface
    intid = cpu.virtual.pending_for(int(kind == interrupts.IRQ)) if virtual else cpu.intid
    return UNSET if intid in (-1, SPURIOUS) else intid


def take_interrupt(pe: "Pe", taken: int) -> None:
    """Take an interrupt that ``interrupts.due`` found, to a Python program or to the vector of real code."""
    words = pe.words
    target, kind = taken & 3, taken & _KIND
    if taken & interrupts.ILLEGAL:
        pe.take(_ILLEGAL_STATE, target)
        return
    pe.waiting, pe.wfe = False, None
    if pe.trace.on:
        virtual = bool(words[w.P_SIGNALS] & (w.SIGNAL_VIRQ | w.SIGNAL_VFIQ)) and target == 1
        event = InterruptTake(
            kind=_KINDS[kind], elr=pe.elr, target=target, virtual=virtual, intid=_intid(pe, kind, virtual)
        )
        pe.trace.emit(event, pe=pe)
    esr = _SERROR
    if kind == interrupts.SERROR:
        if taken & _VIRTUAL:
            hcr = words[w.P_HCR] & ~_HCR_VSE
            words[w.P_HCR] = hcr
            if not pe.is_python(2):  # a Python EL2 uses the register for other purposes
                pe.engine.write_system(encodings.HCR_EL2, hcr)
            esr |= words[w.P_VSERROR]
            words[w.P_VSERROR] = 0
        else:
            esr |= words[w.P_SERROR]
            words[w.P_SIGNALS] &= ~w.SIGNAL_SERROR
    security = _ROOT if target == 3 else pe.security
    if (security, target) not in pe.programs:
        hooks.take_exception(pe.address, target, esr, _NO_FAR, kind)
        pe.el = target
        pe.fruitless, pe.stuck = 0, False
        words[w.P_NESTED] = 0
    elif kind == interrupts.SERROR:
        take_program(pe, security, target, esr)
    else:
        pe.clear_exclusive()  # as its exception return will do
        take_program(pe, security, target, None)
