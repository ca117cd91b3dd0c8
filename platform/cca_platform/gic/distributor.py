"""The distributor's register frame (IHI 0069, 12.9), as Secure or as Non-secure accesses see it.

Affinity routing is always enabled, so the registers of GICv2 and those of INTIDs 0 to 31 read as zero. Accesses of a
size other than the register's are RAZ/WI; GICD_IROUTER takes 64 bits or either half.
"""

from typing import TYPE_CHECKING, Final

from cca_arch.gic import IDENTIFICATION, IIDR, Gicd, GicdCtlr, GicdCtlrNs, GicdTyper
from cca_platform.gic.priorities import G0, G1NS, G1S

if TYPE_CHECKING:
    from cca_platform.gic.gic import Gic

__all__ = ["Distributor"]

_MESSAGES: Final[dict[int, bool]] = {Gicd.SETSPI_NSR: True, Gicd.CLRSPI_NSR: False}
_SECURE_MESSAGES: Final[dict[int, bool]] = {Gicd.SETSPI_SR: True, Gicd.CLRSPI_SR: False}
_INTERRUPTS: Final = range(Gicd.IGROUPR, 0xF00)
_IROUTER: Final = range(Gicd.IROUTER, 0x8000)
_ARE: Final = GicdCtlr.are_s.mask | GicdCtlr.are_ns.mask
_NS_ARE: Final = GicdCtlrNs.are_ns.mask
_NS_ENABLE: Final = GicdCtlrNs.enablegrp1a.mask
_ENABLES: Final = (
    (GicdCtlr.enablegrp0.low, G0), (GicdCtlr.enablegrp1ns.low, G1NS), (GicdCtlr.enablegrp1s.low, G1S),
)  # fmt: skip
_TYPER_FEATURES: Final = int(GicdTyper.make(rss=1, a3v=1, idbits=15, mbis=1, securityextn=1))
_WORD: Final = 0xFFFF_FFFF


class Distributor:
    """One view of GICD, a frame of 64 KiB. The state is in the GIC."""

    def __init__(self, gic: "Gic", secure: bool) -> None:
        self.name = "gicd"
        self._gic = gic
        self._secure = secure
        spis = gic.spis
        self._typer = _TYPER_FEATURES | (spis.first + spis.count + 31) // 32 - 1

    def read(self, offset: int, size: int) -> int:
        """Read a register; what is not implemented or not visible reads as zero."""
        if offset % size:
            return 0
        if offset in _IROUTER:
            return self._read_router(offset, size)
        if offset in _INTERRUPTS:
            return self._gic.spis.read(offset, size, self._secure)
        if size != 4:
            return 0
        if offset == Gicd.CTLR:
            return self._read_control()
        if offset == Gicd.TYPER:
            return self._typer
        return IIDR if offset == Gicd.IIDR else IDENTIFICATION.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; what is not implemented or not permitted is ignored."""
        if offset % size:
            return
        if offset in _IROUTER:
            self._write_router(offset, size, value)
        elif offset in _INTERRUPTS:
            self._gic.spis.write(offset, size, value, self._secure)
            self._gic.update_all()
        elif offset == Gicd.CTLR and size == 4:
            self._write_control(value)
        elif offset in _MESSAGES and size in (2, 4):
            self._message(value, _MESSAGES[offset])
        elif self._secure and offset in _SECURE_MESSAGES and size in (2, 4):
            self._message(value, _SECURE_MESSAGES[offset])

    def _read_control(self) -> int:
        enables = self._gic.enables
        if not self._secure:
            return _NS_ARE | (_NS_ENABLE if enables >> G1NS & 1 else 0)
        return _ARE | sum(1 << bit for bit, group in _ENABLES if enables >> group & 1)

    def _write_control(self, value: int) -> None:
        gic = self._gic
        if self._secure:
            gic.enables = sum(1 << group for bit, group in _ENABLES if value >> bit & 1)
        else:
            gic.enables = gic.enables & ~(1 << G1NS) | (1 << G1NS if value & _NS_ENABLE else 0)
        gic.update_all()

    def _mine(self, intid: int) -> bool:
        """True if the SPI is visible in this view."""
        spis = self._gic.spis
        return bool((spis.all if self._secure else spis.group) >> intid & 1)

    def _read_router(self, offset: int, size: int) -> int:
        intid = offset - _IROUTER.start >> 3
        if size < 4 or not self._mine(intid):
            return 0
        value = self._gic.router(intid)
        return value if size == 8 else value >> 8 * (offset & 4) & _WORD

    def _write_router(self, offset: int, size: int, value: int) -> None:
        intid = offset - _IROUTER.start >> 3
        if size < 4 or not self._mine(intid):
            return
        if size == 4:
            shift = 8 * (offset & 4)
            value = self._gic.router(intid) & ~(_WORD << shift) | (value & _WORD) << shift
        self._gic.set_router(intid, value)

    def _message(self, value: int, level: bool) -> None:
        intid = value & 0x3FF
        if self._mine(intid):
            self._gic.spis.set_message(intid, level)
            self._gic.update_spi(intid)
