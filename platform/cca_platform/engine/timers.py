"""Generic timers of a PE (DDI 0487, chapter D12): counter views, CNTV, CNTP, CNTHP, CNTHV and CNTPS, as native code.

The engine drops writes to its own timers, so they are in the PE block: a control and a compare word each, from P_TIMERS
on, in the order of :data:`INTIDS`. Their outputs are levels, which the PE passes to the interrupt controller.
"""

from typing import Final

from cca_arch.gic import Ppi
from cca_arch.sysregs import CntCtl, Cnthctl, Cntkctl, Scr, encodings
from cca_arch.types import SecurityState
from cca_platform.engine.registers import PC, PSTATE, get, get_system, put_system
from cca_platform.isa.pstate import level
from cca_platform.native import block as w
from cca_platform.native.jit import call_block, jit, load64, store64

__all__ = [
    "CNTHP",
    "CNTHV",
    "CNTP",
    "CNTPS",
    "CNTV",
    "INTIDS",
    "NEVER",
    "asserted",
    "counter",
    "next_change",
    "next_event",
    "outputs",
    "read",
    "read_at",
    "running",
    "select",
    "write",
    "write_at",
]

CNTV: Final = 0
CNTP: Final = 1
CNTHP: Final = 2
CNTHV: Final = 3
CNTPS: Final = 4
INTIDS: Final = (int(Ppi.CNTV), int(Ppi.CNTP), int(Ppi.CNTHP), int(Ppi.CNTHV), int(Ppi.CNTPS))
"""The PPI of each timer."""
NEVER: Final = 0x7FFF_FFFF_FFFF_FFFF
_SIGN: Final = -(1 << 63)
_COUNT: Final = 5
_COUNTER: Final = 8  # the result of ``select`` for the counter registers
_ENABLE, _IMASK, _ISTATUS = CntCtl.enable.mask, CntCtl.imask.mask, CntCtl.istatus.mask
_ON: Final = _ENABLE | _IMASK  # the control bits that decide whether the timer interrupts
_PCTEN, _VCTEN = Cntkctl.el0pcten.mask, Cntkctl.el0vcten.mask
_VTEN, _PTEN = Cntkctl.el0vten.mask, Cntkctl.el0pten.mask
_EL1PCTEN, _EL1PCEN = Cnthctl.el1pcten.mask, Cnthctl.el1pcen.mask
_CNTKCTL_EL1: Final = encodings.CNTKCTL_EL1.packed
_CNTHCTL_EL2: Final = encodings.CNTHCTL_EL2.packed
_EVNTEN, _EVNTDIR = Cntkctl.evnten.mask, Cntkctl.evntdir.mask
_EVNTI, _EVNTI_ONES = Cntkctl.evnti.low, Cntkctl.evnti.ones
assert (Cnthctl.evnten.mask, Cnthctl.evntdir.mask, Cnthctl.evnti.mask) == (_EVNTEN, _EVNTDIR, Cntkctl.evnti.mask)
_ST: Final = Scr.st.mask
_SECURE: Final = int(SecurityState.SECURE)


@jit("i8(i8)")
def counter(m: int) -> int:
    """The system counter, in ticks; ``m`` is the machine block."""
    return load64(m + 8 * w.M_SKIPPED) + load64(m + 8 * w.M_RETIRED) // load64(m + 8 * w.M_PER_TICK)


@jit("i8(i8, i8, i8)")
def _remaining(p: int, timer: int, now: int) -> int:
    """The ticks until the compare value is reached, as an unsigned difference; 0 if the condition is met."""
    count = now - (load64(p + 8 * w.P_CNTVOFF) if timer == CNTV else 0)
    compare = load64(p + 8 * (w.P_TIMERS + 2 * timer + 1))
    return 0 if count ^ _SIGN >= compare ^ _SIGN else compare - count


@jit("i8(i8, i8)")
def asserted(p: int, now: int) -> int:
    """The timers that assert their interrupt at clock value ``now``, one bit per timer, ignoring EL2's masks."""
    found = 0
    for timer in range(_COUNT):
        if load64(p + 8 * (w.P_TIMERS + 2 * timer)) & _ON == _ENABLE and _remaining(p, timer, now) == 0:
            found |= 1 << timer
    return found


@jit("i8(i8, i8)")
def outputs(p: int, now: int) -> int:
    """The interrupt outputs at clock value ``now``: the timers that assert their interrupt, unless masked."""
    return asserted(p, now) & ~load64(p + 8 * w.P_TIMER_MASK)


@jit("i8(i8, i8)")
def next_change(p: int, now: int) -> int:
    """The first clock value after ``now`` at which a timer asserts its interrupt; NEVER if none will."""
    first = NEVER
    mask = load64(p + 8 * w.P_TIMER_MASK)
    for timer in range(_COUNT):
        if load64(p + 8 * (w.P_TIMERS + 2 * timer)) & _ON == _ENABLE and mask >> timer & 1 == 0:
            remaining = _remaining(p, timer, now)
            if 0 < remaining < NEVER - now:
                first = min(first, now + remaining)
    return first


@jit("i8(i8, i8, i8)")
def _next_event(control: int, offset: int, since: int) -> int:
    """The first clock value after ``since`` with an event of a stream, by its control register; NEVER if it is off."""
    if control & _EVNTEN == 0:
        return NEVER
    half = 1 << (control >> _EVNTI & _EVNTI_ONES)
    count = since - offset
    phase = 0 if control & _EVNTDIR else half  # of the bit that falls or rises
    return since + 2 * half - (count - phase & 2 * half - 1)


@jit("i8(i8, i8)")
def next_event(p: int, since: int) -> int:
    """The first clock value after ``since`` at which an event stream sets the event register; NEVER if none does."""
    virtual = _next_event(get_system(p, _CNTKCTL_EL1), load64(p + 8 * w.P_CNTVOFF), since)
    return min(virtual, _next_event(load64(p + 8 * w.P_CNTHCTL), 0, since))


@jit("i8(i8, i8, i8, i8)")
def select(p: int, op1: int, crm: int, op2: int) -> int:
    """The timer that a CNT* register with CRn = 14 belongs to, _COUNTER for the counter, or -1.

    Also -1 if the access must be trapped or the register does not exist; the engine then handles it.
    """
    el = level(get(p, PSTATE))
    if op1 == 7:  # of the Secure world alone, where EL3 gives it that
        secure = load64(p + 8 * w.P_SECURITY) == _SECURE and load64(p + 8 * w.P_SCR) & _ST != 0
        return CNTPS if el == 1 and secure and crm == 2 and op2 <= 2 else -1
    if op1 == 4:
        return CNTHP if el == 2 and crm == 2 and op2 <= 2 else -1
    if op1 != 3 or (crm != 0 and crm != 2 and crm != 3) or op2 > 2:
        return -1
    virtual = crm == 3 or (crm == 0 and op2 == 2)
    if el == 0:  # CNTKCTL_EL1.{EL0PCTEN, EL0VCTEN, EL0VTEN, EL0PTEN}; CNTFRQ_EL0 comes with either counter
        control = get_system(p, _CNTKCTL_EL1)
        counters = _PCTEN | _VCTEN if op2 == 0 else _VCTEN if virtual else _PCTEN
        bits = counters if crm == 0 else _VTEN if virtual else _PTEN
        if control & bits == 0:
            return -1
    if crm == 0 and op2 == 0:
        return _COUNTER
    trapped = load64(p + 8 * w.P_CNTHCTL) & (_EL1PCTEN if crm == 0 else _EL1PCEN) == 0  # with E2H = 0
    if trapped and el < 2 and not virtual and load64(p + 8 * w.P_SECURITY) != _SECURE:
        put_system(p, _CNTHCTL_EL2, 0)  # for EL0's reads of the counter, the engine checks the other bit
        return -1
    return _COUNTER if crm == 0 else CNTV if crm == 3 else CNTP


@jit("i8(i8)")
def _looked_at(p: int) -> int:
    """The system counter, which first catches up with the host's clock where it follows that."""
    if load64(p + 8 * w.P_ON_TIME):
        call_block(load64(p + 8 * w.P_ON_TIME), p, 0, 0)
    return counter(load64(p + 8 * w.P_MACHINE))


@jit("i8(i8)")
def running(p: int) -> int:
    """The system counter at the instruction that runs: what follows it in its block has been counted in advance."""
    if load64(p + 8 * w.P_ON_TIME):
        return _looked_at(p)
    m, pc = load64(p + 8 * w.P_MACHINE), get(p, PC)
    start, size = load64(p + 8 * w.P_BLOCK_PC), load64(p + 8 * w.P_BLOCK_SIZE)
    rest = (start + size - pc) >> 2 if start <= pc < start + size else 0
    return load64(m + 8 * w.M_SKIPPED) + (load64(m + 8 * w.M_RETIRED) - rest) // load64(m + 8 * w.M_PER_TICK)


@jit("i8(i8, i8, i8, i8)")
def read_at(p: int, timer: int, op2: int, clock: int) -> int:
    """The value of a register that ``select`` found; ``op2`` 0, 1, 2 are TVAL, CTL and CVAL of a timer.

    ``clock`` is the system counter.
    """
    if timer == _COUNTER:
        if op2 == 0:
            return load64(p + 8 * w.P_COUNTER_HZ)
        return clock - (load64(p + 8 * w.P_CNTVOFF) if op2 == 2 else 0)
    words = p + 8 * (w.P_TIMERS + 2 * timer)
    control, compare = load64(words), load64(words + 8)
    if op2 == 0:
        return (compare - clock + (load64(p + 8 * w.P_CNTVOFF) if timer == CNTV else 0)) & 0xFFFFFFFF
    if op2 == 1:
        return control | (_ISTATUS if control & _ENABLE and _remaining(p, timer, clock) == 0 else 0)
    return compare


@jit("i8(i8, i8, i8, i8, i8)")
def write_at(p: int, timer: int, op2: int, value: int, clock: int) -> int:
    """Write TVAL, CTL or CVAL of a timer when the system counter reads ``clock``."""
    words = p + 8 * (w.P_TIMERS + 2 * timer)
    if op2 == 0:
        signed = value & 0xFFFFFFFF
        signed -= (signed & 0x80000000) << 1
        store64(words + 8, clock - (load64(p + 8 * w.P_CNTVOFF) if timer == CNTV else 0) + signed)
    elif op2 == 1:
        store64(words, value & _ON)
    else:
        store64(words + 8, value)
    if _remaining(p, timer, clock):  # the masked level is gone: the next one must interrupt
        store64(p + 8 * w.P_TIMER_MASK, load64(p + 8 * w.P_TIMER_MASK) & ~(1 << timer))
    return 0


@jit("i8(i8, i8, i8)")
def read(p: int, timer: int, op2: int) -> int:
    """``read_at``, between two blocks."""
    return read_at(p, timer, op2, _looked_at(p))


@jit("i8(i8, i8, i8, i8)")
def write(p: int, timer: int, op2: int, value: int) -> int:
    """``write_at``, between two blocks."""
    return write_at(p, timer, op2, value, _looked_at(p))
