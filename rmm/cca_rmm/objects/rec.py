"""The Realm Execution Context (REC): its granules, and what an exit leaves in them for the next entry."""

from enum import IntEnum
from typing import Final, NamedTuple

from cca_arch.rmi.v1_0 import rec_index
from cca_rmm.objects.words import Layout

__all__ = ["AUX_COUNT", "GIC_OFFSET", "REC", "ExitKind", "Rec", "RecState", "psci_index", "vmpidr"]

AUX_COUNT: Final = 2  # aux[0]: the EL1&0 register file with FP/SIMD; aux[1]: the attestation token under construction
GIC_OFFSET: Final = 0x400  # ICH_VMCR_EL2 and the active priorities, when gic says that they are not those of reset


class RecState(IntEnum):
    """RmmRecState."""

    READY = 0
    RUNNING = 1


class ExitKind(IntEnum):
    """What the last exit lets the Host ask for at the next entry."""

    OTHER = 0
    EMULATABLE = 1  # Emulatable Data Abort: emul_mmio or inject_sea
    UNPROTECTED = 2  # Data Abort at an Unprotected IPA without a syndrome: inject_sea only


class Rec(NamedTuple):
    """The head of a REC granule, a word each."""

    rd: int
    rec_index: int
    mpidr: int  # RmiRecMpidr
    state: int  # RecState
    runnable: int
    psci_pending: int  # FID of the PSCI call that waits for RMI_PSCI_COMPLETE, else 0
    host_call: int  # 1: the RsiHostCall at host_call_ipa awaits the Host's answer
    host_call_ipa: int
    ripas_pending: int
    ripas_addr: int
    ripas_top: int
    ripas_value: int
    ripas_destroyed: int  # RsiRipasChangeFlags.destroyed
    exit_kind: int  # ExitKind; esr, far and hpfar are those of that exit, not sanitised
    esr: int
    far: int
    hpfar: int
    timers: int  # at the last exit: bit 0 the virtual, bit 1 the physical timer asserted; bit 2 any of them enabled
    gic: int  # gic.USED: READY, its words are at GIC_OFFSET; RUNNING, it was loaded. gic.HOSTS: the Host's was saved
    run_ptr: int  # while RUNNING: the run page, and X4 of the Host
    x4: int
    aux_regs: int
    aux_attest: int


REC: Final = Layout(Rec)


def vmpidr(mpidr: int) -> int:
    """VMPIDR_EL2 of a REC: Aff3 moves to bits 39:32, bit 31 is one."""
    return (mpidr & 0xFF_FFFF) | (mpidr >> 24 & 0xFF) << 32 | 1 << 31


def psci_index(mpidr: int) -> int:
    """The REC index that a PSCI target MPIDR names; bits outside the affinity fields are ignored."""
    return rec_index((mpidr & 0xFF_FF0F) | (mpidr >> 32 & 0xFF) << 24)
