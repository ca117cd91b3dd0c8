"""Identification registers: what the CPU model says, with what this machine adds to or takes from it."""

from typing import TYPE_CHECKING, Final

import numpy as np

from cca_platform.board import Board
from cca_platform.frame import Encoding

if TYPE_CHECKING:
    from cca_platform.pe import Pe

__all__ = ["IdRegisters"]

_PA_RANGE: Final = {32: 0, 36: 1, 40: 2, 42: 3, 44: 4, 48: 5}
_PFR0: Final = (3, 0, 0, 4, 0)
_DFR0: Final = (3, 0, 0, 5, 0)
_MMFR0: Final = (3, 0, 0, 7, 0)
_MMFR1: Final = (3, 0, 0, 7, 1)
# ID registers that have contents on an AArch64-only view; every other one of the space reads as zero
_STORED: Final[frozenset[Encoding]] = frozenset(
    (_PFR0, (3, 0, 0, 4, 1), _DFR0, (3, 0, 0, 5, 1), (3, 0, 0, 6, 0), (3, 0, 0, 6, 1), _MMFR0, _MMFR1, (3, 0, 0, 7, 2))
)
_RME: Final = 1 << 52
_HAFDBS: Final = 2
_VMID16: Final = 2 << 4


def _insert(value: int, low: int, field: int) -> int:
    return value & ~(0xF << low) | field << low


class IdRegisters:
    """The ID space (op0 3, op1 0, CRn 0) of one PE."""

    def __init__(self, pe: "Pe", board: Board) -> None:
        self._pe = pe
        self._board = board
        self._cache: dict[Encoding, int] = {}

    def table(self) -> np.ndarray:
        """The 32 words of the registers with CRm 4 to 7, for the MRS hook."""
        values = [self.read(3, 0, 0, crm, op2) for crm in range(4, 8) for op2 in range(8)]
        return np.array(values, np.uint64)

    def read(self, *encoding: int) -> int:
        """The register with this (op0, op1, CRn, CRm, op2)."""
        op0, op1, crn, crm, op2 = encoding
        key = (op0, op1, crn, crm, op2)
        value = self._cache.get(key)
        if value is None:
            value = self._cache[key] = self._make(key)
        return value

    def _make(self, key: Encoding) -> int:
        if key not in _STORED:
            return 0
        value = self._pe.engine.read_system(key)
        if key == _PFR0:
            value |= _RME
        elif key == _DFR0:
            value = _insert(value, 8, 0)  # no PMU
        elif key == _MMFR0:
            value = _insert(value, 0, _PA_RANGE[self._board.pa_bits])
        elif key == _MMFR1:
            value = value & ~0xFF | _HAFDBS | _VMID16
        return value
