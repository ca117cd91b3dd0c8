"""Which interrupt a PE takes, and when it must check: native code on the words of its block.

The interrupt controller sets P_SIGNALS; SCR_EL3, HCR_EL2 and PSTATE determine routing and masking (DDI 0487, section
D1.3.6 "Asynchronous exception types, routing, masking and priorities").
"""

from typing import Final

from cca_arch.sysregs import Hcr, Pstate, Scr, Vector
from cca_arch.types import SecurityState
from cca_platform.engine import pmu, timers
from cca_platform.isa.pstate import level
from cca_platform.native import block as w
from cca_platform.native.jit import jit, load64, store64

__all__ = ["FIQ", "ILLEGAL", "IRQ", "SERROR", "due", "pending", "set_bounds", "set_budget", "told", "wakes"]

IRQ: Final = int(Vector.IRQ)
FIQ: Final = int(Vector.FIQ)
SERROR: Final = int(Vector.SERROR)
ILLEGAL: Final = 1 << 17
_SLICE: Final = 4_000_000  # instructions without a check for signals: about 10 ms
_SECURE: Final = int(SecurityState.SECURE)
_HCR_FMO, _HCR_IMO, _HCR_AMO, _HCR_TGE = Hcr.fmo.mask, Hcr.imo.mask, Hcr.amo.mask, Hcr.tge.mask
_HCR_VF, _HCR_VI, _HCR_VSE = Hcr.vf.mask, Hcr.vi.mask, Hcr.vse.mask  # the engine takes VF and VI itself
_SCR_FIQ, _SCR_IRQ, _SCR_EA = Scr.fiq.mask, Scr.irq.mask, Scr.ea.mask
_PSTATE_F, _PSTATE_I, _PSTATE_A, _PSTATE_IL = Pstate.f.mask, Pstate.i.mask, Pstate.a.mask, Pstate.il.mask


@jit("i8(i8, i8, i8, i8)")
def _target(pstate: int, to_el3: int, to_el2: int, masked: int) -> int:
    """The level that takes a physical interrupt, or 0 while it stays pending."""
    el = level(pstate)
    if to_el3:
        return 3
    if el == 2:
        return 2 if to_el2 and not masked else 0
    if to_el2:
        return 2
    return 0 if masked else 1


@jit("i8(i8, i8)")
def due(p: int, pstate: int) -> int:
    """The interrupt that a PE with ``pstate`` takes now: its vector offset (IRQ, FIQ, SERROR) plus the target level.

    0 when none. A virtual interrupt targets EL1 as a physical one may; bit 16 tells a virtual SError. ILLEGAL plus the
    level: no interrupt, but the exception of PSTATE.IL.
    """
    signals = load64(p + 8 * w.P_SIGNALS)
    secure = load64(p + 8 * w.P_SECURITY) == _SECURE
    hcr = 0 if secure else load64(p + 8 * w.P_HCR)
    if signals == 0 and hcr & _HCR_VSE == 0:
        return 0
    if signals & w.SIGNAL_ILLEGAL and pstate & _PSTATE_IL:
        return ILLEGAL | max(level(pstate), 1)
    scr = load64(p + 8 * w.P_SCR)
    if signals & (w.SIGNAL_G0 | (w.SIGNAL_G1NS if secure else w.SIGNAL_G1S)):
        target = _target(pstate, scr & _SCR_FIQ, hcr & (_HCR_FMO | _HCR_TGE), pstate & _PSTATE_F)
        if target:
            return FIQ | target
    if signals & (w.SIGNAL_G1S if secure else w.SIGNAL_G1NS):
        target = _target(pstate, scr & _SCR_IRQ, hcr & (_HCR_IMO | _HCR_TGE), pstate & _PSTATE_I)
        if target:
            return IRQ | target
    if signals & w.SIGNAL_SERROR:
        target = _target(pstate, scr & _SCR_EA, hcr & (_HCR_AMO | _HCR_TGE), pstate & _PSTATE_A)
        if target:
            return SERROR | target
    if level(pstate) < 2 and hcr & _HCR_TGE == 0:
        if hcr & _HCR_VSE and hcr & _HCR_AMO and pstate & _PSTATE_A == 0:
            return 1 << 16 | SERROR | 1
        if signals & w.SIGNAL_VFIQ and hcr & _HCR_FMO and pstate & _PSTATE_F == 0:
            return FIQ | 1
        if signals & w.SIGNAL_VIRQ and hcr & _HCR_IMO and pstate & _PSTATE_I == 0:
            return IRQ | 1
    return 0


@jit("i8(i8, i8)")
def pending(p: int, pstate: int) -> int:
    """ISR_EL1: the bits F, I and A, of the virtual interrupts if EL1 gets those (HCR_EL2.FMO, IMO, AMO)."""
    signals = load64(p + 8 * w.P_SIGNALS)
    secure = load64(p + 8 * w.P_SECURITY) == _SECURE
    virtual = 0 if secure or level(pstate) != 1 else load64(p + 8 * w.P_HCR)
    fiq = signals & (w.SIGNAL_G0 | (w.SIGNAL_G1NS if secure else w.SIGNAL_G1S))
    irq = signals & (w.SIGNAL_G1S if secure else w.SIGNAL_G1NS)
    serror = signals & w.SIGNAL_SERROR
    if virtual & _HCR_FMO:
        fiq = signals & w.SIGNAL_VFIQ | virtual & _HCR_VF
    if virtual & _HCR_IMO:
        irq = signals & w.SIGNAL_VIRQ | virtual & _HCR_VI
    if virtual & _HCR_AMO:
        serror = virtual & _HCR_VSE
    return (_PSTATE_F if fiq else 0) | (_PSTATE_I if irq else 0) | (_PSTATE_A if serror else 0)


@jit("i8(i8, i8)")
def wakes(p: int, pstate: int) -> int:
    """True if an interrupt ends WFI: a physical one regardless of PSTATE masks, a virtual one at EL1 and EL0."""
    signals = load64(p + 8 * w.P_SIGNALS)
    if signals & (w.SIGNAL_PHYSICAL | w.SIGNAL_SERROR):
        return 1
    hcr = load64(p + 8 * w.P_HCR)
    if level(pstate) >= 2 or load64(p + 8 * w.P_SECURITY) == _SECURE or hcr & _HCR_TGE:
        return 0
    return (
        ((signals & w.SIGNAL_VIRQ | hcr & _HCR_VI) and hcr & _HCR_IMO)
        | ((signals & w.SIGNAL_VFIQ | hcr & _HCR_VF) and hcr & _HCR_FMO)
        | (hcr & _HCR_VSE and hcr & _HCR_AMO)
    ) != 0


@jit("i8(i8, i8, i8, i8)")
def _look_at(m: int, now: int, budget: int, limit: int) -> int:
    """The value of M_RETIRED at which it is ``limit``, or the clock reads ``budget``."""
    if budget <= now:
        return 0
    per_tick = load64(m + 8 * w.M_PER_TICK)
    if budget - now > (limit - load64(m + 8 * w.M_RETIRED)) // per_tick + 1:
        return limit
    return min(limit, (budget - load64(m + 8 * w.M_SKIPPED)) * per_tick)


@jit("i8(i8)")
def told(p: int) -> int:
    """True if the interrupt controller knows the outputs of the timers and of the PMU."""
    if load64(p + 8 * w.P_PMU_COUNTS):
        pmu.sync(p)
    if pmu.asserted(p) != load64(p + 8 * w.P_PMU_OUTPUT):
        return 0
    now = timers.counter(load64(p + 8 * w.P_MACHINE))
    return 1 if timers.outputs(p, now) == load64(p + 8 * w.P_TIMER_OUTPUTS) else 0


@jit("i8(i8)")
def set_budget(p: int) -> int:
    """Set the budget: run until the slice ends, the limit is reached, a timer changes its output, a counter overflows.

    The PE checks at each block while a signal is asserted, while an endless series of exceptions is suspected, and
    while other counters of its PMU count at a lower level.
    """
    m = load64(p + 8 * w.P_MACHINE)
    now = timers.counter(m)
    budget = load64(p + 8 * w.P_SLICE_END)
    told = timers.outputs(p, now) == load64(p + 8 * w.P_TIMER_OUTPUTS)
    if not told or pmu.asserted(p) != load64(p + 8 * w.P_PMU_OUTPUT):
        budget = now  # the interrupt controller must be told
    else:
        budget = min(budget, timers.next_change(p, now))
    store64(p + 8 * w.P_BUDGET, budget)
    looks = load64(p + 8 * w.P_SIGNALS) | load64(p + 8 * w.P_HCR) & _HCR_VSE | load64(p + 8 * w.P_PMU_LOOK)
    suspect = load64(p + 8 * w.P_NESTED) >= w.NESTED_SUSPECT
    limit = load64(p + 8 * w.P_LIMIT)
    if load64(p + 8 * w.P_PMU_DUE):
        left = load64(p + 8 * w.P_PMU_DUE) - load64(p + 8 * w.P_RETIRED)
        limit = min(limit, load64(m + 8 * w.M_RETIRED) + max(left, 0))
    store64(m + 8 * w.M_BUDGET, 0 if looks or suspect else _look_at(m, now, budget, limit))
    return budget


@jit("i8(i8, i8, i8)")
def set_bounds(p: int, end: int, limit: int) -> int:
    """Bound the run that comes: until the counter reads ``end``, all PEs have retired ``limit``, or a slice is over."""
    store64(p + 8 * w.P_SLICE_END, end)
    slice_end = load64(load64(p + 8 * w.P_MACHINE) + 8 * w.M_RETIRED) + _SLICE
    store64(p + 8 * w.P_LIMIT, min(limit, slice_end))
    pmu.follow(p, level(load64(p + 8 * w.P_PSTATE)))
    return set_budget(p)
