"""The performance monitors of a REC: its own registers while it runs, and none of the Host's (DEN0137 "PMU").

A Realm with a PMU has the PE's monitors while it runs; their values are in the REC otherwise. While any Realm runs, the
Host's counters stand still: what they would count is the Realm's.
"""

import struct
from typing import TYPE_CHECKING, Final

from cca_arch.rmi.v1_0 import PmuOverflowStatus, RmiRealmFlags, RmiRecExit
from cca_arch.sysregs import Pmcr
from cca_platform.isa import frame
from cca_rmm.base.core import Core
from cca_rmm.objects.realm import Realm
from cca_rmm.objects.rec import PMU_OFFSET, Rec

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["has_pmu", "overflow", "switch_in", "switch_out"]

_PMU: Final = RmiRealmFlags.pmu.mask
_OWN: Final = 1  # bits of Rec.pmu while it runs: its registers are loaded,
_HOSTS: Final = 2  # and the Host's are saved
_SIZE: Final = frame.PMU_FRAME_SIZE
_RESET: Final = bytes(_SIZE)
_CODEC: Final = struct.Struct("<4Q")
assert frame.PMU_FRAME[:4] == ("pmcr_el0", "pmcntenset_el0", "pmintenset_el1", "pmovsset_el0")
_E: Final = Pmcr.e.mask
_STATUS: Final = RmiRecExit.offset("pmu_ovf_status")


def has_pmu(realm: Realm) -> bool:
    """True if the Realm has a PMU."""
    return bool(realm.flags & _PMU)


def overflow(registers: bytes) -> PmuOverflowStatus:
    """``exit.pmu_ovf_status``: whether a counter that is on has overflowed, with its interrupt enabled."""
    pmcr, enabled, interrupts, overflown = _CODEC.unpack_from(registers)
    asserted = pmcr & _E and enabled & interrupts & overflown
    return PmuOverflowStatus.ACTIVE if asserted else PmuOverflowStatus.NOT_ACTIVE


def switch_in(rmm: Core, pe: "Pe", rec_pa: int, realm: Realm) -> int:
    """Take the monitors from the Host, if it uses them or the Realm has its own; returns Rec.pmu for the run."""
    own = realm.flags & _PMU
    if not own and not pe.pmu_shows:
        return 0
    state, hosts = 0, pe.save_pmu()
    if hosts != _RESET:
        rmm.port.write(rmm.host_pmu(pe), hosts)
        state = _HOSTS
    if own:
        pe.load_pmu(rmm.port.read(rec_pa + PMU_OFFSET, _SIZE))
        state |= _OWN
    else:
        pe.withdraw_pmu()
    return state


def switch_out(rmm: Core, pe: "Pe", rec_pa: int, rec: Rec, record: bytearray) -> None:
    """Save the monitors into the REC, report an overflow in ``record``, and restore the Host's."""
    if rec.pmu & _OWN:
        registers = pe.save_pmu()
        rmm.port.write(rec_pa + PMU_OFFSET, registers)
        record[_STATUS] = overflow(registers)
    pe.load_pmu(rmm.port.read(rmm.host_pmu(pe), _SIZE) if rec.pmu & _HOSTS else _RESET)
