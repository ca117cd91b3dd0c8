"""An access to a device: emulated from the instruction at PC, on the bus."""

from typing import TYPE_CHECKING, Final

from cca_arch.sysregs import MAIR_MEMORY, Fsc
from cca_arch.types import Pas
from cca_platform.errors import BusError
from cca_platform.isa import access as la
from cca_platform.isa.decoder import decode
from cca_platform.native import block as w
from cca_platform.pe.aborts import EXTERNAL_ABORT

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["emulate"]

_U64: Final = (1 << 64) - 1
_ALIGNMENT, _UNSUPPORTED = int(Fsc.ALIGNMENT), int(Fsc.UNSUPPORTED_EXCLUSIVE)
_BUS: Final = 8  # bytes of one access to a device


def emulate(pe: "Pe", word: int) -> int:
    """Do the access at PC on the bus and step over it: 0, or the fault status when it cannot be done there."""
    decoded = decode(word)
    if decoded is None:
        return EXTERNAL_ABORT
    if decoded.exclusive or decoded.kind is la.Kind.ATOMIC:
        return _UNSUPPORTED
    x, words = pe.x, pe.words
    pa, page, pas = words[w.P_OUT_PA] & ~0xFFF, words[w.P_FAULT_VA], Pas(words[w.P_OUT_PAS])
    base = la.address(decoded, x, words[w.P_SP], words[w.P_PC])
    elements = list(la.elements(decoded, base))
    if words[w.P_OUT_ATTR] & MAIR_MEMORY == 0 and (
        decoded.kind is la.Kind.ZERO or any(element.address & element.size - 1 for element in elements)
    ):
        return _ALIGNMENT  # of Device memory
    crosses = any((element.address ^ page) & 0xFFFF_FFFF_F000 for element in elements)
    if crosses or decoded.kind is la.Kind.ZERO:
        return EXTERNAL_ABORT
    loaded: list[tuple[int, int]] = []
    vectors = {element.register: pe.engine.read_vector(element.register) for element in elements if element.fp}
    try:
        for element in elements:
            at, register = pa | element.address & 0xFFF, element.register
            if not decoded.is_write:
                value = _read(pe, at, element.size, pas)
                if element.fp:
                    vectors[register] = la.emulate_vector_load(decoded, element, vectors[register], value)
                else:
                    loaded.append((register, la.emulate_load(decoded, value)))
            elif element.fp:
                _write(pe, at, element.size, la.vector_store_value(element, vectors[register]), pas)
            else:
                _write(pe, at, element.size, la.store_value(decoded, x, register), pas)
    except BusError:
        return EXTERNAL_ABORT
    if decoded.writeback:
        value = la.writeback(decoded, x, words[w.P_SP])
        if decoded.rn == 31:
            words[w.P_SP] = value
        else:
            x[decoded.rn] = value
    for register, value in loaded:
        if register != 31:
            x[register] = value
    if not decoded.is_write:
        for register, value in vectors.items():
            pe.engine.write_vector(register, value)
    words[w.P_PC] += 4
    pe.retire_one()
    return 0


def _read(pe: "Pe", at: int, size: int, pas: Pas) -> int:
    """What a device gives; the bus is 64 bits wide."""
    bus = pe.machine.bus
    if size <= _BUS:
        return bus.read(at, size, pas, pe)
    return bus.read(at, _BUS, pas, pe) | bus.read(at + _BUS, _BUS, pas, pe) << 8 * _BUS


def _write(pe: "Pe", at: int, size: int, value: int, pas: Pas) -> None:
    """Write to a device, in halves what is wider than the bus."""
    for part in range(0, size, _BUS):
        pe.machine.bus.write(at + part, min(size, _BUS), value >> 8 * part & _U64, pas, pe)
