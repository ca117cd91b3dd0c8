"""Measurement: the RIM (extended by the Host's construction of the Realm) and the REMs (extended by the Realm).

DEN0137 1.0, "Realm measurement": each step hashes a page or a 256-byte descriptor. Slots are 64 bytes, zero-padded.
"""

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from cca_arch.fields import Member, Record, Struct
from cca_arch.rmi.v1_0 import HashAlgorithm, RmiDataFlags, RmiRealmParams, RmiRecParams
from cca_arch.types import GRANULE_SIZE
from cca_platform.memory.ports import Port
from cca_platform.trace.events import MeasurementExtend
from cca_platform.trace.forms import UNSET
from cca_platform.trace.trace import Trace
from cca_rmm.costs import EXTEND, spend
from cca_rmm.objects.realm import SLOT, Realm, measurement_offset

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = [
    "DESCRIPTOR_DATA",
    "DESCRIPTOR_REC",
    "DESCRIPTOR_RIPAS",
    "HASH_SIZE",
    "digest",
    "extend_rem",
    "load",
    "page_digest",
    "rec_digest",
    "rim_data",
    "rim_init",
    "rim_rec",
    "rim_ripas",
    "store",
]

_NEW: Final[dict[int, Any]] = {HashAlgorithm.SHA_256: hashlib.sha256, HashAlgorithm.SHA_512: hashlib.sha512}
HASH_SIZE: Final[dict[int, int]] = {HashAlgorithm.SHA_256: 32, HashAlgorithm.SHA_512: 64}
_ALGORITHM: Final[dict[int, str]] = {HashAlgorithm.SHA_256: "sha-256", HashAlgorithm.SHA_512: "sha-512"}
_DESCRIPTOR: Final = 0x100
_MEASURE: Final = RmiDataFlags.measure.mask
_ZEROES: Final = bytes(GRANULE_SIZE)

DESCRIPTOR_DATA: Final = Struct(
    "RmmMeasurementDescriptorData",
    _DESCRIPTOR,
    Member("desc_type", 0x0, 1),
    Member("len", 0x8, 8),
    Member("rim", 0x10, SLOT),
    Member("ipa", 0x50, 8),
    Member("flags", 0x58, 8),
    Member("content", 0x60, SLOT),
)
DESCRIPTOR_REC: Final = Struct(
    "RmmMeasurementDescriptorRec",
    _DESCRIPTOR,
    Member("desc_type", 0x0, 1),
    Member("len", 0x8, 8),
    Member("rim", 0x10, SLOT),
    Member("content", 0x50, SLOT),
)
DESCRIPTOR_RIPAS: Final = Struct(
    "RmmMeasurementDescriptorRipas",
    _DESCRIPTOR,
    Member("desc_type", 0x0, 1),
    Member("len", 0x8, 8),
    Member("rim", 0x10, SLOT),
    Member("base", 0x50, 8),
    Member("top", 0x58, 8),
)
_DATA: Final = DESCRIPTOR_DATA.codec()
_REC: Final = DESCRIPTOR_REC.codec()
_RIPAS: Final = DESCRIPTOR_RIPAS.codec()


def digest(hash_algo: int, data: bytes | bytearray | memoryview) -> bytes:
    """The hash of ``data`` with the Realm's algorithm, 32 or 64 bytes."""
    result: bytes = _NEW[hash_algo](data).digest()
    return result


def rim_init(params: Record) -> bytes:
    """The RIM of a new Realm: the hash of its parameters except VMID, RTT and RPV."""
    names = ("flags", "s2sz", "sve_vl", "num_bps", "num_wps", "pmu_num_ctrs", "hash_algo")
    return digest(params.hash_algo, RmiRealmParams.pack(**{name: getattr(params, name) for name in names}))


def page_digest(hash_algo: int, flags: int, page: bytes) -> bytes:
    """What RMI_DATA_CREATE measures of a page: its digest if flags.measure is set, else nothing."""
    if not flags & _MEASURE:
        return b""
    return _zero_digest(hash_algo) if page == _ZEROES else digest(hash_algo, page)


@cache
def _zero_digest(hash_algo: int) -> bytes:
    """The digest of a page of zeroes, which is what most pages of a new Realm are."""
    return digest(hash_algo, _ZEROES)


def rim_data(hash_algo: int, rim: bytes, ipa: int, flags: int, content: bytes) -> bytes:
    """The RIM after RMI_DATA_CREATE; ``content`` is the :func:`page_digest`."""
    return digest(hash_algo, _DATA.pack(0, _DESCRIPTOR, rim, ipa, flags, content))


def rec_digest(hash_algo: int, params: Record) -> bytes:
    """What RMI_REC_CREATE measures of a runnable REC: flags, pc and gprs, not MPIDR or auxiliary granules."""
    return digest(hash_algo, RmiRecParams.pack(flags=params.flags, pc=params.pc, gprs=params.gprs))


def rim_rec(hash_algo: int, rim: bytes, content: bytes) -> bytes:
    """The RIM after RMI_REC_CREATE of a runnable REC; ``content`` is the :func:`rec_digest`."""
    return digest(hash_algo, _REC.pack(1, _DESCRIPTOR, rim, content))


def rim_ripas(hash_algo: int, rim: bytes, base: int, top: int) -> bytes:
    """The RIM after RMI_RTT_INIT_RIPAS sets one RTT entry to RIPAS RAM."""
    return digest(hash_algo, _RIPAS.pack(2, _DESCRIPTOR, rim, base, top))


def extend_rem(hash_algo: int, rem: bytes, value: bytes) -> bytes:
    """A REM after RSI_MEASUREMENT_EXTEND. ``value`` is already truncated to its size; ``rem`` is the whole slot."""
    return digest(hash_algo, rem[: HASH_SIZE[hash_algo]] + value)


def load(port: Port, rd: int, index: int) -> bytes:
    """The 64-byte slot of measurement ``index`` of the Realm at ``rd``."""
    return port.read(rd + measurement_offset(index), SLOT)


def store(
    port: Port,
    trace: Trace,
    pe: "Pe",
    rd: int,
    realm: Realm,
    index: int,
    value: bytes,
    kind: str,
    ipa: int | None = None,
    content: bytes = b"",
) -> None:
    """Write measurement ``index`` (0 RIM, 1..4 REMs) into the RD, zero-padded.

    ``kind`` says what was measured; ``content`` is the extension: the digest of a page or REC, or the Realm's value.
    """
    port.write(rd + measurement_offset(index), value.ljust(SLOT, b"\0"))
    spend(pe.clock, EXTEND[realm.hash_algo])
    if trace.on:
        algorithm = _ALGORITHM[realm.hash_algo]
        event = MeasurementExtend(
            rd=rd, index=index, kind=kind, ipa=ipa, value=value, algorithm=algorithm, digest=content or UNSET
        )
        trace.emit(event, pe=pe)
