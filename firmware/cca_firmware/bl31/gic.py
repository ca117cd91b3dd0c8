"""The set-up of the interrupt controller for the Non-secure world, as TF-A's GICv3 driver does on the Base FVP.

Everything is Non-secure Group 1 except SGIs 8 to 15, the Secure physical timer's PPI and the SPIs of Secure devices.
For the Non-secure world, its interrupts and its group are disabled and the priority mask is open.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from cca_arch.gic import GICR_SGI_BASE, GICR_STRIDE, Gicd, GicdCtlr, GicdTyper, Gicr, GicrWaker, Ppi
from cca_arch.sysregs import Encoding, IccIgrpen1El3, encodings

if TYPE_CHECKING:
    from cca_platform.gic import CpuInterface, Gic

__all__ = ["init", "pe_off", "pe_on"]

_EL3, _SECURE = 3, 0
_ENABLE_SECURE: Final = int(GicdCtlr.make(are_s=1, are_ns=1, enablegrp1s=1, enablegrp0=1))
_WORD: Final = 0xFFFF_FFFF
_NS_PRIORITY: Final = 0x80808080  # the highest Non-secure priority, four interrupts

_GROUP0: Final = 1 << 8 | 1 << 14  # SGIs of EL3
_GROUP1_SECURE: Final = 1 << Ppi.CNTPS | 0xBE00  # the Secure physical timer, and the other SGIs from 9 on
_NON_SECURE: Final = _WORD & ~(_GROUP0 | _GROUP1_SECURE)


def init(gic: "Gic", secure: Iterable[int] = (), primary: int = 0) -> None:
    """Set up the distributor at cold boot: SPIs are Non-secure, the Secure groups are enabled.

    The SPIs ``secure`` are of Secure Group 1 and enabled, with the highest priority and routed to affinity ``primary``.
    """
    frame = gic.secure_distributor
    lines = GicdTyper(frame.read(Gicd.TYPER, 4)).itlinesnumber + 1
    for word in range(1, lines):
        frame.write(Gicd.IGROUPR + 4 * word, 4, _WORD)
    for word in range(8, 8 * lines):
        frame.write(Gicd.IPRIORITYR + 4 * word, 4, _NS_PRIORITY)
    for intid in secure:
        word, bit = 4 * (intid >> 5), 1 << (intid & 31)
        frame.write(Gicd.IGROUPR + word, 4, frame.read(Gicd.IGROUPR + word, 4) & ~bit)
        frame.write(Gicd.IGRPMODR + word, 4, frame.read(Gicd.IGRPMODR + word, 4) | bit)
        frame.write(Gicd.IPRIORITYR + intid, 1, 0)
        frame.write(Gicd.IROUTER + 8 * intid, 8, primary)
        frame.write(Gicd.ISENABLER + word, 4, bit)
    frame.write(Gicd.CTLR, 4, _ENABLE_SECURE)


def pe_on(gic: "Gic", index: int) -> None:
    """Set up the redistributor and CPU interface of a PE that is turned on."""
    frame, base = gic.secure_redistributors, index * GICR_STRIDE
    private = base + GICR_SGI_BASE
    frame.write(base + Gicr.WAKER, 4, 0)
    frame.write(private + Gicd.IGROUPR, 4, _NON_SECURE)
    frame.write(private + Gicd.IGRPMODR, 4, _GROUP1_SECURE)
    for intid in _of(_NON_SECURE):
        frame.write(private + Gicd.IPRIORITYR + intid, 1, _NS_PRIORITY & 0xFF)
    frame.write(private + Gicd.ISENABLER, 4, _GROUP0 | _GROUP1_SECURE)
    _enable(gic.cpus[index], IccIgrpen1El3.enablegrp1s.mask)


def pe_off(gic: "Gic", index: int) -> None:
    """Disable the interrupts of a PE that is turned off; pending ones stay pending."""
    gic.cpus[index].power_off()
    gic.secure_redistributors.write(index * GICR_STRIDE + Gicr.WAKER, 4, GicrWaker.processorsleep.mask)


def pe_asleep(gic: "Gic", index: int) -> None:
    """Let every interrupt that is enabled for a PE wake it while it is powered down, as the redistributor does."""
    gic.cpus[index].power_off()
    _enable(gic.cpus[index], IccIgrpen1El3.enablegrp1s.mask | IccIgrpen1El3.enablegrp1ns.mask)


def pe_awake(gic: "Gic", index: int) -> None:
    """Set up the CPU interface of a PE that was powered down; its private interrupts are as they were."""
    gic.cpus[index].power_off()
    _enable(gic.cpus[index], IccIgrpen1El3.enablegrp1s.mask)


def _enable(cpu: "CpuInterface", group1: int) -> None:
    """Set up a CPU interface after its reset, with these groups 1 in ICC_IGRPEN1_EL3."""
    _write(cpu, encodings.ICC_PMR_EL1, 0xFF)
    _write(cpu, encodings.ICC_IGRPEN0_EL1, 1)
    _write(cpu, encodings.ICC_IGRPEN1_EL3, group1)


def _of(interrupts: int) -> Iterator[int]:
    return (intid for intid in range(32) if interrupts >> intid & 1)


def _write(cpu: "CpuInterface", register: Encoding, value: int) -> None:
    cpu.write(register, value, _EL3, _SECURE, 0)
