"""Identification registers: what the CPU model and the board say.

No field reports a feature that the machine lacks, except those without an encoding for "absent": watchpoints and
software step, which the engine does not implement.
"""

from array import array
from typing import Final

from cca_arch.fields import Bits
from cca_arch.sysregs import (
    OUTPUT_BITS,
    REGISTERS,
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
from cca_platform.memory.words import Words
from cca_platform.models import Model

__all__ = ["LAYOUTS", "IdRegisters"]

LAYOUTS: Final[dict[str, type[Bits]]] = {
    "id_aa64pfr0_el1": Pfr0,
    "id_aa64pfr1_el1": Pfr1,
    "id_aa64dfr0_el1": Dfr0,
    "id_aa64dfr1_el1": Dfr1,
    "id_aa64isar0_el1": Isar0,
    "id_aa64isar1_el1": Isar1,
    "id_aa64mmfr0_el1": Mmfr0,
    "id_aa64mmfr1_el1": Mmfr1,
    "id_aa64mmfr2_el1": Mmfr2,
}
"""The ID registers with fields of features. The others read as zero, including those of AArch32."""
_MIDR: Final = Midr.make(implementer=0x41, architecture=0xF, partnum=0xD0F)
"""Arm, the architecture envelope model of the Base FVP."""


class IdRegisters:
    """The ID space (op0 3, op1 0, CRn 0) of one PE."""

    def __init__(self, board: Board, mpidr: int, model: Model) -> None:
        self.midr = int(_MIDR)
        self._mpidr = mpidr
        self._values = {REGISTERS[name]: int(kind.make(**model.fields(name))) for name, kind in LAYOUTS.items()}
        self._values |= {encodings.MIDR_EL1: self.midr, encodings.MPIDR_EL1: mpidr}
        self._values[encodings.ID_AA64MMFR0_EL1] |= Mmfr0.make(parange=OUTPUT_BITS.index(board.pa_bits))

    def table(self) -> Words:
        """The 64 words of the registers with CRm 0 to 7, for the MRS hook."""
        values = [self.read(3, 0, 0, crm, op2) for crm in range(8) for op2 in range(8)]
        return array("Q", values)

    def reset(self) -> dict[str, int]:
        """The reset values that EL1 reads for MIDR_EL1 and MPIDR_EL1."""
        return {"vpidr_el2": self.midr, "vmpidr_el2": self._mpidr}

    def read(self, *encoding: int) -> int:
        """The register with this (op0, op1, CRn, CRm, op2)."""
        op0, op1, crn, crm, op2 = encoding
        return self._values.get(Encoding(op0, op1, crn, crm, op2), 0)
