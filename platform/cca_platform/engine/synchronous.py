"""The interrupt hook: SVC between levels of code, and instructions of EL1 that HCR_EL2 traps to real EL2 code.

Which control traps what is a table in Python (:mod:`cca_platform.pe.traps`). What it has said of an instruction is kept
in M_TRAPS: the bits of HCR_EL2 that trap it, and the syndrome.
"""

from typing import Final

from cca_arch.sysregs import Ec, Hcr, syndrome
from cca_arch.types import SecurityState
from cca_platform.engine import general
from cca_platform.engine.hooks import NO_FAR, deliver, instruction, note_served, uncount
from cca_platform.engine.registers import PC, PSTATE, get
from cca_platform.isa.pstate import level
from cca_platform.native import block as w
from cca_platform.native.jit import call_block, callback, jit, load64, store64

__all__ = ["ON_INTERRUPT", "ROW", "SVC", "place"]

SVC: Final = 2
"""The number by which the engine reports SVC."""
ROW: Final = 3
"""Words of an instruction: itself, the bits, the syndrome."""
_UNDEFINED: Final = 1  # the number of an instruction that is undefined or trapped
_SVC_0: Final = syndrome(Ec.SVC)
_HCR_TGE: Final = Hcr.tge.mask
_SECURE: Final = int(SecurityState.SECURE)


@jit("i8(i8)")
def place(word: int) -> int:
    """The first word of an instruction in the table."""
    return ROW * (word >> 5 & w.TRAPS - 1)


@jit("i8(i8)")
def _take_trap(p: int) -> int:
    """Take the trap of the instruction at PC; 0 if it is none that is known, and nothing is done.

    As with aborts, Python has what is traced, and what may be exceptions without end.
    """
    if load64(p + 8 * w.P_TRACED) or load64(p + 8 * w.P_NESTED) >= w.NESTED_SUSPECT or load64(p + 8 * w.P_FAULT_KIND):
        return 0
    m, security = load64(p + 8 * w.P_MACHINE), load64(p + 8 * w.P_SECURITY)
    if security == _SECURE or load64(m + 8 * w.M_PROGRAMS) >> 4 * security + 2 & 1:
        return 0
    store64(p + 8 * w.P_PC, get(p, PC))
    store64(p + 8 * w.P_PSTATE, get(p, PSTATE))
    if level(load64(p + 8 * w.P_PSTATE)) != 1:
        return 0
    word = instruction(p, 0)
    row = load64(m + 8 * w.M_TRAPS) + 8 * place(word)
    if word < 0 or load64(row) != word or load64(p + 8 * w.P_HCR) & load64(row + 8) == 0:
        return 0
    uncount(p)
    if load64(p + 8 * w.P_RETIRED) == load64(p + 8 * w.P_TAKEN):
        return 0
    general.read_state(p)  # not earlier: it settles PSTATE, which Python would do again
    note_served(p)
    deliver(p, 2, load64(row + 16), NO_FAR)
    return 1


@jit("i8(i8)")
def _supervisor_call(p: int) -> int:
    """Take SVC to EL1, or at EL2 to EL2 itself: levels of code. 0 if that is for Python to do, which nothing shows.

    Python sees what is traced, what may be exceptions without end, and what HCR_EL2.TGE routes.
    """
    if load64(p + 8 * w.P_TRACED) or load64(p + 8 * w.P_NESTED) >= w.NESTED_SUSPECT:
        return 0
    if load64(p + 8 * w.P_HCR) & _HCR_TGE:
        return 0
    general.read_state(p)
    target = max(level(load64(p + 8 * w.P_PSTATE)), 1)
    deliver(p, target, _SVC_0 | (instruction(p, -4) >> 5 & 0xFFFF), NO_FAR)
    return 1


@callback("void", "i64", "i32", "i64")
def ON_INTERRUPT(uc: int, number: int, p: int) -> None:
    """UC_HOOK_INTR: what is not taken here, Python takes."""
    taken = 0
    if number == SVC:
        taken = _supervisor_call(p)
    elif number == _UNDEFINED:
        taken = _take_trap(p)
    if taken == 0:
        call_block(load64(p + 8 * w.P_ON_INTERRUPT), p, number, 0)
