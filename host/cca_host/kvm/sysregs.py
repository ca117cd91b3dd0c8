"""The Realm system registers whose accesses exit to the host: those that send SGIs, and ICC_DIR_EL1."""

from typing import Final

from cca_arch.sysregs import SysregEsr, encodings
from cca_host.kvm.rec import Rec

__all__ = ["answer"]

_SGI_GROUPS: Final = {encodings.ICC_SGI1R_EL1: 0b11, encodings.ICC_ASGI1R_EL1: 0b01, encodings.ICC_SGI0R_EL1: 0b01}
"""The groups whose SGIs a write can generate: bit 0, bit 1."""
_INTID: Final = 0xFF_FFFF


def answer(vcpu: Rec) -> None:
    """Handle a trapped write: send the SGI, or deactivate if EOImode is set; ignore all other registers."""
    esr, vgic, value = SysregEsr(vcpu.page.esr), vcpu.vm.vgic, vcpu.page.gprs[0]
    if vgic is None:
        return
    register = encodings.Encoding(esr.op0, esr.op1, esr.crn, esr.crm, esr.op2)
    if register in _SGI_GROUPS:
        vgic.generate(vcpu.index, value, _SGI_GROUPS[register])
    elif register == encodings.ICC_DIR_EL1 and vcpu.page.splits_end:
        vgic.deactivate(vcpu.index, value & _INTID)
