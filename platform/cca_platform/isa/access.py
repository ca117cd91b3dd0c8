"""One load, store or operation by address: what it accesses, its result, and the syndrome if it aborts.

A :class:`MemoryAccess` is the decoded template of an instruction word (see :mod:`cca_platform.isa.decoder`); this
module combines it with register values. Clauses refer to the Arm ARM (DDI 0487): ESR_ELx "ISS encoding for an
exception from a Data Abort", FAR_ELx, and the pseudocode of each instruction.
"""

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final, NamedTuple

from cca_arch.sysregs import DataAbortEsr

__all__ = [
    "ALL_LANES",
    "ZVA_SIZE",
    "Element",
    "Kind",
    "MemoryAccess",
    "Mode",
    "address",
    "aligned",
    "authentic",
    "elements",
    "emulate_load",
    "emulate_vector_load",
    "faulting_address",
    "iss",
    "store_value",
    "touches",
    "vector_store_value",
    "writeback",
]

ZVA_SIZE: Final = 64  # bytes zeroed by DC ZVA: DCZID_EL0.BS = 4 on every supported PE
ALL_LANES: Final = -1  # lane of an element that fills its whole vector register (LD1R to LD4R)

_U64: Final = (1 << 64) - 1
_VA_BITS: Final = (1 << 48) - 1
_IN_PAGE: Final = 0xFFF
_NO_CODE: Final = (1 << 25) - 1  # address bits of every translation regime: TnSZ is 39 at most
_ISV, _SAS, _SSE, _SRT = DataAbortEsr.isv.mask, DataAbortEsr.sas.low, DataAbortEsr.sse.low, DataAbortEsr.srt.low
_SF, _AR, _FNV, _EA = DataAbortEsr.sf.low, DataAbortEsr.ar.low, DataAbortEsr.fnv.low, DataAbortEsr.ea.low
_CM, _S1PTW, _WNR = DataAbortEsr.cm.low, DataAbortEsr.s1ptw.low, DataAbortEsr.wnr.low


class Kind(Enum):
    """The effect of an access on memory."""

    LOAD = "load"
    STORE = "store"
    ATOMIC = "atomic"  # reads and writes: LSE read-modify-write and compare-and-swap
    PREFETCH = "prefetch"  # PRFM: never aborts
    ZERO = "zero"  # DC ZVA
    CACHE = "cache"  # DC and IC by VA
    TRANSLATE = "translate"  # AT


class Mode(Enum):
    """How the address is formed."""

    OFFSET = "offset"  # base + imm
    PRE = "pre"  # base + imm, written back
    POST = "post"  # base; base + imm written back
    POST_REGISTER = "post register"  # base; base + Xm written back
    REGISTER = "register"  # base + extend(Xm) << shift
    LITERAL = "literal"  # PC + imm
    VALUE = "value"  # Xt holds the address: DC, IC, AT


_WRITEBACK: Final = frozenset((Mode.PRE, Mode.POST, Mode.POST_REGISTER))
_MAINTENANCE: Final = frozenset((Kind.CACHE, Kind.TRANSLATE))


class MemoryAccess(NamedTuple):
    """A decoded load, store or operation by address; sizes are in bytes, registers are numbers 0..31.

    Register 31 is SP as ``rn`` and the zero register everywhere else.
    """

    name: str  # mnemonic without operands
    kind: Kind
    size: int  # of one element
    pieces: int  # elements in memory
    rt: int
    rn: int = 31
    mode: Mode = Mode.OFFSET
    imm: int = 0
    rt2: int = 31
    rm: int = 31
    rs: int = 31  # status of a store-exclusive, operand of an atomic
    extend: int = 0b011  # option field of a register offset: UXTW 2, LSL 3, SXTW 6, SXTX 7
    shift: int = 0
    is_write: bool = False
    sign_extend: bool = False
    sf: bool = False  # the register is 64 bits wide
    acquire_release: bool = False
    unprivileged: bool = False
    exclusive: bool = False
    authenticated: bool = False  # LDRAA, LDRAB: the pointer is authenticated first
    isv: bool = False  # the syndrome of a stage 2 abort describes the register
    fp: bool = False
    selem: int = 0  # LD1 to ST4: registers that take part in one structure; 0 for every other access
    lanes: int = 0  # elements that fill each of their registers; 0 for one lane, the rest of the register stays
    lane: int = 0  # that lane, or ALL_LANES

    @property
    def total(self) -> int:
        """The bytes accessed from the address upwards."""
        return self.size * self.pieces

    @property
    def cm(self) -> bool:
        """True for cache maintenance and address translation (ISS.CM), not for DC ZVA."""
        return self.kind in _MAINTENANCE

    @property
    def writeback(self) -> bool:
        """True when the base register changes."""
        return self.mode in _WRITEBACK

    @property
    def aborts(self) -> bool:
        """False for PRFM, which never raises a data abort."""
        return self.kind is not Kind.PREFETCH


class Element(NamedTuple):
    """One piece of an access: ``size`` bytes at ``address`` from or to a register, or one lane of a vector register."""

    register: int
    address: int
    size: int
    fp: bool
    lane: int


def _index(access: MemoryAccess, x: Sequence[int]) -> int:
    """ExtendReg() of a register offset, shifted; modulo 2**64."""
    value = 0 if access.rm == 31 else x[access.rm]
    if not access.extend & 1:  # UXTW, SXTW
        value &= 0xFFFFFFFF
        if access.extend & 4 and value >> 31:
            value -= 1 << 32
    return value << access.shift


def address(access: MemoryAccess, x: Sequence[int], sp: int, pc: int) -> int:
    """The virtual address of the first byte; ``x`` are X0..X30, ``pc`` is the instruction's own address."""
    mode = access.mode
    if mode is Mode.LITERAL:
        return (pc + access.imm) & _U64
    if mode is Mode.VALUE:
        return 0 if access.rt == 31 else x[access.rt]
    base = sp if access.rn == 31 else x[access.rn]
    if mode is Mode.REGISTER:
        return (base + _index(access, x)) & _U64
    if mode is Mode.POST or mode is Mode.POST_REGISTER:
        return base
    return (base + access.imm) & _U64


def authentic(access: MemoryAccess, base: int, fault_page: int) -> int:
    """``base``, or the address of an LDRAA or LDRAB that faulted in ``fault_page``: only the PE can authenticate.

    So its offset in the page is the instruction's, and all else the PE's. An access over two pages may have faulted in
    the second: then the low bits of ``base``, where no code is, name the first.
    """
    if not access.authenticated:
        return base
    page = fault_page & ~_IN_PAGE
    if (base ^ page) & _NO_CODE & ~_IN_PAGE and (base & _IN_PAGE) + access.total > _IN_PAGE + 1:
        page -= _IN_PAGE + 1
    return page & _U64 | base & _IN_PAGE


def writeback(access: MemoryAccess, x: Sequence[int], sp: int) -> int:
    """The new value of Rn, from the register values before the access; raises ValueError without writeback."""
    if not access.writeback:
        raise ValueError(f"{access.name} must be a writeback form, not {access.mode.name}")
    base = sp if access.rn == 31 else x[access.rn]
    return (base + (x[access.rm] if access.mode is Mode.POST_REGISTER else access.imm)) & _U64


def elements(access: MemoryAccess, address: int) -> Iterator[Element]:
    """The pieces of an access in memory order; none for prefetches and cache maintenance.

    For an atomic, these are the locations it accesses, with its Rt; the caller does the arithmetic, or refuses it.
    """
    size, fp = access.size, access.fp
    if access.kind is Kind.ZERO:
        base = address & ~(ZVA_SIZE - 1)
        for offset in range(0, ZVA_SIZE, 8):
            yield Element(31, base + offset, 8, False, 0)
    elif access.kind is Kind.PREFETCH or access.cm:
        return
    elif not access.selem:
        for n, register in enumerate((access.rt, access.rt2)[: access.pieces]):
            yield Element(register, (address + n * size) & _U64, size, fp, 0)
    else:
        lanes, selem = access.lanes or 1, access.selem
        for n in range(access.pieces):
            group, place = divmod(n, lanes * selem)
            lane, member = divmod(place, selem)
            register = (access.rt + group * selem + member) % 32
            yield Element(register, (address + n * size) & _U64, size, fp, lane + access.lane)


def aligned(access: MemoryAccess, base: int) -> bool:
    """Whether an access at ``base`` has the alignment that Device memory requires: DC ZVA never has.

    A pair that is exclusive or atomic is one access, any other is one for each register.
    """
    if access.kind is Kind.ZERO:
        return False
    single = access.exclusive or access.kind is Kind.ATOMIC
    size = access.total if single else access.size
    return access.cm or not access.aborts or not base & size - 1


def emulate_load(access: MemoryAccess, value: int) -> int:
    """The value of a general register after ``value`` is loaded: truncated to size, extended to the register."""
    bits = 8 * access.size
    value &= (1 << bits) - 1
    if access.sign_extend and value >> (bits - 1):
        value |= -1 << bits
        value &= _U64 if access.sf else 0xFFFFFFFF
    return value


def emulate_vector_load(access: MemoryAccess, element: Element, register: int, value: int) -> int:
    """The 128 bits of the vector register ``register`` after ``element`` is loaded with ``value``."""
    bits = 8 * element.size
    ones = (1 << bits) - 1
    value &= ones
    if not access.selem:
        return value
    if element.lane == ALL_LANES:
        return sum(value << bits * lane for lane in range(access.lanes))
    place = bits * element.lane
    if access.lanes:
        register &= (1 << bits * access.lanes) - 1
    return register & ~(ones << place) | value << place


def vector_store_value(element: Element, register: int) -> int:
    """The value that a store writes for ``element`` from the vector register value ``register``."""
    bits = 8 * element.size
    return register >> bits * element.lane & ((1 << bits) - 1)


def store_value(access: MemoryAccess, x: Sequence[int], register: int | None = None) -> int:
    """The value that a store writes from a general register, by default Rt; the zero register is 0."""
    source = access.rt if register is None else register
    return 0 if source == 31 else x[source] & ((1 << 8 * access.size) - 1)


def touches(access: MemoryAccess, base: int, fault_page: int) -> bool:
    """Whether an access that starts at ``base`` reaches into the page of ``fault_page``, tags apart."""
    base = authentic(access, base, fault_page)
    distance = ((fault_page & ~_IN_PAGE) - base) & _VA_BITS
    same = not (base ^ fault_page) & _VA_BITS & ~_IN_PAGE
    return access.aborts and (same or (access.mode is not Mode.VALUE and distance < access.total))


def faulting_address(access: MemoryAccess, base: int, fault_page: int) -> int:
    """FAR: the first byte, of the access that starts at ``base``, in the page that faulted.

    ``fault_page`` is any address in that page, without the tag if top byte ignore is enabled; ``base`` and the result
    keep the tag. A maintenance operation or DC ZVA reports the address in its register. Of an authenticated pointer,
    it has the bits that the PE found.
    """
    if access.mode is Mode.VALUE:
        return base
    page = fault_page & ~_IN_PAGE
    far = base = authentic(access, base, fault_page)
    if (base ^ page) & _VA_BITS & ~_IN_PAGE:
        distance = (page - base) & _VA_BITS
        if distance >= access.total:
            raise AssertionError(f"{access.name} at {base:#x} must touch page {page:#x}; it has {access.total} bytes")
        far = (base + distance) & _U64
    return far


def iss(
    access: MemoryAccess,
    fsc: int,
    *,
    wnr: bool | None = None,
    s1ptw: int = 0,
    fnv: int = 0,
    ea: int = 0,
    stage2: bool,
) -> int:
    """The ISS of the Data Abort for ``access`` with fault status ``fsc``.

    ISV and the register fields are set for stage 2 faults on the access itself. ``wnr`` says that only the write of an
    atomic was refused; for all else the instruction decides: 1 for stores, DC, IC and AT.
    """
    is_write = bool(wnr) if access.kind is Kind.ATOMIC else access.is_write or access.cm
    value = ea << _EA | access.cm << _CM | s1ptw << _S1PTW | is_write << _WNR | fnv << _FNV | fsc
    if stage2 and access.isv and not s1ptw:
        value |= (
            _ISV
            | (access.size.bit_length() - 1) << _SAS
            | access.sign_extend << _SSE
            | access.rt << _SRT
            | access.sf << _SF
            | access.acquire_release << _AR
        )
    return value
