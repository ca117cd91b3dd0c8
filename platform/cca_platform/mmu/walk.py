"""Shared by all table walks: accesses, fault codes, refusals, and descriptor addresses."""

from typing import Final

from cca_arch.descriptors.stage2 import Stage2Descriptor
from cca_arch.sysregs import OUTPUT_BITS, Fsc
from cca_arch.types import Access
from cca_platform.mmu.dram import host_address
from cca_platform.mmu.gpc import granule_protection_check
from cca_platform.native.block import (
    M_PA_BITS,
    P_FAULT_FSC,
    P_FAULT_GPF,
    P_FAULT_GPT_LEVEL,
    P_FAULT_IPA,
    P_FAULT_PA,
    P_FAULT_PAS,
    P_FAULT_S1PTW,
    P_FAULT_STAGE,
    P_MACHINE,
)
from cca_platform.native.jit import jit, load64, store64

__all__ = [
    "ACCESS_FLAG",
    "ADDRESS_SIZE",
    "EXTERNAL_ABORT_WALK",
    "FETCH",
    "GPF",
    "GPF_WALK",
    "MAPPED",
    "OUTPUT",
    "PERMISSION",
    "READ",
    "TRANSLATION",
    "WRITE",
    "needed",
    "output_bits",
    "refuse",
    "refuse_gpc",
    "table_entry",
]

# Enumerations of cca_arch as plain numbers, as native code requires.
READ: Final = int(Access.READ)
WRITE: Final = int(Access.WRITE)
FETCH: Final = int(Access.FETCH)
MAPPED: Final = 0  # no access: requires only a valid translation, as most cache maintenance does
ADDRESS_SIZE: Final = int(Fsc.ADDRESS_SIZE)
TRANSLATION: Final = int(Fsc.TRANSLATION)
ACCESS_FLAG: Final = int(Fsc.ACCESS_FLAG)
PERMISSION: Final = int(Fsc.PERMISSION)
EXTERNAL_ABORT_WALK: Final = int(Fsc.EXTERNAL_WALK)
GPF_WALK: Final = int(Fsc.GPF_WALK)
GPF: Final = int(Fsc.GPF)

OUTPUT: Final = Stage2Descriptor.address.mask
"""The page of an address: 48 bits without FEAT_LPA2."""
_OUTPUT_BITS: Final = sum(min(bits, 48) << 8 * code for code, bits in enumerate((*OUTPUT_BITS, 48)))  # a byte each


@jit("i8(i8, i8, i8, i8, i8)")
def refuse(p: int, fsc: int, stage: int, s1ptw: int, address: int) -> int:
    """Record a fault of ``stage`` at ``address``: the faulting IPA (stage 2) or the output address (stage 1). -1."""
    store64(p + 8 * P_FAULT_FSC, fsc)
    store64(p + 8 * P_FAULT_STAGE, stage)
    store64(p + 8 * P_FAULT_S1PTW, s1ptw)
    store64(p + 8 * P_FAULT_IPA, address)
    store64(p + 8 * P_FAULT_PA, address)
    store64(p + 8 * P_FAULT_GPF, 0)
    return -1


@jit("i8(i8, i8, i8, i8)")
def refuse_gpc(p: int, code: int, pa: int, pas: int) -> int:
    """Add the result of the granule protection check (``code``) of ``pa`` in ``pas`` to a fault. -1."""
    store64(p + 8 * P_FAULT_PA, pa)
    store64(p + 8 * P_FAULT_PAS, pas)
    store64(p + 8 * P_FAULT_GPF, code >> 8)
    store64(p + 8 * P_FAULT_GPT_LEVEL, code & 0xFF)
    return -1


@jit("i8(i8)")
def needed(access: int) -> int:
    """The permissions that an access needs: 1 read, 2 write, 4 execute, 0 none."""
    return 1 if access == READ else 2 if access == WRITE else 4 if access == FETCH else 0


@jit("i8(i8, i8)")
def output_bits(p: int, ps: int) -> int:
    """The width of output addresses for a PS or IPS field (bits 2:0), at most that of the PE."""
    bits = (_OUTPUT_BITS >> (8 * (ps & 7))) & 0xFF
    return min(bits, load64(load64(p + 8 * P_MACHINE) + 8 * M_PA_BITS))


@jit("i8(i8, i8, i8, i8, i8, i8, i8)")
def table_entry(p: int, pa: int, pas: int, level: int, stage: int, s1ptw: int, ipa: int) -> int:
    """The host address of a descriptor; 0 if the GPC refused it (FSC 0x24 + level) or it is not DRAM (0x14 + level)."""
    m = load64(p + 8 * P_MACHINE)
    code = granule_protection_check(m, pa, pas)
    if code != 0:
        refuse(p, GPF_WALK + level, stage, s1ptw, ipa)
        refuse_gpc(p, code, pa, pas)
        return 0
    host = host_address(m, pa)
    if host == 0:
        refuse(p, EXTERNAL_ABORT_WALK + level, stage, s1ptw, ipa)
        store64(p + 8 * P_FAULT_PA, pa)
    return host
