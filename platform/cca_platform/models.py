"""The CPU models: the architecture's features that a PE has, and what identification registers say of them.

A model is a row of ``MODELS``, a feature a row of ``COMMON`` or of the model. What an ID register reads as follows from
the rows alone: a field that no row names is zero. ``HIDDEN`` has what the engine can do and no model shows, with the
reason.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = ["COMMON", "DEFAULT", "HIDDEN", "MODELS", "Feature", "Hidden", "Model", "Source"]


class Source(StrEnum):
    """Who implements a feature."""

    ENGINE = "engine"
    MACHINE = "machine"  # this project: its MMU, interrupt controller and granule protection
    SOFT = "soft"  # the engine does not know it: its registers and PSTATE bits are kept beside


class Feature(NamedTuple):
    """A feature: ``fields`` of one ID register have these values."""

    name: str
    register: str  # of cca_arch.sysregs.REGISTERS
    fields: Mapping[str, int]
    source: Source
    about: str


class Model(NamedTuple):
    """A CPU model: the engine's model of this name, with ``COMMON`` and these features."""

    name: str
    engine: str
    about: str
    features: tuple[Feature, ...] = ()

    def has(self, feature: str) -> bool:
        """True if the model has a feature, by its name."""
        return any(one.name == feature for one in (*COMMON, *self.features))

    def fields(self, register: str) -> dict[str, int]:
        """The fields of an ID register that are not zero."""
        found: dict[str, int] = {}
        for one in (*COMMON, *self.features):
            if one.register == register:
                found |= one.fields
        return found


class Hidden(NamedTuple):
    """A feature that the engine's ``max`` has, and no PE here shows."""

    name: str
    register: str
    field: str
    reason: str


_PFR0, _PFR1, _DFR0 = "id_aa64pfr0_el1", "id_aa64pfr1_el1", "id_aa64dfr0_el1"
_ISAR0, _ISAR1 = "id_aa64isar0_el1", "id_aa64isar1_el1"
_MMFR0, _MMFR1, _MMFR2 = "id_aa64mmfr0_el1", "id_aa64mmfr1_el1", "id_aa64mmfr2_el1"
_ENGINE, _MACHINE, _SOFT = Source.ENGINE, Source.MACHINE, Source.SOFT


def _row(name: str, register: str, source: Source, about: str, **fields: int) -> Feature:
    return Feature(name, register, MappingProxyType(fields), source, about)


COMMON: Final = (
    _row("FEAT_AA64", _PFR0, _ENGINE, "EL0 to EL3 in AArch64 alone", el0=1, el1=1, el2=1, el3=1),
    _row("FEAT_GICv3", _PFR0, _MACHINE, "GIC CPU interface by system registers", gic=1),
    _row("FEAT_RME", _PFR0, _MACHINE, "Realms and granule protection", rme=1),
    _row("FEAT_CSV2", _PFR0, _MACHINE, "no speculation across contexts", csv2=1),
    _row("FEAT_CSV3", _PFR0, _MACHINE, "no speculation on data that faulted", csv3=1),
    _row(
        "FEAT_Debugv8", _DFR0, _ENGINE, "breakpoints without linking; watchpoints are registers only",
        debugver=6, brps=5, wrps=3, ctx_cmps=1,
    ),
    _row("FEAT_PMUv3p5", _DFR0, _MACHINE, "performance monitors: a cycle and 6 event counters, exact", pmuver=6),
    _row("FEAT_PMULL", _ISAR0, _ENGINE, "AES and PMULL instructions", aes=2),
    _row("FEAT_SHA1", _ISAR0, _ENGINE, "SHA1 instructions", sha1=1),
    _row("FEAT_SHA256", _ISAR0, _ENGINE, "SHA256 instructions", sha2=1),
    _row("FEAT_CRC32", _ISAR0, _ENGINE, "CRC32 instructions", crc32=1),
    _row("ASID16", _MMFR0, _MACHINE, "ASIDs of 16 bits", asidbits=2),
    _row("SNSMem", _MMFR0, _MACHINE, "Secure and Non-secure memory", snsmem=1),
    _row("TGran4", _MMFR0, _MACHINE, "granules of 4 KiB only", tgran64=0xF),
    _row("FEAT_HAFDBS", _MMFR1, _MACHINE, "access flag and dirty state by hardware", hafdbs=2),
    _row("FEAT_VMID16", _MMFR1, _MACHINE, "VMIDs of 16 bits", vmidbits=2),
    _row("FEAT_HPDS", _MMFR1, _MACHINE, "hierarchical permissions can be turned off", hpds=1),
    _row("FEAT_XNX", _MMFR1, _MACHINE, "execute never at stage 2, by level", xnx=1),
    _row("FEAT_TTCNP", _MMFR2, _MACHINE, "tables that PEs share", cnp=1),
    _row("FEAT_S2FWB", _MMFR2, _MACHINE, "stage 2 forces the memory type", fwb=1),
    _row("FEAT_E0PD", _MMFR2, _MACHINE, "EL0 can be kept out of either range of addresses", e0pd=1),
    _row("FEAT_TTL", _MMFR2, _MACHINE, "TLBI takes the level of the entry", ttl=1),
)  # fmt: skip
"""What every model has."""

_MAX: Final = (
    _row("FEAT_DIT", _PFR0, _SOFT, "PSTATE.DIT; every instruction takes the same time anyway", dit=1),
    _row("FEAT_SSBS2", _PFR1, _SOFT, "PSTATE.SSBS and SCTLR_ELx.DSSBS; nothing speculates anyway", ssbs=2),
    _row("FEAT_FP16", _PFR0, _ENGINE, "half precision in FP and SIMD", fp=1, advsimd=1),
    _row("FEAT_SHA512", _ISAR0, _ENGINE, "SHA512 instructions", sha2=2),
    _row("FEAT_LSE", _ISAR0, _ENGINE, "atomic operations on memory: CAS, SWP, LDADD and others", atomic=2),
    _row("FEAT_RDM", _ISAR0, _ENGINE, "SQRDMLAH and SQRDMLSH", rdm=1),
    _row("FEAT_SHA3", _ISAR0, _ENGINE, "SHA3 instructions", sha3=1),
    _row("FEAT_SM3", _ISAR0, _ENGINE, "SM3 instructions", sm3=1),
    _row("FEAT_SM4", _ISAR0, _ENGINE, "SM4 instructions", sm4=1),
    _row("FEAT_DotProd", _ISAR0, _ENGINE, "UDOT and SDOT", dp=1),
    _row("FEAT_FHM", _ISAR0, _ENGINE, "FMLAL and FMLSL", fhm=1),
    _row("FEAT_FlagM2", _ISAR0, _ENGINE, "CFINV, RMIF, SETF, AXFLAG and XAFLAG", ts=2),
    _row("FEAT_DPB2", _ISAR1, _ENGINE, "DC CVAP and DC CVADP", dpb=2),
    _row("FEAT_PAuth", _ISAR1, _ENGINE, "pointer authentication by QARMA5, with generic codes", apa=1, gpa=1),
    _row("FEAT_JSCVT", _ISAR1, _ENGINE, "FJCVTZS", jscvt=1),
    _row("FEAT_FCMA", _ISAR1, _ENGINE, "FCADD and FCMLA", fcma=1),
    _row("FEAT_LRCPC2", _ISAR1, _ENGINE, "LDAPR, LDAPUR and STLUR", lrcpc=2),
    _row("FEAT_FRINTTS", _ISAR1, _ENGINE, "FRINT32 and FRINT64", frintts=1),
    _row("FEAT_SB", _ISAR1, _ENGINE, "speculation barrier", sb=1),
    _row("FEAT_SPECRES", _ISAR1, _ENGINE, "CFP, DVP and CPP RCTX", specres=1),
    _row("FEAT_LOR", _MMFR1, _ENGINE, "the registers of limited ordering regions, of which there are none", lo=1),
    _row("FEAT_PAN2", _MMFR1, _ENGINE, "PSTATE.PAN; AT S1E1RP and S1E1WP", pan=2),
    _row("FEAT_UAO", _MMFR2, _ENGINE, "PSTATE.UAO", uao=1),
)

HIDDEN: Final = (
    Hidden("FEAT_SVE", _PFR0, "sve", "the engine lacks its traps, and its registers are not accessible"),
    Hidden("FEAT_BTI", _PFR1, "bt", "the engine does not take guarded pages from this MMU; BTI itself is a NOP"),
    Hidden("FEAT_RNG", _ISAR0, "rndr", "its numbers are the host's, and a run would not be repeatable"),
    Hidden("FEAT_MixedEnd", _MMFR0, "bigend", "device accesses and table walks are little-endian"),
    Hidden("FEAT_VHE", _MMFR1, "vh", "not implemented yet: HCR_EL2.E2H is RES0"),
)
"""What is left out of the engine's ``max``."""

DEFAULT: Final = "a72"
MODELS: Final[Mapping[str, Model]] = MappingProxyType(
    {
        one.name: one
        for one in (
            Model("a72", "A72", "Armv8.0-A, as Cortex-A72: boots Linux fastest"),
            Model("max", "MAX", "PAuth, DIT, SSBS, LSE, PAN and more: what software for Armv8.5-A expects", _MAX),
        )
    }
)
"""Every model by name."""
