"""The redistributors' register frames (IHI 0069, 12.10 and 12.11), as Secure or as Non-secure accesses see them.

Each PE has 128 KiB: RD_base, and SGI_base with the registers of its SGIs and PPIs. There are no LPIs.
"""

from typing import TYPE_CHECKING, Final

from cca_platform.gic.identification import FRAME_ID, IIDR

if TYPE_CHECKING:
    from cca_platform.gic.cpu import CpuInterface
    from cca_platform.gic.gic import Gic

__all__ = ["FRAMES_SIZE", "Redistributors"]

FRAMES_SIZE: Final = 0x2_0000
"""Bytes of the frames of one PE."""

_SGI_BASE: Final = 0x1_0000
_IIDR, _TYPER, _WAKER = 0x04, 0x08, 0x14
_INTERRUPTS: Final = range(_SGI_BASE + 0x80, _SGI_BASE + 0xF00)
_LAST: Final = 1 << 4
_PROCESSOR_SLEEP: Final = 2
_ASLEEP: Final = 6  # ProcessorSleep, and ChildrenAsleep that follows it at once
_WORD: Final = 0xFFFF_FFFF


class Redistributors:
    """One view of the frames of all PEs, in the order of the board. The state is the GIC's."""

    def __init__(self, gic: "Gic", secure: bool) -> None:
        self.name = "gicr"
        self._gic = gic
        self._secure = secure
        self.size = FRAMES_SIZE * len(gic.cpus)

    def read(self, offset: int, size: int) -> int:
        """A register; what is not implemented or not visible reads as zero."""
        if offset % size or offset >= self.size:
            return 0
        cpu, offset = self._gic.cpus[offset // FRAMES_SIZE], offset % FRAMES_SIZE
        if offset in _INTERRUPTS:
            return cpu.interrupts.read(offset - _SGI_BASE, size, self._secure)
        if offset & ~7 == _TYPER and size >= 4:
            value = self._typer(cpu)
            return value if size == 8 else value >> 8 * (offset & 4) & _WORD
        if size != 4:
            return 0
        if offset == _WAKER:
            return _ASLEEP if self._secure and not cpu.awake else 0
        return IIDR if offset == _IIDR else FRAME_ID.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; what is not implemented or not permitted is ignored."""
        if offset % size or offset >= self.size:
            return
        cpu, offset = self._gic.cpus[offset // FRAMES_SIZE], offset % FRAMES_SIZE
        if offset in _INTERRUPTS:
            cpu.interrupts.write(offset - _SGI_BASE, size, value, self._secure)
            self._gic.update(cpu)
        elif offset == _WAKER and size == 4 and self._secure:
            cpu.awake = not value & _PROCESSOR_SLEEP
            self._gic.update_all()

    def _typer(self, cpu: "CpuInterface") -> int:
        """GICR_TYPER: Affinity_Value, Processor_Number, Last."""
        affinity = cpu.affinity & 0xFF_FFFF | (cpu.affinity >> 32 & 0xFF) << 24
        last = _LAST if cpu is self._gic.cpus[-1] else 0
        return affinity << 32 | cpu.index << 8 | last
