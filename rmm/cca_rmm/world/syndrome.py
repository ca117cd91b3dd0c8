"""Syndromes: what of ESR, FAR and HPFAR the Host may see of an exit, and what a Realm gets injected."""

from typing import Final

from cca_arch.sysregs import DataAbortEsr, Fsc, Hpfar, Pstate

__all__ = ["VIEWS", "ExitView", "emulated_value", "fault_ipa", "sea_esr"]


def _mask(*names: str) -> int:
    fields = DataAbortEsr.fields()
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
    """The faulting page's IPA, of HPFAR_EL2."""
    return int(Hpfar(hpfar).fipa << 12)


def sea_esr(esr: int, spsr: int) -> int:
    """ESR_EL1 of a synchronous external abort injected in place of the abort ``esr`` that PSTATE ``spsr`` took."""
    same = Pstate(spsr).el != 0  # taken from EL1
    abort = DataAbortEsr(esr)
    return int(abort.replace(ec=abort.ec & ~1 | same, fnv=0, s1ptw=0, ea=1, fsc=Fsc.EXTERNAL))


def emulated_value(esr: DataAbortEsr, value: int) -> int:
    """What an emulated load puts into Rt: ``value`` cut to the access size, then extended as the syndrome says."""
    bits = 8 << esr.sas
    value &= (1 << bits) - 1
    if esr.sse and value >> (bits - 1):
        value |= -1 << bits
    return value & ((1 << 64) - 1 if esr.sf else (1 << 32) - 1)
