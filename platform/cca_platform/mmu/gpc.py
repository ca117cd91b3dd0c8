"""The granule protection check: one, for PEs, SMMUs, ports and whoever only looks (DDI 0487, D9.4; 4 KiB granules).

Each function takes ``m``, the address of a machine block with GPTBR_EL3 and GPCCR_EL3 (an SMMU has one of its own), and
reads the tables out of DRAM as the hardware does, natively or as plain Python.
"""

from typing import Final

from cca_arch.descriptors.gpt import BLOCK, CONTIGUOUS_BITS, TABLE, Gpccr, Gptbr, L0Block, L0Table, L1Contiguous
from cca_arch.types import Gpi
from cca_platform.mmu.dram import host_address
from cca_platform.native.block import M_GPCCR, M_GPTBR, M_L0GPTSZ_BITS, M_PPS_BITS
from cca_platform.native.jit import jit, load64

__all__ = [
    "GPC_ADDRESS_SIZE",
    "GPC_EXTERNAL_ABORT",
    "GPC_GPF",
    "GPC_WALK_FAULT",
    "granule_protection_check",
    "protection",
]

# What a check returns beside 0 (pass): one of these, plus the level of the GPT entry.
GPC_GPF: Final = 0x100  # the GPI is another one: a granule protection fault
GPC_WALK_FAULT: Final = 0x200  # a reserved value in GPCCR_EL3 or in an entry: GPT walk fault
GPC_ADDRESS_SIZE: Final = 0x300  # a table beyond the protected space
GPC_EXTERNAL_ABORT: Final = 0x400  # a table outside DRAM

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
_ANY, _NON_SECURE, _NO_ACCESS = int(Gpi.ANY), int(Gpi.NON_SECURE), int(Gpi.NO_ACCESS)
_LOWEST, _HIGHEST = int(Gpi.SECURE), int(Gpi.REALM)  # of those that one PAS may access: 8 | its number
_PAGE: Final = 0xFFF


@jit("i8(i8, i8)")
def _governing(gpi: int, level: int) -> int:
    """A GPI of an entry at ``level`` as :func:`protection` gives it."""
    if gpi in (_ANY, _NO_ACCESS) or _LOWEST <= gpi <= _HIGHEST:
        return gpi | level << 4
    return GPC_WALK_FAULT | level


@jit("i8(i8, i8)")
def protection(m: int, pa: int) -> int:
    """What governs ``pa``: a GPI, with the level of its entry in bits 7:4, or a ``GPC_*`` fault plus the level.

    With the check off every PAS may access every address; beyond the protected space (PPS) only Non-secure may.
    """
    if load64(m + 8 * M_GPCCR) & _ENABLED == 0:
        return _ANY
    pps_bits = load64(m + 8 * M_PPS_BITS)
    if pps_bits == 0:  # a reserved size
        return GPC_WALK_FAULT
    if pa >> pps_bits != 0:
        return _NON_SECURE
    l0_bits = load64(m + 8 * M_L0GPTSZ_BITS)
    size = max(8 << max(pps_bits - l0_bits, 0), _PAGE + 1)
    table = (load64(m + 8 * M_GPTBR) & _BASE) << 12 & ~(size - 1)
    if table >> pps_bits != 0:
        return GPC_ADDRESS_SIZE
    host = host_address(m, table + 8 * (pa >> l0_bits))
    if host == 0:
        return GPC_EXTERNAL_ABORT
    entry = load64(host)
    if entry & _TYPE == _BLOCK:
        return GPC_WALK_FAULT if entry & ~_BLOCK_FIELDS != 0 else _governing(entry >> _GPI_LOW, 0)
    table = entry & _ADDRESS
    size = 8 << (l0_bits - 16)
    if entry & ~_ADDRESS != _TABLE or table & (size - 1) != 0:
        return GPC_WALK_FAULT
    if table >> pps_bits != 0:
        return GPC_ADDRESS_SIZE
    host = host_address(m, table + 8 * ((pa & ((1 << l0_bits) - 1)) >> 16))
    if host == 0:
        return GPC_EXTERNAL_ABORT | 1
    entry = load64(host)
    if entry & _TYPE == _BLOCK:
        if entry & ~_CONTIGUOUS_FIELDS != 0 or entry & _CONTIG == 0:
            return GPC_WALK_FAULT | 1
        return _governing(entry >> _GPI_LOW & 15, 1)
    return _governing(entry >> (pa >> 10 & 60) & 15, 1)


@jit("i8(i8, i8, i8)")
def granule_protection_check(m: int, pa: int, pas: int) -> int:
    """Whether an access in ``pas`` may reach ``pa``: 0, or ``GPC_*`` plus the level."""
    found = protection(m, pa)
    if found >= GPC_GPF:
        return found
    gpi = found & 15
    return 0 if gpi == (8 | pas) or gpi == _ANY else GPC_GPF | found >> 4
