"""What stands in KVM's structures: capabilities, exit reasons, states, flags, and the attributes of devices."""

from enum import IntEnum, IntFlag
from typing import Final

from cca_arch.fields import Bits, Field

__all__ = [
    "API_VERSION",
    "IPA_SIZE_DEFAULT",
    "IPA_SIZE_MIN",
    "TARGET_GENERIC_V8",
    "Cap",
    "CreateDeviceFlags",
    "DeviceType",
    "ExitReason",
    "HypercallFlags",
    "InternalError",
    "IrqLine",
    "IrqType",
    "MemFlags",
    "MemoryAttribute",
    "MemoryFaultFlags",
    "MpState",
    "SmcccAction",
    "SystemEventType",
    "VcpuFeature",
    "VcpuGroup",
    "VgicAddr",
    "VgicAttr",
    "VgicCtrl",
    "VgicGroup",
    "VmGroup",
    "VmType",
]

API_VERSION: Final = 12
IPA_SIZE_DEFAULT: Final = 40
"""The width of a VM's physical addresses if KVM_CREATE_VM names none."""
IPA_SIZE_MIN: Final = 32
TARGET_GENERIC_V8: Final = 5
"""KVM_ARM_TARGET_GENERIC_V8: the CPU that every host has."""


class Cap(IntEnum):
    """Capabilities (KVM_CAP_*) that concern arm64."""

    IRQCHIP = 0
    USER_MEMORY = 3
    NR_VCPUS = 9
    NR_MEMSLOTS = 10
    MP_STATE = 14
    COALESCED_MMIO = 15
    SYNC_MMU = 16
    DESTROY_MEMORY_REGION_WORKS = 21
    SET_GUEST_DEBUG = 23
    IRQ_ROUTING = 25
    JOIN_MEMORY_REGIONS_WORKS = 30
    IRQFD = 32
    IOEVENTFD = 36
    INTERNAL_ERROR_DATA = 40
    VCPU_EVENTS = 41
    ENABLE_CAP = 54
    MAX_VCPUS = 66
    ONE_REG = 70
    SIGNAL_MSI = 77
    READONLY_MEM = 81
    ARM_PSCI = 87
    ARM_SET_DEVICE_ADDR = 88
    DEVICE_CTRL = 89
    ARM_EL1_32BIT = 93
    ENABLE_CAP_VM = 98
    VM_ATTRIBUTES = 101
    ARM_PSCI_0_2 = 102
    CHECK_EXTENSION_VM = 105
    GUEST_DEBUG_HW_BPS = 119
    GUEST_DEBUG_HW_WPS = 120
    ARM_PMU_V3 = 126
    VCPU_ATTRIBUTES = 127
    MAX_VCPU_ID = 128
    MSI_DEVID = 131
    IMMEDIATE_EXIT = 136
    ARM_USER_IRQ = 144
    ARM_INJECT_SERROR_ESR = 158
    ARM_VM_IPA_SIZE = 165
    ARM_SVE = 170
    ARM_PTRAUTH_ADDRESS = 171
    ARM_PTRAUTH_GENERIC = 172
    ARM_IRQ_LINE_LAYOUT_2 = 174
    ARM_NISV_TO_USER = 177
    ARM_INJECT_EXT_DABT = 178
    STEAL_TIME = 187
    DIRTY_LOG_RING = 192
    PTP_KVM = 198
    ARM_MTE = 205
    SYSTEM_EVENT_DATA = 215
    ARM_SYSTEM_SUSPEND = 216
    COUNTER_OFFSET = 227
    ARM_SUPPORTED_REG_MASK_RANGES = 230
    USER_MEMORY2 = 231
    MEMORY_FAULT_INFO = 232
    MEMORY_ATTRIBUTES = 233
    GUEST_MEMFD = 234
    VM_TYPES = 235
    PRE_FAULT_MEMORY = 236
    ARM_EL2 = 240
    GUEST_MEMFD_FLAGS = 244
    ARM_SEA_TO_USER = 245


class VmType(Bits):
    """The argument of KVM_CREATE_VM; ``machine`` is the field that the Realm series add."""

    ipa_size = Field(7, 0)
    machine = Field(11, 8)
    protected = Field(31)


class ExitReason(IntEnum):
    """kvm_run.exit_reason (KVM_EXIT_*) of arm64."""

    UNKNOWN = 0
    HYPERCALL = 3
    DEBUG = 4
    MMIO = 6
    SHUTDOWN = 8
    FAIL_ENTRY = 9
    INTR = 10
    INTERNAL_ERROR = 17
    SYSTEM_EVENT = 24
    ARM_NISV = 28
    DIRTY_RING_FULL = 31
    MEMORY_FAULT = 39
    ARM_SEA = 41
    ARM_LDST64B = 42


class SystemEventType(IntEnum):
    """kvm_run.system_event.type (KVM_SYSTEM_EVENT_*)."""

    SHUTDOWN = 1
    RESET = 2
    CRASH = 3
    WAKEUP = 4
    SUSPEND = 5


class InternalError(IntEnum):
    """kvm_run.internal.suberror (KVM_INTERNAL_ERROR_*)."""

    EMULATION = 1
    SIMUL_EX = 2
    DELIVERY_EV = 3
    UNEXPECTED_EXIT_REASON = 4


class HypercallFlags(IntFlag):
    """kvm_run.hypercall.flags (KVM_HYPERCALL_EXIT_*)."""

    SMC = 1 << 0
    BIT16 = 1 << 1
    """KVM_HYPERCALL_EXIT_16BIT: the instruction was in A32 or T32."""


class MpState(IntEnum):
    """kvm_mp_state.mp_state (KVM_MP_STATE_*) that arm64 has."""

    RUNNABLE = 0
    STOPPED = 5
    SUSPENDED = 10


class MemFlags(IntFlag):
    """The flags of a memory region (KVM_MEM_*)."""

    LOG_DIRTY_PAGES = 1 << 0
    READONLY = 1 << 1
    GUEST_MEMFD = 1 << 2


class MemoryAttribute(IntFlag):
    """kvm_memory_attributes.attributes (KVM_MEMORY_ATTRIBUTE_*)."""

    PRIVATE = 1 << 3


class MemoryFaultFlags(IntFlag):
    """kvm_run.memory_fault.flags (KVM_MEMORY_EXIT_FLAG_*)."""

    PRIVATE = 1 << 3


class VcpuFeature(IntEnum):
    """The bits of kvm_vcpu_init.features (KVM_ARM_VCPU_*)."""

    POWER_OFF = 0
    EL1_32BIT = 1
    PSCI_0_2 = 2
    PMU_V3 = 3
    SVE = 4
    PTRAUTH_ADDRESS = 5
    PTRAUTH_GENERIC = 6
    HAS_EL2 = 7
    HAS_EL2_E2H0 = 8


class IrqLine(Bits):
    """kvm_irq_level.irq: KVM_ARM_IRQ_VCPU2, _TYPE, _VCPU and _NUM."""

    num = Field(15, 0)
    vcpu = Field(23, 16)
    type = Field(27, 24)
    vcpu2 = Field(31, 28)


class IrqType(IntEnum):
    """IrqLine.type (KVM_ARM_IRQ_TYPE_*)."""

    CPU = 0
    SPI = 1
    PPI = 2


class DeviceType(IntEnum):
    """The types of KVM_CREATE_DEVICE (KVM_DEV_TYPE_*)."""

    FSL_MPIC_20 = 1
    FSL_MPIC_42 = 2
    XICS = 3
    VFIO = 4
    ARM_VGIC_V2 = 5
    FLIC = 6
    ARM_VGIC_V3 = 7
    ARM_VGIC_ITS = 8
    XIVE = 9
    ARM_PV_TIME = 10
    RISCV_AIA = 11


class CreateDeviceFlags(IntFlag):
    """kvm_create_device.flags (KVM_CREATE_DEVICE_*)."""

    TEST = 1 << 0


class VgicGroup(IntEnum):
    """The groups of a vGIC's attributes (KVM_DEV_ARM_VGIC_GRP_*)."""

    ADDR = 0
    DIST_REGS = 1
    CPU_REGS = 2
    NR_IRQS = 3
    CTRL = 4
    REDIST_REGS = 5
    CPU_SYSREGS = 6
    LEVEL_INFO = 7
    ITS_REGS = 8
    MAINT_IRQ = 9


class VgicAddr(IntEnum):
    """The attributes of VgicGroup.ADDR (KVM_VGIC_V3_ADDR_TYPE_*)."""

    DIST = 2
    REDIST = 3
    ITS = 4
    REDIST_REGION = 5


class VgicCtrl(IntEnum):
    """The attributes of VgicGroup.CTRL (KVM_DEV_ARM_VGIC_*)."""

    INIT = 0
    SAVE_PENDING_TABLES = 3


class VgicAttr(Bits):
    """An attribute of the groups of registers: the register of which redistributor or vCPU."""

    offset = Field(31, 0)
    mpidr = Field(63, 32)


class VmGroup(IntEnum):
    """The groups of a VM's attributes."""

    SMCCC_CTRL = 0
    """KVM_ARM_VM_SMCCC_CTRL, whose one attribute, KVM_ARM_VM_SMCCC_FILTER, is 0."""


class SmcccAction(IntEnum):
    """kvm_smccc_filter.action (KVM_SMCCC_FILTER_*)."""

    HANDLE = 0
    DENY = 1
    FWD_TO_USER = 2


class VcpuGroup(IntEnum):
    """The groups of a vCPU's attributes (KVM_ARM_VCPU_*_CTRL)."""

    PMU_V3 = 0
    TIMER = 1
    PVTIME = 2
