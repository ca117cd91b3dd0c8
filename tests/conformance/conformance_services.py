"""What provokes each failure condition of RSI and PSCI: facts as in :mod:`conformance_registry`, arguments by name."""

from conformance_registry import Bad
from conformance_world import Facts
from realm_stub import BUFFER, CALL, EMPTY
from rmm_host import PAGE, RAM

from cca_arch.psci import Psci, PsciStatus

__all__ = ["PSCI_BAD", "PSCI_FAILURES", "PSCI_GOOD", "RSI_BAD", "RSI_EXCLUSIVE", "RSI_GOOD", "RSI_JOINT"]

TOP = 1 << 32


def _set(**facts: int) -> Bad:
    return Bad(lambda w: dict(facts))


def _add(name: str, value: int) -> Bad:
    return Bad(change=(name, lambda old: old + value))


def _address(align: int) -> dict[str, list[Bad]]:
    return {
        "addr_align": [_add("addr", align), _add("addr", 1)],
        "addr_bound": [_set(addr=TOP), _set(addr=1 << 33), _set(addr=-PAGE & (1 << 64) - 1)],
        "ripas": [_set(addr=EMPTY)],
    }


_TIED = Bad(tie=("top", lambda facts: facts["base"]))
_CONTINUE: Facts = {"addr": BUFFER, "offset": 0, "size": PAGE, "@token": 1}

RSI_GOOD: dict[str, Facts] = {
    "VERSION": {"req": 0x10000},
    "MEASUREMENT_READ": {"index": 4},
    "MEASUREMENT_EXTEND": {"index": 1, "size": 64},
    "ATTESTATION_TOKEN_INIT": {},
    "ATTESTATION_TOKEN_CONTINUE": _CONTINUE,
    "REALM_CONFIG": {"addr": BUFFER},
    "IPA_STATE_SET": {"base": EMPTY, "top": EMPTY + PAGE, "ripas": 1, "flags": 0},
    "IPA_STATE_GET": {"base": RAM, "top": RAM + PAGE},
    "HOST_CALL": {"addr": CALL},
}

RSI_BAD: dict[str, dict[str, list[Bad]]] = {
    "VERSION": {"req": [_set(req=0), _set(req=0x10001), _set(req=0x20000)]},
    "MEASUREMENT_READ": {"index_bound": [_set(index=5), _set(index=1 << 63)]},
    "MEASUREMENT_EXTEND": {
        "index_bound": [_set(index=0), _set(index=5)],
        "size_bound": [_set(size=65), _set(size=1 << 63)],
    },
    "ATTESTATION_TOKEN_INIT": {"other": [Bad(lambda w: {"@keys": 0})]},
    "ATTESTATION_TOKEN_CONTINUE": {
        **_address(8),
        "offset_bound": [_set(offset=PAGE)],
        "size_overflow": [_set(size=(1 << 64) - 1, offset=1)],
        "size_bound": [_set(size=PAGE + 1)],
        "state": [Bad(lambda w: {"@token": 0})],
        "unknown": [Bad(lambda w: {"@keys": 0})],
    },
    "REALM_CONFIG": _address(0x100),
    "IPA_STATE_SET": {
        "ripas_valid": [_set(ripas=2), _set(ripas=3), _set(ripas=1 << 8)],
        "base_align": [_add("base", 8)],
        "top_align": [_add("top", 8)],
        "size_valid": [_TIED, _set(top=0)],
        "rgn_bound": [_set(top=TOP + PAGE), _set(base=TOP, top=TOP + PAGE)],
    },
    "IPA_STATE_GET": {
        "base_align": [_add("base", 8)],
        "base_bound": [_set(base=TOP)],
        "end_align": [_add("top", 8)],
        "rgn_bound": [_set(top=TOP + PAGE), _set(top=(1 << 64) - PAGE)],
        "size_valid": [_TIED, _set(top=0)],
    },
    "HOST_CALL": _address(8),
}

RSI_JOINT: dict[tuple[str, str, str], Bad] = {
    ("ATTESTATION_TOKEN_CONTINUE", "offset_bound", "size_overflow"): _set(offset=(1 << 64) - PAGE, size=PAGE),
    ("ATTESTATION_TOKEN_CONTINUE", "size_overflow", "size_bound"): _set(offset=8, size=(1 << 64) - 8),
    ("IPA_STATE_SET", "size_valid", "rgn_bound"): _set(base=TOP + PAGE, top=TOP + PAGE),
    ("IPA_STATE_GET", "base_bound", "rgn_bound"): _set(base=TOP, top=TOP + PAGE),
}
"""Two conditions of the same arguments at once."""
RSI_EXCLUSIVE: dict[tuple[str, str], str] = {
    ("addr_bound", "ripas"): "an Unprotected IPA has no RIPAS",
    ("rgn_bound", "size_valid"): "a base in the protected half that is above top has top there too",
}
"""Pairs that cannot hold at once, and why."""

# PSCI: the fact book gives each function's failures in order, without identifiers; these are the RMM's.
_ON_FAILURES = [
    ("entry", PsciStatus.INVALID_ADDRESS),
    ("target_bound", PsciStatus.INVALID_PARAMETERS),
    ("caller", PsciStatus.ALREADY_ON),
]
_INFO_FAILURES = [
    ("level", PsciStatus.INVALID_PARAMETERS),
    ("target_bound", PsciStatus.INVALID_PARAMETERS),
    ("caller", PsciStatus.SUCCESS),  # AFFINITY_INFO: ON
]
PSCI_FAILURES: dict[int, list[tuple[str, int]]] = {
    Psci.CPU_ON: _ON_FAILURES,
    Psci.CPU_ON_64: _ON_FAILURES,
    Psci.AFFINITY_INFO: _INFO_FAILURES,
    Psci.AFFINITY_INFO_64: _INFO_FAILURES,
}
_CPU_ON: dict[str, list[Bad]] = {
    "entry": [_set(entry_point=1 << 33), _set(entry_point=(1 << 64) - 4)],
    "target_bound": [_set(target=2), _set(target=0x100), _set(target=0xF)],
    "caller": [_set(target=0), _set(target=1 << 24)],
}
_AFFINITY: dict[str, list[Bad]] = {
    "level": [_set(lowest_affinity_level=1), _set(lowest_affinity_level=3)],
    "target_bound": _CPU_ON["target_bound"],
    "caller": _CPU_ON["caller"],
}
_ON_GOOD: Facts = {"target": 1, "entry_point": RAM, "context_id": 7}
_INFO_GOOD: Facts = {"target": 1, "lowest_affinity_level": 0}
PSCI_GOOD: dict[int, Facts] = {
    Psci.CPU_ON: _ON_GOOD,
    Psci.CPU_ON_64: _ON_GOOD,
    Psci.AFFINITY_INFO: _INFO_GOOD,
    Psci.AFFINITY_INFO_64: _INFO_GOOD,
}
PSCI_BAD: dict[int, dict[str, list[Bad]]] = {
    Psci.CPU_ON: {**_CPU_ON, "entry": []},  # 32 bits cannot name an address that is not protected here
    Psci.CPU_ON_64: _CPU_ON,
    Psci.AFFINITY_INFO: _AFFINITY,
    Psci.AFFINITY_INFO_64: _AFFINITY,
}
