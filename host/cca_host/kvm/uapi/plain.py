"""A plain VM: made in the kernel before its first run, with all that user space has said of it."""

from cca_arch.errno import Errno
from cca_host.kvm.plain.vm import PlainVm
from cca_host.kvm.uapi.kvm import Kvm, Phase
from cca_host.kvm.uapi.realm import ProcessPages, wire_gic
from cca_host.kvm.uapi.refusal import must

__all__ = ["start"]


def start(kvm: Kvm) -> None:
    """Make the VM, and the vCPUs that it does not have yet: their numbers have to be 0 and up, without a gap."""
    if kvm.guest is None:
        with kvm.troubles():
            guest = PlainVm(kvm.system, ipa_width=kvm.width, backing=ProcessPages(kvm))
        for number in sorted(kvm.slots):
            guest.add_memory(kvm.slots[number].base, kvm.slots[number].size)
        kvm.guest = guest
        if kvm.vgic_made:
            wire_gic(kvm)
    ordered = sorted(kvm.vcpus, key=lambda vcpu: vcpu.number)
    must([vcpu.number for vcpu in ordered] == list(range(len(ordered))), Errno.EINVAL)
    for vcpu in ordered:
        must(vcpu.initialized, Errno.ENOEXEC)
        vcpu.make()
    for one in kvm.guest.vcpus:
        one.trap(wfi=True, wfe=len(ordered) > 1)
    kvm.phase = Phase.ACTIVATED
