"""Instruction traps of EL2 for EL1 and EL0, and of EL1 for EL0, by their control registers.

One row per control (DDI 0487, D1.3.6 "Configurable instruction controls"), the rows for EL1 before those for EL2. The
engine reports such an instruction as undefined; the rows determine its target level and syndrome.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from cca_arch.fields import Bits
from cca_arch.sysregs import Cnthctl, Cntkctl, Cptr, Ec, Hcr, Mdcr, Pmuserenr, Sctlr, syndrome
from cca_platform.engine.synchronous import ROW, place
from cca_platform.isa.features import encodings_of
from cca_platform.isa.sysinsn import SystemInstruction, SystemKind, iss_sysreg, iss_wfx
from cca_platform.memory.words import words
from cca_platform.native.block import TRAPS

__all__ = ["CONTROLS", "Control", "Traps", "trap"]

_LAYOUTS: Final[dict[str, type[Bits]]] = {
    "sctlr_el1": Sctlr,
    "cntkctl_el1": Cntkctl,
    "cnthctl_el2": Cnthctl,
    "hcr_el2": Hcr,
    "cptr_el2": Cptr,
    "mdcr_el2": Mdcr,
    "pmuserenr_el0": Pmuserenr,
}
_READ: Final = frozenset((SystemKind.MRS, SystemKind.SYSL))
_WRITE: Final = frozenset((SystemKind.MSR, SystemKind.SYS, SystemKind.MSR_IMMEDIATE))
_BOTH: Final = _READ | _WRITE
_WFI: Final = frozenset((SystemKind.WFI,))
_WFE: Final = frozenset((SystemKind.WFE,))
_WAITS: Final = _WFI | _WFE


class Control(NamedTuple):
    """One control: ``kinds`` of instructions on ``encodings`` trap at ``levels`` while its bits read ``active``.

    ``active`` 1 is the bit that traps; 0 are the bits of which one must be set for an instruction not to trap.
    """

    name: str
    register: str  # of cca_arch.sysregs.REGISTERS
    mask: int
    active: int
    target: int
    levels: tuple[int, ...]
    kinds: frozenset[SystemKind]
    encodings: frozenset[tuple[int, ...]]  # which compare equal with an Encoding


def _control(
    control: str, active: int, target: int, levels: tuple[int, ...], kinds: frozenset[SystemKind], *patterns: str
) -> Control:
    """A row; ``control`` is ``register.field``, or ``register.field|field``."""
    register, _, name = control.partition(".")
    fields = _LAYOUTS[register].fields()
    mask = sum(fields[part].mask for part in name.lower().split("|"))
    found = frozenset(encoding for pattern in patterns for encoding in encodings_of(pattern))
    return Control(name, register, mask, active, target, levels, kinds, found)


_VIRTUAL_MEMORY: Final = (
    "3 0 1 0 0", "3 0 2 0 0-2", "3 0 5 1 0,1", "3 0 5 2 0", "3 0 6 0 0", "3 0 10 2,3 0", "3 0 13 0 1",
)  # fmt: skip
_DEBUG: Final = (
    "2 0 0 0-15 4-7", "2 0 0 0 2", "2 0 0 2 0,2", "2 0 0 3,6 2", "2 0 7 8,9,14 6",
)  # fmt: skip
_OS_LOCK: Final = "2 0 1 0,1,3,4 4"
_DEBUG_ROM: Final = "2 0 1 0 0"
_PMU_READ: Final = ("3 3 9 12 6,7",)  # PMCEID
_PMU_WRITE: Final = ("3 3 9 12 4",)  # PMSWINC
_PMU_RO_AT_EL0: Final = "3 3 9 14 0"  # PMUSERENR
_PMU_SELECTION, _PMU_CYCLES = "3 3 9 12 5", "3 3 9 13 0"
_PMU_EVENTS: Final = ("3 3 9 13 2", "3 3 14 8-11 0-7")
_PMU_PLAIN: Final = ("3 3 9 12 0-3", "3 3 9 13 1", "3 3 9 14 3", "3 3 14 12-15 0-7")
_PMU_OF_EL1: Final = "3 0 9 14 1,2"  # PMINTENSET, PMINTENCLR
_PMMIR: Final = "3 0 9 14 6"
_NO_ENCODING: Final = "0 0 0 0 0"  # WFI, WFE
_EL0, _EL1, _BELOW = (0,), (1,), (0, 1)
_EL2: Final = 2

CONTROLS: Final[tuple[Control, ...]] = (
    _control("sctlr_el1.UMA", 0, 1, _EL0, _BOTH, "3 3 4 2 1", "0 3 4 0-15 6,7"),
    _control("sctlr_el1.DZE", 0, 1, _EL0, _WRITE, "1 3 7 4 1"),
    _control("sctlr_el1.UCT", 0, 1, _EL0, _READ, "3 3 0 0 1"),
    _control("sctlr_el1.nTWI", 0, 1, _EL0, _WFI, _NO_ENCODING),
    _control("sctlr_el1.nTWE", 0, 1, _EL0, _WFE, _NO_ENCODING),
    _control("sctlr_el1.UCI", 0, 1, _EL0, _WRITE, "1 3 7 5,10-14 1"),
    _control("sctlr_el1.EnRCTX", 0, 1, _EL0, _WRITE, "1 3 7 3 4,5,7"),
    _control("cntkctl_el1.EL0PCTEN", 0, 1, _EL0, _READ, "3 3 14 0 0,1"),
    _control("cntkctl_el1.EL0VCTEN", 0, 1, _EL0, _READ, "3 3 14 0 2"),
    _control("cntkctl_el1.EL0VTEN", 0, 1, _EL0, _BOTH, "3 3 14 3 0-2"),
    _control("cntkctl_el1.EL0PTEN", 0, 1, _EL0, _BOTH, "3 3 14 2 0-2"),
    _control("pmuserenr_el0.EN", 0, 1, _EL0, _BOTH, *_PMU_PLAIN),
    _control("pmuserenr_el0.EN", 0, 1, _EL0, _READ, *_PMU_READ),
    _control("pmuserenr_el0.EN", 0, 1, _EL0, _WRITE, _PMU_CYCLES, *_PMU_EVENTS),
    _control("pmuserenr_el0.EN|SW", 0, 1, _EL0, _WRITE, *_PMU_WRITE),
    _control("pmuserenr_el0.EN|CR", 0, 1, _EL0, _READ, _PMU_CYCLES),
    _control("pmuserenr_el0.EN|ER", 0, 1, _EL0, _BOTH, _PMU_SELECTION),
    _control("pmuserenr_el0.EN|ER", 0, 1, _EL0, _READ, *_PMU_EVENTS),
    _control("cnthctl_el2.EL1PCTEN", 0, 2, _BELOW, _READ, "3 3 14 0 1"),
    _control("cnthctl_el2.EL1PCEN", 0, 2, _BELOW, _BOTH, "3 3 14 2 0-2"),
    _control("hcr_el2.TWI", 1, 2, _BELOW, _WFI, _NO_ENCODING),
    _control("hcr_el2.TWE", 1, 2, _BELOW, _WFE, _NO_ENCODING),
    _control("hcr_el2.TID1", 1, 2, _EL1, _READ, "3 0 0 0 6", "3 1 0 0 7"),
    _control("hcr_el2.TID2", 1, 2, _EL1, _READ, "3 1 0 0 0,1"),
    _control("hcr_el2.TID2", 1, 2, _EL1, _BOTH, "3 2 0 0 0"),
    _control("hcr_el2.TID2", 1, 2, _BELOW, _READ, "3 3 0 0 1"),
    _control("hcr_el2.TID3", 1, 2, _EL1, _READ, "3 0 0 1-7 0-7"),
    _control("hcr_el2.TIDCP", 1, 2, _EL1, _BOTH, "1,3 0-7 11,15 0-15 0-7"),
    _control("hcr_el2.TACR", 1, 2, _EL1, _BOTH, "3 0 1 0 1"),
    _control("hcr_el2.TSW", 1, 2, _EL1, _WRITE, "1 0 7 6,10,14 2"),
    _control("hcr_el2.TPCP", 1, 2, _EL1, _WRITE, "1 0 7 6 1"),
    _control("hcr_el2.TPCP", 1, 2, _BELOW, _WRITE, "1 3 7 10,12-14 1"),
    _control("hcr_el2.TPU", 1, 2, _EL1, _WRITE, "1 0 7 1,5 0"),
    _control("hcr_el2.TPU", 1, 2, _BELOW, _WRITE, "1 3 7 5,11 1"),
    _control("hcr_el2.TTLB", 1, 2, _EL1, _WRITE, "1 0 8 3,7 0-3,5,7"),
    _control("hcr_el2.TVM", 1, 2, _EL1, _WRITE, *_VIRTUAL_MEMORY),
    _control("hcr_el2.TDZ", 1, 2, _BELOW, _WRITE, "1 3 7 4 1"),
    _control("hcr_el2.TRVM", 1, 2, _EL1, _READ, *_VIRTUAL_MEMORY),
    _control("hcr_el2.TLOR", 1, 2, _EL1, _BOTH, "3 0 10 4 0-3,7"),
    _control("cptr_el2.TCPAC", 1, 2, _EL1, _BOTH, "3 0 1 0 2"),
    _control("mdcr_el2.TDE", 1, 2, _EL1, _BOTH, *_DEBUG, _OS_LOCK, _DEBUG_ROM),
    _control("mdcr_el2.TDA", 1, 2, _EL1, _BOTH, *_DEBUG),
    _control("mdcr_el2.TDOSA", 1, 2, _EL1, _BOTH, _OS_LOCK),
    _control("mdcr_el2.TDRA", 1, 2, _EL1, _READ, _DEBUG_ROM),
    _control("mdcr_el2.TPMCR", 1, 2, _BELOW, _BOTH, "3 3 9 12 0"),
    _control("mdcr_el2.TPM", 1, 2, _BELOW, _BOTH, *_PMU_PLAIN, _PMU_SELECTION, _PMU_CYCLES, *_PMU_EVENTS),
    _control("mdcr_el2.TPM", 1, 2, _BELOW, _READ, *_PMU_READ, _PMU_RO_AT_EL0),
    _control("mdcr_el2.TPM", 1, 2, _BELOW, _WRITE, *_PMU_WRITE),
    _control("mdcr_el2.TPM", 1, 2, _EL1, _BOTH, _PMU_OF_EL1),
    _control("mdcr_el2.TPM", 1, 2, _EL1, _READ, _PMMIR),
    _control("mdcr_el2.TPM", 1, 2, _EL1, _WRITE, _PMU_RO_AT_EL0),
)


@lru_cache(maxsize=1 << 10)
def _controls(instruction: SystemInstruction) -> tuple[Control, ...]:
    """The rows that apply to an instruction."""
    kind, encoding = instruction.kind, instruction.encoding
    return tuple(control for control in CONTROLS if kind in control.kinds and encoding in control.encodings)


def trap(instruction: SystemInstruction, el: int, has_el2: bool, read: Callable[[str], int]) -> tuple[int, int] | None:
    """(ESR, target level) of an instruction at ``el`` that a control traps; None if it is UNDEFINED.

    ``read(register)`` returns a control register; ``has_el2`` says that EL2 is enabled in the security state.
    """
    for control in _controls(instruction):
        enabled = el in control.levels and (has_el2 or control.target == 1)
        if enabled and bool(read(control.register) & control.mask) == control.active:
            if instruction.kind in _WAITS:
                return syndrome(Ec.WFX, iss_wfx(instruction)), control.target
            return syndrome(Ec.SYSREG, iss_sysreg(instruction)), control.target
    return None


class Traps:
    """What HCR_EL2 traps at EL1, as far as it has happened: for :mod:`cca_platform.engine.synchronous`."""

    def __init__(self) -> None:
        self.rows = words(ROW * TRAPS)

    def keep(self, word: int, instruction: SystemInstruction, esr: int, target: int) -> None:
        """An instruction of EL1 has been trapped to ``target``; whether WFI and WFE are is no matter of bits alone."""
        if target != _EL2 or instruction.kind in _WAITS:
            return
        rows = (row for row in _controls(instruction) if row.register == "hcr_el2" and row.active and 1 in row.levels)
        bits = sum({row.mask for row in rows})
        if bits:
            at = place(word)
            self.rows[at], self.rows[at + 1], self.rows[at + 2] = word, bits, esr
