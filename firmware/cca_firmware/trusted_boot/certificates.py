"""Content certificates: the requirements for boot images in the chain of trust.

A certificate lists images by UUID with their size, version and SHA-256. It is trusted because its own hash is known:
BL1 holds the hash of the CCA content certificate, as a ROM holds the hash of the root of trust public key (ROTPK), and
that certificate holds the hash of the next one. ``signature_algorithm`` is 0, "verified by hash". A signed certificate
has another value there, and the signature after the last image.
"""

from hashlib import sha256
from typing import Final, NamedTuple

from cca_arch.fields import Member, Struct
from cca_firmware.base.errors import BootError

__all__ = ["CERTIFICATE", "CERTIFIED_IMAGE", "MAGIC", "SIGNER_ID", "Certificate", "CertifiedImage"]

MAGIC: Final = int.from_bytes(b"RLCC", "little")
FORMAT: Final = 1
SIGNER_ID: Final = sha256(b"Realmlab development root of trust").digest()
"""The signer of images built here; with signatures, the hash of the signer's public key."""

CERTIFICATE: Final = Struct(
    "content_certificate",
    64,
    Member("magic", 0, 4),
    Member("format", 4, 4),
    Member("nv_counter", 8, 4),
    Member("count", 12, 4),
    Member("signer_id", 16, 32),
    Member("signature_algorithm", 48, 4),
    Member("signature_size", 52, 4),
)
CERTIFIED_IMAGE: Final = Struct(
    "certified_image",
    72,
    Member("uuid", 0, 16),
    Member("version", 16, 16),
    Member("size", 32, 8),
    Member("digest", 40, 32),
)


class CertifiedImage(NamedTuple):
    """A certificate's entry for an image; ``digest`` is its SHA-256."""

    uuid: bytes
    version: str
    size: int
    digest: bytes


class Certificate(NamedTuple):
    """A content certificate; ``nv_counter`` increments to keep older images from booting."""

    images: tuple[CertifiedImage, ...]
    nv_counter: int = 1
    signer_id: bytes = SIGNER_ID

    def find(self, uuid: bytes) -> CertifiedImage | None:
        """The entry of the image ``uuid``, or None."""
        return next((image for image in self.images if image.uuid == uuid), None)

    def pack(self) -> bytes:
        """The certificate in the format of the package."""
        head = CERTIFICATE.pack(
            magic=MAGIC,
            format=FORMAT,
            nv_counter=self.nv_counter,
            count=len(self.images),
            signer_id=self.signer_id,
        )
        rows = [
            CERTIFIED_IMAGE.pack(uuid=uuid, version=version.encode(), size=size, digest=digest)
            for uuid, version, size, digest in self.images
        ]
        return b"".join([head, *rows])

    @classmethod
    def parse(cls, data: bytes) -> "Certificate":
        """Parse a certificate whose hash has been verified; raises BootError if it is malformed."""
        if len(data) < CERTIFICATE.size:
            raise BootError(f"a content certificate must have {CERTIFICATE.size} bytes or more, not {len(data)}")
        head = CERTIFICATE.unpack(data)
        if (head.magic, head.format, head.signature_algorithm) != (MAGIC, FORMAT, 0):
            raise BootError(
                f"a content certificate must have magic {MAGIC:#x}, format {FORMAT} and no signature, "
                f"not {head.magic:#x}, {head.format} and signature algorithm {head.signature_algorithm}"
            )
        if len(data) != CERTIFICATE.size + CERTIFIED_IMAGE.size * head.count:
            raise BootError(f"a content certificate of {head.count} images must not have {len(data)} bytes")
        rows = (
            CERTIFIED_IMAGE.unpack(memoryview(data)[CERTIFICATE.size + CERTIFIED_IMAGE.size * index :])
            for index in range(head.count)
        )
        images = tuple(
            CertifiedImage(row.uuid, row.version.rstrip(b"\0").decode(), row.size, row.digest) for row in rows
        )
        return cls(images, head.nv_counter, head.signer_id)
