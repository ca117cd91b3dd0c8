"""Emulatable accesses of a Realm: the value of a store for the Host, and the Host's value for a load."""

from typing import TYPE_CHECKING, Final

from cca_arch.sysregs import DataAbortEsr
from cca_arch.types import INSTRUCTION_SIZE
from cca_platform.isa import frame
from cca_platform.memory.ports import Port
from cca_rmm.objects.rec import Rec

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["RT_NONE", "emulated_value", "finish", "stored_value"]

RT_NONE: Final = 31
"""The register number of XZR."""
_X: Final = frame.offset("x0")
_PC: Final = frame.offset("pc")
_U64: Final = (1 << 64) - 1


def finish(port: Port, rec: Rec, answer: int) -> None:
    """Complete an emulated access: a load gets the Host's value, and the PC advances."""
    esr, regs = DataAbortEsr(rec.esr), rec.aux_regs
    if not esr.wnr and esr.srt != RT_NONE:
        port.write64(regs + _X + 8 * esr.srt, emulated_value(esr, answer))
    port.write64(regs + _PC, (port.read64(regs + _PC) + INSTRUCTION_SIZE) & _U64)


def emulated_value(esr: DataAbortEsr, value: int) -> int:
    """The value of Rt after an emulated load: ``value`` truncated to the access size and extended per the syndrome."""
    bits = 8 << esr.sas
    value &= (1 << bits) - 1
    if esr.sse and value >> (bits - 1):
        value |= -1 << bits
    return value & (_U64 if esr.sf else (1 << 32) - 1)


def stored_value(pe: "Pe", esr: int) -> bytes:
    """The value of a store, for exit.gprs[0]."""
    access = DataAbortEsr(esr)
    value: int = 0 if access.srt == RT_NONE else pe.x[access.srt]
    bits: int = 8 << access.sas
    return (value & ((1 << bits) - 1)).to_bytes(8, "little")
