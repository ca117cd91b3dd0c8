"""The structures of KVM's ioctls, and the page that a vCPU shares with user space, as they lie in memory on arm64."""

from typing import Final

from cca_arch.fields import Member, Struct

__all__ = [
    "EXIT",
    "RUN_EXIT_REASON",
    "RUN_IMMEDIATE_EXIT",
    "KvmArmDeviceAddr",
    "KvmCreateDevice",
    "KvmCreateGuestMemfd",
    "KvmDeviceAttr",
    "KvmDirtyLog",
    "KvmEnableCap",
    "KvmExitFailEntry",
    "KvmExitHypercall",
    "KvmExitInternal",
    "KvmExitMemoryFault",
    "KvmExitMmio",
    "KvmExitSystemEvent",
    "KvmGuestDebug",
    "KvmIoeventfd",
    "KvmIrqLevel",
    "KvmIrqfd",
    "KvmMemoryAttributes",
    "KvmMpState",
    "KvmMsi",
    "KvmOneReg",
    "KvmPreFaultMemory",
    "KvmRegList",
    "KvmRegs",
    "KvmRun",
    "KvmSmcccFilter",
    "KvmUserspaceMemoryRegion",
    "KvmUserspaceMemoryRegion2",
    "KvmVcpuEvents",
    "KvmVcpuInit",
]

# -- VMs ------------------------------------------------------------------------------------------------------------
KvmUserspaceMemoryRegion: Final = Struct(
    "kvm_userspace_memory_region",
    0x20,
    Member("slot", 0x00, 4),
    Member("flags", 0x04, 4),
    Member("guest_phys_addr", 0x08, 8),
    Member("memory_size", 0x10, 8),
    Member("userspace_addr", 0x18, 8),
)
KvmUserspaceMemoryRegion2: Final = Struct(
    "kvm_userspace_memory_region2",
    0xA0,
    Member("slot", 0x00, 4),
    Member("flags", 0x04, 4),
    Member("guest_phys_addr", 0x08, 8),
    Member("memory_size", 0x10, 8),
    Member("userspace_addr", 0x18, 8),
    Member("guest_memfd_offset", 0x20, 8),
    Member("guest_memfd", 0x28, 4),
    Member("pad1", 0x2C, 4),
    Member("pad2", 0x30, 8, 14),
)
KvmMemoryAttributes: Final = Struct(
    "kvm_memory_attributes",
    0x20,
    Member("address", 0x00, 8),
    Member("size", 0x08, 8),
    Member("attributes", 0x10, 8),
    Member("flags", 0x18, 8),
)
KvmCreateGuestMemfd: Final = Struct(
    "kvm_create_guest_memfd",
    0x40,
    Member("size", 0x00, 8),
    Member("flags", 0x08, 8),
    Member("reserved", 0x10, 8, 6),
)
KvmDirtyLog: Final = Struct(
    "kvm_dirty_log",
    0x10,
    Member("slot", 0x00, 4),
    Member("padding1", 0x04, 4),
    Member("dirty_bitmap", 0x08, 8),
)
KvmIrqLevel: Final = Struct("kvm_irq_level", 0x08, Member("irq", 0x00, 4), Member("level", 0x04, 4))
KvmIrqfd: Final = Struct(
    "kvm_irqfd",
    0x20,
    Member("fd", 0x00, 4),
    Member("gsi", 0x04, 4),
    Member("flags", 0x08, 4),
    Member("resamplefd", 0x0C, 4),
    Member("pad", 0x10, 16),
)
KvmIoeventfd: Final = Struct(
    "kvm_ioeventfd",
    0x40,
    Member("datamatch", 0x00, 8),
    Member("addr", 0x08, 8),
    Member("len", 0x10, 4),
    Member("fd", 0x14, 4, signed=True),
    Member("flags", 0x18, 4),
    Member("pad", 0x1C, 36),
)
KvmMsi: Final = Struct(
    "kvm_msi",
    0x20,
    Member("address_lo", 0x00, 4),
    Member("address_hi", 0x04, 4),
    Member("data", 0x08, 4),
    Member("flags", 0x0C, 4),
    Member("devid", 0x10, 4),
    Member("pad", 0x14, 12),
)
KvmEnableCap: Final = Struct(
    "kvm_enable_cap",
    0x68,
    Member("cap", 0x00, 4),
    Member("flags", 0x04, 4),
    Member("args", 0x08, 8, 4),
    Member("pad", 0x28, 64),
)
KvmSmcccFilter: Final = Struct(
    "kvm_smccc_filter",
    0x18,
    Member("base", 0x00, 4),
    Member("nr_functions", 0x04, 4),
    Member("action", 0x08, 1),
    Member("pad", 0x09, 15),
)
# -- devices --------------------------------------------------------------------------------------------------------
KvmCreateDevice: Final = Struct(
    "kvm_create_device", 0x0C, Member("type", 0x00, 4), Member("fd", 0x04, 4), Member("flags", 0x08, 4)
)
KvmDeviceAttr: Final = Struct(
    "kvm_device_attr",
    0x18,
    Member("flags", 0x00, 4),
    Member("group", 0x04, 4),
    Member("attr", 0x08, 8),
    Member("addr", 0x10, 8),
)
KvmArmDeviceAddr: Final = Struct("kvm_arm_device_addr", 0x10, Member("id", 0x00, 8), Member("addr", 0x08, 8))
# -- vCPUs ----------------------------------------------------------------------------------------------------------
KvmVcpuInit: Final = Struct("kvm_vcpu_init", 0x20, Member("target", 0x00, 4), Member("features", 0x04, 4, 7))
KvmOneReg: Final = Struct("kvm_one_reg", 0x10, Member("id", 0x00, 8), Member("addr", 0x08, 8))
KvmRegList: Final = Struct("kvm_reg_list", 0x08, Member("n", 0x00, 8))
KvmMpState: Final = Struct("kvm_mp_state", 0x04, Member("mp_state", 0x00, 4))
KvmVcpuEvents: Final = Struct(
    "kvm_vcpu_events",
    0x40,
    Member("serror_pending", 0x00, 1),
    Member("serror_has_esr", 0x01, 1),
    Member("ext_dabt_pending", 0x02, 1),
    Member("serror_esr", 0x08, 8),
    Member("reserved", 0x10, 4, 12),
)
KvmPreFaultMemory: Final = Struct(
    "kvm_pre_fault_memory",
    0x40,
    Member("gpa", 0x00, 8),
    Member("size", 0x08, 8),
    Member("flags", 0x10, 8),
    Member("padding", 0x18, 8, 5),
)
KvmGuestDebug: Final = Struct(
    "kvm_guest_debug", 0x208, Member("control", 0x00, 4), Member("pad", 0x04, 4), Member("arch", 0x08, 512)
)
KvmRegs: Final = Struct(
    "kvm_regs",
    0x360,
    Member("regs", 0x000, 8, 31),
    Member("sp", 0x0F8, 8),
    Member("pc", 0x100, 8),
    Member("pstate", 0x108, 8),
    Member("sp_el1", 0x110, 8),
    Member("elr_el1", 0x118, 8),
    Member("spsr", 0x120, 8, 5),
    Member("vregs", 0x150, 512),
    Member("fpsr", 0x350, 4),
    Member("fpcr", 0x354, 4),
)
"""No argument of its own: an identifier of a core register is an offset in it, in words of 32 bits."""
# -- the page that a vCPU shares with user space ----------------------------------------------------------------------
KvmRun: Final = Struct(
    "kvm_run",
    0x930,
    Member("request_interrupt_window", 0x00, 1),
    Member("immediate_exit", 0x01, 1),
    Member("exit_reason", 0x08, 4),
    Member("flags", 0x0E, 2),
    Member("exit", 0x20, 256),
    Member("kvm_valid_regs", 0x120, 8),
    Member("kvm_dirty_regs", 0x128, 8),
    Member("s", 0x130, 2048),
)
EXIT: Final = KvmRun.offset("exit")
"""Where the union of the exits' own structures begins."""
RUN_EXIT_REASON: Final = KvmRun.offset("exit_reason")
RUN_IMMEDIATE_EXIT: Final = KvmRun.offset("immediate_exit")
KvmExitMmio: Final = Struct(
    "kvm_run.mmio",
    0x18,
    Member("phys_addr", 0x00, 8),
    Member("data", 0x08, 8),
    Member("len", 0x10, 4),
    Member("is_write", 0x14, 1),
)
KvmExitHypercall: Final = Struct(
    "kvm_run.hypercall",
    0x48,
    Member("nr", 0x00, 8),
    Member("args", 0x08, 8, 6),
    Member("ret", 0x38, 8),
    Member("flags", 0x40, 8),
)
KvmExitFailEntry: Final = Struct(
    "kvm_run.fail_entry", 0x10, Member("hardware_entry_failure_reason", 0x00, 8), Member("cpu", 0x08, 4)
)
KvmExitInternal: Final = Struct(
    "kvm_run.internal", 0x88, Member("suberror", 0x00, 4), Member("ndata", 0x04, 4), Member("data", 0x08, 8, 16)
)
KvmExitSystemEvent: Final = Struct(
    "kvm_run.system_event", 0x88, Member("type", 0x00, 4), Member("ndata", 0x04, 4), Member("data", 0x08, 8, 16)
)
KvmExitMemoryFault: Final = Struct(
    "kvm_run.memory_fault", 0x18, Member("flags", 0x00, 8), Member("gpa", 0x08, 8), Member("size", 0x10, 8)
)
