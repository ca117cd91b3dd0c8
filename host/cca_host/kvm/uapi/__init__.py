"""KVM as user space knows it: processes open /dev/kvm and /dev/rme, and make VMs, vCPUs and Realms by ioctls.

Numbers, structures and errors are Linux's (:mod:`cca_arch.kvm`, :mod:`cca_arch.errno`)::

    main = Userspace.of(system).spawn().main
    kvm = main.open("/dev/kvm")
    vm = main.ioctl(kvm, KvmSystem.CREATE_VM, VmType.make(ipa_size=33, machine=VM_TYPE_ARM_REALM))
"""

from cca_host.kvm.uapi.capabilities import RealmNumbers
from cca_host.kvm.uapi.process import Advice, Process, Thread
from cca_host.kvm.uapi.refusal import UserFault
from cca_host.kvm.uapi.userspace import Userspace

__all__ = ["Advice", "Process", "RealmNumbers", "Thread", "UserFault", "Userspace"]
