"""The EL2 controls of the PE while a Realm runs."""

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cca_arch.rmi.v1_0 import RecEnterFlags
from cca_arch.sysregs import OUTPUT_BITS, PMU_COUNTERS, Hcr, Mdcr, Vtcr, Vttbr
from cca_rmm.objects.realm import Realm
from cca_rmm.objects.rec import vmpidr
from cca_rmm.world.pmu import has_pmu

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["HCR_REALM", "controls", "load", "mdcr", "vtcr"]

HCR_REALM: Final = int(
    Hcr.make(vm=1, swio=1, ptw=1, fmo=1, imo=1, amo=1, bsu=1, tid3=1, tsc=1, rw=1, e2h=1, tea=1, apk=1, api=1, fwb=1)
)
_MDCR_REALM: Final = Mdcr.make(tdra=1, tdosa=1, tda=1, hpmd=1)
"""Debug registers are not context-switched, so a Realm has none."""
_NO_PMU: Final = int(_MDCR_REALM.replace(tpm=1, tpmcr=1, hpmn=PMU_COUNTERS))
_SL0: Final = {2: 0, 1: 1, 0: 2}  # 4 KiB granule
_PS_48: Final = OUTPUT_BITS.index(48)
_VMID: Final = Vttbr.vmid.low
_TRAP_WFI, _TRAP_WFE = RecEnterFlags.trap_wfi.mask, RecEnterFlags.trap_wfe.mask
_TWI, _TWE = Hcr.twi.mask, Hcr.twe.mask


def vtcr(s2sz: int, rtt_level_start: int, vmid_bits: int) -> Vtcr:
    """VTCR_EL2 of a Realm: 4 KiB granule, write-back inner-shareable walks, no hardware access flag or dirty state."""
    return Vtcr.make(
        t0sz=64 - s2sz, sl0=_SL0[rtt_level_start], irgn0=1, orgn0=1, sh0=3, ps=_PS_48,
        vs=vmid_bits > 8, nsa=1, res1=1,
    )  # fmt: skip


@lru_cache(64)
def controls(realm: Realm, vmid_bits: int) -> tuple[int, int, int]:
    """VTCR_EL2, VTTBR_EL2 and MDCR_EL2 of a Realm."""
    return (
        vtcr(realm.s2sz, realm.rtt_level_start, vmid_bits), realm.rtt_base | realm.vmid << _VMID, mdcr(realm)
    )  # fmt: skip


def mdcr(realm: Realm) -> int:
    """MDCR_EL2 of a Realm: the event counters that it has, or traps of its accesses to the monitors."""
    return int(_MDCR_REALM.replace(hpmn=realm.pmu_num_ctrs)) if has_pmu(realm) else _NO_PMU


def load(pe: "Pe", realm: Realm, mpidr: int, vmid_bits: int, flags: int) -> None:
    """Load the controls of a REC into the PE; ``flags`` are those of RmiRecEnter."""
    hcr = HCR_REALM | (flags & _TRAP_WFI and _TWI) | (flags & _TRAP_WFE and _TWE)
    translation, tables, monitors = controls(realm, vmid_bits)
    pe.set_el2(hcr, translation, tables, vmpidr(mpidr), monitors)
