"""Syndromes: what of ESR, FAR and HPFAR the Host may see of an exit, and what a Realm gets injected."""

from typing import Final

from cca_arch.fields import Field
from cca_platform.isa.access import DataAbortIss

__all__ = ["VIEWS", "Esr", "ExitView", "emulated_value", "fault_ipa", "sea_esr"]


class Esr(DataAbortIss):
    """ESR_EL2 of an abort (DDI 0487 D24.2.40)."""

    ec = Field(31, 26)
    il = Field(25)
    vncr = Field(13)
    set = Field(12, 11)
    fsc = Field(5, 0)  # DFSC or IFSC


def _mask(*names: str) -> int:
    fields = Esr.fields()
    return sum(fields[name].mask for name in names)


class ExitView:
    """What the Host sees of an abort: masks for ESR_EL2 and FAR_EL2, and whether HPFAR_EL2 is given."""

    def __init__(self, esr: int, far: int = 0, hpfar: int = -1) -> None:
        self.esr = esr
        self.far = far
        self.hpfar = hpfar


_DATA: Final = _mask("ec", "set", "fnv", "ea", "fsc")
VIEWS: Final = {
    "protected": ExitView(_DATA),
    "emulatable": ExitView(_DATA | _mask("isv", "sas", "sf", "wnr"), far=0xFFF),
    "unprotected": ExitView(_DATA),
    "instruction": ExitView(_mask("ec", "set", "ea", "fsc")),
    "external": ExitView(_DATA, hpfar=0),
}
"""Aborts that exit to the Host, by kind (DEN0137 "REC exit due to ... Abort"); bits not in a mask read as zero."""


def fault_ipa(hpfar: int) -> int:
    """The faulting page's IPA: HPFAR_EL2.FIPA is IPA[51:12] in bits 43:4."""
    return hpfar >> 4 << 12 & 0xF_FFFF_FFFF_F000


def sea_esr(esr: int, spsr: int) -> int:
    """ESR_EL1 of a synchronous external abort injected in place of the abort ``esr`` that PSTATE ``spsr`` took."""
    same = 1 if spsr >> 2 & 3 else 0  # taken from EL1: the "same level" class
    cleared = esr & ~_mask("ec", "fnv", "s1ptw", "fsc")
    return int(Esr(cleared | (esr >> 26 & 0x3E | same) << 26).replace(ea=1, fsc=0x10))


def emulated_value(esr: Esr, value: int) -> int:
    """What an emulated load puts into Rt: ``value`` cut to the access size, then extended as the syndrome says."""
    bits = 8 << esr.sas
    value &= (1 << bits) - 1
    if esr.sse and value >> (bits - 1):
        value |= -1 << bits
    return value & ((1 << 64) - 1 if esr.sf else (1 << 32) - 1)
