"""Device access to memory, through the SMMU and granule protection."""

from typing import Final

from cca_arch.types import GRANULE_SIZE, Access
from cca_platform.devices.smmu.model import DmaAborted, Smmu
from cca_platform.errors import BusError, GranuleProtectionFault

__all__ = ["DmaPort"]

_U64: Final = (1 << 64) - 1


class DmaPort:
    """The DMA of the device with StreamID ``stream``. Addresses are IOVAs, as set by its driver.

    Raises DmaAborted if the SMMU, granule protection or the bus refuses. A transfer over several pages is one
    transaction per page, so an aborted write leaves the preceding pages written.
    """

    def __init__(self, smmu: Smmu, stream: int) -> None:
        self.smmu = smmu
        self.stream = stream

    def _pages(self, iova: int, size: int) -> list[tuple[int, int, int]]:
        """(IOVA, position, length) of each page of a transfer."""
        parts, at = [], iova
        while at < iova + size:
            length = min(GRANULE_SIZE - at % GRANULE_SIZE, iova + size - at)
            parts.append((at & _U64, at - iova, length))
            at += length
        return parts

    def read(self, iova: int, size: int) -> bytes:
        """Read ``size`` bytes at ``iova``."""
        return b"".join(self._read(at, length) for at, _, length in self._pages(iova, size))

    def write(self, iova: int, data: bytes) -> None:
        """Write ``data`` at ``iova``."""
        for at, position, length in self._pages(iova, len(data)):
            self._write(at, data[position : position + length])

    def _read(self, iova: int, size: int) -> bytes:
        pa = self.smmu.translate(self.stream, iova, Access.READ)
        try:
            return self.smmu.granules.port.read(pa, size)
        except (GranuleProtectionFault, BusError) as error:
            raise self._refused(iova, pa, Access.READ, error) from None

    def _write(self, iova: int, data: bytes) -> None:
        pa = self.smmu.translate(self.stream, iova, Access.WRITE)
        try:
            self.smmu.granules.port.write(pa, data)
        except (GranuleProtectionFault, BusError) as error:
            raise self._refused(iova, pa, Access.WRITE, error) from None

    def _refused(self, iova: int, pa: int, access: Access, error: Exception) -> DmaAborted:
        return self.smmu.refuse(self.stream, iova, pa, access, error)
