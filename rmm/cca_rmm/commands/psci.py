"""PSCI for Realms: VERSION and FEATURES are answered here, the rest tells or asks the Host (DEN0137 "PSCI")."""

import struct
from typing import Final

from cca_arch.psci import PSCI_VERSION, AffinityInfo, Psci, PsciStatus
from cca_arch.rmi.v1_0 import RecExitReason
from cca_arch.smccc import PSCI_FIDS, Smccc
from cca_rmm.command import Call, Check, Command, Result
from cca_rmm.objects.realm import REALM, REALM_STATE, RealmState
from cca_rmm.objects.rec import psci_index
from cca_rmm.world.run import leave

__all__ = ["COMMANDS", "CPU_ON_FIDS"]

CPU_ON_FIDS: Final = frozenset({int(Psci.CPU_ON), int(Psci.CPU_ON_64)})
_SUPPORTED: Final = frozenset({
    Psci.CPU_SUSPEND, Psci.CPU_SUSPEND_64, Psci.CPU_OFF, Psci.CPU_ON, Psci.CPU_ON_64, Psci.AFFINITY_INFO,
    Psci.AFFINITY_INFO_64, Psci.SYSTEM_OFF, Psci.SYSTEM_RESET, Psci.FEATURES, Smccc.VERSION,
})  # fmt: skip
"""What PSCI_FEATURES says yes to. PSCI_VERSION is not among them, as in TF-RMM."""


def version(call: Call) -> Result:
    """PSCI 1.1."""
    return (PSCI_VERSION,)


def features(call: Call) -> Result:
    """SMCCC_VERSION is among the features, or Linux never looks for RSI."""
    supported = call.fid & 0xFFFF_FFFF in _SUPPORTED
    return (int(PsciStatus.SUCCESS if supported else PsciStatus.NOT_SUPPORTED),)


def not_supported(call: Call) -> Result:
    """PSCI functions that a Realm does not have."""
    return (int(PsciStatus.NOT_SUPPORTED),)


def cpu_suspend(call: Call) -> None:
    """A hint to the Host, which resumes the REC when it has an interrupt for it; every power state is treated alike."""
    answer_zero(call)
    leave(call.rmm, call.pe, RecExitReason.PSCI, gprs=words(call.command.fid))


def cpu_off(call: Call) -> None:
    """The REC cannot be entered until another one turns it on."""
    answer_zero(call)
    leave(call.rmm, call.pe, RecExitReason.PSCI, gprs=words(call.command.fid), state={"runnable": 0})


def ask_host(call: Call) -> None:
    """Only the Host knows the target's REC: RMI_PSCI_COMPLETE answers. X0..X3 stay as they are until then."""
    fid = call.command.fid
    leave(call.rmm, call.pe, RecExitReason.PSCI, gprs=words(fid, call.target), state={"psci_pending": fid})


def system_off(call: Call) -> None:
    """The Realm is over; its other RECs run until their next exit."""
    state = REALM_STATE[RealmState(call.realm.state), f"PSCI_{call.command.name}"]
    REALM.write(call.rmm.port, call.rec_.rd, state=state)
    answer_zero(call)
    leave(call.rmm, call.pe, RecExitReason.PSCI, gprs=words(call.command.fid))


def words(*values: int) -> bytes:
    """What the Host sees in exit.gprs."""
    return struct.pack(f"<{len(values)}Q", *values)


def answer_zero(call: Call) -> None:
    """X0..X3 = 0."""
    for register in range(4):
        call.pe.x[register] = 0


def index_unknown(call: Call) -> bool:
    """No REC with the target's index was ever created."""
    return psci_index(call.target) >= call.realm.rec_index


def is_caller(call: Call) -> bool:
    """The target is the calling REC."""
    return psci_index(call.target) == call.rec_.rec_index


_TARGET: Final = Check("target_bound", index_unknown, PsciStatus.INVALID_PARAMETERS)
_CPU_ON: Final = (
    Check("entry", lambda c: c.entry_point >= c.realm.protected_top, PsciStatus.INVALID_ADDRESS),
    _TARGET,
    Check("caller", is_caller, PsciStatus.ALREADY_ON),
)
_AFFINITY: Final = (
    Check("level", lambda c: c.lowest_affinity_level, PsciStatus.INVALID_PARAMETERS),
    _TARGET,
    Check("caller", is_caller, AffinityInfo.ON),
)

_ROWS: Final = (
    Command(Psci.VERSION, "VERSION", version),
    Command(Psci.CPU_SUSPEND, "CPU_SUSPEND", cpu_suspend),
    Command(Psci.CPU_SUSPEND_64, "CPU_SUSPEND", cpu_suspend),
    Command(Psci.CPU_OFF, "CPU_OFF", cpu_off),
    Command(Psci.CPU_ON, "CPU_ON", ask_host, ("target", "entry_point", "context_id"), checks=_CPU_ON),
    Command(Psci.CPU_ON_64, "CPU_ON", ask_host, ("target", "entry_point", "context_id"), checks=_CPU_ON),
    Command(Psci.AFFINITY_INFO, "AFFINITY_INFO", ask_host, ("target", "lowest_affinity_level"), checks=_AFFINITY),
    Command(Psci.AFFINITY_INFO_64, "AFFINITY_INFO", ask_host, ("target", "lowest_affinity_level"), checks=_AFFINITY),
    Command(Psci.SYSTEM_OFF, "SYSTEM_OFF", system_off),
    Command(Psci.SYSTEM_RESET, "SYSTEM_RESET", system_off),
    Command(Psci.FEATURES, "FEATURES", features, ("fid",)),
)
_HAVE: Final = {row.fid for row in _ROWS}
COMMANDS: Final = (
    *_ROWS,
    *(
        Command(fid, "NOT_SUPPORTED", not_supported)
        for first in PSCI_FIDS
        for fid in (first, first | 1 << 30)
        if fid not in _HAVE
    ),
)
"""Every FID of the PSCI range, SMC32 and SMC64."""
