"""Memory encryption as seen from outside: what a probe on the memory bus sees of DRAM.

The memory controller encrypts each granule with AES-XTS under the key of its physical address space; the tweak is the
number of the granule. There is a key per PAS and boot, derived from ``Memory.key_seed``, so that equal runs show equal
ciphertext. Memory is stored as plaintext and encrypted on each probe, according to the granule's PAS at that time. So a
granule that has just changed its PAS shows old contents under the new key, whereas on hardware the new owner would read
noise until it writes.
"""

import hashlib
from typing import Final, Protocol

from cca_arch.types import GRANULE_SIZE, Gpi, Pas
from cca_platform.memory.ports import Port

__all__ = ["ciphertext", "key", "space"]

_LABEL: Final = b"memory encryption"
_SPACES: Final[dict[Gpi | None, Pas]] = {
    Gpi.SECURE: Pas.SECURE,
    Gpi.NON_SECURE: Pas.NON_SECURE,
    Gpi.ROOT: Pas.ROOT,
    Gpi.REALM: Pas.REALM,
    Gpi.ANY: Pas.NON_SECURE,
}


class Observed(Protocol):
    """The memory that is probed."""

    key_seed: bytes
    boots: int
    backdoor: Port

    def gpi(self, pa: int) -> Gpi | None: ...


def key(seed: bytes, boot: int, pas: Pas) -> bytes:
    """The 32 bytes of an AES-128-XTS key: the ``boot``-th one since power-on, for one PAS."""
    return hashlib.sha256(_LABEL + boot.to_bytes(8, "little") + bytes((pas,)) + seed).digest()


def space(memory: Observed, pa: int) -> Pas:
    """The PAS whose key encrypts the granule of ``pa``: that of its GPI, or Root if no PAS may access it.

    Non-secure while granule protection is disabled, and for granules of any PAS or beyond the protected space.
    """
    return _SPACES.get(memory.gpi(pa), Pas.ROOT)


def ciphertext(memory: Observed, pa: int, size: int) -> bytes:
    """The ``size`` bytes at ``pa`` as they appear on the bus; raises BusError if there is no DRAM."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    first, shown = pa & -GRANULE_SIZE, []
    for granule in range(first, pa + size, GRANULE_SIZE):
        secret = key(memory.key_seed, memory.boots, space(memory, granule))
        tweak = (granule // GRANULE_SIZE).to_bytes(16, "little")
        encryptor = Cipher(algorithms.AES(secret), modes.XTS(tweak)).encryptor()
        shown.append(encryptor.update(memory.backdoor.read(granule, GRANULE_SIZE)) + encryptor.finalize())
    return b"".join(shown)[pa - first :][:size]
