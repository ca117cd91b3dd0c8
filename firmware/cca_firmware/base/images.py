"""The boot images: their kinds, and the event-log entries of loaded images."""

from typing import Final, NamedTuple
from uuid import UUID, uuid5

from cca_arch.types import PA

__all__ = [
    "BL2",
    "BL31",
    "BL32",
    "BL33",
    "CCA_CERTIFICATE",
    "HASH_ALGORITHM",
    "NS_CERTIFICATE",
    "RMM",
    "SECURE_CERTIFICATE",
    "ImageType",
    "Measurement",
    "ns_part",
]

HASH_ALGORITHM: Final = "sha-256"


class ImageType(NamedTuple):
    """A kind of boot image: its name in messages and measurements, and its UUID in the package (bytes as stored)."""

    name: str
    uuid: bytes
    meaning: str

    @property
    def label(self) -> str:
        """Its name in messages."""
        return self.name if self.name.endswith("certificate") else f"{self.name} image"


def _type(name: str, uuid: str, meaning: str) -> ImageType:
    return ImageType(name, UUID(uuid).bytes, meaning)


# UUIDs of TF-A's firmware_image_package.h, in the byte order of the package
BL2: Final = _type("BL2", "5ff9ec0b-4d22-3e4d-a544-c39d81c73f0a", "Trusted Boot Firmware")
BL31: Final = _type("BL31", "47d4086d-4cfe-9846-9b95-2950cbbd5a00", "EL3 Runtime Firmware")
RMM: Final = _type("RMM", "6c0762a6-12f2-4b56-92cb-ba8f633606d9", "Realm Monitor Management Firmware")
BL32: Final = _type("BL32", "05d0e189-53dc-1347-8d2b-500a4b7a3e38", "Secure Payload")
BL33: Final = _type("BL33", "d6d0eea7-fcea-d54b-9782-9934f234b6e4", "Non-Trusted Firmware")
CCA_CERTIFICATE: Final = _type(
    "CCA content certificate", "36d83d85-761d-4daf-96f1-cd99d6569b00", "vouches for BL2, BL31, RMM and the next one"
)
NS_CERTIFICATE: Final = _type("NS content certificate", "8ec4c1f3-5d63-e411-a7a9-87ee40b23fa7", "vouches for BL33")
SECURE_CERTIFICATE: Final = _type(
    "Trusted OS content certificate", "a49f4411-5e63-e411-8728-3f05722af33d", "vouches for BL32"
)


class Measurement(NamedTuple):
    """An event-log entry: the image ``name`` with this ``digest`` was loaded to PA ``pa`` and is in use."""

    name: str
    version: str
    algorithm: str
    digest: bytes
    signer_id: bytes
    pa: PA
    size: int


def ns_part(number: int) -> ImageType:
    """The kind of part ``number`` of Non-secure software: BL33, then Realmlab's own BL33-1, BL33-2 ..."""
    if not number:
        return BL33
    return ImageType(f"BL33-{number}", uuid5(UUID(bytes=BL33.uuid), str(number)).bytes, BL33.meaning)
