"""Identification registers: those of the CPU model, with this machine's additions and removals.

No field reports a feature that the machine lacks, except those without an encoding for "absent": watchpoints and
software step, which the engine does not implement.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from cca_arch.fields import Bits
from cca_arch.sysregs import (
    OUTPUT_BITS,
    Dfr0,
    Dfr1,
    Encoding,
    Isar0,
    Isar1,
    Midr,
    Mmfr0,
    Mmfr1,
    Mmfr2,
    Pfr0,
    Pfr1,
    encodings,
)
from cca_platform.board import Board

__all__ = ["IdRegisters"]

_PFR0: Final = {"el0": 1, "el1": 1, "el2": 1, "el3": 1, "gic": 1, "sve": 0, "rme": 1, "csv2": 1, "csv3": 1}
_ISAR1: Final = {"apa": 0, "api": 0, "gpa": 0, "gpi": 0}  # EL3 keeps pointer authentication off
_MMFR0: Final = {"bigend": 0, "bigendel0": 0, "tgran16": 0, "tgran64": 0xF, "tgran4": 0}
_MMFR1: Final = {"hafdbs": 2, "vmidbits": 2, "vh": 0, "hpds": 1, "lo": 0, "xnx": 1}
_CHANGED: Final[dict[Encoding, tuple[type[Bits], dict[str, int]]]] = {
    encodings.ID_AA64PFR0_EL1: (Pfr0, _PFR0),  # all levels are AArch64 only
    encodings.ID_AA64PFR1_EL1: (Pfr1, {"bt": 0}),  # no guarded pages
    encodings.ID_AA64DFR0_EL1: (Dfr0, {"tracever": 0, "pmuver": 0}),
    encodings.ID_AA64DFR1_EL1: (Dfr1, {}),
    encodings.ID_AA64ISAR0_EL1: (Isar0, {"rndr": 0}),
    encodings.ID_AA64ISAR1_EL1: (Isar1, _ISAR1),
    encodings.ID_AA64MMFR0_EL1: (Mmfr0, _MMFR0),
    encodings.ID_AA64MMFR1_EL1: (Mmfr1, _MMFR1),
    encodings.ID_AA64MMFR2_EL1: (Mmfr2, {"cnp": 1, "fwb": 1, "ttl": 1}),
}
"""Fields that differ from the CPU model. ID registers not listed read as zero, including those of AArch32."""
_MIDR: Final = Midr.make(implementer=0x41, architecture=0xF, partnum=0xD0F)
"""Arm, the architecture envelope model of the Base FVP."""


class IdRegisters:
    """The ID space (op0 3, op1 0, CRn 0) of one PE; ``read_model`` reads the CPU model's registers."""

    def __init__(self, board: Board, mpidr: int, read_model: Callable[[Encoding], int]) -> None:
        self.midr = int(_MIDR)
        self._read_model = read_model
        self._fixed = {encodings.MIDR_EL1: self.midr, encodings.MPIDR_EL1: mpidr}
        self._pa_range = OUTPUT_BITS.index(board.pa_bits)
        self._cache: dict[Encoding, int] = {}

    def table(self) -> np.ndarray:
        """The 64 words of the registers with CRm 0 to 7, for the MRS hook."""
        values = [self.read(3, 0, 0, crm, op2) for crm in range(8) for op2 in range(8)]
        return np.array(values, np.uint64)

    def reset(self) -> dict[str, int]:
        """The reset values that EL1 reads for MIDR_EL1 and MPIDR_EL1."""
        return {"vpidr_el2": self.midr, "vmpidr_el2": self._fixed[encodings.MPIDR_EL1]}

    def read(self, *encoding: int) -> int:
        """The register with this (op0, op1, CRn, CRm, op2)."""
        op0, op1, crn, crm, op2 = encoding
        key = Encoding(op0, op1, crn, crm, op2)
        value = self._cache.get(key)
        if value is None:
            value = self._cache[key] = self._make(key)
        return value

    def _make(self, key: Encoding) -> int:
        if key not in _CHANGED:
            return self._fixed.get(key, 0)
        layout, fields = _CHANGED[key]
        if layout is Mmfr0:
            fields = fields | {"parange": self._pa_range}
        return int(layout(self._read_model(key)).replace(**fields))
