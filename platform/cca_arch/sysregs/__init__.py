"""System registers: every encoding, field and enumeration of the architecture that this project uses, once.

A register's layout is a :class:`~cca_arch.fields.Bits` class, its encoding a constant of
:mod:`cca_arch.sysregs.encodings` in the architecture's spelling::

    from cca_arch.sysregs import Hcr, encodings

    hcr = Hcr.make(vm=1, fwb=1)
    encodings.HCR_EL2  # Encoding(op0=3, op1=4, crn=1, crm=1, op2=0)

Native code bakes plain numbers in: ``_TGE: Final = Hcr.tge.mask``.
"""

from cca_arch.sysregs import encodings
from cca_arch.sysregs.encodings import REGISTERS, Encoding
from cca_arch.sysregs.gic import (
    IccCtlr,
    IccCtlrEl3,
    IccIgrpen1El3,
    IccSgi,
    IccSre,
    IchHcr,
    IchLr,
    IchMisr,
    IchVmcr,
    IchVtr,
    LrState,
)
from cca_arch.sysregs.hypervisor import CPTR_EL2_RES1, SCR_EL3_RES1, Cptr, Hcr, Hpfar, Mdcr, Mdscr, Scr
from cca_arch.sysregs.identification import (
    MPIDR_AFFINITY,
    Dfr0,
    Dfr1,
    Isar0,
    Isar1,
    Midr,
    Mmfr0,
    Mmfr1,
    Mmfr2,
    Mpidr,
    Pfr0,
    Pfr1,
)
from cca_arch.sysregs.pstate import EL1H_MASKED, EL2H_MASKED, VECTOR_LOWER, VECTOR_SPX, Mode, Pstate, Vector
from cca_arch.sysregs.syndrome import (
    FSC_LEVEL,
    AbortEsr,
    DataAbortEsr,
    Ec,
    Esr,
    Fsc,
    GpcEsr,
    ImmediateEsr,
    SErrorEsr,
    SysregEsr,
    WfxEsr,
    syndrome,
)
from cca_arch.sysregs.timer import CntCtl, Cnthctl, Cntkctl
from cca_arch.sysregs.translation import (
    MAIR_NORMAL_NC,
    MAIR_NORMAL_WB,
    OUTPUT_BITS,
    SCTLR_EL1_RES1,
    SCTLR_EL2_RES1,
    Par,
    ParFault,
    Sctlr,
    Tcr,
    TcrEl2,
    Ttbr,
    Vtcr,
    Vttbr,
)

__all__ = [
    "CPTR_EL2_RES1",
    "EL1H_MASKED",
    "EL2H_MASKED",
    "FSC_LEVEL",
    "MAIR_NORMAL_NC",
    "MAIR_NORMAL_WB",
    "MPIDR_AFFINITY",
    "OUTPUT_BITS",
    "REGISTERS",
    "SCR_EL3_RES1",
    "SCTLR_EL1_RES1",
    "SCTLR_EL2_RES1",
    "VECTOR_LOWER",
    "VECTOR_SPX",
    "AbortEsr",
    "CntCtl",
    "Cnthctl",
    "Cntkctl",
    "Cptr",
    "DataAbortEsr",
    "Dfr0",
    "Dfr1",
    "Ec",
    "Encoding",
    "Esr",
    "Fsc",
    "GpcEsr",
    "Hcr",
    "Hpfar",
    "IccCtlr",
    "IccCtlrEl3",
    "IccIgrpen1El3",
    "IccSgi",
    "IccSre",
    "IchHcr",
    "IchLr",
    "IchMisr",
    "IchVmcr",
    "IchVtr",
    "ImmediateEsr",
    "Isar0",
    "Isar1",
    "LrState",
    "Mdcr",
    "Mdscr",
    "Midr",
    "Mmfr0",
    "Mmfr1",
    "Mmfr2",
    "Mode",
    "Mpidr",
    "Par",
    "ParFault",
    "Pfr0",
    "Pfr1",
    "Pstate",
    "SErrorEsr",
    "Scr",
    "Sctlr",
    "SysregEsr",
    "Tcr",
    "TcrEl2",
    "Ttbr",
    "Vector",
    "Vtcr",
    "Vttbr",
    "WfxEsr",
    "encodings",
    "syndrome",
]
