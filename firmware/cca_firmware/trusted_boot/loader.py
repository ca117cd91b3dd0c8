"""The loader of boot images: finds them in the package, verifies them, copies them to DRAM, measures them.

The chain of trust: BL1's ROM holds the hash of the CCA content certificate. That certificate vouches for BL2, BL31, the
RMM, the NS content certificate and, if there is a Secure payload, the Trusted OS content certificate. The latter two
vouch for BL33 and BL32. An image that is not the certified one never reaches DRAM.
"""

from collections.abc import Sequence
from hashlib import sha256

from cca_arch.types import PA, Pas, SecurityState
from cca_firmware.base.errors import BootError
from cca_firmware.base.images import (
    CCA_CERTIFICATE,
    HASH_ALGORITHM,
    NS_CERTIFICATE,
    SECURE_CERTIFICATE,
    ImageType,
    Measurement,
)
from cca_firmware.base.pieces import Pieces
from cca_firmware.trusted_boot.certificates import Certificate
from cca_firmware.trusted_boot.fip import Fip
from cca_platform.memory.memory import Memory
from cca_platform.trace.events import BootImage
from cca_platform.trace.trace import Trace

__all__ = ["Loader"]


class Loader:
    """The loader of BL1 or BL2.

    ``event_log`` has a measurement per image in order of loading, starting with those of an earlier stage.
    ``root_digest`` is the hash in BL1's ROM. Raises BootError if the package is damaged.
    """

    def __init__(
        self,
        memory: Memory,
        trace: Trace,
        package: bytes | Pieces,
        root_digest: bytes,
        event_log: Sequence[Measurement] = (),
    ) -> None:
        self._memory = memory
        self._trace = trace
        self._fip = Fip(package)
        self.event_log = [*event_log]
        self._certificates = [Certificate.parse(self._checked(CCA_CERTIFICATE, root_digest))]
        self._certificates.append(Certificate.parse(self._certified(NS_CERTIFICATE)[1]))
        if self.holds(SECURE_CERTIFICATE):
            self._certificates.append(Certificate.parse(self._certified(SECURE_CERTIFICATE)[1]))

    def holds(self, kind: ImageType) -> bool:
        """True if a certificate of the package vouches for an image of this kind."""
        return any(certificate.find(kind.uuid) for certificate in self._certificates)

    def load(self, kind: ImageType, pa: int, limit: int, pas: Pas) -> Measurement:
        """Copy an image of up to ``limit`` bytes to ``pa`` in the PAS ``pas``; BootError if it is not certified."""
        certificate, image, version, digest = self._certified(kind)
        if len(image) > limit:
            raise BootError(f"{kind.label} must fit {limit:#x} bytes at {pa:#x}, not take {len(image):#x}")
        self._memory.port(SecurityState.ROOT, pas).write(pa, image)
        entry = Measurement(kind.name, version, HASH_ALGORITHM, digest, certificate.signer_id, PA(pa), len(image))
        self.event_log.append(entry)
        if self._trace.on:
            self._trace.emit(
                BootImage(
                    image=kind.name, pa=pa, size=len(image), algorithm=HASH_ALGORITHM, digest=digest, version=version
                )
            )
        return entry

    def _certified(self, kind: ImageType) -> tuple[Certificate, bytes, str, bytes]:
        """Find a certified image: returns the certificate, the image, its version and digest."""
        for certificate in self._certificates:
            row = certificate.find(kind.uuid)
            if row is not None:
                return certificate, self._checked(kind, row.digest), row.version, row.digest
        raise BootError(f"{kind.label} must be named by a content certificate; rebuild the package")

    def _checked(self, kind: ImageType, digest: bytes) -> bytes:
        """The image of the package with this SHA-256."""
        image = self._fip.get(kind.uuid)
        if image is None:
            raise BootError(f"FIP must hold the {kind.label} ({kind.meaning}); rebuild the package")
        actual = sha256(image).digest()
        if actual != digest:
            raise BootError(f"{kind.label} must hash to {digest.hex()}, not {actual.hex()}")
        return image
