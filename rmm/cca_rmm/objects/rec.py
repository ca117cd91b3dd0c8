"""The Realm Execution Context (REC): its granules, and what an exit stores in them for the next entry."""

from enum import IntEnum
from typing import Final, NamedTuple

from cca_arch.rmi.v1_0 import RecMpidr, rec_index
from cca_arch.sysregs import EL1H_MASKED, SCTLR_EL1_RES1, Mdscr, Mpidr
from cca_rmm.objects.words import Layout

__all__ = [
    "AUX_COUNT",
    "ENTERED",
    "GIC_OFFSET",
    "LEFT",
    "PMU_OFFSET",
    "REC",
    "REC_RESET",
    "SERROR",
    "ExitKind",
    "Rec",
    "RecState",
    "psci_index",
    "vmpidr",
]

AUX_COUNT: Final = 2  # aux[0]: the EL1&0 register file with FP/SIMD; aux[1]: the attestation token under construction
GIC_OFFSET: Final = 0x400  # ICH_VMCR_EL2 and the active priorities, if gic says that they differ from reset
PMU_OFFSET: Final = 0x600  # frame.PMU_FRAME, while the REC does not run

SERROR: Final = 1 << 32  # of Rec.serror


class RecState(IntEnum):
    """RmmRecState."""

    READY = 0
    RUNNING = 1


class ExitKind(IntEnum):
    """What the last exit allows the Host to request at the next entry."""

    OTHER = 0
    EMULATABLE = 1  # Emulatable Data Abort: emul_mmio or inject_sea
    UNPROTECTED = 2  # Data Abort at an Unprotected IPA without a syndrome: inject_sea only


class Rec(NamedTuple):
    """The header of a REC granule, one word per field."""

    rd: int
    rec_index: int
    mpidr: int  # RmiRecMpidr
    aux_regs: int
    aux_attest: int
    runnable: int
    psci_pending: int  # FID of the PSCI call that awaits RMI_PSCI_COMPLETE, else 0
    host_call_ipa: int
    ripas_value: int
    ripas_destroyed: int  # RsiRipasChangeFlags.destroyed
    esr: int  # of the exit of exit_kind, with far and hpfar; not sanitised
    far: int
    hpfar: int
    serror: int  # a pending virtual SError: SERROR and its ISS; else 0
    timers: int  # at the last exit: bit 0 the virtual, bit 1 the physical timer asserted; bit 2 any of them enabled
    state: int  # RecState
    gic: int  # gic.USED: its words are at GIC_OFFSET (READY) or loaded (RUNNING). gic.HOSTS: the Host's were saved
    pmu: int  # while RUNNING: whose performance monitors are where (cca_rmm.world.pmu)
    exit_kind: int  # ExitKind
    host_call: int  # 1: the RsiHostCall at host_call_ipa awaits the Host's reply
    ripas_pending: int
    ripas_addr: int
    ripas_top: int
    run_ptr: int  # while RUNNING: the run page, and X4 to X7 of the Host
    x4: int
    x5: int
    x6: int
    x7: int


REC: Final = Layout(Rec)
ENTERED: Final = REC.part(
    "state", "gic", "pmu", "exit_kind", "host_call", "ripas_pending", "ripas_addr", "ripas_top", "run_ptr", "x4", "x5",
    "x6", "x7",
)  # fmt: skip
"""The words that an entry sets."""
LEFT: Final = REC.part("timers", "state", "gic")
"""The words that every exit sets."""

REC_RESET: Final[dict[str, int]] = {
    "pstate": EL1H_MASKED, "sctlr_el1": SCTLR_EL1_RES1, "mdscr_el1": int(Mdscr.make(tdcc=1))
}  # fmt: skip
"""The non-zero registers of a new REC."""


def vmpidr(mpidr: int) -> int:
    """VMPIDR_EL2 of a REC: Aff3 in its architectural position, bit 31 set."""
    return (mpidr & _AFF2_TO_0) | (mpidr >> _REC_AFF3 & _AFF3_ONES) << _AFF3 | _RES1


def psci_index(mpidr: int) -> int:
    """The REC index that a PSCI target MPIDR names; bits outside the affinity fields are ignored."""
    return rec_index((mpidr & _REC_AFF2_TO_0) | (mpidr >> _AFF3 & _AFF3_ONES) << _REC_AFF3)


_AFF2_TO_0: Final = Mpidr.aff2.mask | Mpidr.aff1.mask | Mpidr.aff0.mask
_AFF3, _AFF3_ONES, _RES1 = Mpidr.aff3.low, Mpidr.aff3.ones, Mpidr.res1.mask
_REC_AFF3: Final = RecMpidr.aff3.low
_REC_AFF2_TO_0: Final = RecMpidr.aff2.mask | RecMpidr.aff1.mask | RecMpidr.aff0.mask
