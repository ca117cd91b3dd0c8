"""Device accesses, emulated on the bus from the instruction at PC."""

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
_PAGE_BITS: Final = 0xFFFF_FFFF_F000
_ZERO_REGISTER: Final = 31  # or SP, as a base
_BUS: Final = 8  # bytes of one access to a device


def emulate(pe: "Pe", word: int) -> int:
    """Do the access at PC on the bus and step over it; returns 0, or the fault status if it is not possible."""
    decoded = decode(word)
    if decoded is None:
        return EXTERNAL_ABORT
    if decoded.exclusive or decoded.kind is la.Kind.ATOMIC:
        return _UNSUPPORTED
    words = pe.words
    elements = list(la.elements(decoded, la.address(decoded, pe.x, words[w.P_SP], words[w.P_PC])))
    vectors = {element.register: pe.engine.read_vector(element.register) for element in elements if element.fp}
    status = _refusal(pe, decoded, elements)
    if status:
        return status
    try:
        if decoded.is_write:
            _store(pe, decoded, elements, vectors)
            loaded = []
        else:
            loaded = _load(pe, decoded, elements, vectors)
    except BusError:
        return EXTERNAL_ABORT
    _write_back(pe, decoded)
    for register, value in loaded:
        if register != _ZERO_REGISTER:
            pe.x[register] = value
    if not decoded.is_write:
        for register, value in vectors.items():
            pe.engine.write_vector(register, value)
    pe.elr += 4
    pe.retire_one()
    return 0


def _refusal(pe: "Pe", decoded: la.MemoryAccess, elements: list[la.Element]) -> int:
    """The fault status of an access that reaches no device, or 0; the access must be within one page."""
    words = pe.words
    zeroes, is_device = decoded.kind is la.Kind.ZERO, words[w.P_OUT_ATTR] & MAIR_MEMORY == 0
    if is_device and (zeroes or any(element.address & element.size - 1 for element in elements)):
        return _ALIGNMENT
    page = words[w.P_FAULT_VA]
    if zeroes or any((element.address ^ page) & _PAGE_BITS for element in elements):
        return EXTERNAL_ABORT
    return 0


def _place(pe: "Pe", element: la.Element) -> tuple[int, int, Pas]:
    """Address, size and PAS of an access on the bus."""
    words = pe.words
    return words[w.P_OUT_PA] & ~0xFFF | element.address & 0xFFF, element.size, Pas(words[w.P_OUT_PAS])


def _store(pe: "Pe", decoded: la.MemoryAccess, elements: list[la.Element], vectors: dict[int, int]) -> None:
    for element in elements:
        if element.fp:
            value = la.vector_store_value(element, vectors[element.register])
        else:
            value = la.store_value(decoded, pe.x, element.register)
        _write(pe, *_place(pe, element), value)


def _load(
    pe: "Pe", decoded: la.MemoryAccess, elements: list[la.Element], vectors: dict[int, int]
) -> list[tuple[int, int]]:
    """The general registers and their loaded values; values for vector registers go to ``vectors``."""
    loaded: list[tuple[int, int]] = []
    for element in elements:
        value, register = _read(pe, *_place(pe, element)), element.register
        if element.fp:
            vectors[register] = la.emulate_vector_load(decoded, element, vectors[register], value)
        else:
            loaded.append((register, la.emulate_load(decoded, value)))
    return loaded


def _write_back(pe: "Pe", decoded: la.MemoryAccess) -> None:
    """The base register of an access with writeback, and its new value."""
    if decoded.writeback:
        value = la.writeback(decoded, pe.x, pe.words[w.P_SP])
        if decoded.rn == _ZERO_REGISTER:
            pe.words[w.P_SP] = value
        else:
            pe.x[decoded.rn] = value


def _read(pe: "Pe", at: int, size: int, pas: Pas) -> int:
    """Read from a device; the bus is 64 bits wide."""
    bus = pe.machine.bus
    if size <= _BUS:
        return bus.read(at, size, pas, pe)
    return bus.read(at, _BUS, pas, pe) | bus.read(at + _BUS, _BUS, pas, pe) << 8 * _BUS


def _write(pe: "Pe", at: int, size: int, pas: Pas, value: int) -> None:
    """Write to a device; accesses wider than the bus are split in halves."""
    for part in range(0, size, _BUS):
        pe.machine.bus.write(at + part, min(size, _BUS), value >> 8 * part & _U64, pas, pe)
