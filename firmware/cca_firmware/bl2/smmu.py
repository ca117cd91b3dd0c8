"""The SMMUs at boot: enables granule protection with the PEs' tables, then device accesses (IHI 0070, 3.25)."""

from typing import TYPE_CHECKING, Final

from cca_arch.descriptors.gpt import Gpccr
from cca_arch.smmu import RootCr0, RootOffset
from cca_arch.types import Pas

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine

__all__ = ["protect"]

_KIND: Final = "smmuv3-root"


def protect(machine: "Machine") -> None:
    """Program the Root Control Page of every SMMU with the granule protection tables of GPTBR_EL3."""
    memory = machine.memory
    for device in machine.board.devices:
        if device.kind == _KIND:
            for offset, size, value in (
                (RootOffset.GPT_BASE_CFG, 4, memory.gpccr & ~Gpccr.gpc.mask),
                (RootOffset.GPT_BASE, 8, memory.gptbr << 12),
                (RootOffset.CR0, 4, RootCr0.make(gpcen=1)),
                (RootOffset.CR0, 4, RootCr0.make(gpcen=1, accessen=1)),
            ):
                machine.bus.write(device.base + offset, size, value, Pas.ROOT)
