"""The host's GICv3 driver: initialises the interrupt controller as Linux does, and handles the interrupts of a PE.

Interrupts are the host's own (its EL2 timer), or they end a REC's run so that the host can act: maintenance of the
virtual CPU interface, the EL1 timers, an overflow of the PMU. The latter have served their purpose once the REC has
exited.
"""

from typing import TYPE_CHECKING, Final

from cca_arch.gic import FIRST_SPECIAL, GICR_SGI_BASE, GICR_STRIDE, Gicd, GicdCtlrNs, Gicr, GicrWaker, Ppi
from cca_arch.sysregs.encodings import ICC_CTLR_EL1, ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_IGRPEN1_EL1, ICC_PMR_EL1, Encoding
from cca_arch.types import SecurityState

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["Irqchip"]

_PPIS: Final = (Ppi.PMU, Ppi.MAINTENANCE, Ppi.CNTHP, Ppi.CNTV, Ppi.CNTP)
_GICR_ISENABLER0: Final = GICR_SGI_BASE + Gicd.ISENABLER
_GICR_ICENABLER0: Final = GICR_SGI_BASE + Gicd.ICENABLER
_GICR_IPRIORITYR: Final = GICR_SGI_BASE + Gicd.IPRIORITYR
_ENABLED: Final = int(GicdCtlrNs.make(are_ns=1, enablegrp1a=1))
_PRIORITY: Final = 0xA0
_PMR: Final = 0xF0
_NS: Final = SecurityState.NON_SECURE


class Irqchip:
    """The interrupt controller of a machine as Non-secure EL2 sees it."""

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine

    def start(self) -> None:
        """Distributor, redistributors and the CPU interface of every PE: Group 1 on, the host's PPIs enabled."""
        machine, frames = self.machine, self.machine.board.gic
        bus = machine.bus
        bus.write(frames.distributor + Gicd.CTLR, 4, _ENABLED)
        for pe in machine.pes:
            frame = frames.redistributors + GICR_STRIDE * pe.index
            bus.write(frame + Gicr.WAKER, 4, 0)
            if bus.read(frame + Gicr.WAKER, 4) & GicrWaker.childrenasleep.mask:
                raise AssertionError(f"redistributor {pe.index} must be awake")
            for intid in _PPIS:
                bus.write(frame + _GICR_IPRIORITYR + intid, 1, _PRIORITY)
            bus.write(frame + _GICR_ISENABLER0, 4, sum(1 << intid for intid in _PPIS))
            self._write(pe, ICC_CTLR_EL1, 0)
            self._write(pe, ICC_PMR_EL1, _PMR)
            self._write(pe, ICC_IGRPEN1_EL1, 1)

    def handle(self, pe: "Pe") -> bool:
        """Acknowledge and complete all pending interrupts of ``pe``; returns True if the host's own is among them.

        Levels that the host cannot lower must not be asserted: those of a guest that is still on the PE.
        """
        own = False
        while True:
            intid = pe.gic.read(ICC_IAR1_EL1, 2, _NS, 0)
            if intid >= FIRST_SPECIAL:
                return own
            if intid == Ppi.CNTHP:
                pe.host_timer(None)
                own = True
            self._write(pe, ICC_EOIR1_EL1, intid)

    def enable_pmu(self, pe: "Pe", on: bool) -> None:
        """Enable or disable the overflow interrupt of the performance monitors of ``pe``."""
        frame = self.machine.board.gic.redistributors + GICR_STRIDE * pe.index
        self.machine.bus.write(frame + (_GICR_ISENABLER0 if on else _GICR_ICENABLER0), 4, 1 << Ppi.PMU)

    def _write(self, pe: "Pe", encoding: Encoding, value: int) -> None:
        pe.gic.write(encoding, value, 2, _NS, 0)
