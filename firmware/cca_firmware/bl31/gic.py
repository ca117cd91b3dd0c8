"""The interrupt controller as EL3 leaves it to the Non-secure world: what TF-A's GICv3 driver does on the Base FVP.

Everything is Non-secure Group 1 but SGIs 8 to 15 and the Secure physical timer's PPI. The Non-secure world finds its
interrupts and its group disabled, and its priority mask open.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cca_platform.gic import CpuInterface, Gic

__all__ = ["init", "pe_off", "pe_on"]

_EL3, _SECURE = 3, 0
_GICD_CTLR, _GICD_TYPER = 0x0, 0x4
_IGROUPR, _ISENABLER, _IPRIORITYR, _IGRPMODR = 0x80, 0x100, 0x400, 0xD00
_REDISTRIBUTOR: Final = 0x2_0000
_WAKER, _SGI_BASE = 0x14, 0x1_0000
_PROCESSOR_SLEEP: Final = 2
_ENABLE_SECURE: Final = 0x35  # ARE_S, ARE_NS, EnableGrp1S, EnableGrp0
_WORD: Final = 0xFFFF_FFFF
_NS_PRIORITY: Final = 0x80808080  # the most urgent Non-secure priority, four interrupts

_GROUP0: Final = 1 << 8 | 1 << 14  # SGIs of EL3
_GROUP1_SECURE: Final = 1 << 29 | 0xBE00  # the Secure physical timer, and the other SGIs from 9 on
_NON_SECURE: Final = _WORD & ~(_GROUP0 | _GROUP1_SECURE)

_PMR: Final = (3, 0, 4, 6, 0)
_IGRPEN0: Final = (3, 0, 12, 12, 6)
_IGRPEN1_EL3: Final = (3, 6, 12, 12, 7)
_ENABLE_GRP1S: Final = 2


def init(gic: "Gic") -> None:
    """The distributor at cold boot: SPIs are Non-secure, the Secure groups are enabled."""
    frame = gic.secure_distributor
    lines = (frame.read(_GICD_TYPER, 4) & 0x1F) + 1
    for word in range(1, lines):
        frame.write(_IGROUPR + 4 * word, 4, _WORD)
    for word in range(8, 8 * lines):
        frame.write(_IPRIORITYR + 4 * word, 4, _NS_PRIORITY)
    frame.write(_GICD_CTLR, 4, _ENABLE_SECURE)


def pe_on(gic: "Gic", index: int) -> None:
    """The redistributor and CPU interface of a PE that comes up."""
    frame, base = gic.secure_redistributors, index * _REDISTRIBUTOR
    frame.write(base + _WAKER, 4, 0)
    frame.write(base + _SGI_BASE + _IGROUPR, 4, _NON_SECURE)
    frame.write(base + _SGI_BASE + _IGRPMODR, 4, _GROUP1_SECURE)
    for intid in _of(_NON_SECURE):
        frame.write(base + _SGI_BASE + _IPRIORITYR + intid, 1, _NS_PRIORITY & 0xFF)
    frame.write(base + _SGI_BASE + _ISENABLER, 4, _GROUP0 | _GROUP1_SECURE)
    cpu = gic.cpus[index]
    _write(cpu, _PMR, 0xFF)
    _write(cpu, _IGRPEN0, 1)
    _write(cpu, _IGRPEN1_EL3, _ENABLE_GRP1S)


def pe_off(gic: "Gic", index: int) -> None:
    """No interrupts for a PE that goes down; those that are pending stay so."""
    gic.cpus[index].power_off()
    gic.secure_redistributors.write(index * _REDISTRIBUTOR + _WAKER, 4, _PROCESSOR_SLEEP)


def _of(interrupts: int) -> Iterator[int]:
    return (intid for intid in range(32) if interrupts >> intid & 1)


def _write(cpu: "CpuInterface", register: tuple[int, int, int, int, int], value: int) -> None:
    cpu.write(register, value, _EL3, _SECURE, 0)
