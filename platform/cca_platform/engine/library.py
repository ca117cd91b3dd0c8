"""Which Unicorn runs: the one of the wheel, or the one that ``make fast`` has built, patched by ``platform/engine``.

A library tells by its own functions what it can do; where it lies and how it is called mean nothing. Every module that
needs Unicorn imports this one first, since the binding loads its library once.
"""

import ctypes
import os
from functools import cache
from typing import Any, Final, Literal

from cca_arch.sysregs import Encoding, encodings
from cca_platform.tier import folder

__all__ = ["LIBRARY", "LOADED", "NOTE", "PLAIN", "SERIES", "describe", "prepare", "request", "series", "tier"]

LIBRARY: Final = "libunicorn.so.2"
"""The name that the binding looks for."""
NOTE: Final = "built.json"
"""Beside it, what it was made from."""
SERIES: Final = 2
"""The patches' version that this engine works with."""
_PATH: Final = "LIBUNICORN_PATH"
_SP_EL0, _NZCV, _DAIF = Encoding(3, 0, 4, 1, 0), Encoding(3, 3, 4, 2, 0), Encoding(3, 3, 4, 2, 1)
_FPCR, _FPSR = Encoding(3, 3, 4, 4, 0), Encoding(3, 3, 4, 4, 1)
_MEM_EXIT_CHECK, _BLOCK_BUDGET, _INSN_SYS_PLAIN = 15, 16, 18  # uc_control_type of the patches
PLAIN: Final = (
    encodings.TPIDR_EL0, encodings.TPIDRRO_EL0, encodings.TPIDR_EL1, encodings.TPIDR_EL2, encodings.ELR_EL1,
    encodings.ELR_EL2, encodings.ESR_EL1, encodings.ESR_EL2, encodings.FAR_EL1, encodings.FAR_EL2, encodings.HPFAR_EL2,
    encodings.VBAR_EL1, encodings.VBAR_EL2, encodings.CONTEXTIDR_EL1, encodings.PAR_EL1, _SP_EL0, _NZCV, _DAIF, _FPCR,
    _FPSR,
)  # fmt: skip
"""System registers that our hooks leave to the engine, which a built one does not ask them for."""
_WRITE, _ARGUMENT = 30, 26  # bits of a request to uc_ctl: it writes; how many arguments


def _load() -> ctypes.CDLL:
    """The library: of ``LIBUNICORN_PATH`` if the user has set it, else the one that was built, else the wheel's."""
    built = folder()
    given = os.environ.get(_PATH)
    if given is None and built is not None and (built / "engine" / LIBRARY).is_file():
        os.environ[_PATH] = str(built / "engine")
    try:
        from unicorn.unicorn_py3.unicorn import uclib
    finally:
        if given is None:
            os.environ.pop(_PATH, None)  # it is not for the processes that are started from this one
    return ctypes.CDLL(uclib._name)


LOADED: Final = _load()
"""Unicorn's library."""


def series() -> int:
    """The version of the patches that the library has, 0 = none."""
    told = getattr(LOADED, "uc_patch_series", None)
    return int(told()) if told is not None else 0


def tier() -> Literal["stock", "built"]:
    """``built`` if the library has the patches that this engine uses, else ``stock``."""
    return "built" if series() == SERIES else "stock"


def describe() -> str:
    """The tier in words, and what is wrong with a library that was built and is of no use."""
    number, built = series(), folder()
    if number == SERIES:
        return f"built (patch series {number})"
    if number:
        return f"stock (the engine that was built has patch series {number}, not {SERIES}: make fast)"
    if built is not None and (built / "engine" / LIBRARY).is_file() and _PATH not in os.environ:
        return f"stock ({built / 'engine' / LIBRARY} cannot be loaded: make fast)"
    return "stock"


def prepare(engine: ctypes.c_void_p, clock: int, progress: int) -> bool:
    """Turn on what a built engine has, which drops all translated code; False on stock.

    It counts the blocks itself and looks for a stop at the start of a block alone. ``clock`` is the address of the
    words retired and limit, ``progress`` of PC, size and retired of the last block. Blocks at the limit, or at a PC
    that is not aligned, go to the block hook. Registers of ``PLAIN`` do not go to the hooks for MRS and MSR.
    """
    if tier() != "built":
        return False
    _control(engine, _MEM_EXIT_CHECK, ctypes.c_int(0))
    _control(engine, _BLOCK_BUDGET, ctypes.c_void_p(clock), ctypes.c_void_p(progress), ctypes.c_uint64(3))
    _control(engine, _INSN_SYS_PLAIN, _plain())
    return True


@cache
def _plain() -> ctypes.Array[ctypes.c_uint64]:
    """The bitmap of ``PLAIN``."""
    bitmap = (ctypes.c_uint64 * 1024)()
    for one in PLAIN:
        number = one.op0 << 14 | one.op1 << 11 | one.crn << 7 | one.crm << 3 | one.op2
        bitmap[number // 64] |= 1 << number % 64
    return bitmap


def request(control: int, arguments: int) -> int:
    """What ``uc_ctl`` is called with to write a control that has so many arguments."""
    return control | arguments << _ARGUMENT | 1 << _WRITE


def _control(engine: ctypes.c_void_p, number: int, *arguments: Any) -> None:
    """``uc_ctl`` with a control of the patches."""
    status = LOADED.uc_ctl(engine, ctypes.c_int(request(number, len(arguments))), *arguments)
    if status:
        raise ImportError(f"Unicorn refuses its control {number} with error {status}: build it anew with make fast")
