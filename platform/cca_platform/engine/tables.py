"""The tables by which register files move between frames and the engine, and a look at the numbers of this Unicorn."""

from collections.abc import Callable
from typing import Final

from cca_platform.engine.library import request  # before Unicorn: it chooses which

# isort: split
from unicorn import arm64_const, unicorn_const

from cca_arch.sysregs import REGISTERS
from cca_platform.engine import registers, sites
from cca_platform.isa.frame import (
    EL1_FRAME,
    EL2_FRAME,
    EL2_REPLACED,
    KEYS,
    SAVED,
    SAVED_OF_MAX,
    offset,
    offset_el2,
    offset_saved,
)
from cca_platform.memory.words import Words, address_of, words
from cca_platform.native import block as w

__all__ = ["EL2_REPLACED_ROWS", "EL2_ROWS", "TABLES"]

_BLOCK_WORDS: Final = {
    "hcr": w.P_HCR,
    "vtcr": w.P_VTCR,
    "vttbr": w.P_VTTBR,
    "cnthctl": w.P_CNTHCTL,
    "cntvoff": w.P_CNTVOFF,
    "mdcr": w.P_MDCR,
    "cntv_ctl_el0": w.P_CNTV_CTL,
    "cntv_cval_el0": w.P_CNTV_CVAL,
    "cntp_ctl_el0": w.P_CNTP_CTL,
    "cntp_cval_el0": w.P_CNTP_CVAL,
}
_NOT_TRANSFERRED: Final = {*(f"x{number}" for number in range(31)), "pc", "pstate"}  # these travel in the PE block


def _table(names: tuple[str, ...], place: Callable[[str], int]) -> Words:
    """The transfer table of a frame (see :func:`cca_platform.engine.registers.store_file`)."""
    rows: list[int] = []
    for name in names:
        if name in _NOT_TRANSFERRED:
            continue
        if name in _BLOCK_WORDS:
            rows += [-_BLOCK_WORDS[name], 0, place(name)]
        elif name in REGISTERS:
            rows += [arm64_const.UC_ARM64_REG_CP_REG, REGISTERS[name].packed, place(name)]
        else:
            number = getattr(arm64_const, f"UC_ARM64_REG_{name.upper().replace('V', 'Q')}")
            rows += [number, registers.VECTOR if name[0] == "v" else 0, place(name)]
    return words(1 + len(rows), (len(rows) // 3, *rows))


_OF_MAX: Final = frozenset({*SAVED_OF_MAX, *KEYS})


def _tables(lacks: frozenset[str]) -> tuple[Words, Words, Words]:
    """The transfer tables of the EL1&0 frame, of the keys in it, and of saved state, without what a model lacks."""
    el1, keys, saved = (tuple(name for name in names if name not in lacks) for names in (EL1_FRAME, KEYS, SAVED))
    return _table(el1, offset), _table(keys, offset), _table(saved, offset_saved)


TABLES: Final = {"A72": _tables(_OF_MAX), "MAX": _tables(frozenset())}
"""By CPU model of the engine."""
_EL2_TABLE: Final = _table(EL2_FRAME, offset_el2)
_EL2_REPLACED_TABLE: Final = _table(EL2_REPLACED, offset_el2)
EL2_ROWS: Final = address_of(_EL2_TABLE)
EL2_REPLACED_ROWS: Final = address_of(_EL2_REPLACED_TABLE)


def _check_numbers() -> None:
    if w.M_BUDGET != w.M_RETIRED + 1 or (w.P_BLOCK_SIZE, w.P_RETIRED) != (w.P_BLOCK_PC + 1, w.P_BLOCK_PC + 2):
        raise ImportError("the engine counts in words that must be neighbours")
    for name, number in registers.UNICORN_REGISTERS.items():
        actual = getattr(arm64_const, f"UC_ARM64_REG_{name}")
        if actual != number:
            raise ImportError(f"this Unicorn numbers {name} {actual}, not {number}: install unicorn 2.1.4")
    calls = (unicorn_const.UC_CTL_TLB_FLUSH, 0), (unicorn_const.UC_CTL_TB_REMOVE_CACHE, 2)  # and their arguments
    if unicorn_const.UC_HOOK_CODE != sites.CODE_HOOK:
        raise ImportError("this Unicorn numbers its hooks otherwise: install unicorn 2.1.4")
    writes = unicorn_const.UC_CTL_IO_WRITE == 1
    if not writes or [request(*call) for call in calls] != [registers.TLB_FLUSH, registers.TB_REMOVE]:
        raise ImportError("this Unicorn numbers its controls otherwise: install unicorn 2.1.4")


_check_numbers()
