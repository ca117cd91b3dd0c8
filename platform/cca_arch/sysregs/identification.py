"""Identification registers (DDI 0487, D24.2)."""

from typing import Final

from cca_arch.fields import Bits, Field

__all__ = [
    "MPIDR_AFFINITY",
    "VMID16",
    "Dfr0",
    "Dfr1",
    "Isar0",
    "Isar1",
    "Midr",
    "Mmfr0",
    "Mmfr1",
    "Mmfr2",
    "Mpidr",
    "Pfr0",
    "Pfr1",
    "affinity_word",
]


class Midr(Bits):
    """MIDR_EL1: Main ID Register."""

    implementer = Field(31, 24)
    variant = Field(23, 20)
    architecture = Field(19, 16)
    partnum = Field(15, 4)
    revision = Field(3, 0)


class Mpidr(Bits):
    """MPIDR_EL1: Multiprocessor Affinity Register."""

    aff0 = Field(7, 0)
    aff1 = Field(15, 8)
    aff2 = Field(23, 16)
    mt = Field(24)
    u = Field(30)
    res1 = Field(31)
    aff3 = Field(39, 32)


MPIDR_AFFINITY: Final = Mpidr.aff3.mask | Mpidr.aff2.mask | Mpidr.aff1.mask | Mpidr.aff0.mask
"""Aff3 to Aff0."""


def affinity_word(mpidr: int) -> int:
    """Aff3 to Aff0 in 32 bits, as GICR_TYPER and RmiRecMpidr hold them: Aff3 next to Aff2."""
    fields = Mpidr(mpidr)
    word: int = fields.aff3 << 24 | fields.aff2 << 16 | fields.aff1 << 8 | fields.aff0
    return word


class Pfr0(Bits):
    """ID_AA64PFR0_EL1: Processor Feature Register 0."""

    el0 = Field(3, 0)
    el1 = Field(7, 4)
    el2 = Field(11, 8)
    el3 = Field(15, 12)
    fp = Field(19, 16)
    advsimd = Field(23, 20)
    gic = Field(27, 24)
    ras = Field(31, 28)
    sve = Field(35, 32)
    sel2 = Field(39, 36)
    mpam = Field(43, 40)
    amu = Field(47, 44)
    dit = Field(51, 48)
    rme = Field(55, 52)
    csv2 = Field(59, 56)
    csv3 = Field(63, 60)


class Pfr1(Bits):
    """ID_AA64PFR1_EL1: Processor Feature Register 1."""

    bt = Field(3, 0)
    ssbs = Field(7, 4)
    mte = Field(11, 8)
    ras_frac = Field(15, 12)
    mpam_frac = Field(19, 16)
    sme = Field(27, 24)
    csv2_frac = Field(35, 32)
    nmi = Field(39, 36)


class Dfr0(Bits):
    """ID_AA64DFR0_EL1: Debug Feature Register 0."""

    debugver = Field(3, 0)
    tracever = Field(7, 4)
    pmuver = Field(11, 8)
    brps = Field(15, 12)
    pmss = Field(19, 16)
    wrps = Field(23, 20)
    sebep = Field(27, 24)
    ctx_cmps = Field(31, 28)
    pmsver = Field(35, 32)
    doublelock = Field(39, 36)
    tracefilt = Field(43, 40)
    tracebuffer = Field(47, 44)
    mtpmu = Field(51, 48)
    brbe = Field(55, 52)
    exttrcbuff = Field(59, 56)
    hpmn0 = Field(63, 60)


class Dfr1(Bits):
    """ID_AA64DFR1_EL1: Debug Feature Register 1."""

    brps = Field(15, 8)
    wrps = Field(23, 16)
    ctx_cmps = Field(31, 24)
    icntr = Field(39, 36)
    ebep = Field(51, 48)


class Isar0(Bits):
    """ID_AA64ISAR0_EL1: Instruction Set Attribute Register 0."""

    aes = Field(7, 4)
    sha1 = Field(11, 8)
    sha2 = Field(15, 12)
    crc32 = Field(19, 16)
    atomic = Field(23, 20)
    rdm = Field(31, 28)
    sha3 = Field(35, 32)
    sm3 = Field(39, 36)
    sm4 = Field(43, 40)
    dp = Field(47, 44)
    fhm = Field(51, 48)
    ts = Field(55, 52)
    tlb = Field(59, 56)
    rndr = Field(63, 60)


class Isar1(Bits):
    """ID_AA64ISAR1_EL1: Instruction Set Attribute Register 1."""

    dpb = Field(3, 0)
    apa = Field(7, 4)
    api = Field(11, 8)
    jscvt = Field(15, 12)
    fcma = Field(19, 16)
    lrcpc = Field(23, 20)
    gpa = Field(27, 24)
    gpi = Field(31, 28)
    frintts = Field(35, 32)
    sb = Field(39, 36)
    specres = Field(43, 40)
    bf16 = Field(47, 44)
    dgh = Field(51, 48)
    i8mm = Field(55, 52)


class Mmfr0(Bits):
    """ID_AA64MMFR0_EL1: Memory Model Feature Register 0."""

    parange = Field(3, 0)
    asidbits = Field(7, 4)
    bigend = Field(11, 8)
    snsmem = Field(15, 12)
    bigendel0 = Field(19, 16)
    tgran16 = Field(23, 20)
    tgran64 = Field(27, 24)
    tgran4 = Field(31, 28)
    tgran16_2 = Field(35, 32)
    tgran64_2 = Field(39, 36)
    tgran4_2 = Field(43, 40)
    exs = Field(47, 44)
    fgt = Field(59, 56)
    ecv = Field(63, 60)


class Mmfr1(Bits):
    """ID_AA64MMFR1_EL1: Memory Model Feature Register 1."""

    hafdbs = Field(3, 0)
    vmidbits = Field(7, 4)
    vh = Field(11, 8)
    hpds = Field(15, 12)
    lo = Field(19, 16)
    pan = Field(23, 20)
    specsei = Field(27, 24)
    xnx = Field(31, 28)
    twed = Field(35, 32)
    ets = Field(39, 36)
    hcx = Field(43, 40)


VMID16: Final = 2
"""VMIDBits of a PE with 16-bit VMIDs."""


class Mmfr2(Bits):
    """ID_AA64MMFR2_EL1: Memory Model Feature Register 2."""

    cnp = Field(3, 0)
    uao = Field(7, 4)
    lsm = Field(11, 8)
    iesb = Field(15, 12)
    varange = Field(19, 16)
    ccidx = Field(23, 20)
    nv = Field(27, 24)
    st = Field(31, 28)
    at = Field(35, 32)
    ids = Field(39, 36)
    fwb = Field(43, 40)
    ttl = Field(51, 48)
    bbm = Field(55, 52)
    evt = Field(59, 56)
    e0pd = Field(63, 60)
