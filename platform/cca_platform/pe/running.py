"""Running and stepping the code of a PE, and the engine's interrupt hook."""

from typing import TYPE_CHECKING, Final

from cca_arch.sysregs import Hcr, Pstate
from cca_arch.types import Instructions, SecurityState, Ticks
from cca_platform.engine import hooks, interrupts, pmu, timers
from cca_platform.errors import MachineStopped
from cca_platform.halt import Halt
from cca_platform.native import block as w
from cca_platform.pe import controls, events, exceptions
from cca_platform.pe.delivery import take_interrupt, tell_timers
from cca_platform.pe.levels import tell_repeats
from cca_platform.pe.net import internal_error
from cca_platform.signals import heed

if TYPE_CHECKING:
    from cca_platform.engine.engine import Stop
    from cca_platform.pe.pe import Pe

__all__ = ["BREAKPOINT", "count_fruitless", "end_turn", "follow", "interrupt", "retire_one", "run", "step"]

BREAKPOINT: Final = "breakpoint"
"""The reason of a stop before an instruction that ``Pe.stop_before`` names."""
_HCR_VSE: Final = Hcr.vse.mask
_EL_LOW, _EL_ONES = Pstate.el.low, Pstate.el.ones
_LAST: Final = (1 << 64) - 1  # the last address
_STUCK: Final = 1_000  # runs of the engine without one instruction retired, before a PE counts as stuck
_NO_LIMIT: Final = (1 << 63) - 1
_ACCESSES: Final = 256  # to devices in a step: a millisecond or two
_NON_SECURE: Final = int(SecurityState.NON_SECURE)


def run(pe: "Pe", until: Ticks | None = None, limit: Instructions | None = None) -> None:
    """Run code of this PE until the counter reads ``until`` or all PEs have retired ``limit``.

    It returns earlier if there is none to run: the PE waits or is off, or the machine stops.
    """
    pe.turn_over = False
    clock = pe.clock
    while pe.machine.stopped is None and pe.on and not pe.turn_over:
        over = (until is not None and clock.now >= until) or (limit is not None and clock.retired >= limit)
        if over and not pe.resumes:
            return
        pe.step(until, limit)
        if pe.waiting:
            return


def end_turn(pe: "Pe") -> None:
    """Make ``run`` return at the next block, because another PE has an interrupt."""
    pe.turn_over = True
    pe.words[w.P_SLICE_END] = 0
    interrupts.set_budget(pe.address)


def step(
    pe: "Pe", until: Ticks | None = None, limit: Instructions | None = None, alone: bool = False
) -> None:
    """Run the code of the current level until an event, and handle the event.

    At most until the counter reads ``until`` or all PEs have retired ``limit``, which is no event: the next step goes
    on as if it had never paused. Neither is a stop before an instruction: the rest of its block comes before anything
    else. With ``alone`` it runs one instruction, or takes the exception or interrupt that comes in its place.
    """
    machine = pe.machine
    if machine.stopped is not None:
        raise MachineStopped(machine.stopped)
    if (pe.security, pe.el) in pe.programs:
        raise AssertionError(f"{pe!r} must have code to run, not a Python program")
    heed()
    try:
        _step(pe, until, limit, alone)
    except Exception as error:
        internal = internal_error(machine, error)
        if internal is None:
            raise
        raise internal from error


def _step(pe: "Pe", until: Ticks | None, limit: Instructions | None, alone: bool) -> None:
    """Do a step, when there is code to run."""
    machine = pe.machine
    inputs, words, over = machine.inputs, pe.words, pe.turn_over or alone
    resumes = words[w.P_BLOCK_END] != 0 and pe.resumes
    if inputs.active and not resumes:
        inputs.poll()
        if pe.turn_over and not over:  # by an interrupt for another PE; as if it had come between two runs
            inputs.still = True
            return
        limit = inputs.limit(limit)
    if _comes_first(pe, resumes) or (pe.turn_over and not over):
        return
    if not pe.waiting:  # a PE that waits is none that is stuck, however long the others run
        pe.count_fruitless()
    if pe.stuck or pe.asleep():
        if pe.stuck:
            tell_repeats(pe)
        _wait(pe)
        return
    if pe.wfe is not None:
        pe.wfe = None
        events.clear_event(pe)
    pe.waiting = False
    pe.tlb.synchronise()
    _set_bounds(pe, until, limit, resumes)
    engine, start, retired = pe.engine, words[w.P_PC], words[w.P_RETIRED]
    stop, accesses = _run(pe, alone), 1 if alone else _ACCESSES
    while stop is engine.REFUSED and exceptions.refused(pe):
        accesses -= 1
        if not accesses or _has_more(pe, until, limit):
            return
        start, retired = words[w.P_PC], words[w.P_RETIRED]
        stop = _run(pe, alone)
    if stop in (engine.LEFT, engine.REFUSED):
        return
    if stop is engine.BEFORE:
        _stopped_before(pe, start, retired)
        if not alone:
            pe.paused = True
            machine.stop(BREAKPOINT, Halt.PAUSED)
        _paused(pe)
    elif stop is engine.HALTED:
        _wait(pe)
    elif stop is engine.EVENT:
        _wait_for_event(pe)
    elif stop is engine.UNALIGNED:
        exceptions.unaligned(pe)
    elif words[w.P_FAULT_KIND]:
        exceptions.walk_refused(pe)
    elif words[w.P_PC] & 3:
        exceptions.misaligned(pe)
    else:
        _paused(pe)


def _run(pe: "Pe", alone: bool) -> "Stop":
    """Run the engine up to an event, which may have changed the level."""
    words = pe.words
    words[w.P_TRACED] = pe.trace.on  # a callback of a device may have begun it
    stop = pe.engine.run(alone, not pe.machine.inputs.active)
    if words[w.P_SERVED]:
        _catch_up(pe)
    if words[w.P_BLOCK_END] and stop is not pe.engine.BEFORE:
        words[w.P_BLOCK_END] = 0
    if stop is not pe.engine.LEFT:
        pe.el = words[w.P_PSTATE] >> _EL_LOW & _EL_ONES
    return stop


def _has_more(pe: "Pe", until: Ticks | None, limit: Instructions | None) -> bool:
    """After an access to a device: whether more than code comes next, which a new step will do.

    It is what most accesses do not cause: an input, an event, an interrupt, a stop, an invalidation. Otherwise code can
    go on at once, with what it may run bounded as before.
    """
    machine, clock, words = pe.machine, pe.clock, pe.words
    if machine.stopped is not None or machine.inputs.active or pe.turn_over or not pe.on:
        return True
    now, due = clock.now, machine.events.next
    if (due is not None and due <= now) or (until is not None and now >= until):
        return True
    if limit is not None and clock.retired >= limit:
        return True
    tell_timers(pe)
    if pe.tlb.pending or _taken(pe):
        return True
    pe.count_fruitless()
    end = timers.NEVER if due is None else due
    words[w.P_SLICE_END] = end if until is None else min(until, end)
    interrupts.set_budget(pe.address)
    return False


def _comes_first(pe: "Pe", resumes: bool) -> bool:
    """Do what comes before code, which is nothing in the middle of a block: events that are due, an interrupt.

    Whether that is all of this step.
    """
    if resumes:
        _settle(pe)
        return False
    machine, now = pe.machine, pe.clock.now
    events = machine.events
    if events.next is not None and events.next <= now:
        events.run(now)
        if machine.stopped is not None:
            return True
    tell_timers(pe)
    taken = _settle(pe)
    if taken:
        take_interrupt(pe, taken)
    return bool(taken)


def _set_bounds(pe: "Pe", until: Ticks | None, limit: Instructions | None, resumes: bool) -> None:
    """How far the engine may run: to the next event or the caller's limit, but at least to the end of a block."""
    if pe.trace.on:
        pe.trace.before_code()
    due = pe.machine.events.next
    end = timers.NEVER if due is None else due
    interrupts.set_bounds(
        pe.address, end if until is None else min(until, end), _NO_LIMIT if limit is None else min(limit, _NO_LIMIT)
    )
    if resumes:
        budget = pe.machine.memory.block
        budget[w.M_BUDGET] = max(int(budget[w.M_BUDGET]), int(budget[w.M_RETIRED]) + 1)


def _stopped_before(pe: "Pe", start: int, retired: int) -> None:
    """A run from ``start`` ended before an instruction: its block is counted up to there, and its end is noted."""
    words = pe.words
    pc, block = words[w.P_PC], words[w.P_BLOCK_PC]
    end = min(block + words[w.P_BLOCK_SIZE], _LAST)
    hooks.uncount(pe.address)
    if words[w.P_RETIRED] == retired:
        return  # it has not moved
    if pc == block:
        end = 0
    elif block == start and pc < words[w.P_BLOCK_END]:
        end = words[w.P_BLOCK_END]  # the block began before ``start``
    words[w.P_BLOCK_END] = end


def _paused(pe: "Pe") -> None:
    """A run ended without an event: that must not change the count of fruitless ones, nor where inputs come."""
    pe.machine.inputs.still = True
    retired = pe.words[w.P_RETIRED]
    if retired != pe.progress:
        pe.progress, pe.fruitless = retired, -1


def _wait(pe: "Pe") -> None:
    """WFI, WFE, or a guest that is stuck: nothing happens on this PE before an interrupt or, in WFE, an event.

    Where PEs take turns, the scheduler lets idle time pass; under a host in Python this PE is the only one, and a WFE
    that nothing would end is over at once.
    """
    pe.waiting = True
    if pe.on and pe.programs.get((_NON_SECURE, 2)) is None:
        return
    if pe.wfe is not None and not pe.stuck and pe.asleep() and events.hopeless(pe):
        pe.words[w.P_EVENT] = 1
        return
    pe.machine.scheduler.wait(pe)


def _wait_for_event(pe: "Pe") -> None:
    """WFE at PC: it takes what sets the event register, or waits, unless a control traps that."""
    hooks.uncount(pe.address)
    if events.event(pe):
        events.clear_event(pe)
    elif exceptions.wait_trapped(pe):
        return
    else:
        pe.wfe = events.watch(pe)
    pe.elr += 4
    pe.retire_one()
    if pe.wfe is not None:
        _wait(pe)


def interrupt(pe: "Pe", number: int) -> bool:
    """The engine's interrupt hook; returns True if it may continue with the contents of the block."""
    pe.reloaded = False
    pe.el = el = pe.words[w.P_PSTATE] >> _EL_LOW & _EL_ONES
    security = pe.security
    exceptions.interrupt(pe, number)
    if pe.machine.stopped is not None or pe.stuck or pe.waiting or not pe.on:
        return False
    if (pe.security, pe.el) in pe.programs:
        return False
    if number == exceptions.SMC and pe.words[w.P_ON_TIME]:
        follow(pe)  # by the time that the call has taken
    if pe.security == security and pe.el == el and not pe.reloaded and not (pe.tlb.stale or pe.tlb.stale_el1):
        return True
    if _settle(pe) or pe.tlb.code_is_stale:
        return False
    pe.tlb.synchronise()
    if pe.words[w.P_PMCNTEN] or pe.words[w.P_PMU_COUNTS]:
        pmu.update(pe.address, pe.words[w.P_PSTATE] >> _EL_LOW & _EL_ONES)
    interrupts.set_budget(pe.address)
    return True


def follow(pe: "Pe") -> None:
    """Let the host's time in while the code of this PE runs, which goes on up to the next input of a journal."""
    inputs, words = pe.machine.inputs, pe.words
    replays = inputs.replaying
    inputs.follow()
    if replays:
        words[w.P_LIMIT] = inputs.bound(Instructions(words[w.P_LIMIT]))
    pe.machine.memory.block[w.M_BUDGET] = 0  # it has to look at both


def _settle(pe: "Pe") -> int:
    """Let the security state be known before code runs; the interrupt that it takes instead, or 0."""
    words, security = pe.words, pe.security
    if words[w.P_SECURITY] != security:
        words[w.P_SECURITY] = security
        controls.load_scr(pe, pe.machine.scr[security])
        pe.tlb.stale_el1 = True  # the engine's TLB has no security states, but EL2 is in one alone
    return _taken(pe)


def _taken(pe: "Pe") -> int:
    """The interrupt that the PE takes before it runs code, or 0."""
    words = pe.words
    if words[w.P_SIGNALS] or words[w.P_HCR] & _HCR_VSE:
        return int(interrupts.due(pe.address, words[w.P_PSTATE]))
    return 0


def count_fruitless(pe: "Pe") -> None:
    """Note a run or an exception; too many in a row that retire nothing, or do not return, make the PE ``stuck``."""
    if pe.words[w.P_SERVED]:
        _catch_up(pe)
    retired = pe.words[w.P_RETIRED]
    if retired != pe.progress:
        pe.progress, pe.fruitless = retired, 0
    pe.fruitless += 1
    pe.stuck = pe.fruitless > _STUCK or pe.words[w.P_NESTED] >= w.NESTED_LIMIT


def _catch_up(pe: "Pe") -> None:
    """Account for the runs that native code has saved, as ``count_fruitless`` would have."""
    words = pe.words
    pe.progress, pe.fruitless = words[w.P_SERVED] - 1, words[w.P_SERVINGS]
    words[w.P_SERVED] = 0


def retire_one(pe: "Pe") -> None:
    """Account for an instruction that was emulated for the engine."""
    pe.words[w.P_RETIRED] += 1
    pe.clock.retire(1)
