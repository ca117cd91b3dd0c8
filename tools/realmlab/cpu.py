"""A stopped PE as a user sees it: registers by name, virtual memory, where it is."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from cca_arch.sysregs import REGISTERS, Pstate
from cca_arch.types import GRANULE_SIZE, Access, SecurityState
from cca_platform.engine import registers as engine_registers
from cca_platform.errors import Closed, MachineError
from cca_platform.isa import frame
from cca_platform.isa.pstate import stack
from cca_platform.mmu.translate import translate
from cca_platform.native import block as w
from cca_platform.pe import pmu
from cca_platform.printable import brief

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

    from .symbols import Symbols

__all__ = ["Cpu", "Registers", "pages", "shows_closed"]

_U64: Final = (1 << 64) - 1
_GENERAL: Final = {f"x{number}": w.P_X + number for number in range(31)}
_ALIASES: Final = {"fp": "x29", "lr": "x30"}
_SPECIAL: Final = {"sp": w.P_SP, "pc": w.P_PC, "pstate": w.P_PSTATE}
_VECTORS: Final = {f"v{number}": number for number in range(32)}
_BANKS: Final = {"sp_el0": 0, "sp_el1": 1, "sp_el2": 2}
_CONTROLS: Final = {
    "hcr_el2": w.P_HCR, "vtcr_el2": w.P_VTCR, "vttbr_el2": w.P_VTTBR, "cnthctl_el2": w.P_CNTHCTL,
    "cntvoff_el2": w.P_CNTVOFF, "mdcr_el2": w.P_MDCR,
}  # fmt: skip
"""EL2 controls as written by software."""
_TIMERS: Final = {
    "cntv_ctl_el0": w.P_CNTV_CTL, "cntv_cval_el0": w.P_CNTV_CVAL, "cntp_ctl_el0": w.P_CNTP_CTL,
    "cntp_cval_el0": w.P_CNTP_CVAL,
}  # fmt: skip
_SYSTEM: Final = frozenset({*frame.EL1_FRAME, *frame.EL2_FRAME} & REGISTERS.keys()) - {*_CONTROLS, *_TIMERS}
_WORDS: Final = {**_GENERAL, **_SPECIAL, **_TIMERS}
_VIEW: Final = [w.P_EL, w.P_PAN, w.P_SECURITY]  # the state that a translation depends on
_COLUMNS: Final = 4


def shows_closed(show: Callable[[Any], str]) -> Callable[[Any], str]:
    """A repr that tells of a closed machine and raises nothing: debuggers and reports of tests ask for it."""

    @wraps(show)
    def shown(self: Any) -> str:
        try:
            return show(self)
        except Closed:
            return f"<{type(self).__name__} of a closed machine>"

    return shown


class Registers:
    """The registers of a PE by their architectural names, readable and writable.

    ``x0`` to ``x30`` (``fp``, ``lr``), ``w0`` to ``w30`` (their low halves; a write clears the high one), ``sp``,
    ``pc``, ``pstate``, ``v0`` to ``v31`` (128 bits), and system registers such as ``sp_el0``, ``vbar_el1`` or
    ``esr_el2``. Unknown names, and writes to EL2 controls such as ``hcr_el2`` and to the performance monitors
    (``pmccntr_el0``), raise AttributeError.
    The repr is a table of the general-purpose registers.
    """

    __slots__ = ("_pe",)

    _pe: "Pe"

    def __init__(self, pe: "Pe") -> None:
        object.__setattr__(self, "_pe", pe)

    def _open(self) -> "Pe":
        """The PE of a machine that is not closed."""
        if self._pe.machine.memory.closed:
            raise Closed("its registers")
        return self._pe

    def __getattr__(self, name: str) -> int:
        pe, name = self._open(), _ALIASES.get(name, name)
        word = _WORDS.get(name, _CONTROLS.get(name))
        if word is not None:
            return int(pe.words[word])
        if name[:1] == "w" and f"x{name[1:]}" in _GENERAL:
            return int(pe.words[_GENERAL[f"x{name[1:]}"]]) & 0xFFFF_FFFF
        if name in _VECTORS:
            return pe.engine.read_vector(_VECTORS[name])
        if name in _BANKS:
            if self._selected() == _BANKS[name]:
                return int(pe.words[w.P_SP])
            return int(engine_registers.get(pe.address, engine_registers.SP_EL0 + _BANKS[name])) & _U64
        if self._system(name):
            return pe.read_sysreg(name)
        if name in pmu.BY_NAME:
            return pmu.read(pe, pmu.BY_NAME[name])
        raise AttributeError(_unknown(name))

    def __setattr__(self, name: str, value: int) -> None:
        pe, name = self._open(), _ALIASES.get(name, name)
        if name in _CONTROLS:
            raise AttributeError(f"{name} must be written by software at EL2: it can be read here, not written")
        if name in pmu.BY_NAME:
            raise AttributeError(f"{name} must be written by software: it can be read here, not written")
        word = _WORDS.get(name)
        if word is not None:
            pe.words[word] = value & (0xFFFF_FFFF if name == "pstate" else _U64)
            if name == "pc":
                pe.rearm()
        elif name[:1] == "w" and f"x{name[1:]}" in _GENERAL:
            pe.words[_GENERAL[f"x{name[1:]}"]] = value & 0xFFFF_FFFF
        elif name in _VECTORS:
            pe.engine.write_vector(_VECTORS[name], value)
        elif name in _BANKS:
            if self._selected() == _BANKS[name]:
                pe.words[w.P_SP] = value & _U64
            else:
                engine_registers.put(pe.address, engine_registers.SP_EL0 + _BANKS[name], _signed(value))
        elif self._system(name):
            pe.write_sysreg(name, value)
        else:
            raise AttributeError(_unknown(name))

    def _system(self, name: str) -> bool:
        """Whether the engine keeps this register: the keys are there if the CPU model has them."""
        return name in _SYSTEM and (name not in frame.KEYS or bool(self._pe.words[w.P_FEATURES] & w.HAS_PAUTH))

    def _selected(self) -> int:
        """The exception level whose SP is in use."""
        return int(stack(self._pe.words[w.P_PSTATE]))

    def __dir__(self) -> list[str]:
        return sorted({*_names(), *(f"w{number}" for number in range(31))})

    @shows_closed
    def __repr__(self) -> str:
        cells = [f"{name:>6} {getattr(self, name):#018x}" for name in (*_GENERAL, *_SPECIAL)]
        rows = (cells[at : at + _COLUMNS] for at in range(0, len(cells), _COLUMNS))
        return "\n".join("  ".join(row) for row in rows)


def _signed(value: int) -> int:
    """A 64-bit value as native code takes it."""
    return (value & _U64) - ((value >> 63 & 1) << 64)


def _names() -> set[str]:
    return {*_ALIASES, *_WORDS, *_VECTORS, *_BANKS, *_CONTROLS, *_SYSTEM, *pmu.BY_NAME}


def _unknown(name: str) -> str:
    import difflib  # slow, and rarely needed

    near = difflib.get_close_matches(name, _names(), 1)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    return f"a register must be one of this PE, such as x0, pc or vbar_el1, not {brief(name)}{guess}"


class Cpu:
    """A stopped PE: what it executes next, its registers, and the memory that its code sees.

    Callbacks get one; ``machine.cpus`` lists all.
    """

    regs: Registers
    """The registers of the code that runs next."""

    def __init__(self, pe: "Pe", symbols: "Symbols") -> None:
        self.pe = pe
        self.regs = Registers(pe)
        self._symbols = symbols

    @property
    def index(self) -> int:
        """Its number on the board."""
        return self.pe.index

    @property
    def on(self) -> bool:
        """True if the PE is on (PSCI)."""
        return self.pe.on

    @property
    def world(self) -> SecurityState:
        """The security state of the code that runs next."""
        return SecurityState(self.pe.security)

    @property
    def el(self) -> int:
        """The exception level of the code that runs next."""
        return int(Pstate(self.regs.pstate).el)

    @property
    def pc(self) -> int:
        """The virtual address of the next instruction."""
        return self.regs.pc

    def physical(self, va: int) -> int:
        """Translate ``va`` for a read; raises MachineError if the code could not read there."""
        pe, address = self.pe, self.pe.address
        kept = [pe.block[word] for word in _VIEW]
        engine_registers.load_regime(address, self.el)
        pe.block[w.P_EL], pe.block[w.P_PAN], pe.block[w.P_SECURITY] = self.el, 0, pe.security
        refused = translate(address, _signed(va), int(Access.READ))
        for word, value in zip(_VIEW, kept, strict=True):
            pe.block[word] = value
        if refused:
            raise MachineError(f"VA {va:#x} must be mapped to memory for {self!r}")
        return int(pe.words[w.P_OUT_PA])

    def read(self, va: int, size: int) -> bytes:
        """Read ``size`` bytes at a virtual address, as the code that runs next sees them."""
        return b"".join(self._memory.read(self.physical(at), length) for at, length in pages(va, size))

    def write(self, va: int, data: bytes) -> None:
        """Write bytes at a virtual address of the code that runs next, whatever its own permissions."""
        at = 0
        for start, length in pages(va, len(data)):
            self._memory.write(self.physical(start), data[at : at + length])
            at += length

    @property
    def _memory(self) -> Any:
        return self.pe.machine.memory.backdoor

    @shows_closed
    def __repr__(self) -> str:
        self.regs._open()
        if not self.on:
            return f"<Cpu {self.index}: off>"
        world = self.world.name.lower().replace("_", "-")
        return f"<Cpu {self.index}: {world} EL{self.el}, pc {self._symbols.describe(self.pc)}>"


def pages(va: int, size: int) -> list[tuple[int, int]]:
    """Split a range at page boundaries: (address, length) of each part."""
    parts, end = [], va + size
    while va < end:
        length = min(end, (va & -GRANULE_SIZE) + GRANULE_SIZE) - va
        parts.append((va, length))
        va += length
    return parts
