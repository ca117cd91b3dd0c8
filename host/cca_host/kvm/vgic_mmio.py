"""The registers of a VM's GICv3: distributor and redistributors, one security state, no LPIs (IHI 0069, chapter 12).

A Realm accesses them as emulated MMIO in its unprotected memory. Accesses that the architecture does not define are
RAZ/WI.
"""

from typing import Final

from cca_arch.gic import (
    GICD_SIZE,
    GICR_SGI_BASE,
    GICR_STRIDE,
    IDENTIFICATION,
    IIDR,
    Gicd,
    GicdCtlrNs,
    GicdTyper,
    Gicr,
    GicrTyper,
)
from cca_arch.sysregs import MPIDR_AFFINITY, affinity_word
from cca_host.kvm.vgic import INTIDS, PRIVATE, Interrupts, VcpuInterface, Vgic

__all__ = ["VgicMmio"]

_IPRIORITYR: Final = range(Gicd.IPRIORITYR, Gicd.IPRIORITYR + 0x400)
_ICFGR: Final = range(Gicd.ICFGR, Gicd.ICFGR + 0x100)
_IROUTER: Final = range(Gicd.IROUTER, Gicd.IROUTER + 0x2000)
_ENABLE_GRP1: Final = GicdCtlrNs.enablegrp1a.mask
_ARE_DS: Final = int(GicdCtlrNs.make(are_ns=1, ds=1))
_TYPER: Final = int(GicdTyper.make(itlinesnumber=INTIDS // 32 - 1, mbis=1, idbits=10 - 1, no1n=1))
_MESSAGES: Final = {Gicd.SETSPI_NSR: True, Gicd.CLRSPI_NSR: False}
_PRIORITY_BITS: Final = 0xF8
_WORD: Final = 0xFFFF_FFFF

_GROUPS: Final = 1  # offset / 0x80 of GICD_IGROUPR; pairs of set and clear registers follow
_WORDS: Final[dict[int, tuple[str, bool]]] = {
    2: ("enabled", True),
    3: ("enabled", False),
    4: ("latch", True),
    5: ("latch", False),
    6: ("active", True),
    7: ("active", False),
}
"""Offset / 0x80 of ISENABLER, ICENABLER, ISPENDR, ICPENDR, ISACTIVER and ICACTIVER: the word, and 1 sets or clears."""


class VgicMmio:
    """The register frames of ``vgic`` at IPAs without the shared bit; the redistributors are contiguous."""

    def __init__(self, vgic: Vgic, distributor: int, redistributors: int) -> None:
        self.vgic = vgic
        self.distributor = distributor
        self.redistributors = redistributors

    def claims(self, ipa: int) -> bool:
        """True if ``ipa`` is in a register frame."""
        frames = GICR_STRIDE * len(self.vgic.cpus)
        return (
            0 <= ipa - self.distributor < GICD_SIZE or 0 <= ipa - self.redistributors < frames
        )  # fmt: skip

    def read(self, ipa: int, size: int) -> int:
        """Read ``size`` bytes of the registers at ``ipa``."""
        offset, byte = ipa & ~3, ipa & 3
        if size == 8 and not ipa & 7:
            return self._read(offset) | self._read(offset + 4) << 32
        if size == 4 and not byte:
            return self._read(offset)
        if size == 1 and self._is_priority(offset):
            return self._read(offset) >> 8 * byte & 0xFF
        return 0

    def write(self, ipa: int, size: int, value: int) -> None:
        """Write ``size`` bytes to the registers at ``ipa``."""
        offset, byte = ipa & ~3, ipa & 3
        if size == 8 and not ipa & 7:
            self._write(offset, value & _WORD)
            self._write(offset + 4, value >> 32)
        elif size == 4 and not byte:
            self._write(offset, value & _WORD)
        elif size == 1 and self._is_priority(offset):
            kept = self._read(offset) & ~(0xFF << 8 * byte)
            self._write(offset, kept | (value & 0xFF) << 8 * byte)

    # -- frames -------------------------------------------------------------------------------------------------
    def _frame(self, ipa: int) -> tuple[VcpuInterface | None, int]:
        """The redistributor's vCPU, or None for the distributor, and the offset of a register."""
        offset = ipa - self.distributor
        if 0 <= offset < GICD_SIZE:
            return None, offset
        index, offset = divmod(ipa - self.redistributors, GICR_STRIDE)
        return self.vgic.cpus[index], offset

    def _is_priority(self, ipa: int) -> bool:
        cpu, offset = self._frame(ipa)
        return (offset if cpu is None else offset - GICR_SGI_BASE) in _IPRIORITYR

    def _read(self, ipa: int) -> int:
        cpu, offset = self._frame(ipa)
        if cpu is None:
            return self._read_distributor(offset)
        return self._read_redistributor(cpu, offset)

    def _write(self, ipa: int, value: int) -> None:
        cpu, offset = self._frame(ipa)
        if cpu is not None:
            if offset >= GICR_SGI_BASE:
                _write_interrupts(cpu.private, offset - GICR_SGI_BASE, value)
                self.vgic.changed(cpu)
            return
        vgic = self.vgic
        if offset == Gicd.CTLR:
            vgic.enabled = bool(value & _ENABLE_GRP1)
        elif offset in _IROUTER:
            intid, half = divmod(offset - _IROUTER.start, 8)
            if PRIVATE <= intid < INTIDS:
                shift = 8 * half
                vgic.routes[intid] = (vgic.routes[intid] & ~(_WORD << shift) | value << shift) & MPIDR_AFFINITY
        elif offset in _MESSAGES:
            self._message(offset, value)
        else:
            _write_interrupts(vgic.spis, offset, value)
        vgic.route()

    def takes_message(self, ipa: int) -> bool:
        """True if a write of a device to ``ipa`` is a message."""
        return ipa - self.distributor in _MESSAGES

    def _message(self, offset: int, intid: int) -> None:
        """A message-based SPI becomes pending, or is not any more."""
        if PRIVATE <= intid < INTIDS:
            self.vgic.spis.message(intid, _MESSAGES[Gicd(offset)])

    def _read_distributor(self, offset: int) -> int:
        vgic = self.vgic
        if offset == Gicd.CTLR:
            return _ARE_DS | _ENABLE_GRP1 * vgic.enabled
        if offset == Gicd.TYPER:
            return _TYPER
        if offset == Gicd.IIDR:
            return IIDR
        if offset == Gicd.PIDR2:
            return IDENTIFICATION[offset]
        if offset in _IROUTER:
            intid, half = divmod(offset - _IROUTER.start, 8)
            return vgic.routes[intid] >> 8 * half & _WORD if PRIVATE <= intid < INTIDS else 0
        return _read_interrupts(vgic.spis, offset)

    def _read_redistributor(self, cpu: VcpuInterface, offset: int) -> int:
        if offset >= GICR_SGI_BASE:
            return _read_interrupts(cpu.private, offset - GICR_SGI_BASE)
        if offset == Gicr.IIDR:
            return IIDR
        if offset == Gicr.TYPER:
            last = cpu is self.vgic.cpus[-1]
            return cpu.index << GicrTyper.processor_number.low | (GicrTyper.last.mask if last else 0)
        if offset == Gicr.TYPER + 4:  # Affinity_Value, in the byte order of an affinity
            return affinity_word(cpu.affinity)
        if offset == Gicd.PIDR2:
            return IDENTIFICATION[offset]
        return 0  # including WAKER: never asleep


# -- the registers with some bits per interrupt -----------------------------------------------------------------------
def _read_interrupts(of: Interrupts, offset: int) -> int:
    kind, first = offset >> 7, 8 * (offset & 0x7F)
    if kind == _GROUPS:
        return of.group >> first & _WORD
    if kind in _WORDS:
        name = _WORDS[kind][0]
        value: int = of.pending if name == "latch" else getattr(of, name)
        return value >> first & _WORD
    if offset in _IPRIORITYR:
        at = offset - _IPRIORITYR.start
        return int.from_bytes(of.priority[at : at + 4], "little")
    if offset in _ICFGR:
        first = 4 * (offset - _ICFGR.start)
        return sum((of.edge >> first + number & 1) << 2 * number + 1 for number in range(16))
    return 0


def _write_interrupts(of: Interrupts, offset: int, value: int) -> None:
    kind, first = offset >> 7, 8 * (offset & 0x7F)
    bits = value << first & of.mask
    if kind == _GROUPS:
        of.group = of.group & ~(_WORD << first) | bits
    elif kind in _WORDS:
        name, sets = _WORDS[kind]
        old = getattr(of, name)
        setattr(of, name, old | bits if sets else old & ~bits)
    elif offset in _IPRIORITYR:
        at = offset - _IPRIORITYR.start
        for number in range(at, min(at + 4, INTIDS)):
            if of.mask >> number & 1:
                of.priority[number] = value >> 8 * (number - at) & _PRIORITY_BITS
    elif offset in _ICFGR:
        first = 4 * (offset - _ICFGR.start)
        for number in range(16):
            bit = 1 << first + number
            if bit & of.mask and first + number >= 16:  # SGIs are always edge-triggered
                of.edge = of.edge & ~bit | (value >> 2 * number + 1 & 1) << first + number
