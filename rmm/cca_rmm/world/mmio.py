"""Emulatable accesses of a Realm: the value of a store for the Host, and the Host's value for a load."""

from typing import TYPE_CHECKING, Final

from cca_arch.emulation import RT_NONE, emulated_value, stored_value
from cca_arch.sysregs import DataAbortEsr
from cca_arch.types import INSTRUCTION_SIZE
from cca_platform.isa import frame
from cca_platform.memory.ports import Port
from cca_rmm.objects.rec import Rec

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["finish", "stored"]

_X: Final = frame.offset("x0")
_PC: Final = frame.offset("pc")
_U64: Final = (1 << 64) - 1


def finish(port: Port, rec: Rec, answer: int) -> None:
    """Complete an emulated access: a load gets the Host's value, and the PC advances."""
    esr, regs = DataAbortEsr(rec.esr), rec.aux_regs
    if not esr.wnr and esr.srt != RT_NONE:
        port.write64(regs + _X + 8 * esr.srt, emulated_value(esr, answer))
    port.write64(regs + _PC, (port.read64(regs + _PC) + INSTRUCTION_SIZE) & _U64)


def stored(pe: "Pe", esr: int) -> bytes:
    """The value of a store, for exit.gprs[0]."""
    srt = DataAbortEsr(esr).srt
    return stored_value(esr, 0 if srt == RT_NONE else pe.x[srt]).to_bytes(8, "little")
