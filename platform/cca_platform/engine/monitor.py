"""The exclusive monitor of an engine, which no register exposes, obtained through Unicorn's public calls.

A saved context is memory of unknown layout. To find the monitor in it, a spare engine loads known values exclusively
from a known address; exactly these must then appear in its context.
"""

import ctypes
import struct
from functools import cache
from typing import Any, Final

from unicorn import Uc, arm64_const, unicorn_const

from cca_platform.errors import StateError

__all__ = ["Claim", "Monitor"]

_CODE, _DATA, _SIZE = 0x1000, 0x2230, 0x2000
_LDXP: Final = struct.pack("<2I", 0xC87F_0801, 0xD503_201F)  # LDXP X1, X2, [X0]; NOP
_VALUES: Final = (0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210)
_NONE: Final = (1 << 64) - 1
_WORD: Final = struct.Struct("<Q")

Claim = tuple[int, int, int]
"""The claim of the last load-exclusive: the virtual address, and the one or two words that were there."""



@cache
def _places(model: int) -> tuple[int, ...]:
    """The offsets of the monitor's address, low and high word in a context of this CPU model."""
    uc = Uc(unicorn_const.UC_ARCH_ARM64, unicorn_const.UC_MODE_ARM)
    uc.ctl_set_cpu_model(model)
    uc.mem_map(_CODE, _SIZE)
    uc.mem_write(_CODE, _LDXP)
    uc.mem_write(_DATA, b"".join(map(_WORD.pack, _VALUES)))
    clear = bytes(uc.context_save())
    uc.reg_write(arm64_const.UC_ARM64_REG_X0, _DATA)
    uc.emu_start(_CODE, _CODE + 4)
    for register in (arm64_const.UC_ARM64_REG_X0, arm64_const.UC_ARM64_REG_X1, arm64_const.UC_ARM64_REG_X2):
        uc.reg_write(register, 0)
    claimed = bytes(uc.context_save())
    wanted = [_WORD.pack(value) for value in (_DATA, *_VALUES)]
    places = [claimed.find(word) for word in wanted]
    once = all(claimed.count(word) == 1 and word not in clear for word in wanted)
    if not once or _WORD.unpack_from(clear, places[0]) != (_NONE,):
        raise StateError("Unicorn must show its exclusive monitor in a context, and this one does not: install 2.1.4")
    return tuple(places)


class Monitor:
    """The exclusive monitor of one engine."""

    def __init__(self, uc: Uc, model: int) -> None:
        self._uc = uc
        self._model = model
        self._context: Any = None

    def _look(self) -> int:
        """The host address of a context with the engine's present state."""
        if self._context is None:
            self._context = self._uc.context_save()
        else:
            self._uc.context_update(self._context)
        return int(self._context.context.value)

    @property
    def held(self) -> bool:
        """True if there is a claim."""
        place, base = _places(self._model)[0], self._look()
        return ctypes.c_uint64.from_address(base + place).value != _NONE

    def read(self) -> Claim | None:
        """The present claim, or None."""
        places, base = _places(self._model), self._look()
        address, low, high = (ctypes.c_uint64.from_address(base + place).value for place in places)
        return None if address == _NONE else (address, low, high)

    def write(self, claim: Claim | None) -> None:
        """Set the claim; nothing else of the engine changes."""
        if claim == self.read():
            return
        base = self._look()
        for place, value in zip(_places(self._model), claim or (_NONE, 0, 0), strict=True):
            ctypes.c_uint64.from_address(base + place).value = value
        self._uc.context_restore(self._context)
