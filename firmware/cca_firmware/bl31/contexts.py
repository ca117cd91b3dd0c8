"""World contexts: what EL3 saves of each world on each PE while another world runs there.

A context is one granule of Root DRAM. It holds X0 to X30, the return address and PSTATE, SCR_EL3 of the world, and the
EL2 registers of a world that is real code. EL3 does not switch EL1 registers between Non-secure and Realm, which the
RMM does. It does so between the Secure payload and the worlds that share a PE with it.
"""

import ctypes
from typing import Final

from cca_arch.el3 import scr_of
from cca_arch.fields import Member, Struct
from cca_arch.sysregs import CPTR_EL2_RES1, HCR_EL2_OPEN, PMU_COUNTERS, Cnthctl, Mdcr
from cca_arch.types import GRANULE_SIZE, PA, SecurityState
from cca_firmware.base.carveout import Carveout
from cca_platform.isa import frame
from cca_platform.memory.memory import Memory

__all__ = ["CPU_CONTEXT", "WORLDS", "Context", "Contexts"]

CPU_CONTEXT: Final = Struct(
    "cpu_context",
    GRANULE_SIZE,
    Member("x", 0x000, 8, count=31),
    Member("elr_el3", 0x0F8, 8),
    Member("spsr_el3", 0x100, 8),
    Member("scr_el3", 0x108, 8),
    Member("traps", 0x110, 8),
    Member("el2", 0x200, frame.EL2_FRAME_SIZE),
    Member("el1", 0x400, frame.EL1_FRAME_SIZE),
    Member("interrupted", 0x900, frame.offset("pstate") + 8),
)
"""``traps``: SCR_EL3 for the engine. ``interrupted``: the general registers of a Secure payload that handles a
Secure interrupt in the middle of something else."""
WORLDS: Final = (SecurityState.SECURE, SecurityState.NON_SECURE, SecurityState.REALM)

_ELR: Final = CPU_CONTEXT.offset("elr_el3") // 8
_SPSR: Final = CPU_CONTEXT.offset("spsr_el3") // 8
_SCR: Final = CPU_CONTEXT.offset("scr_el3") // 8
_TRAPS: Final = CPU_CONTEXT.offset("traps") // 8
_EL1, _EL2 = CPU_CONTEXT.offset("el1"), CPU_CONTEXT.offset("el2")
_INTERRUPTED, _GENERAL_SIZE = CPU_CONTEXT.offset("interrupted"), frame.offset("pstate") + 8
_TIMERS: Final = frame.offset("cntv_ctl_el0")
_TIMERS_SIZE: Final = frame.offset("cntp_cval_el0") + 8 - _TIMERS
_CNTHCTL: Final = int(Cnthctl.make(el1pcten=1, el1pcen=1))
_MDCR: Final = int(Mdcr.make(hpmn=PMU_COUNTERS))
_NO_EL2: Final = {
    "hcr": HCR_EL2_OPEN,
    "hcr_el2": HCR_EL2_OPEN,
    "vtcr": 0,
    "vtcr_el2": 0,
    "vttbr": 0,
    "vttbr_el2": 0,
    "cnthctl": _CNTHCTL,
    "cnthctl_el2": _CNTHCTL,
    "cptr_el2": CPTR_EL2_RES1,
    "mdcr": _MDCR,
    "mdcr_el2": _MDCR,
}
"""EL2 controls that trap, translate and route nothing of EL1 to EL2."""


class Context:
    """The context of one world on one PE.

    ``x`` is a writable view of X0..X30, ``tail`` of X8..X30, ``interrupted_at`` of ``elr`` and ``spsr``; ``el1`` and
    ``el2`` are the host addresses of the register frames. The views access DRAM directly, because EL3 owns the granule
    permanently; :class:`Contexts` saves its contents for snapshots.
    """

    __slots__ = ("_host", "el1", "el2", "interrupted_at", "pa", "tail", "words", "x")

    def __init__(self, memory: Memory, pa: PA, state: SecurityState, pauth: bool) -> None:
        host = memory.port(SecurityState.ROOT).host_address(pa, GRANULE_SIZE)
        self.pa = pa
        self.words = memoryview((ctypes.c_uint64 * (GRANULE_SIZE // 8)).from_address(host)).cast("B").cast("Q")
        self.x = self.words[0:31]
        self.tail = self.words[8:31]
        self.interrupted_at = self.words[_ELR : _SPSR + 1]
        self._host = host
        self.el1, self.el2 = host + _EL1, host + _EL2
        self.words[_SCR] = scr_of(state, pauth)

    @property
    def elr(self) -> int:
        """The address at which the world resumes."""
        return self.words[_ELR]

    @elr.setter
    def elr(self, value: int) -> None:
        self.words[_ELR] = value

    @property
    def spsr(self) -> int:
        """The PSTATE with which the world resumes."""
        return self.words[_SPSR]

    @spsr.setter
    def spsr(self, value: int) -> None:
        self.words[_SPSR] = value

    @property
    def scr(self) -> int:
        """SCR_EL3 while the world runs."""
        return self.words[_SCR]

    @property
    def traps(self) -> int:
        """The part of SCR_EL3 that determines how the engine runs the world."""
        return self.words[_TRAPS]

    @traps.setter
    def traps(self, value: int) -> None:
        self.words[_TRAPS] = value

    def reset(self, pc: int, pstate: int, **registers: int) -> None:
        """Initialise the EL1 frame: it starts at ``pc``, with all but ``registers`` zero."""
        ctypes.memset(self.el1, 0, frame.EL1_FRAME_SIZE)
        for name, value in {"pc": pc, "pstate": pstate, **registers}.items():
            self.words[(_EL1 + frame.offset(name)) // 8] = value

    def without_el2(self, other: "Context", mpidr: int, midr: int) -> None:
        """Set the EL2 frame of a world without EL2: that of ``other`` without the controls of lower levels."""
        ctypes.memmove(self.el2, other.el2, frame.EL2_FRAME_SIZE)
        for name, value in {**_NO_EL2, "vmpidr_el2": mpidr, "vpidr_el2": midr}.items():
            self.words[(_EL2 + frame.offset_el2(name)) // 8] = value

    def take_timers(self, other: "Context") -> None:
        """Copy the EL1 timers of ``other``: a PE has one set, which runs whichever world has the PE."""
        ctypes.memmove(self.el1 + _TIMERS, other.el1 + _TIMERS, _TIMERS_SIZE)

    def keep_interrupted(self) -> None:
        """Save X0..X30, SP, PC and PSTATE of the EL1 frame while an interrupt handler uses the frame."""
        ctypes.memmove(self._host + _INTERRUPTED, self.el1, _GENERAL_SIZE)

    def resume_interrupted(self) -> None:
        """Restore what :meth:`keep_interrupted` saved."""
        ctypes.memmove(self.el1, self._host + _INTERRUPTED, _GENERAL_SIZE)


class Contexts:
    """The contexts of every PE and world: ``contexts.of(pe, state)``, or one row per world for the hot path.

    ``pauth``: the PEs have pointer authentication.
    """

    def __init__(self, memory: Memory, root: Carveout, pes: int, pauth: bool) -> None:
        self._size = pes * len(WORLDS) * GRANULE_SIZE
        base = root.take("EL3 contexts", self._size)
        self.base = PA(base)
        self._host = memory.port(SecurityState.ROOT).host_address(base, self._size)
        self._rows = {
            state: tuple(
                Context(memory, PA(base + (index * len(WORLDS) + place) * GRANULE_SIZE), state, pauth)
                for index in range(pes)
            )
            for place, state in enumerate(WORLDS)
        }

    def row(self, state: SecurityState) -> tuple[Context, ...]:
        """The contexts of one world by PE index."""
        return self._rows[state]

    def of(self, index: int, state: SecurityState) -> Context:
        """The context of a world on the PE with this index."""
        return self._rows[state][index]

    def save(self) -> bytes:
        """The contents of the contexts, for a snapshot."""
        return ctypes.string_at(self._host, self._size)

    def restore(self, data: bytes) -> None:
        """Restore what :meth:`save` returned."""
        ctypes.memmove(self._host, data, self._size)
