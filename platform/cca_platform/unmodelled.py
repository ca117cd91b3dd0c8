"""What the control registers offer to software, and what of it is not modelled.

A field of a control register works, or it is RES0 and reads as zero, or it has a row in :data:`UNMODELLED` and reads as
it was written. ``docs/reference/not-modelled.md`` is made of these rows; a test runs code for every field.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from cca_arch.fields import Bits
from cca_arch.sysregs import (
    CPTR_EL2_RES1,
    SCTLR_EL1_RES1,
    SCTLR_EL2_RES1,
    Cntkctl,
    Cpacr,
    Cptr,
    Hstr,
    Mdcr,
    Sctlr,
)

__all__ = ["CONTROLS", "ELSEWHERE", "UNMODELLED", "Controls", "Gap"]


class Gap(NamedTuple):
    """Fields of a register that read as written and do nothing: what is missing, and why."""

    register: str
    fields: tuple[str, ...]
    missing: str
    why: str


_EACH_ACCESS: Final = "a check of each access would make loads and stores a hundred times slower"
_NO_CACHES: Final = "there are no caches, and data are the same; only the attributes that AT reports would differ"
_ENGINE_FP: Final = "the engine never traps FP and SIMD instructions; software that switches FP lazily would see it"
_DEBUG: Final = "the engine does not implement it; breakpoints and BRK work"

UNMODELLED: Final = (
    Gap("SCTLR_EL1", ("a",), "alignment checks of accesses to Normal memory, at EL1 and EL0", _EACH_ACCESS),
    Gap("SCTLR_EL1", ("sa", "sa0"), "SP alignment faults (EC 0x26)", _EACH_ACCESS),
    Gap("SCTLR_EL1", ("c", "i"), "memory counts as cacheable", _NO_CACHES),
    Gap("SCTLR_EL2", ("a",), "alignment checks of accesses to Normal memory, at EL2", _EACH_ACCESS),
    Gap("SCTLR_EL2", ("sa",), "SP alignment faults (EC 0x26)", _EACH_ACCESS),
    Gap("SCTLR_EL2", ("c", "i"), "memory counts as cacheable", _NO_CACHES),
    Gap("CPACR_EL1", ("fpen",), "traps of FP and SIMD to EL1", _ENGINE_FP),
    Gap("CPTR_EL2", ("tfp",), "traps of FP and SIMD to EL2", _ENGINE_FP),
    Gap("HCR_EL2", ("cd", "id"), "memory counts as cacheable", _NO_CACHES),
    Gap("HCR_EL2", ("swio",), "DC ISW of EL1 does not clean", "there are no caches"),
    Gap("HCR_EL2", ("bsu",), "barriers of EL1 are not upgraded", "every access is seen by all PEs at once"),
    Gap("MDSCR_EL1", ("ss",), "software step", _DEBUG),
    Gap("DBGWCR<n>_EL1", ("e",), "watchpoints", _DEBUG),
)
"""A row for each gap that software can ask for by a control register."""

ELSEWHERE: Final = (
    ("unaligned accesses and DC ZVA to DRAM while the MMU is off", "no alignment fault, though the memory is Device",
     _EACH_ACCESS),
    ("LDAR, STLR, LDAPR and their kind", "are checked for alignment only while a PE has met no more than 64 of them",
     "each needs a hook, and a kernel has thousands"),
    ("store exclusive", "fails whenever another PE has had its turn since the load, whether or not it wrote there",
     "the engine compares values, and the same value may have been stored twice"),
    ("PACIA and its like on a pointer that is no address", "invert bit 63 of the code instead of bit 62; with top byte "
     "ignore they invert none, and it authenticates", "the engine computes the code"),
    ("WFE after a load exclusive", "does not end when another PE stores the value that is there already",
     "the store is seen by the value that it leaves"),
)  # fmt: skip
"""What no control register is about: where, what is different, and why."""


class Controls(NamedTuple):
    """The fields of a control register that do something: always, or with a feature; ``ones`` are its RES1 bits."""

    layout: type[Bits]
    works: tuple[str, ...]
    with_feature: Mapping[str, tuple[str, ...]]
    ones: int

    def kept(self, register: str, features: frozenset[str]) -> int:
        """The bits that are kept as they are written, on a PE with these features; all others are RES0 or RES1."""
        names = [*self.works, *(name for gap in UNMODELLED if gap.register == register for name in gap.fields)]
        names += [name for feature, fields in self.with_feature.items() if feature in features for name in fields]
        fields = self.layout.fields()
        return sum(fields[name].mask for name in names)


_PAUTH: Final = ("enda", "endb", "enia", "enib")
CONTROLS: Final[Mapping[str, Controls]] = MappingProxyType(
    {
        "SCTLR_EL1": Controls(
            Sctlr,
            ("m", "uma", "dze", "uct", "ntwi", "ntwe", "wxn", "uci"),
            {"FEAT_PAuth": _PAUTH, "FEAT_PAN2": ("span",), "FEAT_SSBS2": ("dssbs",), "FEAT_SPECRES": ("enrctx",)},
            SCTLR_EL1_RES1,
        ),
        "SCTLR_EL2": Controls(
            Sctlr, ("m", "wxn"), {"FEAT_PAuth": _PAUTH, "FEAT_SSBS2": ("dssbs",)}, SCTLR_EL2_RES1
        ),
        "CPACR_EL1": Controls(Cpacr, (), {}, 0),
        "CPTR_EL2": Controls(Cptr, ("tcpac",), {}, CPTR_EL2_RES1),
        "HSTR_EL2": Controls(Hstr, (), {}, 0),
        "MDCR_EL2": Controls(
            Mdcr,
            ("hpmn", "tpmcr", "tpm", "hpme", "tde", "tda", "tdosa", "tdra", "hpmd", "hccd", "hlp"),
            {},
            0,
        ),
        "CNTKCTL_EL1": Controls(
            Cntkctl, ("el0pcten", "el0vcten", "evnten", "evntdir", "evnti", "el0vten", "el0pten"), {}, 0
        ),
    }
)
"""The registers whose writes pass these masks; HCR_EL2 and CNTHCTL_EL2 are kept in the PE block, with masks there."""
