"""System registers of the GIC, as the engine's hooks ask for them (:mod:`cca_platform.engine.icc`)."""

from typing import Final, Protocol

from cca_arch.sysregs import Encoding
from cca_arch.types import SecurityState
from cca_platform.engine import icc
from cca_platform.gic import CpuInterface
from cca_platform.gic.sysregs import is_steady
from cca_platform.native import block as w

__all__ = ["access_gic"]

_WRITE: Final = icc.WRITE
_EL, _EL_ONES = icc.EL, 3
_PARTS: Final = (16, 12, 8, 4, 0)
_encodings: dict[int, tuple[Encoding, bool]] = {}  # by the number that native code has for it; whether it is steady


class Caller(Protocol):
    """A PE."""

    el: int
    security: SecurityState
    words: memoryview

    @property
    def gic(self) -> CpuInterface:
        """Its CPU interface."""


def _encoding(packed: int) -> tuple[Encoding, bool]:
    found = Encoding(*(packed >> low & 15 for low in _PARTS))
    _encodings[packed] = found, is_steady(found)
    return _encodings[packed]


def access_gic(pe: Caller, what: int, value: int) -> bool:
    """Do an MRS, whose result goes to P_GIC_VALUE, or an MSR; False if it is UNDEFINED or trapped.

    ``what`` is the key of the register, with ``icc.WRITE`` if it is written.
    """
    pe.el = el = what >> _EL & _EL_ONES
    packed = what & (1 << _EL) - 1
    encoding, steady = _encodings.get(packed) or _encoding(packed)
    words, gic = pe.words, pe.gic
    if what & _WRITE:
        return gic.write(encoding, value, el, pe.security, words[w.P_HCR]) >= 0
    value = gic.read(encoding, el, pe.security, words[w.P_HCR])
    if value < 0:
        return False
    words[w.P_GIC_VALUE] = value
    if steady:
        gic.keep(what, value)
    return True
