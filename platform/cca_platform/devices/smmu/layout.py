"""SMMUv3 (IHI 0070): offsets of registers, formats of stream table entries, commands and event records.

The IDRs report the features: the Non-secure programming interface, stage 2 with 4 KiB granules, 2-level stream tables,
wired interrupts and RME; no stage 1, substreams, stalls, ATS or MSIs.
"""

from enum import IntEnum
from typing import Final, NamedTuple

from cca_arch.fields import Bits, Field
from cca_arch.types import JEP106_ARM

__all__ = [
    "EVENTQ_ENTRY",
    "IDENTIFICATION",
    "QUEUE_BITS",
    "STREAM_BITS",
    "WRITABLE",
    "CommandError",
    "Cr0",
    "Event",
    "EventFlags",
    "Gerror",
    "L1Std",
    "Offset",
    "Opcode",
    "Register",
    "Ste",
    "SteConfig",
    "StrtabBaseCfg",
    "address",
    "output_size",
]

STREAM_BITS: Final = 16
"""Width of a StreamID (IDR1.SIDSIZE)."""
QUEUE_BITS: Final = 8
"""log2 of the maximum number of entries of a command or event queue (IDR1.CMDQS, IDR1.EVENTQS)."""
EVENTQ_ENTRY: Final = 32
"""The size of an event record in bytes."""

_OAS: Final = {32: 0, 36: 1, 40: 2, 42: 3, 44: 4, 48: 5}
_HIGH: Final = 1 << 30 | 0xFF_FFFF  # of a 64-bit base register: RA (bit 62) and ADDR[55:32]


class Idr0(Bits):
    """SMMU_IDR0: which interfaces and table formats there are."""

    s2p = Field(0)
    ttf = Field(3, 2)
    cohacc = Field(4)
    vmid16 = Field(18)
    ttendian = Field(22, 21)
    stall_model = Field(25, 24)
    term_model = Field(26)
    st_level = Field(28, 27)
    rme_impl = Field(30)


class Idr3(Bits):
    """SMMU_IDR3: features of SMMUv3.1 and later."""

    xnx = Field(4)
    fwb = Field(8)
    ril = Field(10)
    bbml = Field(12, 11)
    e0pd = Field(13)
    ptwnnc = Field(14)


class Offset(IntEnum):
    """Registers of page 0, and those of page 1 minus 0x10000: the pages are aliases of each other (6.2)."""

    IDR0 = 0x00
    IDR1 = 0x04
    IDR3 = 0x0C
    IDR5 = 0x14
    IIDR = 0x18
    AIDR = 0x1C
    CR0 = 0x20
    CR0ACK = 0x24
    CR1 = 0x28
    CR2 = 0x2C
    GBPA = 0x44
    IRQ_CTRL = 0x50
    IRQ_CTRLACK = 0x54
    GERROR = 0x60
    GERRORN = 0x64
    STRTAB_BASE = 0x80
    STRTAB_BASE_CFG = 0x88
    CMDQ_BASE = 0x90
    CMDQ_PROD = 0x98
    CMDQ_CONS = 0x9C
    EVENTQ_BASE = 0xA0
    EVENTQ_PROD = 0xA8
    EVENTQ_CONS = 0xAC
    ID_REGS = 0xFD0


class Cr0(IntEnum):
    """Bits of SMMU_CR0."""

    SMMUEN = 1 << 0
    EVENTQEN = 1 << 2
    CMDQEN = 1 << 3


class Gerror(IntEnum):
    """Bits of SMMU_GERROR and SMMU_GERRORN."""

    CMDQ_ERR = 1 << 0
    EVENTQ_ABT_ERR = 1 << 2


class CommandError(IntEnum):
    """SMMU_CMDQ_CONS.ERR (7.1)."""

    ILL = 1
    ABT = 2


class Register(NamedTuple):
    """A register that software writes: its writable bits, and the bits of CR0 that make it read-only while set."""

    mask: int
    guard: int = 0


_QUEUE_POINTER: Final = 0xF_FFFF
_OVERFLOW: Final = 1 << 31
WRITABLE: Final = {
    Offset.CR0: Register(Cr0.SMMUEN | Cr0.EVENTQEN | Cr0.CMDQEN),
    Offset.CR1: Register(0xFFF),
    Offset.CR2: Register(1 << 1),  # RECINVSID
    Offset.GBPA: Register(1 << 20 | 1 << 31),  # ABORT; Update must be set with it and never reads as set
    Offset.IRQ_CTRL: Register(1 << 0 | 1 << 2),  # GERROR_IRQEN, EVENTQ_IRQEN
    Offset.GERRORN: Register(Gerror.CMDQ_ERR | Gerror.EVENTQ_ABT_ERR),
    Offset.STRTAB_BASE: Register(0xFFFF_FFC0, Cr0.SMMUEN),
    Offset.STRTAB_BASE + 4: Register(_HIGH, Cr0.SMMUEN),
    Offset.STRTAB_BASE_CFG: Register(0x3_07FF, Cr0.SMMUEN),
    Offset.CMDQ_BASE: Register(0xFFFF_FFFF, Cr0.CMDQEN),
    Offset.CMDQ_BASE + 4: Register(_HIGH, Cr0.CMDQEN),
    Offset.CMDQ_PROD: Register(_QUEUE_POINTER),
    Offset.CMDQ_CONS: Register(_QUEUE_POINTER | 0x7F << 24, Cr0.CMDQEN),
    Offset.EVENTQ_BASE: Register(0xFFFF_FFFF, Cr0.EVENTQEN),
    Offset.EVENTQ_BASE + 4: Register(_HIGH, Cr0.EVENTQEN),
    Offset.EVENTQ_PROD: Register(_QUEUE_POINTER | _OVERFLOW, Cr0.EVENTQEN),
    Offset.EVENTQ_CONS: Register(_QUEUE_POINTER | _OVERFLOW),
}  # fmt: skip

IDENTIFICATION: Final = {
    # AArch64 tables, little-endian; no stall; a terminated access aborts; 2-level stream table
    Offset.IDR0: int(
        Idr0.make(
            s2p=1, ttf=2, cohacc=1, vmid16=1, ttendian=2, stall_model=1, term_model=1, st_level=1, rme_impl=1
        )
    ),
    Offset.IDR1: STREAM_BITS | QUEUE_BITS << 16 | QUEUE_BITS << 21,
    Offset.IDR3: int(Idr3.make(xnx=1, fwb=1, ril=1, bbml=2, e0pd=1, ptwnnc=1)),  # what SMMUv3.3 has to have
    Offset.IIDR: JEP106_ARM,
    Offset.AIDR: 0x03,  # SMMUv3.3
    **{
        Offset.ID_REGS + 4 * n: byte
        for n, byte in enumerate((0x04, 0, 0, 0, 0x84, 0xB4, 0xF0, 0x10, 0x0D, 0xF0, 0x05, 0xB1))
    },
}
"""Read-only registers except IDR5, whose output size depends on the board."""


def output_size(pa_bits: int) -> int:
    """IDR5: OAS for a board with ``pa_bits`` bits of physical address, and GRAN4K."""
    return _OAS[max(bits for bits in _OAS if bits <= pa_bits)] | 1 << 4


def address(base: int, alignment: int, pa_bits: int) -> int:
    """The address in a base register: aligned to ``alignment`` bytes, truncated to the output size (3.4.3)."""
    return base & ((1 << min(pa_bits, 56)) - 1) & ~(alignment - 1)


class StrtabBaseCfg(Bits):
    """SMMU_STRTAB_BASE_CFG."""

    log2size = Field(5, 0)
    split = Field(10, 6)
    fmt = Field(17, 16)


class L1Std(Bits):
    """Level 1 Stream Table Descriptor (5.1); ``l2ptr`` in units of 64 bytes."""

    span = Field(4, 0)
    l2ptr = Field(55, 6)


class SteConfig(IntEnum):
    """STE.Config: the stages that translate; everything below BYPASS aborts."""

    BYPASS = 0b100
    STAGE1 = 0b101
    STAGE2 = 0b110
    NESTED = 0b111


class Ste(Bits):
    """Stream Table Entry (5.2), 64 bytes; ``s2ttb`` in units of 16 bytes."""

    v = Field(0)
    config = Field(3, 1)
    s2vmid = Field(143, 128)
    s2t0sz = Field(165, 160)
    s2sl0 = Field(167, 166)
    s2tg = Field(175, 174)
    s2ps = Field(178, 176)
    s2aa64 = Field(179)
    s2endi = Field(180)
    s2affd = Field(181)
    s2hd = Field(183)
    s2ha = Field(184)
    s2s = Field(185)
    s2r = Field(186)
    s2ttb = Field(247, 196)


class Opcode(IntEnum):
    """Commands of an SMMU with stage 2 only (4.1.1); every other opcode is illegal here."""

    PREFETCH_CONFIG = 0x01
    PREFETCH_ADDR = 0x02
    CFGI_STE = 0x03
    CFGI_STE_RANGE = 0x04
    TLBI_S12_VMALL = 0x28
    TLBI_S2_IPA = 0x2A
    TLBI_NSNH_ALL = 0x30
    SYNC = 0x46


class Event(IntEnum):
    """Event numbers (7.3)."""

    C_BAD_STREAMID = 0x02
    F_STE_FETCH = 0x03
    C_BAD_STE = 0x04
    F_WALK_EABT = 0x0B
    F_TRANSLATION = 0x10
    F_ADDR_SIZE = 0x11
    F_ACCESS = 0x12
    F_PERMISSION = 0x13


class EventFlags(Bits):
    """The second word of an event record: the kind of access, the stage, its purpose, and whether the GPC refused."""

    gpcf = Field(16)
    pnu = Field(33)
    ind = Field(34)
    rnw = Field(35)
    s2 = Field(39)
    class_ = Field(41, 40)
