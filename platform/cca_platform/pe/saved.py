"""The saved state of a PE: registers by name, and all else that code or a Python level can observe."""

import ctypes
import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from cca_arch.sysregs import REGISTERS
from cca_arch.types import SecurityState
from cca_platform.engine import pmu
from cca_platform.isa import frame
from cca_platform.native import block as w
from cca_platform.pe.refused import Refused
from cca_platform.state import State

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

    class WordsState(State, frozen=True, tag="pe.words/5"):
        """The words of the PE block that are state, by name in its layout."""

        def __init__(self, *values: int) -> None: ...

    class RegistersState(State, frozen=True, tag="pe.registers/2"):
        """The registers of the engine by name in ``frame.SAVED``; a vector register is 16 bytes."""

        def __init__(self, *values: int | bytes) -> None: ...

else:
    WordsState = msgspec.defstruct(
        "WordsState",
        [(name, int) for name in w.PE.saved()],
        bases=(State,),
        module=__name__,
        frozen=True,
        tag="pe.words/5",
    )
    RegistersState = msgspec.defstruct(
        "RegistersState",
        [(name, bytes if name in frame.VECTORS else int) for name in frame.SAVED],
        bases=(State,),
        module=__name__,
        frozen=True,
        tag="pe.registers/2",
    )

__all__ = ["EngineState", "PeState", "RegistersState", "Restored", "WordsState", "restore", "save"]


class EngineState(State, frozen=True, tag="pe.engine/2"):
    """A PE that has run code. ``claimed`` is the state of its exclusive monitor: address, low word, high word.

    ``ordered`` are the ordered accesses whose alignment is checked, None for none any more.
    """

    registers: RegistersState
    os_lock: bool
    claimed: tuple[int, int, int] | None
    ordered: tuple[int, ...] | None


class PeState(State, frozen=True, tag="pe/3"):
    """One PE; without ``engine`` it has run no code since its reset."""

    security: int
    el: int
    on: bool
    waiting: bool
    wfe: tuple[int, bytes] | None
    stuck: bool
    fruitless: int
    progress: int
    reloaded: bool
    vmid: int
    recent: bytes
    refused: tuple[Refused, ...]
    words: WordsState
    engine: EngineState | None


def _format() -> struct.Struct:
    """The frame of ``frame.SAVED`` as one packed structure."""
    parts, at = [], 0
    for name in frame.SAVED:
        place, vector = frame.offset_saved(name), name in frame.VECTORS
        parts.append(f"{place - at}x" + ("16s" if vector else "Q"))
        at = place + (16 if vector else 8)
    return struct.Struct("<" + "".join(parts))


class Restored(NamedTuple):
    """What a PE was restored to last: the state, its words ready to be copied, and ``moves`` and the words after it."""

    state: PeState
    packed: memoryview
    moves: int
    words: bytes


_REGISTERS: Final = _format()
_WORDS: Final = slice(0, len(w.PE.saved()))
_STATES: Final = {int(state): state for state in SecurityState}
_OSLSR, _OSLAR, _OSLK = REGISTERS["oslsr_el1"], REGISTERS["oslar_el1"], 1 << 1
_buffer: Final = ctypes.create_string_buffer(frame.SAVED_SIZE)
_address: Final = ctypes.addressof(_buffer)


def save(pe: "Pe") -> PeState:
    """The state of the PE, as plain data."""
    pmu.sync(pe.address)
    return PeState(
        security=int(pe.security),
        el=pe.el,
        on=pe.on,
        waiting=pe.waiting,
        wfe=pe.wfe,
        stuck=pe.stuck,
        fruitless=pe.fruitless,
        progress=pe.progress,
        reloaded=pe.reloaded,
        vmid=pe.tlb.vmid,
        recent=pe.recent.tobytes(),
        refused=pe.refused,
        words=WordsState(*pe.words[_WORDS]),
        engine=_save_engine(pe) if pe.has_engine else None,
    )


def _save_engine(pe: "Pe") -> EngineState:
    engine = pe.engine
    ctypes.memset(_address, 0, frame.SAVED_SIZE)  # the model may lack some of them
    engine.save_state(_address)
    registers = RegistersState(*_REGISTERS.unpack(_buffer))
    return EngineState(registers, bool(engine.read_system(_OSLSR) & _OSLK), engine.monitor.read(), engine.ordered)


def restore(pe: "Pe", state: PeState) -> None:
    """Restore what ``save`` returned, for this PE or its counterpart in another machine."""
    known = pe.restored
    if known is not None and known.state is state and _is_idle(pe, known):
        return
    pe.security = _STATES[state.security]
    pe.el, pe.on, pe.waiting = state.el, state.on, state.waiting
    pe.wfe = state.wfe
    pe.stuck, pe.fruitless, pe.progress = state.stuck, state.fruitless, state.progress
    pe.reloaded = state.reloaded
    pe.tlb.vmid = state.vmid
    pe.refused = state.refused
    memoryview(pe.recent).cast("B")[:] = state.recent
    if state.engine is None:
        pe.close()
    else:
        _restore_engine(pe, state.engine)
    packed = known.packed if known is not None and known.state is state else _packed(state.words)
    pe.words[_WORDS] = packed
    pe.words[w.P_PMU_COUNTS] = pe.words[w.P_SERVED] = 0
    pmu.stop(pe.address)
    pe.block[w.P_REGIME] = pe.block[w.P_VMPIDR] = -1
    pe.moves += 1
    pe.tlb.stale = True
    pe.restored = Restored(state, packed, pe.moves, pe.words[_WORDS].tobytes())


def _is_idle(pe: "Pe", known: "Restored") -> bool:
    """True if a PE has run nothing since, and nothing has reached it: most PEs of most machines."""
    return not pe.has_engine and pe.moves == known.moves and pe.words[_WORDS].tobytes() == known.words


def _packed(state: WordsState) -> memoryview:
    """The saved words as they stand in the block: the same state is often restored again."""
    return memoryview(struct.pack(f"<{_WORDS.stop}Q", *_values(state))).cast("Q")


def _restore_engine(pe: "Pe", state: EngineState) -> None:
    engine = pe.engine
    _REGISTERS.pack_into(_buffer, 0, *_values(state.registers))
    engine.load_state(_address)
    engine.write_system(_OSLAR, state.os_lock)
    engine.monitor.write(state.claimed)
    engine.ordered = state.ordered


def _values(state: State) -> tuple[Any, ...]:
    return msgspec.structs.astuple(state)
