"""The names of SMC functions, for EL3's trace events."""

from typing import Final

from cca_arch.el3 import RMM_EL3_VERSION_2, RmmEl3
from cca_arch.extensions import Paging, Sealing, VendorEl3
from cca_arch.ffa import Ffa
from cca_arch.psci import Psci
from cca_arch.rmi.v1_0 import Rmi
from cca_arch.rsi.v1_0 import Rsi
from cca_arch.smccc import FUNCTION, RMI_FIDS, RMI_FIDS_LATER, Owner, Query, Smccc, query
from cca_arch.tsp import Tsp

__all__ = ["function_name"]

_INTERFACES: Final = {"SMCCC": Smccc, "PSCI": Psci, "RMM": RmmEl3, "RMI": Rmi, "RSI": Rsi, "TSP": Tsp, "FFA": Ffa}
_RMI: Final = frozenset({*RMI_FIDS, *RMI_FIDS_LATER}) - frozenset(int(fid) for fid in RmmEl3)
_NAMES: dict[int, str] = {}


def function_name(fid: int, interface: int = 0) -> str:
    """The specification's name of a function identifier, or its number.

    RMI versions use the same number for different commands. From version 2.0 of the RMM-EL3 ``interface`` on, EL3 does
    not know which RMI the Host uses; the RMM's own events name the command.
    """
    if interface >= RMM_EL3_VERSION_2 and fid & FUNCTION in _RMI:
        return f"{fid & 0xFFFF_FFFF:#x}"
    if not _NAMES:
        for prefix, names in _INTERFACES.items():
            _NAMES.update({int(member): f"{prefix}_{member.name.removesuffix('_64')}" for member in names})
        _NAMES.update({query(owner, one): f"{owner.name}_{one.name}" for owner in Owner for one in Query})
        _NAMES.update({int(member): member.name for kind in (Paging, Sealing, VendorEl3) for member in kind})
    return _NAMES.get(fid & FUNCTION, f"{fid & 0xFFFF_FFFF:#x}")
