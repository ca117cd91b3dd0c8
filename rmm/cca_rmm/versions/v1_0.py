"""The RMI command table of RMM 1.0, complete by assertion."""

from typing import Final

from cca_arch.rmi.v1_0 import Rmi
from cca_rmm.command import Command
from cca_rmm.commands import (
    data as rmi_data,
)
from cca_rmm.commands import (
    granule as rmi_granule,
)
from cca_rmm.commands import (
    realm as rmi_realm,
)
from cca_rmm.commands import (
    rec as rmi_rec,
)
from cca_rmm.commands import (
    rtt as rmi_rtt,
)
from cca_rmm.world import run

__all__ = ["RMI"]

RMI: Final[dict[int, Command]] = {
    int(row.fid): row
    for module in (rmi_granule, rmi_realm, rmi_data, rmi_rtt, rmi_rec, run)
    for row in module.COMMANDS
}
"""FID -> row."""
assert set(RMI) == {int(fid) for fid in Rmi}, "the RMI table must have a row for each FID of the ABI and no other"
assert all(Rmi(fid).name == row.name for fid, row in RMI.items()), "a row must have the name of its FID"
