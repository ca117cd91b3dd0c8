"""The interrupt controller: GICv3 with two security states, without LPIs (IHI 0069).

Independent of the PE: devices and timers drive lines, software accesses the register frames and the ICC, ICV and ICH
system registers, and each PE is told which interrupts are signalled to it (``SIGNAL_*`` of
``cca_platform.native.block``).

After reset everything is Secure, every redistributor sleeps and ICC_PMR_EL1 is 0, so Non-secure software gets no
interrupts until EL3 assigns them (GICD_IGROUPR, GICR_IGROUPR0, GICR_WAKER, ICC_PMR_EL1).
"""

from cca_platform.gic.cpu import CpuInterface
from cca_platform.gic.gic import Gic, GicState
from cca_platform.gic.sysregs import TRAP_EL2, UNDEFINED
from cca_platform.gic.virtual import LIST_REGISTERS, VirtualInterface

__all__ = [
    "LIST_REGISTERS",
    "TRAP_EL2",
    "UNDEFINED",
    "CpuInterface",
    "Gic",
    "GicState",
    "VirtualInterface",
]
