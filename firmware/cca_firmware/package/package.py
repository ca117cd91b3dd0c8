"""The package that a machine boots from: the images of the given programs and their certificates.

The image of a component written in Python is a canonical archive of the modules that it runs (see
:mod:`cca_firmware.package.modules`) from the packages that are software of its world: this package for BL2 and BL31,
the package of its classes for a program at R-EL2 or Non-secure EL2, and ``cca_arch`` for all of them. ``cca_platform``
is hardware, which is neither loaded nor measured. The image of a payload is its file.
"""

import sys
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple

from cca_firmware.base.images import (
    BL2,
    BL31,
    BL32,
    CCA_CERTIFICATE,
    NS_CERTIFICATE,
    RMM,
    SECURE_CERTIFICATE,
    ImageType,
    ns_part,
)
from cca_firmware.base.pieces import Pieces
from cca_firmware.package.archive import archive
from cca_firmware.package.modules import closure
from cca_firmware.trusted_boot import fip
from cca_firmware.trusted_boot.certificates import Certificate, CertifiedImage

__all__ = ["ROOTS", "VERSION", "Package", "component", "firmware_images", "package"]

VERSION: Final = "0.1.0"
"""The version of this source tree's images in the certificates."""
ROOTS: Final = {"BL2": "cca_firmware.bl2.load", "BL31": "cca_firmware.firmware"}
"""The root modules of the firmware's images. The rest of this package runs outside of them: BL1, which is a ROM
whose content is its hash, the order of the stages (``cca_firmware.boot``), and what builds packages."""
_SHARED: Final = "cca_arch"
_KEPT: Final = 4 << 20  # bytes of Non-secure images: a package of larger ones does not outlive its machine


class Package(NamedTuple):
    """A package, and the hash of its first certificate, which provisioning burns into BL1."""

    pieces: Pieces
    root_digest: bytes

    @property
    def fip(self) -> bytes:
        """The package as a file."""
        return bytes(self.pieces)


@lru_cache(maxsize=8)
def _image(roots: frozenset[str], packages: frozenset[str]) -> bytes:
    """The archive of the modules of ``packages`` that the root modules run."""
    return archive({module.archived: module.source for module in closure(roots, packages)})


def component(program: Any) -> bytes:
    """The image of a Python program: what its class and base classes run, from their packages.

    A program with code from elsewhere names those modules in its attribute ``modules``; they are roots, too. Python's
    own library belongs to the interpreter and is not measured.
    """
    named = {kind.__module__ for kind in type(program).__mro__} | {*getattr(program, "modules", ())}
    roots = frozenset(name for name in named if name.partition(".")[0] not in sys.stdlib_module_names)
    return _image(roots, frozenset({_SHARED, *(root.partition(".")[0] for root in roots)}))


def firmware_images() -> tuple[bytes, bytes]:
    """The images BL2 and BL31 of this source tree."""
    bl2, bl31 = (_image(frozenset({root}), frozenset({_SHARED, root.partition(".")[0]})) for root in ROOTS.values())
    return bl2, bl31


def package(rmm: bytes, *ns: bytes, secure: bytes | None = None) -> Package:
    """The package that boots this source tree's firmware with the image ``rmm`` and the parts ``ns`` of NS software.

    ``secure`` is the image of a Secure payload, if there is one.
    """
    make = _package if sum(map(len, ns)) <= _KEPT else _package.__wrapped__
    return make(rmm, ns, secure)


@lru_cache(maxsize=8)
def _package(rmm: bytes, ns: tuple[bytes, ...], secure: bytes | None) -> Package:
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
