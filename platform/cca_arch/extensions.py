"""Realmlab's own extensions of the interfaces: paging for the Host, sealing keys for Realms. No Arm document has them.

They keep out of Arm's ranges. The Host's calls are in the range of trusted applications, which EL3 routes to the RMM;
a Realm's are in the vendor's range of hypervisors; those of the RMM to EL3 are in the vendor's range of EL3. Each range
has a UID, by which software knows whose functions it has, and a FEATURES call. Statuses are those of RMI and RSI.
"""

from enum import IntEnum
from typing import Final

from cca_arch.fields import Bits, Field
from cca_arch.smccc import Owner, Query, query

__all__ = [
    "EXTENSIONS",
    "PAGING",
    "PAGING_UID",
    "PLATFORM_KEY_SIZE",
    "SEALING",
    "SEALING_UID",
    "PagedState",
    "Paging",
    "PagingFeatures",
    "Sealing",
    "SealingFeatures",
    "SealingFlags",
    "VendorEl3",
    "uid_words",
]

PAGING: Final = "paging"
SEALING: Final = "sealing"
EXTENSIONS: Final = (PAGING, SEALING)
"""The names of all extensions."""


class Paging(IntEnum):
    """Calls of the Host to the RMM: pages of a Realm leave it sealed, and come back."""

    PAGING_UID = query(Owner.TRUSTED_APPLICATION, Query.UID)
    """X0 to X3: PAGING_UID; EL3 answers."""
    PAGING_FEATURES = 0xF000_0000
    """X1 index -> X1 PagingFeatures for index 0."""
    PAGE_OUT = 0xF000_0001
    """X1 rd, X2 ipa, X3 dst: Non-secure page -> X1 data: the granule, X2, X3: the tag, X4: the version."""
    PAGE_IN = 0xF000_0002
    """X1 rd, X2 data: a granule, X3 ipa, X4 src: Non-secure page, X5, X6: the tag."""


class Sealing(IntEnum):
    """Calls of a Realm to the RMM: keys that only this Realm gets, now and in its next life."""

    SEALING_UID = query(Owner.VENDOR_HYP, Query.UID)
    """X0 to X3: SEALING_UID."""
    SEALING_FEATURES = 0xC600_0000
    """X1 index -> X1 SealingFeatures for index 0."""
    SEALING_KEY = 0xC600_0001
    """X1 flags: SealingFlags, X2 label: any number -> X1 to X4: the key."""


class VendorEl3(IntEnum):
    """Calls of the RMM to EL3 for the extensions; X1: address of a buffer in the shared page, X2: its size."""

    GET_SEALING_ROOT = 0xC700_0000
    """-> X1 size: the root of sealing keys and the digest of the platform's images; X2: the lifecycle."""
    GET_BOOT_KEY = 0xC700_0001
    """-> X1 size: a key of this boot."""


class PagedState(IntEnum):
    """RmiRttEntryState of a page that is out; ``desc`` is its version. Arm's numbers begin with 0."""

    SEALED = 0x80


PLATFORM_KEY_SIZE: Final = 32
PAGING_UID: Final = "1cf9b2d5-6a8e-4c5f-9d42-7b0e35a8c611"
SEALING_UID: Final = "2e4d70c3-95b1-4f27-8a6c-41d9f0b7e85a"


class PagingFeatures(Bits):
    """PAGING_FEATURES, index 0."""

    aes_256_gcm = Field(0)
    version_bits = Field(13, 8)  # a Realm's pages can go out 2 to the power of this times, less one


class SealingFeatures(Bits):
    """SEALING_FEATURES, index 0."""

    hkdf_sha_384 = Field(0)


class SealingFlags(Bits):
    """What a sealing key depends on, besides the platform, its key's label and the flags themselves."""

    rim = Field(0)
    """The initial measurement. It must be set: nothing else is a Realm's own."""
    rpv = Field(1)
    rem0 = Field(2)
    rem1 = Field(3)
    rem2 = Field(4)
    rem3 = Field(5)
    lifecycle = Field(6)
    """The security lifecycle state of the platform."""
    images = Field(7)
    """The digests of the platform's images, the RMM among them: an update of any of them changes the key."""


def uid_words(uid: str) -> tuple[int, ...]:
    """A UID as W0 to W3 hold it: its bytes from W0 on, the first one in the lowest bits."""
    octets = bytes.fromhex(uid.replace("-", ""))
    return tuple(int.from_bytes(octets[at : at + 4], "little") for at in range(0, 16, 4))
