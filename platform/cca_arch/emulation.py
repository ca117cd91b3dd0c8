"""Emulation of an access from the syndrome of its abort: the value of a store, that of a load, and an abort instead.

Whoever takes data aborts at EL2 on behalf of a guest stands on it: the RMM, and a hypervisor.
"""

from typing import Final

from cca_arch.sysregs import AbortEsr, DataAbortEsr, Ec, Fsc, Pstate

__all__ = ["RT_NONE", "emulated_value", "sea_esr", "stored_value"]

RT_NONE: Final = 31
"""The register number of XZR."""
_U64: Final = (1 << 64) - 1
_U32: Final = (1 << 32) - 1
_SAS, _SAS_ONES = DataAbortEsr.sas.low, DataAbortEsr.sas.ones
_SSE, _SF = DataAbortEsr.sse.mask, DataAbortEsr.sf.mask
_EC: Final = AbortEsr.ec
_SAME_LEVEL: Final = Ec.DATA_ABORT ^ Ec.DATA_ABORT_SAME
_CLEARED: Final = AbortEsr.ec.mask | AbortEsr.fnv.mask | AbortEsr.s1ptw.mask | AbortEsr.fsc.mask
_EXTERNAL: Final = int(AbortEsr.make(ea=1, fsc=Fsc.EXTERNAL))


def emulated_value(esr: int, value: int) -> int:
    """The value of Rt after an emulated load: ``value`` truncated to the access size and extended per the syndrome."""
    bits = 8 << (esr >> _SAS & _SAS_ONES)
    value &= (1 << bits) - 1
    if esr & _SSE and value >> (bits - 1):
        value |= -1 << bits
    return value & (_U64 if esr & _SF else _U32)


def stored_value(esr: int, register: int) -> int:
    """The value that a store writes, whose register has the contents ``register``."""
    return register & (1 << (8 << (esr >> _SAS & _SAS_ONES))) - 1


def sea_esr(esr: int, spsr: int) -> int:
    """ESR_EL1 of a synchronous external abort, injected in place of the abort ``esr`` taken from PSTATE ``spsr``."""
    ec = (esr & _EC.mask) >> _EC.low & ~_SAME_LEVEL
    if spsr & Pstate.el.mask:  # taken from EL1: the class of the same level
        ec |= _SAME_LEVEL
    return esr & ~_CLEARED | ec << _EC.low | _EXTERNAL
