"""What takes long on hardware and no instruction of software here: its time, in one table.

Python does this work between two instructions of the virtual clock. A Host would never see it take time, and a timer of
the Host could never end a signature early. The figures are of the right order for a core of an RME platform; nothing
depends on more than that.
"""

from typing import Final

from cca_arch.rmi.v1_0 import HashAlgorithm
from cca_platform.clock import Clock

__all__ = ["EXTEND", "HASH_PAGE", "SCRUB", "SEALING_KEY", "SEAL_PAGE", "SIGN_SLICE", "SIGN_SLICES", "spend"]

_MICROSECOND: Final = 1_000
SCRUB: Final = 400
"""Zero a granule, at 10 GB/s. All costs are in nanoseconds."""
HASH_PAGE: Final[dict[int, int]] = {HashAlgorithm.SHA_256: 4 * _MICROSECOND, HashAlgorithm.SHA_512: 8 * _MICROSECOND}
"""Hash a page, or the parameters of a Realm or REC, which fill one: at 1 GB/s and at 0.5 GB/s."""
EXTEND: Final[dict[int, int]] = {HashAlgorithm.SHA_256: 300, HashAlgorithm.SHA_512: 600}
"""Extend a measurement: the hash of a descriptor."""
SIGN_SLICES: Final = 20
SIGN_SLICE: Final = 250 * _MICROSECOND
"""Sign a token with ECDSA P-384: 5 ms, in slices. An interrupt waits for one slice at most."""
SEALING_KEY: Final = 5 * _MICROSECOND
"""Derive a key: five or six hashes of short messages."""
SEAL_PAGE: Final = 2 * _MICROSECOND
"""Encrypt or decrypt a page, and its tag: AES-GCM at 2 GB/s."""
_SECOND: Final = 1_000_000_000


def spend(clock: Clock, nanoseconds: int) -> None:
    """Let the time of a piece of work pass."""
    clock.spend(nanoseconds * clock.counter_hz // _SECOND)
