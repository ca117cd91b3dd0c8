"""System registers of a plain VM that trap to EL2: SGIs, ID registers, and what a guest of KVM does not have."""

from typing import TYPE_CHECKING, Final

from cca_arch.emulation import RT_NONE
from cca_arch.fields import Field
from cca_arch.sysregs import Dfr0, Dfr1, Ec, Pfr0, Pfr1, SysregEsr, encodings, syndrome
from cca_arch.types import INSTRUCTION_SIZE
from cca_host.kvm.exits import Exit
from cca_host.kvm.sysregs import REGISTERS, serve

if TYPE_CHECKING:
    from cca_host.kvm.plain.cpu import PlainCpu
    from cca_platform.pe.pe import Pe

__all__ = ["access"]

_UNDEFINED: Final = syndrome(Ec.UNKNOWN)
_ID: Final = (3, 0, 0)  # op0, op1, CRn; CRm 0 is the MIDR group
_CACHE: Final = (1, 0, 7)  # DC by set and way, which needs no emulation: there are no caches
_DEBUG: Final = 2  # op0
_DEBUG_CRN: Final = (0, 1, 7)  # breakpoints and MDSCR_EL1, the OS lock, the claim tags


def _mask(*fields: Field) -> int:
    return sum(field.mask for field in fields)


_HIDDEN: Final[dict[tuple[int, ...], int]] = {
    encodings.ID_AA64PFR0_EL1: _mask(Pfr0.amu, Pfr0.sve),
    encodings.ID_AA64PFR1_EL1: _mask(Pfr1.sme, Pfr1.mte),
    encodings.ID_AA64DFR0_EL1: _mask(
        Dfr0.tracever, Dfr0.pmuver, Dfr0.pmss, Dfr0.sebep, Dfr0.pmsver, Dfr0.tracefilt, Dfr0.tracebuffer, Dfr0.mtpmu,
        Dfr0.brbe, Dfr0.exttrcbuff, Dfr0.hpmn0,
    ),
    encodings.ID_AA64DFR1_EL1: _mask(Dfr1.icntr, Dfr1.ebep),
}  # fmt: skip
"""The fields of ID registers that a guest reads as zero: what the host does not give to it."""


def access(vcpu: "PlainCpu", pe: "Pe") -> Exit | None:
    """Emulate the MSR or MRS at PC, or let the guest take it as undefined; an exit if another vCPU is to run."""
    esr = SysregEsr(vcpu.esr)
    encoding = encodings.Encoding(esr.op0, esr.op1, esr.crn, esr.crm, esr.op2)
    rt, is_read = esr.rt, bool(esr.direction)
    if encoding in REGISTERS and not is_read:
        vgic = vcpu.vm.vgic
        if vgic is not None:
            vcpu.store_interrupts(pe, vgic)
            serve(vgic, vcpu.index, encoding, 0 if rt == RT_NONE else pe.x[rt], vcpu.splits_end)
            vcpu.load_interrupts(pe, vgic)
            pe.elr += INSTRUCTION_SIZE
            return vcpu.preempted()
    elif is_read and encoding[:3] == _ID and esr.crm:
        if rt != RT_NONE:
            pe.x[rt] = pe.id_register(*encoding) & ~_HIDDEN.get(encoding, 0)
    elif (esr.op0 == _DEBUG and esr.crn in _DEBUG_CRN) or encoding == encodings.ACTLR_EL1:
        if is_read and rt != RT_NONE:
            pe.x[rt] = 0
    elif encoding[:3] != _CACHE:
        pe.inject(_UNDEFINED)
        return None
    pe.elr += INSTRUCTION_SIZE
    return None
