"""The granule protection check, shared by PEs, SMMUs, ports and inspection (DDI 0487, D9.4; 4 KiB granules).

EL3's change of a granule finds the entry by the same walk.

It takes ``m``, the address of a machine block with GPTBR_EL3 and GPCCR_EL3 (an SMMU has its own), and reads the tables
from DRAM as the hardware does, natively or as plain Python.
"""

from typing import Final

from cca_arch.descriptors.gpt import BLOCK, CONTIGUOUS_BITS, TABLE, Gpccr, Gptbr, L0Block, L0Table, L1Contiguous
from cca_arch.types import Gpi, Pas
from cca_platform.mmu.dram import host_address, update_descriptor
from cca_platform.native.block import M_GPCCR, M_GPTBR, M_L0GPTSZ_BITS, M_PPS_BITS
from cca_platform.native.jit import jit, load64

__all__ = [
    "GPC_ADDRESS_SIZE",
    "GPC_EXTERNAL_ABORT",
    "GPC_GPF",
    "GPC_WALK_FAULT",
    "MOVED",
    "NOT_THERE",
    "NO_GRANULES",
    "granule_protection_check",
    "move_granule",
]

# What a check returns other than 0 (pass): one of these, plus the level of the GPT entry.
GPC_GPF: Final = 0x100  # the GPI does not match: a granule protection fault
GPC_WALK_FAULT: Final = 0x200  # a reserved value in GPCCR_EL3 or in an entry: GPT walk fault
GPC_ADDRESS_SIZE: Final = 0x300  # a table beyond the protected space
GPC_EXTERNAL_ABORT: Final = 0x400  # a table outside DRAM

# What a move of a granule returns.
MOVED: Final = 0
NO_GRANULES: Final = 1  # no granules descriptor governs the address
NOT_THERE: Final = 2  # the granule has another GPI

_ENABLED: Final = Gpccr.gpc.mask
_BASE: Final = Gptbr.baddr.mask
_TYPE: Final = L0Block.type.mask
_BLOCK, _TABLE = BLOCK, TABLE
_GPI_LOW: Final = L0Block.gpi.low
_BLOCK_FIELDS: Final = L0Block.type.mask | L0Block.gpi.mask
_ADDRESS: Final = L0Table.address.mask
_CONTIGUOUS_FIELDS: Final = L1Contiguous.type.mask | L1Contiguous.gpi.mask | L1Contiguous.contig.mask
_CONTIG: Final = L1Contiguous.contig.mask
assert set(CONTIGUOUS_BITS) == {1, 2, 3}  # Contig is reserved only as 0
_GRANULE_BITS, _GRANULES, _GPI = 10, 60, 15  # of the 16 GPIs of a granules descriptor, that of an address
_ANY: Final = int(Gpi.ANY)
_NON_SECURE: Final = int(Pas.NON_SECURE)
_DEFINED: Final = sum(1 << gpi for gpi in Gpi)


@jit("i8(i8, i8, i8)")
def _judge(gpi: int, pas: int, level: int) -> int:
    """0 if an entry at ``level`` with this GPI admits ``pas``, else the fault."""
    if gpi == (8 | pas) or gpi == _ANY:
        return 0
    return (GPC_GPF if _DEFINED >> gpi & 1 != 0 else GPC_WALK_FAULT) | level


@jit("i8(i8, i8)")
def _entry(m: int, pa: int) -> int:
    """The host address of the entry that governs ``pa`` in the protected space, plus its level; or minus a fault."""
    pps_bits = load64(m + 8 * M_PPS_BITS)
    l0_bits = load64(m + 8 * M_L0GPTSZ_BITS)
    size = 4096
    if pps_bits > l0_bits + 9:
        size = 8 << (pps_bits - l0_bits)
    table = (load64(m + 8 * M_GPTBR) & _BASE) << 12 & ~(size - 1)
    if table >> pps_bits != 0:
        return -GPC_ADDRESS_SIZE
    host = host_address(m, table + 8 * (pa >> l0_bits))
    if host == 0:
        return -GPC_EXTERNAL_ABORT
    entry = load64(host)
    if entry & _TYPE == _BLOCK:
        return host
    table = entry & _ADDRESS
    size = 8 << (l0_bits - 16)
    if entry & ~_ADDRESS != _TABLE or table & (size - 1) != 0:
        return -GPC_WALK_FAULT
    if table >> pps_bits != 0:
        return -GPC_ADDRESS_SIZE
    host = host_address(m, table + 8 * ((pa & ((1 << l0_bits) - 1)) >> 16))
    return -(GPC_EXTERNAL_ABORT | 1) if host == 0 else host + 1


@jit("i8(i8, i8, i8)")
def granule_protection_check(m: int, pa: int, pas: int) -> int:
    """Check an access to ``pa`` in ``pas``: returns 0, or ``GPC_*`` plus the level.

    Beyond the protected space (PPS) only the Non-secure PAS passes.
    """
    if load64(m + 8 * M_GPCCR) & _ENABLED == 0:
        return 0
    pps_bits = load64(m + 8 * M_PPS_BITS)
    if pa >> pps_bits != 0 or pps_bits == 0:
        if pps_bits == 0:  # a reserved size
            return GPC_WALK_FAULT
        return 0 if pas == _NON_SECURE else GPC_GPF
    found = _entry(m, pa)
    if found < 0:
        return -found
    entry = load64(found & -2)
    if found & 1 == 0:
        return GPC_WALK_FAULT if entry & ~_BLOCK_FIELDS != 0 else _judge(entry >> _GPI_LOW, pas, 0)
    if entry & _TYPE == _BLOCK:
        if entry & ~_CONTIGUOUS_FIELDS != 0 or entry & _CONTIG == 0:
            return GPC_WALK_FAULT | 1
        return _judge(entry >> _GPI_LOW & 15, pas, 1)
    return _judge(entry >> (pa >> _GRANULE_BITS & _GRANULES) & _GPI, pas, 1)


@jit("i8(i8, i8, i8, i8)")
def move_granule(m: int, pa: int, old: int, new: int) -> int:
    """Change the GPI of the granule at ``pa`` in the protected space from ``old`` to ``new``: MOVED, or why not."""
    found = _entry(m, pa)
    if found < 0 or found & 1 == 0:
        return NO_GRANULES
    entry, shift = load64(found & -2), pa >> _GRANULE_BITS & _GRANULES
    if entry & _TYPE == _BLOCK:
        return NO_GRANULES
    if entry >> shift & _GPI != old:
        return NOT_THERE
    update_descriptor(m, found & -2, entry ^ (old ^ new) << shift)
    return MOVED
