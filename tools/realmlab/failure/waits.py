"""The table of causes of waiting: why nothing wakes software that waits for an interrupt, or why it loops."""

from collections.abc import Mapping
from typing import Any, Final

from cca_arch.gic import FIRST_SPI
from cca_arch.sysregs import VECTOR_TABLE
from cca_arch.types import GRANULE_SIZE, INSTRUCTION_SIZE
from cca_platform.board import Board, names
from cca_platform.isa.names import name as named

from .calls import advice, condition, misplaced, of_other_width
from .rule import Held, Rule, When
from .scene import Scene
from .waiting import Timer

__all__ = ["LOOPS", "WAITS"]

_UART: Final = "pl011"
_PAGE: Final = GRANULE_SIZE
_WFE: Final = 0xD503205F


def _timer(s: Scene, timer: Timer) -> dict[str, Any]:
    return {"timer": timer.name, "register": timer.register, "intid": timer.intid}


def _sought(s: Scene) -> int | None:
    """The INTID that should have come."""
    sought = [] if s.interrupts is None else s.interrupts.sought
    return sought[0] if sought else None


def _timer_masks(s: Scene) -> Held:
    found = s.interrupts
    masked = [] if found is None else [timer for timer in found.armed if timer.masked]
    return _timer(s, masked[0]) if masked and _sought(s) is None else False


def _not_enabled(s: Scene) -> Held:
    found, intid = s.interrupts, _sought(s)
    if found is None or intid is None or found.enabled >> intid & 1:
        return False
    return {"intid": intid, "source": _source(s, intid)}


def _source(s: Scene, intid: int) -> str:
    timers = () if s.interrupts is None else s.interrupts.timers
    return next((f"the {timer.name}" for timer in timers if timer.intid == intid), "the interrupt")


def _confused(s: Scene) -> Held:
    held = _not_enabled(s)
    if not isinstance(held, Mapping) or s.interrupts is None:
        return False
    wrong = s.interrupts.confused(held["intid"])
    kind = (
        "an SGI"
        if wrong is not None and wrong < 16
        else "a PPI"
        if wrong is not None and wrong < FIRST_SPI
        else "an SPI"
    )
    return False if wrong is None else {**held, "wrong": wrong, "kind": kind, "number": held["intid"] - 16}


def _other_timer(s: Scene) -> Held:
    held = _not_enabled(s)
    if not isinstance(held, Mapping) or s.interrupts is None:
        return False
    other = s.interrupts.other(held["intid"])
    return False if other is None else {**held, "other": other.name, "wrong": other.intid}


def _blocked(s: Scene, what: str) -> Held:
    """An enabled, pending interrupt that something else holds back."""
    found, intid = s.interrupts, _sought(s)
    if found is None or intid is None or not found.enabled >> intid & 1:
        return False
    priority = found.priorities.get(intid, 0)
    held = {
        "asleep": not found.awake,
        "distributor": not found.distributor,
        "group": not found.group,
        "pmr": found.pmr is not None and priority >= found.pmr,
        "routed": not found.routed,
        "masked": bool(s.pstate.i),
        "active": bool(found.active >> intid & 1),
    }[what]
    return (
        {"intid": intid, "source": _source(s, intid), "priority": f"{priority:#x}", "pmr": f"{found.pmr or 0:#x}"}
        if held
        else False
    )


def _block(what: str) -> When:
    return lambda s: _blocked(s, what)


def _far_away(s: Scene) -> Held:
    found = s.interrupts
    if found is None or _sought(s) is not None:
        return False
    late = [timer for timer in found.armed if timer.compare > found.now]
    return {**_timer(s, late[0]), "compare": f"{late[0].compare:#x}", "now": f"{found.now:#x}"} if late else False


def _nothing_armed(s: Scene) -> bool:
    return s.interrupts is not None and not s.interrupts.armed and _sought(s) is None


def _only_enabled(s: Scene) -> Held:
    """Interrupts are enabled, but no timer is on and no device asks."""
    if not _nothing_armed(s) or s.interrupts is None or not s.interrupts.enabled:
        return False
    intids = [n for n in range(s.interrupts.enabled.bit_length()) if s.interrupts.enabled >> n & 1]
    timers = [timer for timer in s.interrupts.timers if timer.intid in intids]
    what = f"the {timers[0].name} is off ({timers[0].register}.ENABLE is 0)" if timers else "nothing raises it"
    return {"intids": ", ".join(map(str, intids[:4])), "state": what}


def _again(s: Scene) -> Held:
    due = [] if s.interrupts is None else s.interrupts.due
    return {**_timer(s, due[0]), "source": f"the {due[0].name}"} if due else False


def _no_device(s: Scene) -> Held:
    return {"places": ", ".join(s.unclaimed[:2])} if s.silent and s.unclaimed else False


def _in_vector(s: Scene) -> Held:
    """PC is in the vector of an interrupt."""
    vbar = s.control("vbar") & -VECTOR_TABLE
    kind, intid = s.interrupt_vector(s.pc, vbar), _sought(s)
    if kind is None or s.own != s.el:
        return False
    return {"kind": kind, "intid": "" if intid is None else f" of INTID {intid}", "offset": f"{s.pc - vbar:#x}"}


def _waits_for_event(s: Scene) -> bool:
    return s.pe.wfe is not None or "for an event" in s.what or s.instruction(s.pc - INSTRUCTION_SIZE) == _WFE


def _all_off(s: Scene) -> bool:
    return "is off" in s.what


def _other_uart(s: Scene) -> Held:
    """A general register holds the address of a UART that another board has."""
    board = s.pe.machine.board
    if not s.silent or s.realm:
        return False
    own = [row.base for row in board.devices if row.kind == _UART]
    for name in names():
        for row in Board.load(name).devices if name != board.name else ():
            found = [f"x{n}" for n in range(31) if s.reg(f"x{n}") & -_PAGE == row.base] if row.kind == _UART else []
            if found and own and row.base not in own:
                there = next((one.name for one in board.devices if one.base <= row.base < one.top), "nothing")
                return {
                    "register": found[0], "address": f"{row.base:#x}", "board": name, "what": there,
                    "uart": f"{own[0]:#x}",
                }  # fmt: skip
    return False


def _refused(s: Scene) -> Held:
    if not s.refused:
        return False
    call = s.refused[0]
    why = condition(call.name, call.why) if call.why else ""
    return {
        "call": call.name,
        "status": call.status,
        "failure": f" ({why})" if why else "",
        "from_": f" at {s.short(call.pc)}" if call.pc else "",
        "fid": f"{call.fid:#x}",
        "advice": advice(call.name, call.why or call.status) or "check its arguments, and X0 after each call",
    }


def _unknown_call(s: Scene) -> Held:
    held = _refused(s)
    return held if isinstance(held, Mapping) and not s.refused[0].name else False


def _misplaced(s: Scene) -> Held:
    held = _unknown_call(s)
    found = misplaced(s.refused[0].fid, s.refused[0].security) if isinstance(held, Mapping) else None
    return {**held, **found} if found and isinstance(held, Mapping) else False


def _other_width(s: Scene) -> Held:
    held = _unknown_call(s)
    found = of_other_width(s.refused[0].fid) if isinstance(held, Mapping) else None
    return {**held, **found} if found and isinstance(held, Mapping) else False


def _polls_nothing(s: Scene) -> Held:
    loads = any(one.startswith("ld") for one in s.mnemonics)
    return {"places": ", ".join(s.unclaimed[:2])} if loads and s.unclaimed else False


def _exclusive(s: Scene) -> Held:
    found = [one for one in s.mnemonics if one.startswith(("stxr", "stlxr", "stxp", "stlxp"))]
    return {"instruction": found[0]} if found else False


def _wfi_loop(s: Scene) -> bool:
    return any(one in ("wfi", "wfe") for one in s.mnemonics)


def _loop(s: Scene) -> Held:
    if not s.loop:
        return False
    low, high = s.loop[0][0], s.loop[-1][0]
    return {"low": s.short(low), "high": s.short(high), "ending": named(s.loop[-1][1], high)}


_SHARED_WAITS: Final = (
    Rule(
        "in-interrupt-vector",
        _in_vector,
        "an {kind}{intid} was taken, and its handler does not come back from the vector at VBAR_EL{own} + {offset}",
        "branch from the vector to a handler that ends the interrupt and returns by ERET",
    ),
    Rule(
        "timer-masked",
        _timer_masks,
        "the {timer} masks its own interrupt: IMASK of {register} is 1",
        "write 1 to {register}: ENABLE without IMASK",
    ),
    Rule(
        "intid-confused",
        _confused,
        "INTID {intid} of {source} is not enabled, but {kind}, INTID {wrong}, is",
        "enable INTID {intid}: PPI n is INTID 16 + n, SPI n is INTID 32 + n",
    ),
    Rule(
        "other-timer",
        _other_timer,
        "INTID {intid} of {source} is not enabled, but INTID {wrong} of the {other} is, which is off",
        "enable INTID {intid}, or use the {other}",
    ),
    Rule(
        "interrupt-disabled",
        _not_enabled,
        "{source} asks for INTID {intid}, which is not enabled in the GIC",
        "set its bit in GICR_ISENABLER0, or in GICD_ISENABLER<n> for an SPI",
    ),
    Rule(
        "redistributor-asleep",
        _block("asleep"),
        "INTID {intid} of {source} is held back: the redistributor sleeps",
        "clear GICR_WAKER.ProcessorSleep",
    ),
    Rule(
        "distributor-group-disabled",
        _block("distributor"),
        "INTID {intid} of {source} is held back: its group is disabled in the distributor",
        "set GICD_CTLR.EnableGrp1",
    ),
    Rule(
        "group-disabled",
        _block("group"),
        "INTID {intid} of {source} is held back: its group is disabled, ICC_IGRPEN1_EL1 is 0",
        "write 1 to ICC_IGRPEN1_EL1",
    ),
    Rule(
        "priority-masked",
        _block("pmr"),
        "INTID {intid} of {source} is held back: its priority {priority} is not below ICC_PMR_EL1, {pmr}",
        "write 0xff to ICC_PMR_EL1, or lower the priority value",
    ),
    Rule(
        "interrupt-active",
        _block("active"),
        "INTID {intid} of {source} is held back: it is still active from the time before",
        "end each interrupt by ICC_EOIR1_EL1 with the INTID that ICC_IAR1_EL1 gave",
    ),
    Rule(
        "not-routed-to-el2",
        _block("routed"),
        "INTID {intid} of {source} is pending, but EL2 does not take it: HCR_EL2.IMO is 0",
        "set HCR_EL2.IMO",
    ),
    Rule(
        "irq-masked",
        _block("masked"),
        "INTID {intid} of {source} is pending, but PSTATE.I masks it",
        "unmask IRQs: msr daifclr, #2",
    ),
)
_REFUSED: Final = (
    Rule(
        "call-of-another-world",
        _misplaced,
        "{call}{from_} is a call for {callers}, and was answered with NOT_SUPPORTED here",
        "{advice}",
    ),
    Rule(
        "call-of-another-width",
        _other_width,
        "the function {fid}{from_} is unknown: it was answered with NOT_SUPPORTED; {call} is {right}, by bit 30",
        "use {right}",
    ),
    Rule(
        "unknown-function",
        _unknown_call,
        "the function {fid}{from_} is unknown: it was answered with NOT_SUPPORTED",
        "check the function identifier in X0 against the reference, and X0 after each call",
    ),
    Rule(
        "call-refused",
        _refused,
        "{call}{from_} was refused with {status}{failure}",
        "{advice}",
    ),
)

WAITS: Final = (
    Rule(
        "all-off",
        _all_off,
        "CPU_OFF turned the last one off, which was at {at}",
        "{way_out}: CPU_OFF ends one vCPU or PE alone",
    ),
    Rule(
        "no-event",
        _waits_for_event,
        "nothing sends the event that WFE at {at} waits for",
        "let another vCPU or PE send it by SEV, or turn an event stream on: CNTKCTL_EL1.EVNTEN",
    ),
    *_SHARED_WAITS,
    Rule(
        "timer-far-away",
        _far_away,
        "the {timer} is set to {compare}, which never comes (now {now})",
        "write TVAL, or CVAL relative to the counter",
    ),
    *_REFUSED,
    Rule(
        "nothing-armed",
        _only_enabled,
        "no interrupt comes that could end the wait at {at}: INTID {intids} is enabled, but {state}",
        "start a timer before WFI, or let another vCPU or a device send an interrupt",
    ),
    Rule(
        "no-interrupt-enabled",
        _nothing_armed,
        "no timer is on and no interrupt is enabled that could end the wait at {at}",
        "set up the GIC and a timer before WFI, or {way_out}",
    ),
)
"""Why software waits for ever."""

LOOPS: Final = (
    *_SHARED_WAITS,
    Rule(
        "interrupt-again",
        _again,
        "INTID {intid} of {source} comes again and again: the {timer} is still due",
        "write a new compare value, or 0 to {register}, before the interrupt ends",
    ),
    *_REFUSED,
    Rule(
        "uart-of-another-board",
        _other_uart,
        "no console shows anything, and {register} holds {address}, the UART of board {board}: on this board {what} is "
        "there, no UART",
        "use the UART of this board, at {uart}",
    ),
    Rule(
        "no-device",
        _no_device,
        "there is no device, or no model of it, at {places}, which {who} accessed, and no console shows anything",
        "check the address against the board: its UART is elsewhere",
    ),
    Rule(
        "polls-nothing",
        _polls_nothing,
        "{who} loops at {at}, and reads where no device is: {places}",
        "check the address of the device",
    ),
    Rule(
        "exclusive-loop",
        _exclusive,
        "{who} loops at {at}: {instruction} never succeeds, or the lock is never free",
        "map the lock as Normal memory, and let its owner release it",
    ),
    Rule(
        "branch-to-self",
        lambda s: s.spins,
        "{who} ends in a branch to itself at {at}",
        "{way_out}",
    ),
    Rule(
        "waits-in-a-loop",
        _wfi_loop,
        "{who} loops around WFI or WFE at {at}, which something wakes each time",
        "look what is pending: `trace`, or the registers of the interrupt controller",
    ),
    Rule(
        "loop",
        _loop,
        "{who} loops from {low} to {high} ({ending})",
        "look what ends the loop, or allow more",
    ),
    Rule("busy", lambda s: True, "{who} was at {at}", "allow more"),
)
"""Why a limit was reached."""
