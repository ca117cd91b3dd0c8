"""The ID registers as a Realm reads them."""

from typing import Final

from cca_arch.fields import Field
from cca_arch.sysregs import Dfr0, Dfr1, Pfr0, Pfr1, encodings

__all__ = ["id_register"]


def _mask(*fields: Field) -> int:
    return sum(field.mask for field in fields)


_CLEARED: Final[dict[tuple[int, ...], int]] = {
    encodings.ID_AA64PFR0_EL1: _mask(Pfr0.amu, Pfr0.sve),
    encodings.ID_AA64PFR1_EL1: _mask(Pfr1.sme, Pfr1.mte),
    encodings.ID_AA64DFR0_EL1: _mask(
        Dfr0.tracever, Dfr0.pmss, Dfr0.sebep, Dfr0.ctx_cmps, Dfr0.pmsver, Dfr0.tracefilt, Dfr0.tracebuffer, Dfr0.brbe,
        Dfr0.exttrcbuff,
    ),
    encodings.ID_AA64DFR1_EL1: _mask(Dfr1.icntr, Dfr1.ebep),
    encodings.ID_AA64AFR0_EL1: 0,
    encodings.ID_AA64AFR1_EL1: 0,
    encodings.ID_AA64ISAR0_EL1: 0,
    encodings.ID_AA64ISAR1_EL1: 0,
    encodings.ID_AA64MMFR0_EL1: 0,
    encodings.ID_AA64MMFR1_EL1: 0,
    encodings.ID_AA64MMFR2_EL1: 0,
}  # fmt: skip
"""Encoding -> the fields that a Realm reads as zero."""


def id_register(encoding: tuple[int, ...], physical: int, has_pmu: bool) -> int:
    """A Realm's view of an ID register with the value ``physical``; registers not in the table read as zero."""
    cleared = _CLEARED.get(encoding)
    if cleared is None:
        return 0
    if encoding == encodings.ID_AA64DFR0_EL1 and not has_pmu:
        cleared |= Dfr0.pmuver.mask
    return physical & ~cleared
