"""Changes of exception level: calls of Python levels, exceptions, exception returns.

The functions that are methods of :class:`cca_platform.pe.pe.Pe` are documented for its callers.
"""

import struct
from typing import TYPE_CHECKING, Final, Protocol

from cca_arch.sysregs import Ec, Esr, Hcr, encodings, syndrome
from cca_arch.types import SecurityState
from cca_platform.engine import hooks, registers
from cca_platform.errors import MachineStopped
from cca_platform.native import block as w
from cca_platform.pe.net import internal_error
from cca_platform.trace.events import ExceptionRepeat, ExceptionTake

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = [
    "SMC_0",
    "Program",
    "call_done",
    "eret",
    "inject",
    "is_python",
    "leave",
    "smc",
    "start_call",
    "stay",
    "take",
    "take_program",
    "tell_repeats",
]

SMC_0: Final = syndrome(Ec.SMC)
"""ESR of SMC #0."""
_HCR_TGE: Final = Hcr.tge.mask
_ROOT: Final = int(SecurityState.ROOT)
_MONITOR: Final = (_ROOT, 3)
_SECURE: Final = int(SecurityState.SECURE)
_EC, _EC_LOW = Esr.ec.mask, Esr.ec.low
_ABORTS: Final = (Ec.INSTRUCTION_ABORT, Ec.DATA_ABORT)
_REGISTERS: Final = tuple(struct.Struct(f"<{count}Q") for count in range(32))  # X0 and up, by how many


def _signed(far: int | None) -> int:
    """FAR in the form that the hooks take."""
    return hooks.NO_FAR if far is None else far - (far >> 63 << 64)


class Program(Protocol):
    """An exception level implemented in Python."""

    def on_sync(self, pe: "Pe", esr: int, far: int, hpfar: int) -> None:
        """Handle a synchronous exception or an SError; returning resumes the interrupted code."""

    def on_irq(self, pe: "Pe") -> None:
        """Handle a physical interrupt, IRQ or FIQ."""

    def on_eret(self, pe: "Pe") -> None:
        """Handle the return of a higher level to this one."""


def smc(pe: "Pe", *args: int) -> list[int]:
    """SMC #0 from the current Python level, which has the PE again when this returns; returns X0..X4.

    For calls that run no code in between: all except RMI_REC_ENTER and those that a Secure payload serves, which
    ``start_call`` begins. Raises MachineStopped if the call has powered the machine off.
    """
    security, el = pe.security, pe.el
    start_call(pe, *args)
    if pe.machine.stopped is not None:
        raise MachineStopped(pe.machine.stopped)
    if pe.el != el or pe.security != security:
        raise AssertionError(f"SMC {args[0]:#x} must complete without running code: begin it by start_call")
    return pe.x[:5].tolist()


def start_call(pe: "Pe", *args: int) -> None:
    """SMC #0 from the current Python level, without waiting for its completion.

    ``step`` runs the code that the call starts. Once ``call_done`` is true, the level has the PE again and the results
    are in ``x``. Until then, the call is ordinary PE state, and no Python code waits for it.
    """
    _REGISTERS[len(args)].pack_into(pe.x, 0, *args)
    came, moves = pe.el, pe.moves
    try:
        if pe.trace.on:
            take_program(pe, _ROOT, 3, SMC_0)
            return
        pe.el = 3  # the short form of ``take_program``, as every call comes here
        pe.programs[_MONITOR].on_sync(pe, SMC_0, 0, 0)
    except Exception as error:
        internal = internal_error(pe.machine, error)
        if internal is None:
            raise
        raise internal from error
    if pe.moves == moves:
        _resume(pe, came)


def _resume(pe: "Pe", el: int) -> None:
    """Return to the code or the level that an exception has interrupted, which has had no other consequence."""
    pe.el = el
    pe.words[w.P_EVENT] = 1  # SendEventLocal()


leave = start_call
"""Make a call that does not return to its caller, which must return at once."""


def call_done(pe: "Pe") -> bool:
    """True if a Python level has the PE: none of its calls is in progress, and no code runs."""
    return (pe.security, pe.el) in pe.programs


def eret(pe: "Pe", security: SecurityState, el: int) -> None:
    """Return from the current Python level to a lower one (ERET). The caller must return at once."""
    pe.moves += 1
    pe.words[w.P_EVENT] = 1  # SendEventLocal()
    pe.security = security
    pe.el = el
    program = pe.programs.get((security, el))
    if program is not None:
        program.on_eret(pe)
    else:
        if not pe.on:
            pe.on = True
            pe.machine.scheduler.join(pe.index)
        if pe.reloaded:
            registers.select_sp(pe.address)
        if pe.stuck:  # what took exceptions without end was left for good: another starts here
            pe.words[w.P_NESTED] = 0
        pe.fruitless, pe.stuck = 0, False


def stay(pe: "Pe") -> None:
    """Keep the PE at the Python level that has taken an exception from lower code, which does not resume.

    The level has its registers until it returns to other code. The caller must return at once.
    """
    pe.moves += 1


def take_program(pe: "Pe", security: int, el: int, esr: int | None, far: int = 0, hpfar: int = 0) -> None:
    """Take an exception, or an interrupt without ``esr``, to a Python level, which may resume the code or move on."""
    trace = pe.trace
    if trace.on and trace.hold():
        try:
            take_program(pe, security, el, esr, far, hpfar)
        finally:
            trace.release()
        return
    came, moves = pe.el, pe.moves
    pe.el = el
    program = pe.programs[security, el]
    if esr is None:
        program.on_irq(pe)
    else:
        program.on_sync(pe, esr, far, hpfar)
    if pe.moves == moves:
        _resume(pe, came)


def take(pe: "Pe", esr: int, target: int, far: int | None = None, hpfar: int | None = None) -> None:
    """Take a synchronous exception from the current code to exception level ``target``.

    To a Python program, or architecturally into the vector table of real code. ``far`` or ``hpfar`` None leaves
    that register unchanged.
    """
    if target == 1 and pe.words[w.P_HCR] & _HCR_TGE and pe.security != _SECURE:
        target = 2
    if target == 3 or (pe.security, target) in pe.programs:
        if (esr & _EC) >> _EC_LOW not in _ABORTS:  # those come with exceptions without end, too: of a stack that moves
            pe.words[w.P_NESTED] = 0
        take_program(pe, _ROOT if target == 3 else pe.security, target, esr, far or 0, hpfar or 0)
        return
    if target == 2 and hpfar is not None:
        pe.engine.write_system(encodings.HPFAR_EL2, hpfar)
    elr, spsr = pe.interrupted_at
    told = _enter(pe, target, esr, far)
    pe.el = target
    if told:
        event = ExceptionTake(
            kind="sync", esr=esr, far=far or 0, hpfar=hpfar or 0, elr=elr, spsr=spsr, target=target, vector=pe.elr
        )
        pe.trace.emit(event, pe=pe)


def inject(pe: "Pe", esr: int, far: int | None = None) -> bool:
    """Take a synchronous exception to EL1 of the interrupted code, on behalf of EL2; True if the trace tells of it."""
    return _enter(pe, 1, esr, far)


def _enter(pe: "Pe", target: int, esr: int, far: int | None) -> bool:
    """Enter the vectors of real code; True if the trace is on, unless it is one more of an endless series."""
    noted, traced = pe.noted, pe.trace.on
    before = noted[w.R_FOLDED]
    kept = _last(pe) if traced and before else None
    if hooks.take_exception(pe.address, target, esr, _signed(far), 0):
        pe.stuck = True
    if not traced:
        return False
    after = noted[w.R_FOLDED]
    if kept is not None and after <= before:
        pe.trace.emit(kept, pe=pe)
    return after <= before


def _last(pe: "Pe") -> ExceptionRepeat:
    """The event that stands for the exceptions that have been folded."""
    noted = pe.noted
    at = w.R_RECORDS + (noted[w.R_USED] - 1) % w.RECORDS * w.RECORD
    return ExceptionRepeat(
        count=noted[w.R_FOLDED], pc=noted[at + w.T_PC], esr=noted[at + w.T_ESR], target=noted[at + w.T_TARGET]
    )


def tell_repeats(pe: "Pe") -> None:
    """An endless series of exceptions is over: tell of those that the trace has folded."""
    if pe.noted[w.R_FOLDED]:
        if pe.trace.on:
            pe.trace.emit(_last(pe), pe=pe)
        pe.noted[w.R_FOLDED] = 0


def is_python(pe: "Pe", el: int) -> bool:
    """True if a level of the current security state is a Python program."""
    return (pe.security, el) in pe.programs
