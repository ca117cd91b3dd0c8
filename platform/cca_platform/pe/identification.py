"""Identification registers: what the CPU model says, with what this machine adds to or takes from it.

A field claims nothing that the machine does not do, but for what has no encoding for "absent": watchpoints and software
step, which the engine leaves out.
"""

from typing import TYPE_CHECKING, Final

import numpy as np

from cca_platform.isa.frame import Encoding
from cca_platform.machine.board import Board

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["IdRegisters"]

_PA_RANGE: Final = {32: 0, 36: 1, 40: 2, 42: 3, 44: 4, 48: 5}
_MIDR: Final = (3, 0, 0, 0, 0)
_MPIDR: Final = (3, 0, 0, 0, 5)
_PFR0: Final = (3, 0, 0, 4, 0)
_PFR1: Final = (3, 0, 0, 4, 1)
_DFR0: Final = (3, 0, 0, 5, 0)
_DFR1: Final = (3, 0, 0, 5, 1)
_ISAR0: Final = (3, 0, 0, 6, 0)
_ISAR1: Final = (3, 0, 0, 6, 1)
_MMFR0: Final = (3, 0, 0, 7, 0)
_MMFR1: Final = (3, 0, 0, 7, 1)
_MMFR2: Final = (3, 0, 0, 7, 2)

# Fields of 4 bits (name, low bit, value) that are not as the CPU model has them; ID registers that are not here read as
# zero, those of AArch32 among them.
_FIELDS: Final[dict[Encoding, tuple[tuple[str, int, int], ...]]] = {
    _PFR0: (
        ("EL0", 0, 1), ("EL1", 4, 1), ("EL2", 8, 1), ("EL3", 12, 1),  # AArch64 alone
        ("GIC", 24, 1), ("SVE", 32, 0), ("RME", 52, 1), ("CSV2", 56, 1), ("CSV3", 60, 1),
    ),
    _PFR1: (("BT", 0, 0),),  # no guarded pages
    _DFR0: (("TraceVer", 4, 0), ("PMUVer", 8, 0)),
    _DFR1: (),
    _ISAR0: (("RNDR", 60, 0),),
    _ISAR1: (("APA", 4, 0), ("API", 8, 0), ("GPA", 24, 0), ("GPI", 28, 0)),  # EL3 keeps pointer authentication off
    _MMFR0: (("BigEnd", 8, 0), ("BigEndEL0", 16, 0), ("TGran16", 20, 0), ("TGran64", 24, 0xF), ("TGran4", 28, 0)),
    _MMFR1: (("HAFDBS", 0, 2), ("VMIDBits", 4, 2), ("VH", 8, 0), ("HPDS", 12, 1), ("LO", 16, 0), ("XNX", 28, 1)),
    _MMFR2: (("CnP", 0, 1), ("FWB", 40, 1), ("TTL", 48, 1)),
}  # fmt: skip


class IdRegisters:
    """The ID space (op0 3, op1 0, CRn 0) of one PE."""

    def __init__(self, pe: "Pe", board: Board) -> None:
        self._pe = pe
        self.midr = 0x410F_D0F0  # Arm, the architecture envelope model of the Base FVP
        self._fixed = {_MIDR: self.midr, _MPIDR: pe.mpidr}
        self._pa_range = _PA_RANGE[board.pa_bits]
        self._cache: dict[Encoding, int] = {}

    def table(self) -> np.ndarray:
        """The 64 words of the registers with CRm 0 to 7, for the MRS hook."""
        values = [self.read(3, 0, 0, crm, op2) for crm in range(8) for op2 in range(8)]
        return np.array(values, np.uint64)

    def reset(self) -> dict[str, int]:
        """What EL1 reads in place of MIDR_EL1 and MPIDR_EL1, at reset."""
        return {"vpidr_el2": self.midr, "vmpidr_el2": self._fixed[_MPIDR]}

    def read(self, *encoding: int) -> int:
        """The register with this (op0, op1, CRn, CRm, op2)."""
        op0, op1, crn, crm, op2 = encoding
        key = (op0, op1, crn, crm, op2)
        value = self._cache.get(key)
        if value is None:
            value = self._cache[key] = self._make(key)
        return value

    def _make(self, key: Encoding) -> int:
        if key not in _FIELDS:
            return self._fixed.get(key, 0)
        value = self._pe.engine.read_system(key)
        for _, low, field in (*_FIELDS[key], *((("PARange", 0, self._pa_range),) if key == _MMFR0 else ())):
            value = value & ~(0xF << low) | field << low
        return value
