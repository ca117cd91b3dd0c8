"""Loading of boot images: find in the package, check against the chain of trust, copy into DRAM, measure.

The chain: BL1's ROM holds the hash of the CCA content certificate; that certificate vouches for BL2, BL31, the RMM and
the NS content certificate; the latter vouches for BL33. An image that is not the certified one never reaches DRAM.
"""

from hashlib import sha256
from typing import Final, NamedTuple

from cca_firmware.certificates import Certificate
from cca_firmware.errors import BootError
from cca_firmware.fip import Fip
from cca_firmware.images import CCA_CERTIFICATE, NS_CERTIFICATE, ImageType
from cca_platform.memory import Memory
from cca_platform.trace import Trace
from cca_platform.types import PA, Pas, SecurityState

__all__ = ["HASH_ALGORITHM", "Loader", "Measurement"]

HASH_ALGORITHM: Final = "sha-256"


class Measurement(NamedTuple):
    """An entry of the event log: the image ``name`` with this ``digest`` was loaded to PA ``pa`` and is in use."""

    name: str
    version: str
    algorithm: str
    digest: bytes
    signer_id: bytes
    pa: PA
    size: int


class Loader:
    """The loader of BL1 and BL2 for one boot. ``event_log`` has a measurement for each image, in the order of loading.

    ``root_digest`` is the hash that BL1's ROM holds. BootError when the package is damaged.
    """

    def __init__(self, memory: Memory, trace: Trace, package: bytes, root_digest: bytes) -> None:
        self._memory = memory
        self._trace = trace
        self._fip = Fip(package)
        self.event_log: list[Measurement] = []
        self._cca = Certificate.parse(self._checked(CCA_CERTIFICATE, root_digest))
        self._ns = Certificate.parse(self._certified(self._cca, NS_CERTIFICATE)[0])

    def load(self, kind: ImageType, pa: int, limit: int, pas: Pas) -> Measurement:
        """Copy an image to ``pa`` in the PAS ``pas``, at most ``limit`` bytes; BootError when it is not certified."""
        certificate = self._cca if self._cca.find(kind.uuid) else self._ns
        image, version, digest = self._certified(certificate, kind)
        if len(image) > limit:
            raise BootError(f"{kind.label} must fit {limit:#x} bytes at {pa:#x}, not take {len(image):#x}")
        self._memory.port(SecurityState.ROOT, pas).write(pa, image)
        entry = Measurement(kind.name, version, HASH_ALGORITHM, digest, certificate.signer_id, PA(pa), len(image))
        self.event_log.append(entry)
        if self._trace.on:
            self._trace.emit(
                "boot.image",
                image=kind.name,
                pa=pa,
                size=len(image),
                algorithm=HASH_ALGORITHM,
                digest=digest,
                version=version,
            )
        return entry

    def _certified(self, certificate: Certificate, kind: ImageType) -> tuple[bytes, str, bytes]:
        """An image that ``certificate`` vouches for, with its version and digest."""
        row = certificate.find(kind.uuid)
        if row is None:
            raise BootError(f"{kind.label} must be named by a content certificate; rebuild the package")
        return self._checked(kind, row.digest), row.version, row.digest

    def _checked(self, kind: ImageType, digest: bytes) -> bytes:
        """An image of the package that has this SHA-256."""
        image = self._fip.get(kind.uuid)
        if image is None:
            raise BootError(f"FIP must hold the {kind.label} ({kind.meaning}); rebuild the package")
        actual = sha256(image).digest()
        if actual != digest:
            raise BootError(f"{kind.label} must hash to {digest.hex()}, not {actual.hex()}")
        return image
