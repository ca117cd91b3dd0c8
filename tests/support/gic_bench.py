"""A GIC on the bench: the registers by their names, accesses by who makes them, and what each PE has been told."""

from collections.abc import Sequence
from typing import Any

from cca_platform.gic import Gic

__all__ = ["MPIDRS", "REGISTERS", "Bench", "lr"]

MPIDRS = (0x8100_0000, 0x8100_0100, 0x8101_0000)
REGISTERS = {
    "ICC_PMR_EL1": (3, 0, 4, 6, 0), "ICC_IAR0_EL1": (3, 0, 12, 8, 0), "ICC_EOIR0_EL1": (3, 0, 12, 8, 1),
    "ICC_HPPIR0_EL1": (3, 0, 12, 8, 2), "ICC_BPR0_EL1": (3, 0, 12, 8, 3), "ICC_AP0R0_EL1": (3, 0, 12, 8, 4),
    "ICC_AP1R0_EL1": (3, 0, 12, 9, 0), "ICC_DIR_EL1": (3, 0, 12, 11, 1), "ICC_RPR_EL1": (3, 0, 12, 11, 3),
    "ICC_SGI1R_EL1": (3, 0, 12, 11, 5), "ICC_ASGI1R_EL1": (3, 0, 12, 11, 6), "ICC_SGI0R_EL1": (3, 0, 12, 11, 7),
    "ICC_IAR1_EL1": (3, 0, 12, 12, 0), "ICC_EOIR1_EL1": (3, 0, 12, 12, 1), "ICC_HPPIR1_EL1": (3, 0, 12, 12, 2),
    "ICC_BPR1_EL1": (3, 0, 12, 12, 3), "ICC_CTLR_EL1": (3, 0, 12, 12, 4), "ICC_SRE_EL1": (3, 0, 12, 12, 5),
    "ICC_IGRPEN0_EL1": (3, 0, 12, 12, 6), "ICC_IGRPEN1_EL1": (3, 0, 12, 12, 7),
    "ICC_SRE_EL2": (3, 4, 12, 9, 5), "ICH_AP0R0_EL2": (3, 4, 12, 8, 0), "ICH_AP1R0_EL2": (3, 4, 12, 9, 0),
    "ICH_HCR_EL2": (3, 4, 12, 11, 0), "ICH_VTR_EL2": (3, 4, 12, 11, 1), "ICH_MISR_EL2": (3, 4, 12, 11, 2),
    "ICH_EISR_EL2": (3, 4, 12, 11, 3), "ICH_ELRSR_EL2": (3, 4, 12, 11, 5), "ICH_VMCR_EL2": (3, 4, 12, 11, 7),
    "ICH_LR0_EL2": (3, 4, 12, 12, 0), "ICH_LR3_EL2": (3, 4, 12, 12, 3),
    "ICC_CTLR_EL3": (3, 6, 12, 12, 4), "ICC_SRE_EL3": (3, 6, 12, 12, 5), "ICC_IGRPEN1_EL3": (3, 6, 12, 12, 7),
}  # fmt: skip
_WHO = {"S-EL1": (1, 0), "NS-EL1": (1, 1), "R-EL1": (1, 3), "NS-EL2": (2, 1), "R-EL2": (2, 3), "EL3": (3, 0),
        "NS-EL0": (0, 1)}  # fmt: skip


class Bench:
    """Three PEs and 64 SPIs."""

    def __init__(self) -> None:
        self.told = [0] * len(MPIDRS)
        self.calls = 0
        self.gic = Gic(MPIDRS, 64, self._on_signals)

    def _on_signals(self, pe: int, signals: int) -> None:
        assert signals != self.told[pe], "a call must tell a change"
        self.told[pe] = signals
        self.calls += 1

    def start(self) -> "Bench":
        """Every interrupt Non-secure and enabled, each priority 0xA0, every PE ready for Non-secure interrupts."""
        self.gicd(0, 4, 7, secure=True)
        for word in (1, 2):
            self.gicd(0x80 + 4 * word, 4, 0xFFFF_FFFF, secure=True)
            self.gicd(0x100 + 4 * word, 4, 0xFFFF_FFFF)
        for pe in range(len(MPIDRS)):
            self.gicr(pe, 0x14, 4, 0, secure=True)
            self.gicr(pe, 0x1_0080, 4, 0xFFFF_FFFF, secure=True)
            self.gicr(pe, 0x1_0100, 4, 0xFFFF_FFFF)
            self.msr("EL3", "ICC_PMR_EL1", 0xFF, pe)
            self.msr("NS-EL2", "ICC_IGRPEN1_EL1", 1, pe)
            for intid in range(32):
                self.priority(intid, 0xA0, pe)
        for intid in range(32, 96):
            self.priority(intid, 0xA0)
        return self

    def gicd(self, offset: int, size: int, value: int | None = None, secure: bool = False) -> int:
        """Read the distributor, or write ``value``."""
        frame = self.gic.secure_distributor if secure else self.gic.distributor
        return _access(frame, offset, size, value)

    def gicr(self, pe: int, offset: int, size: int, value: int | None = None, secure: bool = False) -> int:
        """Read the redistributor of a PE, or write ``value``."""
        frame = self.gic.secure_redistributors if secure else self.gic.redistributors
        return _access(frame, pe * 0x2_0000 + offset, size, value)

    def bits(self, register: int, intid: int, pe: int = 0, value: bool | None = None, secure: bool = False) -> bool:
        """The bit of an interrupt in a register with one for each; with a value, write it alone."""
        at, word = register + intid // 32 * 4, None if value is None else int(value) << intid % 32
        read = self.gicd(at, 4, word, secure) if intid >= 32 else self.gicr(pe, 0x1_0000 + at, 4, word, secure)
        return bool(read >> intid % 32 & 1)

    def priority(self, intid: int, value: int, pe: int = 0, secure: bool = False) -> None:
        """Write a priority."""
        if intid >= 32:
            self.gicd(0x400 + intid, 1, value, secure)
        else:
            self.gicr(pe, 0x1_0400 + intid, 1, value, secure)

    def edge(self, intid: int, pe: int = 0) -> None:
        """Make every interrupt of this one's word edge-triggered."""
        at = 0xC00 + intid // 16 * 4
        if intid >= 32:
            self.gicd(at, 4, 0xAAAA_AAAA)
        else:
            self.gicr(pe, 0x1_0000 + at, 4, 0xAAAA_AAAA)

    def secure(self, intid: int, group0: bool = False, pe: int = 0) -> None:
        """Make an interrupt Secure, Group 1 or 0."""
        spi = intid >= 32
        for register, on in ((0x80, False), (0xD00, not group0)):
            at = register + intid // 32 * 4 + (0 if spi else 0x1_0000)
            old = self.gicd(at, 4, secure=True) if spi else self.gicr(pe, at, 4, secure=True)
            new = old & ~(1 << intid % 32) | on << intid % 32
            if spi:
                self.gicd(at, 4, new, secure=True)
            else:
                self.gicr(pe, at, 4, new, secure=True)

    def mrs(self, who: str, register: str, pe: int = 0, hcr: int = 0) -> int:
        """Read a system register as ``who``, such as "NS-EL2"."""
        return self.gic.cpus[pe].read(REGISTERS[register], *_WHO[who], hcr)

    def msr(self, who: str, register: str, value: int, pe: int = 0, hcr: int = 0) -> int:
        """Write a system register."""
        return self.gic.cpus[pe].write(REGISTERS[register], value, *_WHO[who], hcr)

    def ack(self, pe: int = 0) -> int:
        """ICC_IAR1_EL1 at NS-EL2."""
        return self.mrs("NS-EL2", "ICC_IAR1_EL1", pe)

    def eoi(self, intid: int, pe: int = 0) -> None:
        """ICC_EOIR1_EL1 at NS-EL2."""
        assert self.msr("NS-EL2", "ICC_EOIR1_EL1", intid, pe) == 0

    def load(self, *lrs: int, hcr: int = 1, vmcr: int = 0xF800_0003, pe: int = 0) -> None:
        """List registers of an enabled virtual interface with both groups on."""
        self.gic.cpus[pe].virtual.load(hcr, lrs, vmcr)


def _access(frame: Any, offset: int, size: int, value: int | None) -> int:
    if value is None:
        return int(frame.read(offset, size))
    frame.write(offset, size, value)
    return 0


def lr(intid: int, state: int = 1, priority: int = 0xA0, group: int = 1, extra: Sequence[int] = ()) -> int:
    """ICH_LR<n>_EL2; ``extra`` are further bits."""
    return state << 62 | group << 60 | priority << 48 | intid | sum(1 << bit for bit in extra)
