"""World contexts: what EL3 keeps of each world on each PE while another world runs there.

A context is one granule of Root DRAM. It holds X0 to X30, the return address and PSTATE, SCR_EL3 of the world, and the
EL2 registers of a world that is real code. EL1 registers are not EL3's: the RMM keeps those of the Realm and of the
host apart.
"""

import ctypes
from typing import Final

from cca_firmware.abi import scr_of
from cca_firmware.carveout import Carveout
from cca_platform.fields import Member, Struct
from cca_platform.frame import EL2_FRAME_SIZE
from cca_platform.memory import Memory
from cca_platform.types import GRANULE_SIZE, PA, SecurityState

__all__ = ["CPU_CONTEXT", "WORLDS", "Context", "Contexts"]

CPU_CONTEXT: Final = Struct(
    "cpu_context",
    GRANULE_SIZE,
    Member("x", 0x000, 8, count=31),
    Member("elr_el3", 0x0F8, 8),
    Member("spsr_el3", 0x100, 8),
    Member("scr_el3", 0x108, 8),
    Member("el2", 0x200, EL2_FRAME_SIZE),
)
WORLDS: Final = (SecurityState.SECURE, SecurityState.NON_SECURE, SecurityState.REALM)

_ELR: Final = CPU_CONTEXT.offset("elr_el3") // 8
_SPSR: Final = CPU_CONTEXT.offset("spsr_el3") // 8
_SCR: Final = CPU_CONTEXT.offset("scr_el3") // 8


class Context:
    """The context of one world on one PE.

    ``x`` is a writable view of X0..X30, ``results`` of X1..X5, ``tail`` of X8..X30; ``el2`` is the host address of the
    EL2 frame. The views reach DRAM directly, for EL3 owns this granule for good; :class:`Contexts` tells snapshots
    what is in it.
    """

    __slots__ = ("el2", "pa", "results", "tail", "words", "x")

    def __init__(self, memory: Memory, pa: PA, state: SecurityState) -> None:
        host = memory.port(SecurityState.ROOT).host_address(pa, GRANULE_SIZE)
        self.pa = pa
        self.words = memoryview((ctypes.c_uint64 * (GRANULE_SIZE // 8)).from_address(host)).cast("B").cast("Q")
        self.x = self.words[0:31]
        self.results = self.words[1:6]
        self.tail = self.words[8:31]
        self.el2 = host + CPU_CONTEXT.offset("el2")
        self.words[_SCR] = scr_of(state)

    @property
    def elr(self) -> int:
        """The address at which the world goes on."""
        return self.words[_ELR]

    @elr.setter
    def elr(self, value: int) -> None:
        self.words[_ELR] = value

    @property
    def spsr(self) -> int:
        """PSTATE with which the world goes on."""
        return self.words[_SPSR]

    @spsr.setter
    def spsr(self, value: int) -> None:
        self.words[_SPSR] = value


class Contexts:
    """The contexts of every PE and world: ``contexts.of(pe, state)``, or a row per world for the hot path."""

    def __init__(self, memory: Memory, root: Carveout, pes: int) -> None:
        self._size = pes * len(WORLDS) * GRANULE_SIZE
        base = root.take("EL3 contexts", self._size)
        self.base = PA(base)
        self._host = memory.port(SecurityState.ROOT).host_address(base, self._size)
        self._rows = {
            state: tuple(
                Context(memory, PA(base + (index * len(WORLDS) + place) * GRANULE_SIZE), state) for index in range(pes)
            )
            for place, state in enumerate(WORLDS)
        }

    def row(self, state: SecurityState) -> tuple[Context, ...]:
        """The contexts of one world, by PE index."""
        return self._rows[state]

    def of(self, index: int, state: SecurityState) -> Context:
        """The context of a world on the PE with this index."""
        return self._rows[state][index]

    def save(self) -> bytes:
        """What the contexts hold, for a snapshot."""
        return ctypes.string_at(self._host, self._size)

    def restore(self, data: bytes) -> None:
        """Put back what :meth:`save` gave."""
        ctypes.memmove(self._host, data, self._size)
