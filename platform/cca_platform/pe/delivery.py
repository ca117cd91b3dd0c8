"""Interrupts and timers of a PE: what waits for it, what wakes it, and how it takes an interrupt."""

from typing import TYPE_CHECKING, Final

from cca_arch.gic import SPURIOUS
from cca_arch.sysregs import Ec, Hcr, encodings, syndrome
from cca_arch.types import SecurityState, Ticks
from cca_platform.engine import hooks, interrupts, timers
from cca_platform.native import block as w
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
_KIND, _VIRTUAL = interrupts.IRQ | interrupts.FIQ, 1 << 16  # of what interrupts.due gives
_EL1_TIMERS: Final = 1 << timers.CNTV | 1 << timers.CNTP
_ROOT: Final = int(SecurityState.ROOT)


def tell_timers(pe: "Pe") -> None:
    """Give the interrupt controller the outputs of the timers, which are levels."""
    words = pe.words
    now = int(timers.outputs(pe.address, pe.clock.now))
    changed = words[w.P_TIMER_OUTPUTS] ^ now
    if changed:
        words[w.P_TIMER_OUTPUTS] = now
        for timer, intid in enumerate(timers.INTIDS):
            if changed >> timer & 1:
                pe.machine.gic.set_ppi(pe.index, intid, bool(now >> timer & 1))


def signal(pe: "Pe", bits: int) -> None:
    """What the interrupt controller signals to this PE now: ``block.SIGNAL_*`` of it."""
    words = pe.words
    words[w.P_SIGNALS] = words[w.P_SIGNALS] & ~w.SIGNAL_GIC | bits


def clear_exclusive(pe: "Pe") -> None:
    """Clear the exclusive monitor: what the code has loaded by now, another PE may write before it goes on."""
    if pe.has_engine:
        pe.engine.clear_exclusive()


def raise_serror(pe: "Pe", iss: int = 0) -> None:
    """Make a physical SError pending, with this ISS (IDS and below)."""
    pe.words[w.P_SERROR] = iss
    pe.words[w.P_SIGNALS] |= w.SIGNAL_SERROR


def raise_virtual_serror(pe: "Pe", iss: int) -> None:
    """HCR_EL2.VSE, by an EL2 in Python: EL1 takes an SError with this ISS once it does not mask it."""
    pe.words[w.P_VSERROR] = iss
    pe.words[w.P_HCR] |= _HCR_VSE


def withdraw_virtual_serror(pe: "Pe") -> bool:
    """Take back the virtual SError of an EL2 in Python: whether it was still pending."""
    words = pe.words
    pending = words[w.P_HCR] & _HCR_VSE
    words[w.P_VSERROR], words[w.P_HCR] = 0, words[w.P_HCR] & ~_HCR_VSE
    return bool(pending)


def host_timer(pe: "Pe", deadline: Ticks | None) -> None:
    """CNTHP: its interrupt (INTID 26) from clock value ``deadline`` on; None turns it off."""
    words = pe.words
    words[w.P_CNTHP_CTL] = deadline is not None
    words[w.P_CNTHP_CVAL] = deadline or 0


def deadline(pe: "Pe") -> Ticks | None:
    """Clock value at which a timer of this PE next asserts its interrupt, or None."""
    ticks = int(timers.next_change(pe.address, pe.clock.now))
    return None if ticks == timers.NEVER else Ticks(ticks)


def interrupted(pe: "Pe") -> bool:
    """Whether a physical interrupt waits for this PE, whatever it masks."""
    tell_timers(pe)
    return bool(pe.words[w.P_SIGNALS] & w.SIGNAL_PHYSICAL)


def asleep(pe: "Pe") -> bool:
    """Whether this PE waits, and no interrupt wakes it; one that is stuck needs an interrupt that it takes."""
    if not pe.waiting:
        return False
    return pe.stuck or not awake(pe)


def awake(pe: "Pe") -> bool:
    """Whether an interrupt ends WFI on this PE, or keeps it from waiting."""
    tell_timers(pe)  # another PE may have run past what this one waits for
    return bool(interrupts.wakes(pe.address, pe.words[w.P_PSTATE]))


def lost(pe: "Pe") -> bool:
    """Whether it takes exceptions without end, and no interrupt can change that: EL2, which might get one, has none.

    What EL3 gets is over without a change.
    """
    routed = pe.security != SecurityState.SECURE and pe.words[w.P_HCR] & _HCR_ROUTES
    return pe.stuck and (pe.el == 2 or not routed)


def mask_timers(pe: "Pe", virtual: bool, physical: bool) -> None:
    """CNTHCTL_EL2.{CNTVMASK, CNTPMASK}: keep an EL1 timer that asserts its interrupt already from interrupting."""
    pe.words[w.P_TIMER_MASK] = virtual | physical << 1


def el1_timers(pe: "Pe") -> int:
    """Which EL1 timers assert their interrupt now, masked or not: bit 0 for CNTV, bit 1 for CNTP."""
    return int(timers.asserted(pe.address, pe.clock.now)) & _EL1_TIMERS


def _intid(pe: "Pe", kind: int, virtual: bool) -> int | UnsetType:
    """The interrupt that is about to be taken; an SError, and a virtual one of HCR_EL2.VI or VF, has no number."""
    if kind == interrupts.SERROR:
        return UNSET
    cpu = pe.cpu_interface
    intid = cpu.virtual.pending_for(int(kind == interrupts.IRQ)) if virtual else cpu.intid
    return UNSET if intid in (-1, SPURIOUS) else intid


def take_interrupt(pe: "Pe", taken: int) -> None:
    """Take an interrupt that ``interrupts.due`` found: to a program in Python or to the vector of real code."""
    words = pe.words
    target, kind = taken & 3, taken & _KIND
    if taken & interrupts.ILLEGAL:
        pe.take(_ILLEGAL_STATE, target)
        return
    pe.waiting = False
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
            if not pe.is_python(2):  # the register of an EL2 in Python holds other things
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
