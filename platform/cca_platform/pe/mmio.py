"""Accesses to devices, and to DRAM that stage 1 makes Device, emulated from the instruction at PC."""

from typing import TYPE_CHECKING, Final

from cca_arch.sysregs import MAIR_MEMORY, Fsc
from cca_arch.types import Access, Pas
from cca_platform.engine import devices
from cca_platform.errors import BusError
from cca_platform.isa import access as la
from cca_platform.isa.decoder import decode
from cca_platform.mmu.translate import DEVICE, REFUSED, translate
from cca_platform.native import block as w
from cca_platform.pe.aborts import EXTERNAL_ABORT

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["ELSEWHERE", "NOT_PLAIN", "emulate", "plain"]

ELSEWHERE: Final = -1
"""Instead of a fault status: the P_FAULT words tell why the access is not possible, in its second page."""

NOT_PLAIN: Final = -2
"""The access that ``plain`` was asked for is not a plain one."""
_U64: Final = (1 << 64) - 1
_ALIGNMENT, _UNSUPPORTED = int(Fsc.ALIGNMENT), int(Fsc.UNSUPPORTED_EXCLUSIVE)
_PAGE_BITS: Final = 0xFFFF_FFFF_F000
_ZERO_REGISTER: Final = 31  # or SP, as a base
_BUS: Final = 8  # bytes of one access to a device

_Page = tuple[int, Pas]  # a physical page and its PAS, which the granule protection check has passed
_Pages = dict[int, _Page]  # by the bits of a virtual address


_PAS: Final = {int(pas): pas for pas in Pas}
_SIZE, _WRITE = devices.SIZE, devices.WRITE


def plain(pe: "Pe") -> int:
    """Do the access at PC and step over it, if it is a plain one to a device; returns 0, or as :func:`emulate`.

    ``NOT_PLAIN`` is for all others, and nothing has been done.
    """
    access = devices.plain(pe.address)
    if not access:
        return NOT_PLAIN
    words, bus = pe.words, pe.machine.bus
    pa, pas = words[w.P_ACCESS_PA], _PAS[words[w.P_OUT_PAS]]
    try:
        if access & _WRITE:
            bus.write(pa, access & _SIZE, words[w.P_ACCESS_VALUE], pas, pe)
        else:
            words[w.P_ACCESS_VALUE] = bus.read(pa, access & _SIZE, pas, pe)
    except BusError:
        return EXTERNAL_ABORT
    devices.complete(pe.address)
    return 0


def emulate(pe: "Pe", word: int) -> int:
    """Do the access at PC and step over it; returns 0, or the fault status if it is not possible."""
    decoded = decode(word)
    if decoded is None:
        return EXTERNAL_ABORT
    if decoded.exclusive or decoded.kind is la.Kind.ATOMIC:
        return _UNSUPPORTED
    words = pe.words
    base = la.authentic(decoded, la.address(decoded, pe.x, words[w.P_SP], words[w.P_PC]), words[w.P_FAULT_VA])
    elements = list(la.elements(decoded, base))
    vectors = {register: pe.engine.read_vector(register) for register in {one.register for one in elements if one.fp}}
    pages = {words[w.P_FAULT_VA] & _PAGE_BITS: _page(pe)}
    status = _refusal(pe, decoded, elements, pages)
    if status:
        return status
    try:
        if decoded.is_write:
            _store(pe, decoded, elements, vectors, pages)
            loaded = []
        else:
            loaded = _load(pe, decoded, elements, vectors, pages)
    except BusError:
        return EXTERNAL_ABORT
    _write_back(pe, decoded, base)
    for register, value in loaded:
        if register != _ZERO_REGISTER:
            pe.x[register] = value
    if not decoded.is_write:
        for register, value in vectors.items():
            pe.engine.write_vector(register, value)
    pe.elr += 4
    pe.retire_one()
    return 0


def _page(pe: "Pe") -> _Page:
    """The page that was translated last."""
    words = pe.words
    return words[w.P_OUT_PA] & ~0xFFF, Pas(words[w.P_OUT_PAS])


def _refusal(pe: "Pe", decoded: la.MemoryAccess, elements: list[la.Element], pages: _Pages) -> int:
    """The fault status of an access that is not possible, or 0; an access to devices must be within one page.

    If an access to DRAM is not, the second page is added to ``pages``.
    """
    words = pe.words
    base = la.address(decoded, pe.x, words[w.P_SP], words[w.P_PC])
    if words[w.P_OUT_ATTR] & MAIR_MEMORY == 0 and not la.aligned(decoded, base):  # Device because of stage 2
        return _ALIGNMENT
    others = [element.address for element in elements if element.address & _PAGE_BITS not in pages]
    ((page, _),) = pages.values()
    if decoded.kind is la.Kind.ZERO or (others and pe.machine.memory.offset(page) < 0):
        return EXTERNAL_ABORT
    if not others:
        return 0
    access, va = Access.WRITE if decoded.is_write else Access.READ, others[0]
    status = translate(pe.address, va - (va >> 63 << 64), int(access))
    if status == DEVICE:
        return EXTERNAL_ABORT
    if status == REFUSED:
        words[w.P_FAULT_KIND], words[w.P_FAULT_VA], words[w.P_FAULT_ACCESS] = REFUSED, va, access
        return ELSEWHERE
    pages[va & _PAGE_BITS] = _page(pe)
    return 0


def _place(element: la.Element, pages: _Pages) -> tuple[int, int, Pas]:
    """Address, size and PAS of an access."""
    page, pas = pages[element.address & _PAGE_BITS]
    return page | element.address & 0xFFF, element.size, pas


def _store(
    pe: "Pe", decoded: la.MemoryAccess, elements: list[la.Element], vectors: dict[int, int], pages: _Pages
) -> None:
    for element in elements:
        if element.fp:
            value = la.vector_store_value(element, vectors[element.register])
        else:
            value = la.store_value(decoded, pe.x, element.register)
        _write(pe, *_place(element, pages), value)


def _load(
    pe: "Pe", decoded: la.MemoryAccess, elements: list[la.Element], vectors: dict[int, int], pages: _Pages
) -> list[tuple[int, int]]:
    """The general registers and their loaded values; values for vector registers go to ``vectors``."""
    loaded: list[tuple[int, int]] = []
    for element in elements:
        value, register = _read(pe, *_place(element, pages)), element.register
        if element.fp:
            vectors[register] = la.emulate_vector_load(decoded, element, vectors[register], value)
        else:
            loaded.append((register, la.emulate_load(decoded, value)))
    return loaded


def _write_back(pe: "Pe", decoded: la.MemoryAccess, base: int) -> None:
    """Set the base register of an access with writeback at ``base``."""
    if decoded.writeback:
        value = base if decoded.authenticated else la.writeback(decoded, pe.x, pe.words[w.P_SP])
        if decoded.rn == _ZERO_REGISTER:
            pe.words[w.P_SP] = value
        else:
            pe.x[decoded.rn] = value


def _read(pe: "Pe", at: int, size: int, pas: Pas) -> int:
    """Read from DRAM, or from a device; the bus is 64 bits wide."""
    bus, memory = pe.machine.bus, pe.machine.memory
    if memory.offset(at) >= 0:
        return int.from_bytes(memory.backdoor.read(at, size), "little")
    if size <= _BUS:
        return bus.read(at, size, pas, pe)
    return bus.read(at, _BUS, pas, pe) | bus.read(at + _BUS, _BUS, pas, pe) << 8 * _BUS


def _write(pe: "Pe", at: int, size: int, pas: Pas, value: int) -> None:
    """Write to DRAM, or to a device; accesses wider than the bus are split in halves."""
    memory = pe.machine.memory
    if memory.offset(at) >= 0:
        memory.backdoor.write(at, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))
        return
    for part in range(0, size, _BUS):
        pe.machine.bus.write(at + part, min(size, _BUS), value >> 8 * part & _U64, pas, pe)
