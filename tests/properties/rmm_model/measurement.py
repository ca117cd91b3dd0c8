"""The Realm Initial and Extensible Measurements: what is hashed."""

import hashlib
import struct

__all__ = ["extended", "hash_size", "rec_content", "rim_after_data", "rim_after_rec", "rim_after_ripas", "rim_initial"]

_HASH = {0: hashlib.sha256, 1: hashlib.sha512}


def hash_size(algo: int) -> int:
    """Bytes of a hash."""
    return _HASH[algo]().digest_size


def _digest(algo: int, content: bytes) -> bytes:
    """A slot: the hash, padded."""
    return _HASH[algo](content).digest().ljust(64, b"\0")


def _page(**words: int) -> bytes:
    """A page with eight-byte words at ``at_<offset>``, and zero elsewhere."""
    page = bytearray(4096)
    for name, value in words.items():
        struct.pack_into("<Q", page, int(name[3:], 16), value)
    return bytes(page)


def rim_initial(algo: int, flags: int, s2sz: int, sve_vl: int, num_bps: int, num_wps: int, pmu_num_ctrs: int) -> bytes:
    """The parameters that count; the Realm Personalization Value, VMID and tables do not."""
    return _digest(
        algo,
        _page(at_0=flags, at_8=s2sz, at_10=sve_vl, at_18=num_bps, at_20=num_wps, at_28=pmu_num_ctrs, at_30=algo),
    )


def _descriptor(algo: int, kind: int, rim: bytes, rest: bytes) -> bytes:
    head = struct.pack("<QQ", kind, 0x100) + rim + rest
    return _digest(algo, head.ljust(0x100, b"\0"))


def rim_after_data(algo: int, rim: bytes, ipa: int, flags: int, content: bytes) -> bytes:
    """RMI_DATA_CREATE; the content counts if the Host says so."""
    measured = _digest(algo, content) if flags & 1 else bytes(64)
    return _descriptor(algo, 0, rim, struct.pack("<QQ", ipa, flags) + measured)


def rec_content(algo: int, flags: int, pc: int, gprs: tuple[int, ...]) -> bytes:
    """The hash of a REC's parameters."""
    registers = {f"at_{0x300 + 8 * number:x}": value for number, value in enumerate(gprs)}
    return _digest(algo, _page(at_0=flags, at_200=pc, **registers))


def rim_after_rec(algo: int, rim: bytes, flags: int, pc: int, gprs: tuple[int, ...]) -> bytes:
    """RMI_REC_CREATE of a REC that may run."""
    return _descriptor(algo, 1, rim, rec_content(algo, flags, pc, gprs))


def rim_after_ripas(algo: int, rim: bytes, base: int, top: int) -> bytes:
    """RMI_RTT_INIT_RIPAS, one entry."""
    return _descriptor(algo, 2, rim, struct.pack("<QQ", base, top))


def extended(algo: int, rem: bytes, value: bytes) -> bytes:
    """RSI_MEASUREMENT_EXTEND."""
    return _digest(algo, rem[: hash_size(algo)] + value)
