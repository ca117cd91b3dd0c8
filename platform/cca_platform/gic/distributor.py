"""The distributor's register frame (IHI 0069, 12.9), as Secure or as Non-secure accesses see it.

Affinity routing is always on, so the registers of GICv2 and those of INTIDs 0 to 31 read as zero. What an access of
another size than the register's does is RAZ/WI; GICD_IROUTER takes 64 bits or either half.
"""

from typing import TYPE_CHECKING, Final

from cca_platform.gic.identification import FRAME_ID, IIDR
from cca_platform.gic.priorities import G0, G1NS, G1S

if TYPE_CHECKING:
    from cca_platform.gic.gic import Gic

__all__ = ["Distributor"]

_CTLR, _TYPER, _IIDR = 0x00, 0x04, 0x08
_MESSAGES: Final = {0x40: True, 0x48: False}  # GICD_SETSPI_NSR, GICD_CLRSPI_NSR
_SECURE_MESSAGES: Final = {0x50: True, 0x58: False}  # GICD_SETSPI_SR, GICD_CLRSPI_SR
_INTERRUPTS: Final = range(0x80, 0xF00)
_IROUTER: Final = range(0x6000, 0x8000)
_ARE: Final = 0x30  # ARE_S and ARE_NS
_NS_ARE: Final = 0x10  # ARE_NS in the Non-secure view
_NS_ENABLE: Final = 2  # EnableGrp1A
_ENABLES: Final = ((0, G0), (1, G1NS), (2, G1S))  # bits of GICD_CTLR in the Secure view
_TYPER_FEATURES: Final = 1 << 26 | 1 << 24 | 15 << 19 | 1 << 16 | 1 << 10  # RSS, A3V, IDbits, MBIS, SecurityExtn
_WORD: Final = 0xFFFF_FFFF


class Distributor:
    """One view of GICD, a frame of 64 KiB. The state is the GIC's."""

    def __init__(self, gic: "Gic", secure: bool) -> None:
        self.name = "gicd"
        self._gic = gic
        self._secure = secure
        spis = gic.spis
        self._typer = _TYPER_FEATURES | (spis.first + spis.count + 31) // 32 - 1

    def read(self, offset: int, size: int) -> int:
        """A register; what is not implemented or not visible reads as zero."""
        if offset % size:
            return 0
        if offset in _IROUTER:
            return self._read_router(offset, size)
        if offset in _INTERRUPTS:
            return self._gic.spis.read(offset, size, self._secure)
        if size != 4:
            return 0
        if offset == _CTLR:
            return self._read_control()
        return {_TYPER: self._typer, _IIDR: IIDR}.get(offset, FRAME_ID.get(offset, 0))

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; what is not implemented or not permitted is ignored."""
        if offset % size:
            return
        if offset in _IROUTER:
            self._write_router(offset, size, value)
        elif offset in _INTERRUPTS:
            self._gic.spis.write(offset, size, value, self._secure)
            self._gic.update_all()
        elif offset == _CTLR and size == 4:
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
        """Whether this view may see the SPI."""
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
