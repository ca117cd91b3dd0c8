"""The Realm system registers whose accesses exit to the host: those that send SGIs."""

from typing import Final

from cca_arch.sysregs import SysregEsr, encodings
from cca_host.kvm.rec import Rec

__all__ = ["answer"]

_SGI_GROUPS: Final = {encodings.ICC_SGI1R_EL1: 0b11, encodings.ICC_ASGI1R_EL1: 0b01, encodings.ICC_SGI0R_EL1: 0b01}
"""The groups whose SGIs a write can generate: bit 0, bit 1."""


def answer(vcpu: Rec) -> None:
    """Handle a trapped write: send the SGI, ignore all other registers."""
    esr, vgic = SysregEsr(vcpu.page.esr), vcpu.vm.vgic
    groups = _SGI_GROUPS.get(encodings.Encoding(esr.op0, esr.op1, esr.crn, esr.crm, esr.op2))
    if vgic is not None and groups is not None:
        vgic.generate(vcpu.index, vcpu.page.gprs[0], groups)
