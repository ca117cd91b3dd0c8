"""The state of a PE that a snapshot keeps."""

import ctypes
from typing import TYPE_CHECKING, Any, Final

from cca_arch.types import SecurityState
from cca_platform.isa import frame
from cca_platform.native import block as w

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["restore", "save"]

# what of the block is state: regime controls, retired count, timers, general registers
_SAVED_WORDS: Final = (
    (w.P_SECURITY, w.P_VSTTBR + 1),
    (w.P_RETIRED, w.P_RETIRED + 1),
    (w.P_TIMERS, w.P_SERROR + 1),
    (w.P_X, w.P_PSTATE + 1),
)


def save(pe: "Pe") -> dict[str, Any]:
    """Everything of the PE, as plain data."""
    frames = bytearray(frame.EL1_FRAME_SIZE + frame.EL2_FRAME_SIZE)
    if pe.has_engine:
        address = ctypes.addressof(ctypes.c_char.from_buffer(frames))
        pe.engine.save(address)
        pe.engine.save_el2(address + frame.EL1_FRAME_SIZE)
    return {
        "security": int(pe.security),
        "el": pe.el,
        "on": pe.on,
        "waiting": pe.waiting,
        "fruitless": (pe.stuck, pe.fruitless, pe.progress),
        "words": pe.block.copy(),
        "vmid": pe.tlb.vmid,
        "engine": bytes(frames) if pe.has_engine else None,
        "context": None if not pe.has_engine else (pe.engine, pe.engine.save_context()),
    }


def restore(pe: "Pe", data: dict[str, Any]) -> None:
    """Put back what ``save`` gave."""
    pe.security = SecurityState(data["security"])
    pe.el, pe.on, pe.waiting = data["el"], data["on"], data["waiting"]
    pe.stuck, pe.fruitless, pe.progress = data["fruitless"]
    pe.tlb.vmid = data["vmid"]
    if data["engine"] is None:
        pe.close()
    else:
        frames = bytearray(data["engine"])
        address = ctypes.addressof(ctypes.c_char.from_buffer(frames))
        owner, context = data["context"]
        if pe.has_engine and owner is pe.engine:
            pe.engine.restore_context(context)
        pe.engine.load_el2(address + frame.EL1_FRAME_SIZE)
        pe.engine.load(address)
    for start, stop in _SAVED_WORDS:
        pe.block[start:stop] = data["words"][start:stop]
    pe.block[w.P_REGIME] = pe.block[w.P_VMPIDR] = -1
    pe.moves += 1
    pe.tlb.stale = True
