"""System registers of the GIC, which the engine lacks: read and written within its hooks, without leaving it.

The GIC's CPU interface is Python. What it has answered for a register whose value only changes with its state, it keeps
in a table until then (:meth:`cca_platform.gic.cpu.CpuInterface.keep`), and native code answers from there. An access
that is UNDEFINED, or that EL2 traps, is left to the engine, which reports it.
"""

from typing import Final

from cca_arch.sysregs import Hcr, encodings
from cca_platform.engine import interrupts
from cca_platform.engine.registers import PC, PSTATE, XZR, get, jump, put
from cca_platform.isa.pstate import level
from cca_platform.native import block as w
from cca_platform.native.jit import call_block, jit, load64, store64

__all__ = ["EL", "WRITE", "access", "is_gic", "key", "place"]

WRITE: Final = 1 << 27
"""Beside the key of a register: it is written."""
EL: Final = 20
"""Where the level is in the key of a register, above its encoding."""
_SECURITY: Final = 22
_HCR: Final = 22  # HCR_EL2.{FMO, IMO}, from bit 3 to bit 25
_ROUTES: Final = Hcr.fmo.mask | Hcr.imo.mask
assert _ROUTES == 3 << 3
_PMR: Final = encodings.ICC_PMR_EL1.packed
_CRN, _CRM = encodings.ICC_IAR1_EL1.crn, encodings.ICC_AP0R0_EL1.crm  # and every CRm above


@jit("i8(i8)")
def is_gic(encoding: int) -> int:
    """Whether a system register is one of the GIC's."""
    return 1 if (encoding >> 8 & 15 == _CRN and encoding >> 4 & 15 >= _CRM) or encoding == _PMR else 0


@jit("i8(i8, i8, i8)")
def key(p: int, encoding: int, el: int) -> int:
    """All that an access to a GIC register depends on, apart from the GIC: encoding, level, Security state, routing."""
    routes = load64(p + 8 * w.P_HCR) & _ROUTES
    return encoding | el << EL | load64(p + 8 * w.P_SECURITY) << _SECURITY | routes << _HCR


@jit("i8(i8)")
def place(encoding: int) -> int:
    """The first of the two words of a register in the table."""
    return 2 * ((encoding >> 4 & 7) << 3 | encoding & 7)


@jit("i8(i8, i8, i8)")
def _ask(p: int, what: int, value: int) -> int:
    """Have Python do the access, at the time of its instruction; returns 0 if it is UNDEFINED or trapped.

    The counts are ahead of what runs, by the rest of the block.
    """
    m, pc = load64(p + 8 * w.P_MACHINE), get(p, PC)
    rest = (load64(p + 8 * w.P_BLOCK_PC) + load64(p + 8 * w.P_BLOCK_SIZE) - pc) >> 2
    store64(m + 8 * w.M_RETIRED, load64(m + 8 * w.M_RETIRED) - rest)
    store64(p + 8 * w.P_RETIRED, load64(p + 8 * w.P_RETIRED) - rest)
    refused = call_block(load64(p + 8 * w.P_ON_GIC), p, what, value)
    store64(m + 8 * w.M_RETIRED, load64(m + 8 * w.M_RETIRED) + rest)
    store64(p + 8 * w.P_RETIRED, load64(p + 8 * w.P_RETIRED) + rest)
    return 1 if refused == 0 else 0


@jit("i8(i8, i8, i8, i8)")
def access(p: int, encoding: int, register: int, cp: int) -> int:
    """MRS to ``register`` of the engine or, if ``cp`` is not 0, MSR of the value there. 0 if the engine reports it.

    An instruction that the engine does not know ends its block without a way out, so this says where to go on.
    """
    what = key(p, encoding, level(get(p, PSTATE)))
    if cp:
        if _ask(p, what | WRITE, load64(cp + 24)) == 0:
            return 0
        interrupts.set_budget(p)
    else:
        kept = load64(p + 8 * w.P_GIC_VALUES) + 8 * place(encoding)
        if load64(kept) == what:
            value = load64(kept + 8)
        else:
            if _ask(p, what, 0) == 0:
                return 0
            interrupts.set_budget(p)
            value = load64(p + 8 * w.P_GIC_VALUE)
        if register != XZR:
            put(p, register, value)
    jump(p, get(p, PC) + 4)
    return 1
