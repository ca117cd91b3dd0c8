"""Why a call was refused, in words: the failure conditions of the manual, and what they mean to a beginner."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from cca_arch.rmi.v1_0 import Rmi
from cca_arch.rsi.v1_0 import Rsi
from cca_arch.smccc import FUNCTION, Fid
from cca_arch.types import SecurityState
from cca_firmware.bl31.names import function_name
from cca_rmm.versions.v1_0 import V1_0

__all__ = ["advice", "condition", "misplaced", "of_other_width"]

_ADVICE: Final = {
    ("PSCI_CPU_ON", "target_bound"): "X1 is the MPIDR of no vCPU: that of vCPU n is n up to 15, and `vcpus` gives more",
    ("PSCI_CPU_ON", "caller"): "the calling vCPU is on already: X1 is its own MPIDR",
    (
        "PSCI_CPU_ON",
        "INVALID_PARAMETERS",
    ): "X1 is the MPIDR of no PE: `pes` of the board has them (fvp: 0x100 for PE 1)",
    ("PSCI_CPU_ON", "INVALID_ADDRESS"): "X2, the entry point, must be an instruction in Non-secure DRAM",
    ("PSCI_CPU_ON", "ALREADY_ON"): "the PE with the MPIDR in X1 is on already",
    ("PSCI_CPU_ON", "entry"): "X2, the entry point, must be an IPA in protected memory",
    ("RSI_IPA_STATE_SET", "size_valid"): "X1 is the base and X2 the top, the end of the range: not its size",
    ("RSI_IPA_STATE_SET", "rgn_bound"): "base and top must be protected IPAs, without the shared bit",
    ("RSI_IPA_STATE_SET", "base_align"): "base and top must be aligned to 4 KiB",
    ("RSI_IPA_STATE_SET", "top_align"): "base and top must be aligned to 4 KiB",
    ("RSI_HOST_CALL", "addr_align"): "the structure must be aligned to 256 bytes",
    ("RSI_HOST_CALL", "addr_bound"): "the structure must be in protected memory, without the shared bit",
    ("RSI_REALM_CONFIG", "addr_align"): "the structure must be aligned to 4 KiB",
    ("RSI_ATTESTATION_TOKEN_CONTINUE", "state"): "call RSI_ATTESTATION_TOKEN_INIT first, on the same vCPU",
    ("RMI_REC_ENTER", "realm_new"): "the Realm is NEW: call RMI_REALM_ACTIVATE first",
    ("RMI_REC_ENTER", "system_off"): "the Realm has turned itself off",
    (
        "RMI_REC_ENTER",
        "rec_runnable",
    ): "the REC is not runnable: create it with the flag, or let another REC turn it on",
    ("RMI_REC_ENTER", "rec_psci"): "the last exit was a PSCI call: answer it by RMI_PSCI_COMPLETE",
    ("RMI_DATA_CREATE", "realm_state"): "pages with contents must be created while the Realm is NEW",
    ("RMI_REC_CREATE", "realm_state"): "RECs must be created while the Realm is NEW",
    ("RMI_REALM_DESTROY", "realm_live"): "destroy its RECs, data and tables first",
}
_STATES: Final = {
    "rtt_walk": "there is no table of that level for the IPA: call RMI_RTT_CREATE first",
    "data_state": "the data granule must be DELEGATED: call RMI_GRANULE_DELEGATE first",
    "rd_state": "the granule of the RD must be in the state that the command needs: DELEGATED for RMI_REALM_CREATE",
    "rec_gran_state": "the granule of the REC must be in the state that the command needs",
    "rtt_state": "the granules of the tables must be DELEGATED",
    "aux_state": "the auxiliary granules must be DELEGATED",
    "params_pas": "the parameters must be in Non-secure memory, not in a delegated granule",
    "run_pas": "the run page must be in Non-secure memory, not in a delegated granule",
    "src_pas": "the source must be in Non-secure memory, not in a delegated granule",
    "params_valid": "the parameters hold a value that cannot be",
    "params_supp": "the parameters ask for what RMI_FEATURES does not offer",
    "ripas": "the RIPAS of the structure's page is EMPTY",
    "addr_bound": "the address must be a protected IPA",
    "req": "ask for version 1.0, 0x10000",
}


class _Interface(NamedTuple):
    """The functions of an interface, the world that calls it, and what a program in another world should do."""

    fids: frozenset[int]
    caller: SecurityState
    who: str
    remedy: str


_INTERFACES: Final = (
    _Interface(frozenset(Rsi), SecurityState.REALM, "Realms", "run this program in a Realm, without --world"),
    _Interface(
        frozenset(Rmi),
        SecurityState.NON_SECURE,
        "the host at Non-secure EL2",
        "use the RSI in a Realm, or run this program with --world ns-el2",
    ),
)


def misplaced(fid: int, security: int) -> dict[str, str] | None:
    """The name of a function that only another world may call, who may, and what to do; None for any other."""
    for interface in _INTERFACES:
        if fid & FUNCTION in interface.fids and security != interface.caller:
            return {"call": function_name(fid), "callers": interface.who, "advice": interface.remedy}
    return None


def of_other_width(fid: int) -> dict[str, str] | None:
    """The function that has this number but for bit 30, SMC64 or SMC32; None if there is none."""
    right = (fid ^ Fid.smc64.mask) & FUNCTION
    name = function_name(right)
    return None if name.startswith("0x") else {"call": name, "right": f"{right:#x}"}


@cache
def _manual() -> dict[str, Any]:
    return tomllib.loads(files("cca_rmm").joinpath(V1_0.manual).read_text(encoding="utf-8"))


def condition(name: str, why: str) -> str:
    """A failure condition of a command, as its specification says when it holds; ``why`` itself for others."""
    found = _manual().get(name, {}).get("when", {}).get(why)
    return why if found is None else f"{why}: {found}"


def advice(name: str, why: str) -> str:
    """What helps against a failure condition."""
    return _ADVICE.get((name, why)) or _STATES.get(why, "")
