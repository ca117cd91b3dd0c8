"""The parts of ESR, FAR and HPFAR that the Host may see."""

from typing import Final, NamedTuple

from cca_arch.sysregs import DataAbortEsr, SErrorEsr

__all__ = ["SERROR_VIEW", "VIEWS", "ExitView"]


class ExitView(NamedTuple):
    """The Host's view of an abort: masks for ESR_EL2, FAR_EL2 and HPFAR_EL2."""

    esr: int
    far: int = 0
    hpfar: int = -1


def _mask(*names: str) -> int:
    fields = DataAbortEsr.fields()
    return sum(fields[name].mask for name in names)


_DATA: Final = _mask("ec", "set", "fnv", "ea", "fsc")
VIEWS: Final = {
    "protected": ExitView(_DATA),
    "emulatable": ExitView(_DATA | _mask("isv", "sas", "sf", "wnr"), far=0xFFF),
    "unprotected": ExitView(_DATA),
    "instruction": ExitView(_mask("ec", "set", "ea", "fsc")),
    "external": ExitView(_DATA, hpfar=0),
}
"""Aborts that exit to the Host by kind (DEN0137 "REC exit due to ... Abort"); bits outside a mask read as zero."""
SERROR_VIEW: Final = sum(
    field.mask for field in (SErrorEsr.ec, SErrorEsr.ids, SErrorEsr.aet, SErrorEsr.ea, SErrorEsr.dfsc)
)
"""The Host's view of ESR_EL2 after an SError."""
