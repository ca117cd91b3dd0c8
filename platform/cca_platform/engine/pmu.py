"""The performance monitors of a PE (PMUv3p5; DDI 0487, D13): counting, overflow and the interrupt, as native code.

A PE retires an instruction a cycle and never stalls, so every event is counted from P_RETIRED alone, and nothing is
done for each instruction: P_PMU_COUNTS are the counters that count since P_PMU_SINCE, and :func:`sync` brings them up
to date. That is due whenever a counter is read, and before anything changes that says what counts: a register, the
exception level, the security state. Counters are numbered as their bits in PMCNTENSET_EL0 are.
"""

from typing import Final

from cca_arch.sysregs import PMU_COUNTERS, PMU_CYCLES, Mdcr, Pmcr, PmEvent, PmFilter
from cca_arch.types import SecurityState
from cca_platform.native import block as w
from cca_platform.native.jit import jit, load64, store64

__all__ = ["CYCLES", "EVENTS", "asserted", "available", "due", "increment", "stop", "sync", "update"]

EVENTS: Final = (1 << PMU_COUNTERS) - 1
"""The bits of all event counters."""
CYCLES: Final = 1 << PMU_CYCLES
"""The bit of the cycle counter."""
_COUNTERS: Final = PMU_COUNTERS
_CYCLE_BIT: Final = PMU_CYCLES
_HPMN, _HPME, _HPMD = Mdcr.hpmn.mask, Mdcr.hpme.mask, Mdcr.hpmd.mask
_HLP, _HCCD = Mdcr.hlp.mask, Mdcr.hccd.mask
_E, _DP, _LP = Pmcr.e.mask, Pmcr.dp.mask, Pmcr.lp.mask
_P, _U, _NSH = PmFilter.p.low, PmFilter.u.low, PmFilter.nsh.low
_NSK, _NSU, _RLK, _RLU, _RLH = (
    PmFilter.nsk.low, PmFilter.nsu.low, PmFilter.rlk.low, PmFilter.rlu.low, PmFilter.rlh.low
)  # fmt: skip
_EVENT: Final = PmFilter.event.mask
_PER_INSTRUCTION: Final = (int(PmEvent.INST_RETIRED), int(PmEvent.CPU_CYCLES))
_CHAIN: Final = int(PmEvent.CHAIN)
_SECURE, _REALM = int(SecurityState.SECURE), int(SecurityState.REALM)
_SIGN: Final = -(1 << 63)
_LOW: Final = (1 << 32) - 1
_NEVER: Final = -1


@jit("i8(i8)")
def available(p: int) -> int:
    """The bits of the event counters below MDCR_EL2.HPMN, those of EL1 and EL0."""
    return (1 << min(load64(p + 8 * w.P_MDCR) & _HPMN, _COUNTERS)) - 1


@jit("i8(i8)")
def _on(p: int) -> int:
    """The counters whose main enable is set: PMCR_EL0.E, or MDCR_EL2.HPME for those of EL2."""
    lower, on = available(p), 0
    if load64(p + 8 * w.P_PMCR) & _E:
        on = lower | CYCLES
    if load64(p + 8 * w.P_MDCR) & _HPME:
        on |= EVENTS & ~lower
    return on


@jit("i8(i8, i8)")
def _type(p: int, counter: int) -> int:
    """PMEVTYPER<n>_EL0 of an event counter, PMCCFILTR_EL0 of the cycle counter."""
    return load64(p + 8 * (w.P_PMCCFILTR if counter == _CYCLE_BIT else w.P_PMEVTYPER + counter))


@jit("i8(i8, i8, i8)")
def _is_counted(kind: int, el: int, realm: int) -> int:
    """Whether the filter bits of a type let a counter count at ``el`` of Non-secure or Realm state."""
    if el == 2:
        return (kind >> _NSH ^ (kind >> _RLH if realm else 0)) & 1
    other = (_RLK if realm else _NSK) if el == 1 else (_RLU if realm else _NSU)
    return (kind >> (_P if el == 1 else _U) ^ kind >> other ^ 1) & 1


@jit("i8(i8, i8)")
def _counting(p: int, el: int) -> int:
    """The counters that count what is retired at ``el`` of the PE's security state.

    None does in Secure state: MDCR_EL3.{SPME, SCCD} are 0 and 1, as TF-A sets them.
    """
    security = load64(p + 8 * w.P_SECURITY)
    enabled = load64(p + 8 * w.P_PMCNTEN) & _on(p)
    if security == _SECURE:
        enabled = 0
    mdcr = load64(p + 8 * w.P_MDCR)
    if el == 2 and mdcr & _HPMD:  # of EL2, only its own
        enabled &= ~available(p)
        if load64(p + 8 * w.P_PMCR) & _DP:
            enabled &= ~CYCLES
    if el == 2 and mdcr & _HCCD:
        enabled &= ~CYCLES
    found = 0
    for counter in range(_CYCLE_BIT + 1 if enabled else 0):
        if enabled >> counter & 1 and _is_counted(_type(p, counter), el, security == _REALM):
            found |= 1 << counter
    return found


@jit("i8(i8, i8)")
def _is_long(p: int, counter: int) -> int:
    """Whether an event counter overflows at 64 bits: PMCR_EL0.LP, or MDCR_EL2.HLP for those of EL2."""
    if available(p) >> counter & 1:
        return load64(p + 8 * w.P_PMCR) & _LP
    return load64(p + 8 * w.P_MDCR) & _HLP


@jit("i8(i8, i8, i8, i8)")
def _add(p: int, counter: int, count: int, long: int) -> int:
    """Add to a counter, less than 1 << 32 at once; returns 1 if it overflows, which PMOVSSET_EL0 then shows."""
    at = p + 8 * (w.P_PMCCNTR if counter == _CYCLE_BIT else w.P_PMEVCNTR + counter)
    old = load64(at)
    store64(at, old + count)
    over = load64(at) ^ _SIGN < old ^ _SIGN if long else (old & _LOW) + count > _LOW
    if over:
        store64(p + 8 * w.P_PMOVS, load64(p + 8 * w.P_PMOVS) | 1 << counter)
    return 1 if over else 0


@jit("i8(i8, i8, i8)")
def increment(p: int, counter: int, count: int) -> int:
    """Count events on an event counter that counts them, and their overflow on the odd one above (CHAIN)."""
    long = _is_long(p, counter)
    over = _add(p, counter, count, long)
    above = counter + 1
    chained = over and not long and counter & 1 == 0 and load64(p + 8 * w.P_PMU_COUNTS) >> above & 1
    if chained and _type(p, above) & _EVENT == _CHAIN:
        _add(p, above, 1, _is_long(p, above))
    return 0


@jit("i8(i8)")
def sync(p: int) -> int:
    """Count what has been retired since the last time; P_RETIRED must not be ahead of what runs."""
    retired, counts = load64(p + 8 * w.P_RETIRED), load64(p + 8 * w.P_PMU_COUNTS)
    count = retired - load64(p + 8 * w.P_PMU_SINCE)
    store64(p + 8 * w.P_PMU_SINCE, retired)
    if counts == 0 or count == 0:
        return 0
    for counter in range(_COUNTERS):
        if counts >> counter & 1 and _type(p, counter) & _EVENT in _PER_INSTRUCTION:
            increment(p, counter, count)
    if counts & CYCLES:
        _add(p, _CYCLE_BIT, count, 1)
    return 0


@jit("i8(i8, i8)")
def _until_overflow(p: int, counter: int) -> int:
    """How many events a counter counts until it overflows; _NEVER if that is no number of 63 bits."""
    if counter == _CYCLE_BIT or _is_long(p, counter):
        left = -load64(p + 8 * (w.P_PMCCNTR if counter == _CYCLE_BIT else w.P_PMEVCNTR + counter))
        return left if left > 0 else _NEVER
    return (1 << 32) - (load64(p + 8 * (w.P_PMEVCNTR + counter)) & _LOW)


@jit("i8(i8, i8, i8)")
def _remaining(p: int, counter: int, counts: int) -> int:
    """The instructions until a counter that counts overflows, or _NEVER."""
    left = _until_overflow(p, counter)
    if counter == _CYCLE_BIT:
        return left
    event = _type(p, counter) & _EVENT
    if event in _PER_INSTRUCTION:
        return left
    below = counter - 1
    if event != _CHAIN or counter & 1 == 0 or counts >> below & 1 == 0 or _is_long(p, below) or left >> 30:
        return _NEVER  # software's, or that of a machine that never stalls; or some billion of billions away
    if _type(p, below) & _EVENT not in _PER_INSTRUCTION:
        return _NEVER
    return _until_overflow(p, below) + (left - 1 << 32)


@jit("i8(i8, i8)")
def _next_interrupt(p: int, counts: int) -> int:
    """P_RETIRED at the first overflow that sets a flag of PMOVSSET_EL0 whose interrupt is enabled; 0 for none."""
    first = _NEVER
    waits = counts & load64(p + 8 * w.P_PMINTEN) & ~load64(p + 8 * w.P_PMOVS)
    for counter in range(_CYCLE_BIT + 1 if waits else 0):
        if waits >> counter & 1:
            left = _remaining(p, counter, counts)
            if left >= 0 and (first < 0 or left < first):
                first = left
    return 0 if first < 0 else load64(p + 8 * w.P_RETIRED) + first


@jit("i8(i8, i8)")
def update(p: int, el: int) -> int:
    """Count up to here, then as the registers say for code at ``el`` of the PE's security state."""
    sync(p)
    counts, look = 0, 0
    if load64(p + 8 * w.P_PMCNTEN):
        counts = _counting(p, el)
        for lower in range(el):  # where an exception return leads, unseen
            if _counting(p, lower) != counts:
                look = 1
    store64(p + 8 * w.P_PMU_COUNTS, counts)
    store64(p + 8 * w.P_PMU_EL, el)
    store64(p + 8 * w.P_PMU_LOOK, look)
    store64(p + 8 * w.P_PMU_DUE, _next_interrupt(p, counts))
    return 0


@jit("i8(i8, i8)")
def follow(p: int, el: int) -> int:
    """``update`` for code at ``el``, if anything is counted or may be."""
    return update(p, el) if load64(p + 8 * w.P_PMCNTEN) | load64(p + 8 * w.P_PMU_COUNTS) else 0


@jit("i8(i8)")
def stop(p: int) -> int:
    """Count up to here and no further, until an ``update``."""
    sync(p)
    store64(p + 8 * w.P_PMU_COUNTS, 0)
    store64(p + 8 * w.P_PMU_LOOK, 0)
    store64(p + 8 * w.P_PMU_DUE, 0)
    return 0


@jit("i8(i8)")
def due(p: int) -> int:
    """Whether an overflow interrupt has become due."""
    at = load64(p + 8 * w.P_PMU_DUE)
    return 1 if at and load64(p + 8 * w.P_RETIRED) >= at else 0


@jit("i8(i8)")
def asserted(p: int) -> int:
    """Whether PMUIRQ is asserted: a counter has overflowed, with its interrupt and its main enable on."""
    flags = load64(p + 8 * w.P_PMOVS) & load64(p + 8 * w.P_PMINTEN)
    return 1 if flags and flags & _on(p) else 0
