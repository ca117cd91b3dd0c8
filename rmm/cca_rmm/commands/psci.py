"""PSCI for Realms: the RMM handles VERSION and FEATURES and forwards the rest to the Host (DEN0137 "PSCI")."""

import struct
from typing import Any, Final

from cca_arch.psci import PSCI_VERSION, AffinityInfo, Psci, PsciStatus
from cca_arch.rmi.v1_0 import RecExitReason
from cca_arch.smccc import PSCI_FIDS, Fid, Smccc
from cca_rmm.base.command import Check, Command, Result
from cca_rmm.commands.calls import ServiceCall
from cca_rmm.objects.realm import REALM, REALM_STATE, RealmState
from cca_rmm.objects.rec import psci_index
from cca_rmm.world.exit import leave

__all__ = ["COMMANDS", "CPU_ON_FIDS"]


class FeaturesCall(ServiceCall):
    """PSCI_FEATURES."""

    fid: int


class TargetCall(ServiceCall):
    """A function about another PE, by its MPIDR."""

    target: int


class CpuOnCall(TargetCall):
    """PSCI_CPU_ON."""

    target: int
    entry_point: int
    context_id: int


class AffinityCall(TargetCall):
    """PSCI_AFFINITY_INFO."""

    target: int
    lowest_affinity_level: int


CPU_ON_FIDS: Final = frozenset({int(Psci.CPU_ON), int(Psci.CPU_ON_64)})
_SUPPORTED: Final = frozenset({
    Psci.CPU_SUSPEND, Psci.CPU_SUSPEND_64, Psci.CPU_OFF, Psci.CPU_ON, Psci.CPU_ON_64, Psci.AFFINITY_INFO,
    Psci.AFFINITY_INFO_64, Psci.SYSTEM_OFF, Psci.SYSTEM_RESET, Psci.FEATURES, Smccc.VERSION,
})  # fmt: skip
"""The functions that PSCI_FEATURES reports. PSCI_VERSION is not among them, as in TF-RMM."""


def version(call: ServiceCall) -> Result:
    """PSCI 1.1."""
    return (PSCI_VERSION,)


def features(call: FeaturesCall) -> Result:
    """SMCCC_VERSION is among the features; without it, Linux does not look for RSI."""
    supported = call.fid & 0xFFFF_FFFF in _SUPPORTED
    return (int(PsciStatus.SUCCESS if supported else PsciStatus.NOT_SUPPORTED),)


def not_supported(call: ServiceCall) -> Result:
    """PSCI functions that a Realm does not have."""
    return (int(PsciStatus.NOT_SUPPORTED),)


def cpu_suspend(call: ServiceCall) -> None:
    """Exit to the Host, which resumes the REC when it has an interrupt for it. All power states behave the same."""
    answer_zero(call)
    leave(call.rmm, call.pe, RecExitReason.PSCI, gprs=words(call.command.fid))


def cpu_off(call: ServiceCall) -> None:
    """Exit to the Host; the REC cannot be entered until another REC turns it on."""
    answer_zero(call)
    leave(call.rmm, call.pe, RecExitReason.PSCI, gprs=words(call.command.fid), state={"runnable": 0})


def ask_host(call: TargetCall) -> None:
    """Exit to the Host, which completes the call with RMI_PSCI_COMPLETE; until then X0..X3 do not change."""
    fid = call.command.fid
    leave(call.rmm, call.pe, RecExitReason.PSCI, gprs=words(fid, call.target), state={"psci_pending": fid})


def system_off(call: ServiceCall) -> None:
    """Turn the Realm off; its other RECs run until their next exit."""
    state = REALM_STATE[RealmState(call.realm.state), f"PSCI_{call.command.name}"]
    REALM.write(call.rmm.port, call.record.rd, state=state)
    answer_zero(call)
    leave(call.rmm, call.pe, RecExitReason.PSCI, gprs=words(call.command.fid))


def words(*values: int) -> bytes:
    """The exit.gprs that the Host sees."""
    return struct.pack(f"<{len(values)}Q", *values)


def answer_zero(call: ServiceCall) -> None:
    """X0..X3 = 0."""
    for register in range(4):
        call.pe.x[register] = 0


def index_unknown(call: TargetCall) -> bool:
    """No REC with the target's index has been created."""
    return psci_index(call.target) >= call.realm.rec_index


def is_caller(call: TargetCall) -> bool:
    """The target is the calling REC."""
    return psci_index(call.target) == call.record.rec_index


_TARGET: Final[Check[TargetCall]] = Check("target_bound", index_unknown, PsciStatus.INVALID_PARAMETERS)
_CPU_ON: Final[tuple[Check[CpuOnCall], ...]] = (
    Check("entry", lambda c: c.entry_point >= c.realm.protected_top, PsciStatus.INVALID_ADDRESS),
    _TARGET,
    Check("caller", is_caller, PsciStatus.ALREADY_ON),
)
_AFFINITY: Final[tuple[Check[AffinityCall], ...]] = (
    Check("level", lambda c: c.lowest_affinity_level, PsciStatus.INVALID_PARAMETERS),
    _TARGET,
    Check("caller", is_caller, AffinityInfo.ON),
)

_ROWS: Final[tuple[Command[Any], ...]] = (
    Command[ServiceCall](Psci.VERSION, "VERSION", ServiceCall, version),
    Command[ServiceCall](Psci.CPU_SUSPEND, "CPU_SUSPEND", ServiceCall, cpu_suspend),
    Command[ServiceCall](Psci.CPU_SUSPEND_64, "CPU_SUSPEND", ServiceCall, cpu_suspend),
    Command[ServiceCall](Psci.CPU_OFF, "CPU_OFF", ServiceCall, cpu_off),
    Command[CpuOnCall](Psci.CPU_ON, "CPU_ON", CpuOnCall, ask_host, checks=_CPU_ON),
    Command[CpuOnCall](Psci.CPU_ON_64, "CPU_ON", CpuOnCall, ask_host, checks=_CPU_ON),
    Command[AffinityCall](Psci.AFFINITY_INFO, "AFFINITY_INFO", AffinityCall, ask_host, checks=_AFFINITY),
    Command[AffinityCall](Psci.AFFINITY_INFO_64, "AFFINITY_INFO", AffinityCall, ask_host, checks=_AFFINITY),
    Command[ServiceCall](Psci.SYSTEM_OFF, "SYSTEM_OFF", ServiceCall, system_off),
    Command[ServiceCall](Psci.SYSTEM_RESET, "SYSTEM_RESET", ServiceCall, system_off),
    Command[FeaturesCall](Psci.FEATURES, "FEATURES", FeaturesCall, features),
)
_HAVE: Final = {row.fid for row in _ROWS}
COMMANDS: Final[tuple[Command[Any], ...]] = (
    *_ROWS,
    *(
        Command[ServiceCall](fid, "NOT_SUPPORTED", ServiceCall, not_supported)
        for first in PSCI_FIDS
        for fid in (first, first | Fid.smc64.mask)
        if fid not in _HAVE
    ),
)
"""Every FID of the PSCI range, SMC32 and SMC64."""
