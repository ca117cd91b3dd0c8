"""The redistributors' register frames (IHI 0069, 12.10 and 12.11), as Secure or as Non-secure accesses see them.

Each PE has 128 KiB: RD_base, and SGI_base with the registers of its SGIs and PPIs. There are no LPIs.
"""

from typing import TYPE_CHECKING, Final

from cca_arch.gic import GICR_SGI_BASE, GICR_STRIDE, IDENTIFICATION, IIDR, Gicd, Gicr, GicrTyper, GicrWaker
from cca_arch.sysregs import affinity_word

if TYPE_CHECKING:
    from cca_platform.gic.cpu import CpuInterface
    from cca_platform.gic.gic import Gic

__all__ = ["Redistributors"]

_INTERRUPTS: Final = range(GICR_SGI_BASE + Gicd.IGROUPR, GICR_SGI_BASE + 0xF00)
_PROCESSOR_SLEEP: Final = GicrWaker.processorsleep.mask
_ASLEEP: Final = GicrWaker.make(processorsleep=1, childrenasleep=1)  # the second follows the first at once
_WORD: Final = 0xFFFF_FFFF


class Redistributors:
    """One view of the frames of all PEs, in board order. The state is in the GIC."""

    def __init__(self, gic: "Gic", secure: bool) -> None:
        self.name = "gicr"
        self._gic = gic
        self._secure = secure
        self.size = GICR_STRIDE * len(gic.cpus)

    def read(self, offset: int, size: int) -> int:
        """Read a register; what is not implemented or not visible reads as zero."""
        if offset % size or offset >= self.size:
            return 0
        cpu, offset = self._gic.cpus[offset // GICR_STRIDE], offset % GICR_STRIDE
        if offset in _INTERRUPTS:
            return cpu.interrupts.read(offset - GICR_SGI_BASE, size, self._secure)
        if offset & ~7 == Gicr.TYPER and size >= 4:
            value = self._typer(cpu)
            return value if size == 8 else value >> 8 * (offset & 4) & _WORD
        if size != 4:
            return 0
        if offset == Gicr.WAKER:
            return _ASLEEP if self._secure and not cpu.awake else 0
        return IIDR if offset == Gicr.IIDR else IDENTIFICATION.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; what is not implemented or not permitted is ignored."""
        if offset % size or offset >= self.size:
            return
        cpu, offset = self._gic.cpus[offset // GICR_STRIDE], offset % GICR_STRIDE
        if offset in _INTERRUPTS:
            cpu.interrupts.write(offset - GICR_SGI_BASE, size, value, self._secure)
            self._gic.update(cpu)
        elif offset == Gicr.WAKER and size == 4 and self._secure:
            cpu.awake = not value & _PROCESSOR_SLEEP
            self._gic.update_all()

    def _typer(self, cpu: "CpuInterface") -> int:
        """GICR_TYPER: Affinity_Value, Processor_Number, Last."""
        last = cpu is self._gic.cpus[-1]
        return int(GicrTyper.make(affinity_value=affinity_word(cpu.affinity), processor_number=cpu.index, last=last))
