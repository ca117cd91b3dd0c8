"""The RMI command table of RMM 1.0, complete by assertion."""

from typing import Final

from . import rmi_data, rmi_granule, rmi_realm, rmi_rec, rmi_rtt, run
from .abi import Rmi
from .command import Command

__all__ = ["RMI"]

RMI: Final[dict[int, Command]] = {
    int(row.fid): row
    for module in (rmi_granule, rmi_realm, rmi_data, rmi_rtt, rmi_rec, run)
    for row in module.COMMANDS
}
"""FID -> row."""
assert set(RMI) == {int(fid) for fid in Rmi}, "the RMI table must have a row for each FID of the ABI and no other"
assert all(Rmi(fid).name == row.name for fid, row in RMI.items()), "a row must have the name of its FID"
