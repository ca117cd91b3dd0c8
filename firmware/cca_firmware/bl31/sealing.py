"""Keys for the RMM's extensions: the root of sealing keys, and a key of this boot.

The platform's root key is 32 bytes in fuses. Who gives no other has the published test key, and then **a sealed secret
is no secret**. All keys come from HKDF with SHA-384 (RFC 5869), without a salt:

- the root of sealing keys: ``HKDF(platform key, "Realmlab sealing root 1")``, 32 bytes. With it the RMM gets the
  SHA-256 of the digests of the platform's images, and the platform's lifecycle: it mixes them in where a Realm asks;
- the key of this boot: ``HKDF(seed, "Realmlab boot key 1" + the number of the boot)``, 32 bytes, from the seed of the
  machine's memory encryption keys, so that equal runs have equal keys.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cca_arch.cose import hkdf
from cca_arch.extensions import PAGING, PLATFORM_KEY_SIZE, SEALING, VendorEl3
from cca_arch.types import PA, Pas, SecurityState
from cca_firmware.base.images import Measurement
from cca_firmware.bl31.attestation import LIFECYCLE, buffer_status
from cca_firmware.bl31.functions import Handler

if TYPE_CHECKING:
    from collections.abc import Collection

    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["TEST_PLATFORM_KEY", "PlatformKeys"]

TEST_PLATFORM_KEY: Final = sha256(b"Realmlab: the published test key of platforms without another").digest()
"""The platform's root key if nobody gives one."""
_ROOT_LABEL: Final = b"Realmlab sealing root 1"
_BOOT_LABEL: Final = b"Realmlab boot key 1"
_SIZE: Final = 32


class PlatformKeys:
    """The ``handlers`` of the calls with which the RMM gets its keys, for those ``extensions`` that it has."""

    def __init__(
        self,
        machine: "Machine",
        shared_page: PA,
        components: Sequence[Measurement],
        extensions: "Collection[str]",
        platform_key: bytes = TEST_PLATFORM_KEY,
    ) -> None:
        assert len(platform_key) == PLATFORM_KEY_SIZE, "a platform key must have 32 bytes"
        self._memory = machine.memory
        self._shared = machine.memory.port(SecurityState.ROOT, Pas.REALM)
        self._shared_page = shared_page
        self._components = tuple(components)
        self._platform_key = platform_key
        known: dict[str, dict[int, Handler]] = {
            PAGING: {VendorEl3.GET_BOOT_KEY: self._get_boot_key},
            SEALING: {VendorEl3.GET_SEALING_ROOT: self._get_sealing_root},
        }
        self.handlers: dict[int, Handler] = {}
        for name in extensions:
            self.handlers |= known[name]

    def sealing_root(self) -> bytes:
        """The root of sealing keys, and the digest of the platform's images: 64 bytes."""
        images = sha256(b"".join(component.digest for component in self._components)).digest()
        return hkdf(self._platform_key, _ROOT_LABEL, _SIZE) + images

    def boot_key(self) -> bytes:
        """The key of this boot."""
        memory = self._memory
        return hkdf(memory.key_seed, _BOOT_LABEL + memory.boots.to_bytes(8, "little"), _SIZE)

    def _get_sealing_root(self, pe: "Pe", x: memoryview) -> None:
        x[2] = LIFECYCLE if self._give(x, self.sealing_root()) else 0

    def _get_boot_key(self, pe: "Pe", x: memoryview) -> None:
        self._give(x, self.boot_key())

    def _give(self, x: memoryview, content: bytes) -> bool:
        """X1 buffer, X2 its size -> X0 status, X1 size; returns False if it is refused."""
        status = buffer_status(self._shared_page, x[1], x[2], len(content))
        if status == 0:
            self._shared.write(x[1], content)
        x[0], x[1] = status, 0 if status else len(content)
        return status == 0
