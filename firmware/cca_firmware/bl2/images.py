"""The boot images: what each of them is, and the package that a boot starts from.

A component written in Python has as its image a canonical archive (ustar, sorted names, no times, no owners) of the
sources that really run, so that a measurement of the RMM is a measurement of its code. A payload is its file bytes.
"""

import sys
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from cca_firmware.bl2 import fip
from cca_firmware.bl2.certificates import Certificate, CertifiedImage

__all__ = [
    "BL2",
    "BL31",
    "BL32",
    "BL33",
    "CCA_CERTIFICATE",
    "NS_CERTIFICATE",
    "RMM",
    "SECURE_CERTIFICATE",
    "VERSION",
    "ImageType",
    "Package",
    "archive",
    "component",
    "firmware_images",
    "ns_part",
    "package",
]

VERSION: Final = "0.1.0"
"""The version that the certificates give the images of this source tree."""


class ImageType(NamedTuple):
    """A kind of boot image: its name in messages and measurements, and its UUID in the package (bytes as stored)."""

    name: str
    uuid: bytes
    meaning: str

    @property
    def label(self) -> str:
        """What messages call it."""
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

_FIRMWARE: Final = Path(__file__).parents[1]
_BL2_SOURCES: Final = (f"{_FIRMWARE.name}/__init__.py", f"{_FIRMWARE.name}/errors.py", f"{_FIRMWARE.name}/bl2/")


class Package(NamedTuple):
    """A package, and the hash of its first certificate: what provisioning burns into BL1 for it."""

    fip: bytes
    root_digest: bytes


def _octal(value: int, width: int) -> bytes:
    return f"{value:0{width - 1}o}\0".encode()


def _tar_header(name: str, size: int) -> bytes:
    """A ustar header: mode 0644, owner 0, time 0."""
    fields = (
        name.encode().ljust(100, b"\0"),
        _octal(0o644, 8) + _octal(0, 8) * 2 + _octal(size, 12) + _octal(0, 12),
        b" " * 8,
        b"0".ljust(101, b"\0") + b"ustar\0" + b"00",
    )
    header = bytearray(b"".join(fields).ljust(512, b"\0"))
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header)


def archive(files: dict[str, bytes]) -> bytes:
    """A ustar archive that depends on nothing but names and contents."""
    parts: list[bytes] = []
    for name in sorted(files):
        data = files[name]
        parts += [_tar_header(name, len(data)), data, bytes(-len(data) % 512)]
    return b"".join([*parts, bytes(1024)])


def _sources(folder: Path) -> dict[str, bytes]:
    """The Python sources below a package's folder, by their name in the archive."""
    return {
        f"{folder.name}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in sorted(folder.rglob("*.py"))
    }


@lru_cache
def _folder_image(folder: Path) -> bytes:
    return archive(_sources(folder))


@lru_cache
def _file_image(path: Path) -> bytes:
    return archive({path.name: path.read_bytes()})


def component(program: Any) -> bytes:
    """The image of a component written in Python: the package of the program's class, or its module if it has none."""
    module = sys.modules[type(program).__module__]
    root = sys.modules.get(module.__name__.partition(".")[0])
    origin = getattr(root, "__file__", None)
    if origin is not None and Path(origin).name == "__init__.py":
        return _folder_image(Path(origin).parent)
    return _file_image(Path(str(module.__file__)))


@lru_cache
def firmware_images() -> tuple[bytes, bytes]:
    """The images BL2 (the boot loader's modules) and BL31 (the rest of this package)."""
    sources = _sources(_FIRMWARE)
    boot = {name: data for name, data in sources.items() if name.startswith(_BL2_SOURCES)}
    return archive(boot), archive({name: data for name, data in sources.items() if name not in boot})


def ns_part(number: int) -> ImageType:
    """The ``number``-th part of Non-secure software: BL33, then BL33-1, BL33-2 ..., which are Realmlab's own."""
    if not number:
        return BL33
    return ImageType(f"BL33-{number}", uuid5(UUID(bytes=BL33.uuid), str(number)).bytes, BL33.meaning)


@lru_cache(maxsize=8)
def package(rmm: bytes, *ns: bytes, secure: bytes | None = None) -> Package:
    """The package that boots this source tree's firmware with the image ``rmm`` and the parts ``ns`` of NS software.

    ``secure`` is the image of a Secure payload, if there is one.
    """
    bl2, bl31 = firmware_images()

    def certify(kind: ImageType, image: bytes) -> CertifiedImage:
        return CertifiedImage(kind.uuid, VERSION, len(image), sha256(image).digest())

    parts = tuple((ns_part(number), image) for number, image in enumerate(ns))
    ns_certificate = Certificate(tuple(certify(kind, image) for kind, image in parts)).pack()
    chain = [(BL2, bl2), (BL31, bl31), (RMM, rmm), (NS_CERTIFICATE, ns_certificate)]
    if secure is not None:
        chain.append((SECURE_CERTIFICATE, Certificate((certify(BL32, secure),)).pack()))
        parts += ((BL32, secure),)
    cca_certificate = Certificate(tuple(certify(kind, image) for kind, image in chain)).pack()
    images = {CCA_CERTIFICATE.uuid: cca_certificate, **{kind.uuid: image for kind, image in (*chain, *parts)}}
    return Package(fip.build(images), sha256(cca_certificate).digest())
