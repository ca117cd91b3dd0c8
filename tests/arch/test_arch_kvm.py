"""KVM's numbers and structures against known values, and against Linux's own headers where a C compiler has them."""

import re
import subprocess
from pathlib import Path

import pytest

from cca_arch.errno import Errno
from cca_arch.fields import Struct
from cca_arch.kvm import realm, registers, structures, values
from cca_arch.kvm.requests import Direction, Ioctl, KvmAttribute, KvmSystem, KvmVcpu, KvmVm, io, ior, iow, iowr
from cca_arch.sysregs import encodings

KNOWN = {
    KvmSystem.GET_API_VERSION: 0xAE00,
    KvmSystem.CREATE_VM: 0xAE01,
    KvmSystem.CHECK_EXTENSION: 0xAE03,
    KvmSystem.GET_VCPU_MMAP_SIZE: 0xAE04,
    KvmVm.CREATE_VCPU: 0xAE41,
    KvmVm.SET_USER_MEMORY_REGION: 0x4020AE46,
    KvmVm.SET_USER_MEMORY_REGION2: 0x40A0AE49,
    KvmVm.IRQ_LINE: 0x4008AE61,
    KvmVm.ENABLE_CAP: 0x4068AEA3,
    KvmVm.SET_MEMORY_ATTRIBUTES: 0x4020AED2,
    KvmVm.CREATE_GUEST_MEMFD: 0xC040AED4,
    KvmVm.CREATE_DEVICE: 0xC00CAEE0,
    KvmVm.ARM_PREFERRED_TARGET: 0x8020AEAF,
    KvmAttribute.SET_DEVICE_ATTR: 0x4018AEE1,
    KvmVcpu.RUN: 0xAE80,
    KvmVcpu.GET_ONE_REG: 0x4010AEAB,
    KvmVcpu.SET_ONE_REG: 0x4010AEAC,
    KvmVcpu.ARM_VCPU_INIT: 0x4020AEAE,
    KvmVcpu.GET_REG_LIST: 0xC008AEB0,
    KvmVcpu.ARM_VCPU_FINALIZE: 0x4004AEC2,
    KvmVcpu.GET_MP_STATE: 0x8004AE98,
    KvmVcpu.GET_VCPU_EVENTS: 0x8040AE9F,
    realm.KvmRmiVm.ARM_RMI_POPULATE: 0x4020AED7,
    realm.KvmRmiVcpu.ARM_VCPU_RMI_PSCI_COMPLETE: 0x4018AED6,
}
PREFIXES = {
    values.Cap: "KVM_CAP_",
    values.ExitReason: "KVM_EXIT_",
    values.SystemEventType: "KVM_SYSTEM_EVENT_",
    values.InternalError: "KVM_INTERNAL_ERROR_",
    values.MpState: "KVM_MP_STATE_",
    values.MemFlags: "KVM_MEM_",
    values.MemoryAttribute: "KVM_MEMORY_ATTRIBUTE_",
    values.MemoryFaultFlags: "KVM_MEMORY_EXIT_FLAG_",
    values.VcpuFeature: "KVM_ARM_VCPU_",
    values.IrqType: "KVM_ARM_IRQ_TYPE_",
    values.DeviceType: "KVM_DEV_TYPE_",
    values.CreateDeviceFlags: "KVM_CREATE_DEVICE_",
    values.VgicGroup: "KVM_DEV_ARM_VGIC_GRP_",
    values.SmcccAction: "KVM_SMCCC_FILTER_",
    KvmSystem: "KVM_",
    KvmVm: "KVM_",
    KvmVcpu: "KVM_",
    KvmAttribute: "KVM_",
    Errno: "",
}
"""Enumerations whose members have the names of Linux's constants, after a prefix."""
OTHERS = {
    "KVM_API_VERSION": values.API_VERSION,
    "KVM_ARM_TARGET_GENERIC_V8": values.TARGET_GENERIC_V8,
    "KVM_VGIC_V3_ADDR_TYPE_DIST": values.VgicAddr.DIST,
    "KVM_VGIC_V3_ADDR_TYPE_REDIST": values.VgicAddr.REDIST,
    "KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION": values.VgicAddr.REDIST_REGION,
    "KVM_DEV_ARM_VGIC_CTRL_INIT": values.VgicCtrl.INIT,
    "KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES": values.VgicCtrl.SAVE_PENDING_TABLES,
    "KVM_DEV_ARM_VGIC_OFFSET_MASK": values.VgicAttr.offset.mask,
    "KVM_DEV_ARM_VGIC_V3_MPIDR_MASK": values.VgicAttr.mpidr.mask,
    "KVM_ARM_IRQ_NUM_SHIFT": values.IrqLine.num.low,
    "KVM_ARM_IRQ_VCPU_SHIFT": values.IrqLine.vcpu.low,
    "KVM_ARM_IRQ_TYPE_SHIFT": values.IrqLine.type.low,
    "KVM_ARM_IRQ_VCPU2_SHIFT": values.IrqLine.vcpu2.low,
    "KVM_VM_TYPE_ARM_IPA_SIZE_MASK": values.VmType.ipa_size.mask,
    "KVM_HYPERCALL_EXIT_SMC": values.HypercallFlags.SMC,
    "KVM_HYPERCALL_EXIT_16BIT": values.HypercallFlags.BIT16,
    "KVM_ARM_VM_SMCCC_CTRL": values.VmGroup.SMCCC_CTRL,
    "KVM_ARM_VCPU_PMU_V3_CTRL": values.VcpuGroup.PMU_V3,
    "KVM_ARM_VCPU_TIMER_CTRL": values.VcpuGroup.TIMER,
    "KVM_ARM_VCPU_PVTIME_CTRL": values.VcpuGroup.PVTIME,
    "KVM_REG_ARM64": registers.ARM64 << registers.RegId.arch.low,
    "KVM_REG_ARM_CORE": registers.CORE << registers.RegId.coproc.low,
    "KVM_REG_ARM64_SYSREG": registers.SYSREG << registers.RegId.coproc.low,
    "KVM_REG_ARM_PSCI_VERSION": registers.PSCI_VERSION,
    "(KVM_REG_ARM64|KVM_REG_SIZE_U64|KVM_REG_ARM_CORE|KVM_REG_ARM_CORE_REG(regs.pc))": registers.core("pc"),
    "(KVM_REG_ARM64|KVM_REG_SIZE_U64|KVM_REG_ARM_CORE|KVM_REG_ARM_CORE_REG(regs.regs[30]))": registers.gpr(30),
    "(KVM_REG_ARM64|KVM_REG_SIZE_U64|KVM_REG_ARM_CORE|KVM_REG_ARM_CORE_REG(spsr[4]))": registers.core("spsr", 4),
    "(KVM_REG_ARM64|KVM_REG_SIZE_U32|KVM_REG_ARM_CORE|KVM_REG_ARM_CORE_REG(fp_regs.fpcr))": registers.core("fpcr"),
    "ARM64_SYS_REG(3, 0, 0, 0, 5)": registers.sysreg(encodings.MPIDR_EL1),
}
UNPUBLISHED = {"ARM_SEA_TO_USER", "ARM_SEA", "ARM_LDST64B", "GUEST_MEMFD_FLAGS"}
"""Names that the headers of an older compiler may lack: they are checked where they are."""
INSIDE = {"regs": "regs.regs", "sp": "regs.sp", "pc": "regs.pc", "pstate": "regs.pstate", "vregs": "fp_regs.vregs"}
INSIDE |= {name: f"fp_regs.{name}" for name in ("fpsr", "fpcr")}
INSIDE |= {name: f"exception.{name}" for name in ("serror_pending", "serror_has_esr", "ext_dabt_pending", "serror_esr")}
"""Members that lie in a structure of their own in Linux."""


class TestKnown:
    """The numbers that programs in the field use."""

    def test_requests(self) -> None:
        """Each request, as strace shows it."""
        assert {request: int(request) for request in KNOWN} == KNOWN

    def test_encoding(self) -> None:
        """Direction, size, type and number."""
        assert (io(0xAE, 0x80), ior(0xAE, 1, 8), iow(0xAE, 1, 8), iowr(0xAE, 1, 8)) == (
            0xAE80, 0x8008AE01, 0x4008AE01, 0xC008AE01,
        )  # fmt: skip
        request = Ioctl(KvmVm.CREATE_GUEST_MEMFD)
        assert (request.direction, request.size, request.type, request.nr) == (Direction.BOTH, 0x40, 0xAE, 0xD4)

    def test_registers(self) -> None:
        """X0, PC and MPIDR_EL1, as VMMs write them."""
        assert registers.gpr(0) == 0x6030_0000_0010_0000
        assert registers.core("pc") == 0x6030_0000_0010_0040
        assert registers.sysreg(encodings.MPIDR_EL1) == 0x6030_0000_0013_C005


class TestSeries:
    """What the public series add, by their posts."""

    @pytest.mark.parametrize(
        ("struct", "size", "members"),
        [
            (realm.RmeConfigRpv, 260, {"cfg": 0, "rpv": 4}),
            (realm.RmeConfigHashAlgo, 260, {"cfg": 0, "hash_algo": 4}),
            (realm.RmeInitRipas, 32, {"base": 0, "size": 8, "reserved": 16}),
            (realm.RmePopulate, 32, {"base": 0, "size": 8, "flags": 16, "reserved": 20}),
            (realm.ArmRmiPopulate, 32, {"base": 0, "size": 8, "source_uaddr": 16, "flags": 24, "reserved": 28}),
            (realm.ArmRmiPsciComplete, 24, {"target_mpidr": 0, "psci_status": 8, "padding": 12}),
        ],
        ids=lambda value: getattr(value, "name", ""),
    )
    def test_layout(self, struct: Struct, size: int, members: dict[str, int]) -> None:
        """Sizes and offsets."""
        assert struct.size == size
        assert {name: struct.offset(name) for name in struct.members} == members

    def test_clash(self) -> None:
        """The numbers of the capability are Linux's for something else today: hosts have to be able to choose."""
        assert values.Cap.ARM_EL2 == realm.CAP_ARM_RME
        assert {realm.CAP_ARM_RME_FIRST, realm.CAP_ARM_RMI, realm.CAP_ARM_RMI_V13}.isdisjoint(values.Cap)


def _asserts(known: set[str]) -> list[str]:
    """Static assertions in C: every value, size and offset that ``known``, Linux's names, can tell."""
    lines = [
        f"_Static_assert((unsigned long long)({name}) == {int(value):#x}ULL, {name!r});"
        for name, value in OTHERS.items()
    ]
    for kind, prefix in PREFIXES.items():
        for member in kind:
            name = f"{prefix}{member.name}"
            if member.name not in UNPUBLISHED or name in known:
                lines.append(f'_Static_assert((unsigned int)({name}) == {int(member):#x}u, "{name}");')
    for struct in vars(structures).values():
        if not isinstance(struct, Struct):
            continue
        outer, _, union = struct.name.partition(".")
        if not union:
            lines.append(f'_Static_assert(sizeof(struct {outer}) == {struct.size}, "{outer}");')
        for member in struct.members.values():
            place, base = INSIDE.get(member.name, member.name), structures.EXIT if union else 0
            place = f"{union}.{place}" if union else place
            if (outer, member.name) == ("kvm_run", "exit"):
                place = "padding"
            lines.append(
                f'_Static_assert(offsetof(struct {outer}, {place}) == {base + member.offset}, "{outer} {place}");'
            )
            if member.name not in ("pad", "reserved", "padding", "exit"):
                size = member.size * member.count
                lines.append(f'_Static_assert(sizeof(((struct {outer} *)0)->{place}) == {size}, "{outer} {place}");')
    return [line.replace("'", '"') for line in lines]


def test_linux(tmp_path: Path) -> None:
    """Linux's headers agree with every number, size and offset: a compiler for arm64 refuses a program if not."""
    zig = pytest.importorskip("ziglang")
    folder = Path(zig.__file__).parent
    header = next((folder / "lib" / "libc" / "include").glob("any-linux-any/linux/kvm.h"))
    known = set(re.findall(r"\bKVM_\w+", header.read_text()))
    lines = _asserts(known)
    assert len(lines) > 300
    source = tmp_path / "kvm.c"
    heads = ("stddef.h", "errno.h", "linux/kvm.h")
    source.write_text("\n".join([*(f"#include <{head}>" for head in heads), *lines, ""]))
    command = [folder / "zig", "cc", "-target", "aarch64-linux-gnu", "-c", source, "-o", tmp_path / "kvm.o"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
