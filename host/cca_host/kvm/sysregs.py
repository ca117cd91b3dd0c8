"""The system registers of a guest whose accesses the host emulates: those that send SGIs, and ICC_DIR_EL1."""

from typing import Final

from cca_arch.sysregs import SysregEsr, encodings
from cca_host.kvm.rec import Rec
from cca_host.kvm.vgic import Vgic

__all__ = ["REGISTERS", "answer", "serve"]

_SGI_GROUPS: Final = {encodings.ICC_SGI1R_EL1: 0b11, encodings.ICC_ASGI1R_EL1: 0b01, encodings.ICC_SGI0R_EL1: 0b01}
"""The groups whose SGIs a write can generate: bit 0, bit 1."""
REGISTERS: Final = frozenset({*_SGI_GROUPS, encodings.ICC_DIR_EL1})
"""Writes of these are the virtual GIC's."""
_INTID: Final = 0xFF_FFFF


def answer(vcpu: Rec) -> None:
    """Handle the trapped write of a Realm; all registers but those of the GIC are ignored."""
    esr, vgic = SysregEsr(vcpu.page.esr), vcpu.vm.vgic
    if vgic is not None:
        register = encodings.Encoding(esr.op0, esr.op1, esr.crn, esr.crm, esr.op2)
        serve(vgic, vcpu.index, register, vcpu.page.gprs[0], vcpu.page.splits_end)


def serve(vgic: Vgic, vcpu: int, register: encodings.Encoding, value: int, splits_end: bool) -> None:
    """A vCPU writes a register: send the SGI, or deactivate if EOImode is set."""
    if register in _SGI_GROUPS:
        vgic.generate(vcpu, value, _SGI_GROUPS[register])
    elif register == encodings.ICC_DIR_EL1 and splits_end:
        vgic.deactivate(vcpu, value & _INTID)
