"""WFE and the event register (DDI 0487, section D1.6 "Mechanisms for entering a low-power state").

A PE in WFE waits until its event register is set, until it takes an interrupt, or until memory changes that it has
loaded exclusively: that is how the global monitor shows that another PE has written there. The event register is set by
SEV of any PE, by SEVL, by exception returns, when the monitor is cleared as another PE has its turn, and by the event
streams of the timers.
"""

from typing import TYPE_CHECKING, Final

from cca_arch.types import Access
from cca_platform.engine import interrupts, registers, timers
from cca_platform.mmu.translate import OK, translate
from cca_platform.native import block as w

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["Watch", "clear_event", "event", "hopeless", "stirred", "watch"]

Watch = tuple[int, bytes]
"""What a PE in WFE watches: the physical address of what it has loaded exclusively, or -1, and the contents there."""
_GRANULE: Final = 64  # bytes that a store of another PE must reach
_CNTHP: Final = 1 << timers.CNTHP


def event(pe: "Pe") -> bool:
    """True if the event register is set, also by a stream of events."""
    return bool(pe.words[w.P_EVENT]) or timers.next_event(pe.address, pe.words[w.P_EVENT_TAKEN]) <= pe.clock.now


def clear_event(pe: "Pe") -> None:
    """Clear the event register."""
    pe.words[w.P_EVENT], pe.words[w.P_EVENT_TAKEN] = 0, pe.clock.now


def watch(pe: "Pe") -> Watch:
    """What the PE watches from now on: its exclusive monitor is cleared, as another PE may run before it goes on."""
    claim = pe.engine.monitor.read()
    if claim is None:
        return -1, b""
    pe.engine.clear_exclusive()
    words, va = pe.words, claim[0]
    registers.load_regime(pe.address, pe.el)
    words[w.P_EL] = pe.el
    if translate(pe.address, va - (va >> 63 << 64), int(Access.READ)) != OK:
        return -1, b""
    pa = words[w.P_OUT_PA] & ~(_GRANULE - 1)
    return pa, pe.machine.memory.backdoor.read(pa, _GRANULE)


def stirred(pe: "Pe", watched: Watch) -> bool:
    """True if a PE in WFE goes on: by an event, for an interrupt that it takes, or as what it watches has changed.

    The interrupt controller must know the outputs of the timers.
    """
    pa, contents = watched
    if pa >= 0 and pe.machine.memory.backdoor.read(pa, _GRANULE) != contents:
        return True
    return event(pe) or bool(interrupts.due(pe.address, pe.words[w.P_PSTATE]))


def hopeless(pe: "Pe") -> bool:
    """True if nothing ends a wait but the time slice of the host in Python, which alone has this PE."""
    now, words = pe.clock.now, pe.words
    kept, words[w.P_TIMER_MASK] = words[w.P_TIMER_MASK], words[w.P_TIMER_MASK] | _CNTHP
    due = min(timers.next_change(pe.address, now), timers.next_event(pe.address, now))
    words[w.P_TIMER_MASK] = kept
    return due == timers.NEVER and pe.machine.events.next is None
