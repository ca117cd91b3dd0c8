"""What Realms add to KVM's interface. No Linux has merged any of it, so each flavour has its source:

===============  =====================================================================================================
capability       series v6 to v10 (2024 to 2025): KVM_ENABLE_CAP with sub-commands, RMM 1.0
populate ioctl   series v12 (2025-12): KVM_ARM_RMI_POPULATE, the Realm is made and activated on the way, RMM 1.0
device           this project's own: KVM_CREATE_DEVICE(KVM_DEV_TYPE_ARM_REALM) with attributes, and /dev/rme
===============  =====================================================================================================
"""

from enum import IntEnum
from typing import Final

from cca_arch.fields import Member, Struct
from cca_arch.kvm.requests import KVMIO, ior, iow, iowr

__all__ = [
    "CAP_ARM_RME",
    "CAP_ARM_RME_FIRST",
    "CAP_ARM_RMI",
    "CAP_ARM_RMI_V13",
    "DEV_TYPE_ARM_REALM",
    "POPULATE_MEASURE",
    "SHOWN_NOTHING",
    "SYNC_GPRS",
    "VCPU_REC",
    "VCPU_REC_V5",
    "VM_GROUP_SHOWN",
    "VM_TYPE_ARM_REALM",
    "ArmRmiPopulate",
    "ArmRmiPsciComplete",
    "KvmRmiVcpu",
    "KvmRmiVm",
    "RealmConfig",
    "RealmControl",
    "RealmGroup",
    "RealmLimit",
    "Rme",
    "RmeCommand",
    "RmeConfigHashAlgo",
    "RmeConfigItem",
    "RmeConfigPmu",
    "RmeConfigRpv",
    "RmeFeatures",
    "RmeInitRipas",
    "RmePopulate",
    "RmeVersion",
]

VM_TYPE_ARM_REALM: Final = 1
"""VmType.machine of a Realm; 0 is a plain VM."""
CAP_ARM_RME_FIRST: Final = 300
"""KVM_CAP_ARM_RME of the first posts."""
CAP_ARM_RME: Final = 240
"""KVM_CAP_ARM_RME of v7 and v8. Linux has used the number for something else since."""
CAP_ARM_RMI: Final = 247
"""KVM_CAP_ARM_RMI of v12. Linux has used the number for something else since."""
CAP_ARM_RMI_V13: Final = 248
VCPU_REC_V5: Final = 7
"""The bit KVM_ARM_VCPU_REC of kvm_vcpu_init.features up to v5."""
VCPU_REC: Final = 8
"""The same from v6 on; KVM_ARM_VCPU_FINALIZE takes it, too."""
SYNC_GPRS: Final = 1 << 0
"""The bit of kvm_run.kvm_valid_regs and kvm_dirty_regs for X0 to X30, which are in ``s`` then: this project's own."""
POPULATE_MEASURE: Final = 1 << 0
"""The flag of a populate command that lets RMI_DATA_CREATE measure the contents."""


# -- capability -----------------------------------------------------------------------------------------------------
class RmeCommand(IntEnum):
    """kvm_enable_cap.args[0] (KVM_CAP_ARM_RME_*): what to do; args[1] points to the command's own structure."""

    CONFIG_REALM = 0
    CREATE_REALM = 1
    INIT_RIPAS_REALM = 2
    POPULATE_REALM = 3
    ACTIVATE_REALM = 4


class RmeConfigItem(IntEnum):
    """The first word of CONFIG_REALM's structure (ARM_RME_CONFIG_*)."""

    RPV = 0
    HASH_ALGO = 1
    PMU = 4
    """Of the first posts: later ones take it from the vCPUs."""


RmeConfigRpv: Final = Struct("arm_rme_config.rpv", 0x104, Member("cfg", 0x00, 4), Member("rpv", 0x04, 64))
RmeConfigHashAlgo: Final = Struct(
    "arm_rme_config.hash_algo", 0x104, Member("cfg", 0x00, 4), Member("hash_algo", 0x04, 4)
)
RmeConfigPmu: Final = Struct("arm_rme_config.pmu", 0x104, Member("cfg", 0x00, 4), Member("num_pmu_cntrs", 0x04, 4))
RmeInitRipas: Final = Struct(
    "arm_rme_init_ripas", 0x20, Member("base", 0x00, 8), Member("size", 0x08, 8), Member("reserved", 0x10, 8, 2)
)
RmePopulate: Final = Struct(
    "arm_rme_populate_realm",
    0x20,
    Member("base", 0x00, 8),
    Member("size", 0x08, 8),
    Member("flags", 0x10, 4),
    Member("reserved", 0x14, 4, 3),
)
# -- populate ioctl -------------------------------------------------------------------------------------------------
ArmRmiPopulate: Final = Struct(
    "kvm_arm_rmi_populate",
    0x20,
    Member("base", 0x00, 8),
    Member("size", 0x08, 8),
    Member("source_uaddr", 0x10, 8),
    Member("flags", 0x18, 4),
    Member("reserved", 0x1C, 4),
)
ArmRmiPsciComplete: Final = Struct(
    "kvm_arm_rmi_psci_complete",
    0x18,
    Member("target_mpidr", 0x00, 8),
    Member("psci_status", 0x08, 4),
    Member("padding", 0x0C, 4, 3),
)


class KvmRmiVm(IntEnum):
    """The request on a VM, by its name without ``KVM_``."""

    ARM_RMI_POPULATE = iow(KVMIO, 0xD7, ArmRmiPopulate)


class KvmRmiVcpu(IntEnum):
    """The request on the vCPU that has called PSCI."""

    ARM_VCPU_RMI_PSCI_COMPLETE = iow(KVMIO, 0xD6, ArmRmiPsciComplete)


# -- device ---------------------------------------------------------------------------------------------------------
DEV_TYPE_ARM_REALM: Final = 100
"""KVM_DEV_TYPE_ARM_REALM: the type of the device through which a VM is made a Realm."""


class RealmGroup(IntEnum):
    """The groups of the device's attributes."""

    CONFIG = 0
    CONTROL = 1


class RealmConfig(IntEnum):
    """The attributes of RealmGroup.CONFIG."""

    HASH_ALGO = 0
    """u32: RmiHashAlgorithm."""
    RPV = 1
    """64 bytes."""
    PMU_COUNTERS = 2
    """u32: event counters of a PMU; none by default."""


class RealmControl(IntEnum):
    """The attributes of RealmGroup.CONTROL, in the order in which they are set."""

    CREATE = 0
    """No value."""
    INIT_RIPAS = 1
    """RmeInitRipas."""
    POPULATE = 2
    """RmePopulate."""
    ACTIVATE = 3
    """No value."""
    LIMIT = 4
    """RealmLimit: after CREATE, before INIT_RIPAS."""


RealmLimit: Final = Struct(
    "kvm_arm_realm_limit",
    0x18,
    Member("limit", 0x00, 8),
    Member("path", 0x08, 8),
    Member("length", 0x10, 4),
    Member("reserved", 0x14, 4),
)
VM_GROUP_SHOWN: Final = 100
"""A group of a VM's attributes, each of which is the address of a page that is no memory: a u32, the byte that the
guest reads at its start without an exit, or SHOWN_NOTHING."""
SHOWN_NOTHING: Final = 0x100
RmeVersion: Final = Struct(
    "rme_version", 0x10, Member("lower", 0x00, 8), Member("higher", 0x08, 8)
)  # fmt: skip
RmeFeatures: Final = Struct("rme_features", 0x10, Member("index", 0x00, 8), Member("value", 0x08, 8))


class Rme(IntEnum):
    """The requests of /dev/rme: what the RMM of the machine is."""

    GET_VERSION = ior(KVMIO, 0xF0, RmeVersion)
    GET_FEATURES = iowr(KVMIO, 0xF1, RmeFeatures)
