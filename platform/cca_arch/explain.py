"""Syndromes in words, for people: what ESR_ELx says (DDI 0487, ESR_EL1 and ESR_EL2)."""

from collections.abc import Callable
from functools import cache
from typing import Final

from cca_arch.sysregs import REGISTERS
from cca_arch.sysregs.encodings import Encoding
from cca_arch.sysregs.syndrome import (
    FSC_LEVEL,
    AbortEsr,
    DataAbortEsr,
    Ec,
    Esr,
    Fsc,
    ImmediateEsr,
    SErrorEsr,
    SysregEsr,
    WfxEsr,
)

__all__ = ["CLASSES", "explain_esr", "explain_fsc"]

CLASSES: Final[dict[int, str]] = {
    Ec.UNKNOWN: "undefined instruction",
    Ec.WFX: "trapped WFI or WFE",
    Ec.FP_ASIMD: "FP or SIMD instruction while it is turned off",
    Ec.PAC: "trapped pointer authentication",
    Ec.ILLEGAL_STATE: "illegal execution state",
    Ec.SVC: "SVC",
    Ec.HVC: "HVC",
    Ec.SMC: "SMC",
    Ec.SYSREG: "trapped system register access",
    Ec.SVE: "SVE instruction while it is turned off",
    Ec.ERET: "trapped ERET",
    Ec.SME: "SME instruction while it is turned off",
    Ec.GPC: "granule protection check",
    Ec.INSTRUCTION_ABORT: "instruction abort from a lower level",
    Ec.INSTRUCTION_ABORT_SAME: "instruction abort",
    Ec.PC_ALIGNMENT: "PC that is not aligned",
    Ec.DATA_ABORT: "data abort from a lower level",
    Ec.DATA_ABORT_SAME: "data abort",
    Ec.SP_ALIGNMENT: "SP that is not aligned",
    Ec.SERROR: "SError",
    Ec.BREAKPOINT: "breakpoint from a lower level",
    Ec.BREAKPOINT_SAME: "breakpoint",
    Ec.SOFTWARE_STEP: "software step from a lower level",
    Ec.SOFTWARE_STEP_SAME: "software step",
    Ec.WATCHPOINT: "watchpoint from a lower level",
    Ec.WATCHPOINT_SAME: "watchpoint",
    Ec.BRK: "BRK",
}
_FAULTS: Final[dict[int, str]] = {
    Fsc.ADDRESS_SIZE: "address size fault",
    Fsc.TRANSLATION: "translation fault",
    Fsc.ACCESS_FLAG: "access flag fault",
    Fsc.PERMISSION: "permission fault",
    Fsc.EXTERNAL: "external abort",
    Fsc.ASYNCHRONOUS: "asynchronous error",
    Fsc.EXTERNAL_WALK: "external abort on a table walk",
    Fsc.ALIGNMENT: "alignment fault",
    Fsc.DEBUG: "debug exception",
    Fsc.GPF_WALK: "granule protection fault on a table walk",
    Fsc.GPF: "granule protection fault",
    Fsc.UNSUPPORTED_EXCLUSIVE: "exclusive or atomic access that the memory does not support",
}
_WITH_LEVEL: Final = {
    Fsc.ADDRESS_SIZE, Fsc.TRANSLATION, Fsc.ACCESS_FLAG, Fsc.PERMISSION, Fsc.EXTERNAL_WALK, Fsc.GPF_WALK,
}  # fmt: skip
_DIRECTIONS: Final = ("write of", "read of")


def explain_esr(esr: int) -> str:
    """What a syndrome says, such as "data abort: translation fault, level 3, on a write"."""
    ec = int(Esr(esr).ec)
    known = CLASSES.get(ec, f"exception class {ec:#x}")
    more = _DETAILS.get(ec)
    return known if more is None else more(known, esr)


def explain_fsc(fsc: int) -> str:
    """What a fault status code says, such as "translation fault, level 3"."""
    level = fsc & FSC_LEVEL
    kind = fsc - level
    if kind in _WITH_LEVEL:
        return f"{_FAULTS[kind]}, level {level}"
    return _FAULTS.get(fsc, f"fault status code {fsc:#x}")


def _instruction_abort(known: str, esr: int) -> str:
    return f"{known}: {explain_fsc(int(AbortEsr(esr).fsc))}{_walk(esr)}"


def _data_abort(known: str, esr: int) -> str:
    found = DataAbortEsr(esr)
    way = "a cache maintenance instruction" if found.cm else "a write" if found.wnr else "a read"
    return f"{known}: {explain_fsc(int(found.fsc))}, on {way}{_walk(esr)}"


def _walk(esr: int) -> str:
    return ", while stage 1 tables were read" if AbortEsr(esr).s1ptw else ""


def _serror(known: str, esr: int) -> str:
    found = SErrorEsr(esr)
    if found.ids:
        return f"{known}, implementation defined {int(found.iss):#x}"
    return f"{known}, {found.aet.name.lower()}" if found.dfsc == Fsc.ASYNCHRONOUS else known


def _immediate(known: str, esr: int) -> str:
    return f"{known} #{int(ImmediateEsr(esr).imm16):#x}"


def _wfx(known: str, esr: int) -> str:
    return f"trapped {('WFI', 'WFE', 'WFIT', 'WFET')[int(WfxEsr(esr).ti)]}"


def _sysreg(known: str, esr: int) -> str:
    found = SysregEsr(esr)
    place = Encoding(*(int(word) for word in (found.op0, found.op1, found.crn, found.crm, found.op2)))
    name = _names().get(place, f"S{place.op0}_{place.op1}_C{place.crn}_C{place.crm}_{place.op2}")
    return f"trapped {_DIRECTIONS[int(found.direction)]} {name}"


@cache
def _names() -> dict[Encoding, str]:
    return {place: name.upper() for name, place in REGISTERS.items()}


_DETAILS: Final[dict[int, Callable[[str, int], str]]] = {
    Ec.WFX: _wfx,
    Ec.SYSREG: _sysreg,
    Ec.SERROR: _serror,
    **dict.fromkeys((Ec.SVC, Ec.HVC, Ec.SMC, Ec.BRK), _immediate),
    **dict.fromkeys((Ec.INSTRUCTION_ABORT, Ec.INSTRUCTION_ABORT_SAME), _instruction_abort),
    **dict.fromkeys((Ec.DATA_ABORT, Ec.DATA_ABORT_SAME), _data_abort),
}
