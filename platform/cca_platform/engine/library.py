"""Which Unicorn runs: the one of the wheel, or the one that ``make fast`` has built, patched by ``platform/engine``.

A library tells by its own functions what it can do; where it lies and how it is called mean nothing. Every module that
needs Unicorn imports this one first, since the binding loads its library once.
"""

import ctypes
import os
from typing import Any, Final, Literal

from cca_platform.tier import folder

__all__ = ["LIBRARY", "LOADED", "NOTE", "SERIES", "count_natively", "describe", "series", "tier"]

LIBRARY: Final = "libunicorn.so.2"
"""The name that the binding looks for."""
NOTE: Final = "built.json"
"""Beside it, what it was made from."""
SERIES: Final = 1
"""The patches' version that this engine works with."""
_PATH: Final = "LIBUNICORN_PATH"
_MEM_EXIT_CHECK, _BLOCK_BUDGET = 15, 16  # uc_control_type of the patches
_WRITE: Final = 1 << 30
_ARGUMENT: Final = 1 << 26  # one of a control, in its number


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


def count_natively(engine: ctypes.c_void_p, clock: int, progress: int) -> bool:
    """Have a built engine count the blocks itself, and look for a stop at the start of a block alone; False on stock.

    ``clock`` is the address of the words retired and limit, ``progress`` of PC, size and retired of the last block.
    Blocks at the limit, or at a PC that is not aligned, go to the block hook. This drops all translated code.
    """
    if tier() != "built":
        return False
    _control(engine, _MEM_EXIT_CHECK, ctypes.c_int(0))
    _control(engine, _BLOCK_BUDGET, ctypes.c_void_p(clock), ctypes.c_void_p(progress), ctypes.c_uint64(3))
    return True


def _control(engine: ctypes.c_void_p, number: int, *arguments: Any) -> None:
    """``uc_ctl`` with a control of the patches."""
    request = number | len(arguments) * _ARGUMENT | _WRITE
    status = LOADED.uc_ctl(engine, ctypes.c_int(request), *arguments)
    if status:
        raise ImportError(f"Unicorn refuses its control {number} with error {status}: build it anew with make fast")
