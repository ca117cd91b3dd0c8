"""The host's GICv3 driver: brings the interrupt controller up as Linux does, and answers the interrupts of a PE.

Interrupts are the host's own (its EL2 timer) or end a REC's run so that the host can look: maintenance of the virtual
CPU interface and the EL1 timers. Those have done their work when the REC has exited, and are gone by then.
"""

from typing import TYPE_CHECKING, Final

from cca_arch.types import SecurityState

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["HOST_TIMER", "MAINTENANCE", "PHYSICAL_TIMER", "VIRTUAL_TIMER", "Irqchip"]

MAINTENANCE: Final = 25
HOST_TIMER: Final = 26  # CNTHP
VIRTUAL_TIMER: Final = 27  # CNTV
PHYSICAL_TIMER: Final = 30  # CNTP

_PPIS: Final = (MAINTENANCE, HOST_TIMER, VIRTUAL_TIMER, PHYSICAL_TIMER)
_GICD_CTLR: Final = 0x0
_ARE_NS_ENABLE_GRP1A: Final = 1 << 4 | 1 << 1
_GICR_WAKER: Final = 0x14
_CHILDREN_ASLEEP: Final = 1 << 2
_SGI_BASE: Final = 0x1_0000
_GICR_ISENABLER0: Final = _SGI_BASE + 0x100
_GICR_IPRIORITYR: Final = _SGI_BASE + 0x400
_STRIDE: Final = 0x2_0000  # RD_base and SGI_base of one PE
_PRIORITY: Final = 0xA0
_PMR: Final = 0xF0

_ICC_PMR_EL1: Final = (3, 0, 4, 6, 0)
_ICC_IAR1_EL1: Final = (3, 0, 12, 12, 0)
_ICC_EOIR1_EL1: Final = (3, 0, 12, 12, 1)
_ICC_CTLR_EL1: Final = (3, 0, 12, 12, 4)
_ICC_IGRPEN1_EL1: Final = (3, 0, 12, 12, 7)
_SPECIAL: Final = 1020  # INTIDs from here on say that there is none
_NS: Final = SecurityState.NON_SECURE


class Irqchip:
    """The interrupt controller of a machine as Non-secure EL2 sees it."""

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine

    def start(self) -> None:
        """Distributor, redistributors and the CPU interface of every PE: Group 1 on, the host's PPIs enabled."""
        machine, frames = self.machine, self.machine.board.gic
        bus = machine.bus
        bus.write(frames.distributor + _GICD_CTLR, 4, _ARE_NS_ENABLE_GRP1A)
        for pe in machine.pes:
            frame = frames.redistributors + _STRIDE * pe.index
            bus.write(frame + _GICR_WAKER, 4, 0)
            if bus.read(frame + _GICR_WAKER, 4) & _CHILDREN_ASLEEP:
                raise AssertionError(f"redistributor {pe.index} must be awake")
            for intid in _PPIS:
                bus.write(frame + _GICR_IPRIORITYR + intid, 1, _PRIORITY)
            bus.write(frame + _GICR_ISENABLER0, 4, sum(1 << intid for intid in _PPIS))
            self._write(pe, _ICC_CTLR_EL1, 0)
            self._write(pe, _ICC_PMR_EL1, _PMR)
            self._write(pe, _ICC_IGRPEN1_EL1, 1)

    def handle(self, pe: "Pe") -> None:
        """Acknowledge and complete what is pending on ``pe``, until nothing is."""
        while True:
            intid = pe.gic.read(_ICC_IAR1_EL1, 2, _NS, 0)
            if intid >= _SPECIAL:
                return
            if intid == HOST_TIMER:
                pe.host_timer(None)
            self._write(pe, _ICC_EOIR1_EL1, intid)

    def _write(self, pe: "Pe", encoding: tuple[int, int, int, int, int], value: int) -> None:
        pe.gic.write(encoding, value, 2, _NS, 0)
