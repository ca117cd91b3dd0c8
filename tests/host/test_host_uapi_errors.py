"""Every ioctl with every wrong descriptor, size, pointer, process, thread and state: the error that Linux gives."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import uapi_vmm as u

from cca_arch.errno import Errno
from cca_arch.fields import Struct
from cca_arch.kvm import realm as k
from cca_arch.kvm import registers as r
from cca_arch.kvm import structures as s
from cca_arch.kvm.requests import Ioctl, KvmAttribute, KvmSystem, KvmVcpu, KvmVm
from cca_arch.kvm.values import (
    Cap,
    CreateDeviceFlags,
    DeviceType,
    IrqLine,
    IrqType,
    MemFlags,
    VgicAddr,
    VgicGroup,
    VmType,
)
from cca_arch.rmi.v1_0 import Rmi
from cca_arch.sysregs import encodings
from cca_host.kvm import System
from cca_host.kvm.uapi import RealmNumbers, Userspace
from cca_host.kvm.uapi.devices import DEVICES, DeviceTarget, RealmTarget, VgicTarget
from cca_host.kvm.uapi.memfd import MemoryTarget
from cca_host.kvm.uapi.system import DevKvm, DevRme
from cca_host.kvm.uapi.vcpu import VcpuTarget
from cca_host.kvm.uapi.vm import VmTarget

pytestmark = pytest.mark.pure("some cases replace what the RMM answers the host")

KINDS = {one.kind: one for one in (DevKvm, DevRme, VmTarget, VcpuTarget, VgicTarget, RealmTarget, MemoryTarget)}
ROWS = [
    (one.kind, row)
    for one in (DevKvm, DevRme, VmTarget, VcpuTarget, VgicTarget, RealmTarget)
    for row in one.requests.values()
]
EVERY = sorted({int(row.request): row.request for _, row in ROWS}.values())
SIZE = 4 << 20


class Bench:
    """A process with a VM in the state that a case needs."""

    def __init__(self, userspace: Userspace, program: bytes) -> None:
        self.userspace = userspace
        self.program = program
        self.process = userspace.spawn()
        self.main = self.process.main
        self.vmm = u.Vmm(self.main)
        self.files: dict[str, int] = {}

    def open_all(self) -> dict[str, int]:
        """A descriptor of each kind; the VM has a vCPU."""
        vmm = self.vmm
        vmm.realm_device = vmm.device(k.DEV_TYPE_ARM_REALM)
        gic = vmm.device(DeviceType.ARM_VGIC_V3)
        memory = vmm.call(vmm.vm, KvmVm.CREATE_GUEST_MEMFD, s.KvmCreateGuestMemfd.pack(size=SIZE))
        fds = (vmm.kvm, self.main.open("/dev/rme"), vmm.vm, vmm.vcpu(u.RAM), gic, vmm.realm_device, memory)
        return dict(zip(KINDS, fds, strict=True))

    # -- shorthands of the cases --------------------------------------------------------------------------------
    def kvm(self, request: int, argument: Any = 0) -> int:
        return self.main.ioctl(self.vmm.kvm, request, argument)

    def vm(self, request: int, argument: Any = 0) -> int:
        return self.main.ioctl(self.vmm.vm, request, argument)

    def bare(self) -> int:
        """A vCPU that is not initialised."""
        return self.vmm.done(self.vm(KvmVm.CREATE_VCPU, 0))

    def vcpu(self, request: int, argument: Any = 0, features: int = u.PSCI) -> int:
        """A request to the first vCPU, which is initialised."""
        if not self.vmm.vcpus:
            self.vmm.vcpu(u.RAM, features=features)
        return self.main.ioctl(self.vmm.vcpus[0], request, argument)

    def region(self, **values: Any) -> bytes:
        at = {"guest_phys_addr": u.RAM, "memory_size": 4096, "userspace_addr": 0x1_0000, **values}
        return s.KvmUserspaceMemoryRegion.pack(**at)

    def region2(self, **values: Any) -> bytes:
        at = {"guest_phys_addr": u.RAM, "memory_size": 4096, "userspace_addr": 0x1_0000, **values}
        return s.KvmUserspaceMemoryRegion2.pack(**at)

    def enable(self, command: int, argument: bytes = b"", **values: Any) -> int:
        address = self.main.put(argument)
        fields = {"cap": RealmNumbers().rme, "args": [command, address, 0, 0], **values}
        return self.vm(KvmVm.ENABLE_CAP, s.KvmEnableCap.pack(**fields))

    def set_attr(
        self, fd: int, group: int, attr: int, value: bytes = b"", address: int | None = None, **more: Any
    ) -> int:
        address = self.main.put(value) if address is None else address
        argument = s.KvmDeviceAttr.pack(group=group, attr=attr, addr=address, **more)
        return self.main.ioctl(fd, KvmAttribute.SET_DEVICE_ATTR, argument)

    def created(self) -> "Bench":
        self.vmm.ram(SIZE)
        self.vmm.enable(k.RmeCommand.CREATE_REALM)
        return self

    def populated(self, **values: Any) -> bytes:
        at = {"base": u.RAM, "size": 4096, "source_uaddr": self.main.put(self.program), **values}
        return k.ArmRmiPopulate.pack(**at)

    def running(self, vcpus: int = 1) -> "Bench":
        self.vmm = u.with_populate(self.main, self.program, vcpus=vcpus)
        assert self.vmm.run() == 0
        return self

    def all_fds(self) -> "Bench":
        """No descriptor is left."""
        while self.main.dup(self.vmm.vm) > 0:
            pass
        return self

    def refusing(self, command: str) -> "Bench":
        """The RMM refuses a command from now on."""
        system = self.userspace.system
        real = type(system).rmi

        def rmi(fid: int, *args: int) -> list[int]:
            return [1, 0, 0, 0, 0] if Rmi(fid).name == command else real(system, fid, *args)

        system.rmi = rmi  # type: ignore[method-assign]
        return self


@pytest.fixture
def bench(system: System, code: Any) -> Any:
    """A process whose Realm's first act is an access to a device."""
    program = bytes(code.mov(1, 0x1_0100_0000).mov(2, 0x41).store(2, 1).loop())
    userspace = Userspace.of(system)
    try:
        yield Bench(userspace, program)
        system.__dict__.pop("rmi", None)
        for process in list(userspace.processes.values()):
            process.exit()
    finally:
        system.__dict__.pop("rmi", None)


class Case(NamedTuple):
    """A request that must fail: of which kind of file, or which attribute, with what, and how it is made."""

    kind: str
    what: str
    errno: Errno
    call: Callable[[Bench], int]


V, C, D, G, M = "VM", "vCPU", "/dev/kvm", "GICv3", "Realm"
REC = u.PSCI | 1 << k.VCPU_REC
FINAL = k.VCPU_REC.to_bytes(4, "little")
ONE_REG = s.KvmOneReg.pack(id=r.gpr(0), addr=0)
NO_REG = s.KvmOneReg.pack(id=r.sysreg(encodings.SCTLR_EL1), addr=0)
ODD_REG = s.KvmOneReg.pack(id=r.gpr(0) ^ 1 << 52, addr=0)
LINE = {kind: int(IrqLine.make(type=kind, num=40 if kind == IrqType.SPI else 20)) for kind in IrqType}


def _line(irq: int, level: int = 1) -> bytes:
    return s.KvmIrqLevel.pack(irq=irq, level=level)


def _gic(bench: Bench, ready: bool = True) -> Bench:
    gic = bench.vmm.gic()
    if ready:
        bench.vmm.ready(gic)
    return bench


def _device(bench: Bench, attr: int, value: bytes = b"", group: int = k.RealmGroup.CONTROL) -> int:
    """Set an attribute of the Realm's device."""
    vmm = bench.vmm
    if not vmm.realm_device:
        vmm.realm_device = vmm.device(k.DEV_TYPE_ARM_REALM)
    return bench.set_attr(vmm.realm_device, group, attr, value)


def _twice(call: Callable[[], int]) -> int:
    assert call() == 0
    return call()


def _after(bench: Bench, *attrs: int) -> Bench:
    """Steps of the Realm's device that go well."""
    for attr in attrs:
        assert _device(bench, attr) == 0
    return bench


def _run(bench: Bench) -> int:
    return bench.vmm.run()


def _dead(bench: Bench) -> Bench:
    """A Realm whose activation the RMM has refused."""
    bench.vmm = u.with_populate(bench.main, bench.program)
    assert bench.refusing("REALM_ACTIVATE").vmm.run() == -Errno.ENXIO
    return bench


def _immediate(bench: Bench) -> int:
    bench.running()
    bench.main.write(bench.vmm.pages[0] + s.RUN_IMMEDIATE_EXIT, b"\1")
    return bench.vmm.run()


def _limit(bench: Bench, **values: int) -> int:
    """Limit a Realm that is created, with a file that cannot be."""
    path = bench.main.put(b"/nowhere/swap")
    fields = {"limit": 1 << 24, "path": path, "length": 13, **values}
    return _device(bench, k.RealmControl.LIMIT, k.RealmLimit.pack(**fields))


RIPAS = k.RmeInitRipas.pack(base=u.RAM, size=SIZE)
ODD_RIPAS = k.RmeInitRipas.pack(base=u.RAM + 1, size=SIZE)
PAGE = k.RmePopulate.pack(base=u.RAM, size=4096)
ODD_PAGE = k.RmePopulate.pack(base=u.RAM, size=4096, flags=2)
FAR_PAGE = k.RmePopulate.pack(base=u.RAM + SIZE, size=4096)


def _without_rmm(bench: Bench, request: int) -> int:
    system = bench.userspace.system
    probed, system.probed = system.probed, False
    system.rmi = lambda fid, *args: [(1 << 64) - 1, 0, 0, 0, 0]  # type: ignore[method-assign]
    try:
        return bench.main.ioctl(bench.main.open("/dev/rme"), request, bytearray(16))
    finally:
        system.probed = probed


def _memfd(bench: Bench, size: int, user: Bench | None = None) -> int:
    """Guest memory of a bench's VM; the descriptor is that of another process, if it is to use it."""
    fd = bench.vmm.call(bench.vmm.vm, KvmVm.CREATE_GUEST_MEMFD, s.KvmCreateGuestMemfd.pack(size=size))
    if user is None:
        return fd
    return user.process.descriptors.install(bench.process.descriptors.get(fd))


def _bound_twice(bench: Bench) -> int:
    memfd = _memfd(bench, 4096)
    fields = {"flags": MemFlags.GUEST_MEMFD, "guest_memfd": memfd}
    assert bench.vm(KvmVm.SET_USER_MEMORY_REGION2, bench.region2(**fields)) == 0
    return bench.vm(
        KvmVm.SET_USER_MEMORY_REGION2, bench.region2(slot=1, guest_phys_addr=u.RAM + 4096, **fields)
    )  # fmt: skip


def _plain(bench: Bench) -> Bench:
    bench.vmm = u.Vmm(bench.main, machine=0)
    return bench


def _shared_populate(bench: Bench) -> int:
    """Contents for pages that are not private."""
    bench.vmm.ram(SIZE, private=True)
    attributes = s.KvmMemoryAttributes.pack(address=u.RAM, size=4096)
    bench.vmm.call(bench.vmm.vm, KvmVm.SET_MEMORY_ATTRIBUTES, attributes)
    return bench.vm(k.KvmRmiVm.ARM_RMI_POPULATE, bench.populated())


def _not_active(bench: Bench) -> int:
    """A finalised vCPU of a Realm that user space has yet to activate."""
    bench.created()
    assert bench.vcpu(KvmVcpu.ARM_VCPU_FINALIZE, FINAL, features=REC) == 0
    return bench.vmm.run()


def _no_entry(bench: Bench) -> int:
    """RMI_REC_ENTER fails: the REC is gone."""
    bench.running()
    guest = bench.userspace.vms[-1].guest
    assert guest is not None
    assert bench.userspace.system.rmi(Rmi.REC_DESTROY, guest.vcpus[0].rec)[0] == 0
    return bench.vmm.run()


def _shares_nothing(bench: Bench) -> int:
    """The guest shares memory for which the process has nothing mapped."""
    vmm = bench.vmm
    gic = vmm.gic()
    vmm.ram(SIZE, private=True)
    vmm.vcpu(u.RAM)
    vmm.ready(gic)
    shared = (u.RAM + 0x10_0000) | 1 << u.WIDTH - 1
    program = bytes.fromhex("") + b"".join(
        word.to_bytes(4, "little")
        for word in (0xD280_0001 | (shared & 0xFFFF) << 5, 0xF2A0_0001 | (shared >> 16 & 0xFFFF) << 5,
                     0xF2C0_0001 | (shared >> 32 & 0xFFFF) << 5, 0xF940_0022, 0x1400_0000)
    )  # fmt: skip
    bench.program = program
    vmm.call(vmm.vm, k.KvmRmiVm.ARM_RMI_POPULATE, bench.populated())
    attributes = s.KvmMemoryAttributes.pack(address=u.RAM + 0x10_0000, size=4096)
    vmm.call(vmm.vm, KvmVm.SET_MEMORY_ATTRIBUTES, attributes)
    assert bench.main.munmap(vmm.memory, SIZE) == 0
    return vmm.run()


def _prefault(bench: Bench, plain: bool, **values: int) -> int:
    """Map memory of a VM that has run; a plain one turns itself off by a call that user space does not want."""
    if plain:
        bench.vmm = u.plain(bench.main, b"")
        bench.main.write(bench.vmm.pages[0] + s.RUN_IMMEDIATE_EXIT, b"\1")
        assert bench.vmm.run() == -Errno.EINTR
    else:
        bench.running()
    fields = {"gpa": u.RAM, "size": 4096, **values}
    return bench.vcpu(KvmVcpu.PRE_FAULT_MEMORY, bytearray(s.KvmPreFaultMemory.pack(**fields)))


def _gic_fd(bench: Bench) -> int:
    """The descriptor of the GIC."""
    files = bench.process.descriptors.files
    return next(fd for fd, file in files.items() if isinstance(file.target, VgicTarget))


def _lines_late(bench: Bench) -> int:
    gic = bench.vmm.gic()
    bench.vmm.ready(gic)
    return bench.set_attr(gic, VgicGroup.NR_IRQS, 0, (64).to_bytes(4, "little"))


def _too_wide(bench: Bench) -> int:
    bench.vmm = u.Vmm(bench.main, machine=0, width=48)
    features = bench.userspace.system.features
    bench.userspace.system.features = type(features)(int(features) & ~0xFF | 40)
    try:
        return _device(bench, k.RealmControl.CREATE)
    finally:
        bench.userspace.system.features = features


CASES = [
    # -- /dev/kvm ---------------------------------------------------------------------------------------------------
    Case(D, "GET_API_VERSION", Errno.EINVAL, lambda b: b.kvm(KvmSystem.GET_API_VERSION, 1)),
    Case(D, "GET_VCPU_MMAP_SIZE", Errno.EINVAL, lambda b: b.kvm(KvmSystem.GET_VCPU_MMAP_SIZE, 1)),
    Case(D, "CHECK_EXTENSION", Errno.EINVAL, lambda b: b.kvm(KvmSystem.CHECK_EXTENSION, Cap.MSI_DEVID)),
    Case(D, "CREATE_VM", Errno.EINVAL, lambda b: b.kvm(KvmSystem.CREATE_VM, VmType.make(ipa_size=31))),
    Case(D, "CREATE_VM", Errno.EINVAL, lambda b: b.kvm(KvmSystem.CREATE_VM, VmType.make(ipa_size=49))),
    Case(D, "CREATE_VM", Errno.EINVAL, lambda b: b.kvm(KvmSystem.CREATE_VM, VmType.make(machine=2))),
    Case(D, "CREATE_VM", Errno.EINVAL, lambda b: b.kvm(KvmSystem.CREATE_VM, VmType.make(protected=1))),
    Case(D, "CREATE_VM", Errno.EINVAL, lambda b: b.kvm(KvmSystem.CREATE_VM, b"33")),
    Case(D, "CREATE_VM", Errno.EMFILE, lambda b: b.all_fds().kvm(KvmSystem.CREATE_VM)),
    Case("/dev/rme", "GET_VERSION", Errno.ENODEV, lambda b: _without_rmm(b, k.Rme.GET_VERSION)),
    Case("/dev/rme", "GET_FEATURES", Errno.ENODEV, lambda b: _without_rmm(b, k.Rme.GET_FEATURES)),
    Case(
        "/dev/rme",
        "GET_FEATURES",
        Errno.ENXIO,
        lambda b: b.refusing("FEATURES").main.ioctl(b.main.open("/dev/rme"), k.Rme.GET_FEATURES, bytearray(16)),
    ),
    # -- memory of a VM ---------------------------------------------------------------------------------------------
    Case(V, "CHECK_EXTENSION", Errno.EINVAL, lambda b: b.vm(KvmSystem.CHECK_EXTENSION, b"0")),
    *(
        Case(V, f"SET_USER_MEMORY_REGION{form}", errno, call)
        for form, request, region in (
            ("", KvmVm.SET_USER_MEMORY_REGION, Bench.region),
            ("2", KvmVm.SET_USER_MEMORY_REGION2, Bench.region2),
        )
        for errno, call in (
            *(
                (Errno.EINVAL, lambda b, request=request, region=region, wrong=wrong: b.vm(request, region(b, **wrong)))
                for wrong in (
                    {"memory_size": 100},
                    {"guest_phys_addr": 1},
                    {"userspace_addr": 1},
                    {"slot": 32767},
                    {"flags": 1},
                    {"flags": 2},
                    {"flags": 8},
                    {"memory_size": 0},
                    {"guest_phys_addr": (1 << 64) - 4096},
                    {"userspace_addr": 1 << 47},
                    {"slot": 1 << 16},
                )
            ),
            (
                Errno.EEXIST,
                lambda b, request=request, region=region: (b.vm(request, region(b)), b.vm(request, region(b, slot=1)))[
                    1
                ],
            ),
            (
                Errno.EINVAL,
                lambda b, request=request, region=region: (
                    b.vm(request, region(b)),
                    b.vm(request, region(b, memory_size=8192)),
                )[1],
            ),
            (Errno.EFAULT, lambda b, request=request, region=region: b.vm(request, region(b, guest_phys_addr=1 << 32))),
        )
    ),
    Case(
        V,
        "SET_USER_MEMORY_REGION",
        Errno.EINVAL,
        lambda b: b.vm(KvmVm.SET_USER_MEMORY_REGION, b.region(flags=MemFlags.GUEST_MEMFD)),
    ),
    *(
        Case(
            V,
            "SET_USER_MEMORY_REGION2",
            errno,
            lambda b, wrong=wrong: b.vm(
                KvmVm.SET_USER_MEMORY_REGION2, b.region2(flags=MemFlags.GUEST_MEMFD, **wrong(b))
            ),
        )
        for errno, wrong in (
            (Errno.EBADF, lambda b: {"guest_memfd": 99}),
            (Errno.EINVAL, lambda b: {"guest_memfd": b.vmm.vm}),
            (Errno.EINVAL, lambda b: {"guest_memfd": _memfd(b, 4096), "guest_memfd_offset": 4096}),
            (Errno.EINVAL, lambda b: {"guest_memfd": _memfd(b, 4096), "guest_memfd_offset": 1}),
            (Errno.EINVAL, lambda b: {"guest_memfd": _memfd(Bench(b.userspace, b""), 4096, b)}),
            (Errno.EINVAL, lambda b: {"pad1": 1}),
        )
    ),
    Case(V, "SET_USER_MEMORY_REGION2", Errno.EINVAL, _bound_twice),
    *(
        Case(
            V,
            "SET_MEMORY_ATTRIBUTES",
            Errno.EINVAL,
            lambda b, wrong=wrong: b.vm(
                KvmVm.SET_MEMORY_ATTRIBUTES,
                s.KvmMemoryAttributes.pack(**{"address": u.RAM, "size": 4096, "attributes": 8, **wrong}),
            ),
        )
        for wrong in (
            {"flags": 1},
            {"attributes": 1},
            {"size": 0},
            {"size": 1},
            {"address": 1},
            {"address": (1 << 64) - 4096},
        )
    ),
    *(
        Case(
            V,
            "CREATE_GUEST_MEMFD",
            Errno.EINVAL,
            lambda b, wrong=wrong: b.vm(KvmVm.CREATE_GUEST_MEMFD, s.KvmCreateGuestMemfd.pack(**wrong)),
        )
        for wrong in ({"size": 0}, {"size": 100}, {"size": 4096, "flags": 1}, {"size": 1 << 63})
    ),
    Case(
        V,
        "CREATE_GUEST_MEMFD",
        Errno.EINVAL,
        lambda b: _plain(b).vm(KvmVm.CREATE_GUEST_MEMFD, s.KvmCreateGuestMemfd.pack(size=4096)),
    ),
    Case(
        V,
        "CREATE_GUEST_MEMFD",
        Errno.EMFILE,
        lambda b: b.all_fds().vm(KvmVm.CREATE_GUEST_MEMFD, s.KvmCreateGuestMemfd.pack(size=4096)),
    ),
    # -- vCPUs, devices and interrupts of a VM ----------------------------------------------------------------------
    Case(V, "CREATE_VCPU", Errno.EINVAL, lambda b: b.vm(KvmVm.CREATE_VCPU, 512)),
    Case(V, "CREATE_VCPU", Errno.EEXIST, lambda b: (b.bare(), b.vm(KvmVm.CREATE_VCPU, 0))[1]),
    Case(V, "CREATE_VCPU", Errno.EBUSY, lambda b: _gic(b).vm(KvmVm.CREATE_VCPU, 0)),
    Case(V, "CREATE_VCPU", Errno.EMFILE, lambda b: b.all_fds().vm(KvmVm.CREATE_VCPU, 0)),
    Case(
        V, "CREATE_DEVICE", Errno.ENODEV, lambda b: b.vm(KvmVm.CREATE_DEVICE, bytearray(s.KvmCreateDevice.pack(type=5)))
    ),
    Case(
        V,
        "CREATE_DEVICE",
        Errno.ENODEV,
        lambda b: b.vm(KvmVm.CREATE_DEVICE, bytearray(s.KvmCreateDevice.pack(type=99, flags=CreateDeviceFlags.TEST))),
    ),
    Case(
        V,
        "CREATE_DEVICE",
        Errno.EEXIST,
        lambda b: _gic(b, ready=False).vm(
            KvmVm.CREATE_DEVICE, bytearray(s.KvmCreateDevice.pack(type=DeviceType.ARM_VGIC_V3))
        ),
    ),
    Case(
        V,
        "CREATE_DEVICE",
        Errno.EBUSY,
        lambda b: (b.bare(), b.vm(KvmVm.CREATE_DEVICE, bytearray(s.KvmCreateDevice.pack(type=k.DEV_TYPE_ARM_REALM))))[
            1
        ],
    ),
    Case(
        V,
        "CREATE_DEVICE",
        Errno.EMFILE,
        lambda b: b.all_fds().vm(KvmVm.CREATE_DEVICE, bytearray(s.KvmCreateDevice.pack(type=DeviceType.ARM_VGIC_V3))),
    ),
    Case(V, "CREATE_IRQCHIP", Errno.ENODEV, lambda b: b.vm(KvmVm.CREATE_IRQCHIP)),
    Case(V, "IRQ_LINE", Errno.EINVAL, lambda b: b.vm(KvmVm.IRQ_LINE, _line(IrqLine.make(type=3)))),
    Case(V, "IRQ_LINE", Errno.ENXIO, lambda b: b.vm(KvmVm.IRQ_LINE, _line(LINE[IrqType.SPI]))),
    Case(V, "IRQ_LINE", Errno.ENXIO, lambda b: _gic(b).vm(KvmVm.IRQ_LINE, _line(LINE[IrqType.CPU]))),
    Case(V, "IRQ_LINE", Errno.EINVAL, lambda b: _gic(b).vm(KvmVm.IRQ_LINE, _line(LINE[IrqType.PPI]))),
    Case(V, "IRQ_LINE", Errno.EINVAL, lambda b: b.running().vm(KvmVm.IRQ_LINE, _line(IrqLine.make(type=2, num=3)))),
    Case(V, "IRQ_LINE", Errno.EINVAL, lambda b: b.running().vm(KvmVm.IRQ_LINE, _line(IrqLine.make(type=1, num=3)))),
    Case(V, "IRQ_LINE", Errno.EINVAL, lambda b: b.running().vm(KvmVm.IRQ_LINE, _line(IrqLine.make(type=1, num=999)))),
    Case(V, "IRQ_LINE", Errno.EBUSY, lambda b: _gic(b, ready=False).vm(KvmVm.IRQ_LINE, _line(LINE[IrqType.SPI]))),
    Case(V, "IRQ_LINE", Errno.EBUSY, lambda b: _gic(b).vm(KvmVm.IRQ_LINE, _line(LINE[IrqType.SPI]))),
    Case(V, "SIGNAL_MSI", Errno.EINVAL, lambda b: b.running().vm(KvmVm.SIGNAL_MSI, s.KvmMsi.pack(flags=1))),
    Case(V, "SIGNAL_MSI", Errno.EINVAL, lambda b: b.running().vm(KvmVm.SIGNAL_MSI, s.KvmMsi.pack(address_lo=4096))),
    Case(V, "SIGNAL_MSI", Errno.ENODEV, lambda b: b.vm(KvmVm.SIGNAL_MSI, s.KvmMsi.pack())),
    Case(V, "SIGNAL_MSI", Errno.EBUSY, lambda b: _gic(b).vm(KvmVm.SIGNAL_MSI, s.KvmMsi.pack())),
    # -- the capability ---------------------------------------------------------------------------------------------
    Case(V, "ENABLE_CAP", Errno.EINVAL, lambda b: b.enable(0, cap=1)),
    Case(V, "ENABLE_CAP", Errno.EINVAL, lambda b: b.enable(0, flags=1)),
    Case(V, "ENABLE_CAP", Errno.EINVAL, lambda b: b.enable(5)),
    Case(V, "ENABLE_CAP", Errno.EINVAL, lambda b: _plain(b).enable(1)),
    Case(V, "ENABLE_CAP", Errno.EINVAL, lambda b: b.enable(0, k.RmeConfigRpv.pack(cfg=2))),
    Case(V, "ENABLE_CAP", Errno.EINVAL, lambda b: b.enable(0, k.RmeConfigHashAlgo.pack(cfg=1, hash_algo=7))),
    Case(V, "ENABLE_CAP", Errno.EINVAL, lambda b: b.enable(k.RmeCommand.INIT_RIPAS_REALM, RIPAS)),
    Case(V, "ENABLE_CAP", Errno.EINVAL, lambda b: b.enable(k.RmeCommand.POPULATE_REALM, PAGE)),
    Case(V, "ENABLE_CAP", Errno.EINVAL, lambda b: b.enable(k.RmeCommand.ACTIVATE_REALM)),
    Case(V, "ENABLE_CAP", Errno.EINVAL, lambda b: b.created().enable(k.RmeCommand.INIT_RIPAS_REALM, ODD_RIPAS)),
    Case(
        V,
        "ENABLE_CAP",
        Errno.EINVAL,
        lambda b: b.created().enable(k.RmeCommand.INIT_RIPAS_REALM, k.RmeInitRipas.pack(base=1 << 32, size=4096)),
    ),
    Case(
        V,
        "ENABLE_CAP",
        Errno.EINVAL,
        lambda b: b.created().enable(
            k.RmeCommand.INIT_RIPAS_REALM, k.RmeInitRipas.pack(base=0, size=4096, reserved=[1, 0])
        ),
    ),
    Case(V, "ENABLE_CAP", Errno.EINVAL, lambda b: b.created().enable(k.RmeCommand.POPULATE_REALM, ODD_PAGE)),
    Case(V, "ENABLE_CAP", Errno.EINVAL, lambda b: b.created().enable(k.RmeCommand.POPULATE_REALM, FAR_PAGE)),
    Case(V, "ENABLE_CAP", Errno.EBUSY, lambda b: b.created().enable(0, k.RmeConfigRpv.pack(cfg=0))),
    Case(V, "ENABLE_CAP", Errno.EBUSY, lambda b: (b.bare(), b.enable(k.RmeCommand.CREATE_REALM))[1]),
    Case(V, "ENABLE_CAP", Errno.EEXIST, lambda b: b.created().enable(k.RmeCommand.CREATE_REALM)),
    Case(
        V,
        "ENABLE_CAP",
        Errno.EEXIST,
        lambda b: _twice(lambda: b.enable(k.RmeCommand.POPULATE_REALM, PAGE)) if b.created() else 0,
    ),
    Case(V, "ENABLE_CAP", Errno.ENXIO, lambda b: b.refusing("REALM_CREATE").enable(k.RmeCommand.CREATE_REALM)),
    Case(
        V,
        "ENABLE_CAP",
        Errno.ENXIO,
        lambda b: b.created().refusing("DATA_CREATE").enable(k.RmeCommand.POPULATE_REALM, PAGE),
    ),
    Case(V, "ENABLE_CAP", Errno.EFAULT, lambda b: b.enable(0, args=[0, 0, 0, 0])),
    # -- the populate ioctl -----------------------------------------------------------------------------------------
    *(
        Case(
            V,
            "ARM_RMI_POPULATE",
            Errno.EINVAL,
            lambda b, wrong=wrong: (
                b.vmm.ram(SIZE, private=True),
                b.vm(k.KvmRmiVm.ARM_RMI_POPULATE, b.populated(**wrong)),
            )[1],
        )
        for wrong in (
            {"base": 1},
            {"size": 1},
            {"size": 0},
            {"source_uaddr": 1},
            {"flags": 2},
            {"reserved": 1},
            {"base": 1 << 32},
            {"base": u.RAM + SIZE},
        )
    ),
    Case(V, "ARM_RMI_POPULATE", Errno.EINVAL, _shared_populate),
    Case(
        V,
        "ARM_RMI_POPULATE",
        Errno.EFAULT,
        lambda b: (b.vmm.ram(SIZE, private=True), b.vm(k.KvmRmiVm.ARM_RMI_POPULATE, b.populated(source_uaddr=4096)))[1],
    ),
    Case(V, "ARM_RMI_POPULATE", Errno.EBUSY, lambda b: b.running().vm(k.KvmRmiVm.ARM_RMI_POPULATE, b.populated())),
    Case(V, "ARM_RMI_POPULATE", Errno.ENXIO, lambda b: _plain(b).vm(k.KvmRmiVm.ARM_RMI_POPULATE, b.populated())),
    Case(V, "ARM_RMI_POPULATE", Errno.ENXIO, lambda b: _dead(b).vm(k.KvmRmiVm.ARM_RMI_POPULATE, b.populated())),
    Case(
        V,
        "ARM_RMI_POPULATE",
        Errno.EEXIST,
        lambda b: (
            b.vmm.ram(SIZE, private=True),
            b.vm(k.KvmRmiVm.ARM_RMI_POPULATE, b.populated()),
            b.vm(k.KvmRmiVm.ARM_RMI_POPULATE, b.populated()),
        )[2],
    ),
    # -- attributes of a VM and of a vCPU ---------------------------------------------------------------------------
    *(
        Case(
            V,
            f"{request.name}",
            errno,
            lambda b, request=request, fields=fields: b.vm(request, s.KvmDeviceAttr.pack(**fields)),
        )
        for request in KvmAttribute
        for errno, fields in ((Errno.ENXIO, {"group": 9}), (Errno.EINVAL, {"flags": 1}))
    ),
    Case(V, "GET_DEVICE_ATTR", Errno.ENXIO, lambda b: b.vm(KvmAttribute.GET_DEVICE_ATTR, s.KvmDeviceAttr.pack())),
    Case(
        V,
        "SET_DEVICE_ATTR",
        Errno.EINVAL,
        lambda b: b.set_attr(b.vmm.vm, 0, 0, s.KvmSmcccFilter.pack(nr_functions=1, action=3)),
    ),
    Case(V, "SET_DEVICE_ATTR", Errno.EINVAL, lambda b: b.set_attr(b.vmm.vm, 0, 0, s.KvmSmcccFilter.pack())),
    Case(
        V, "SET_DEVICE_ATTR", Errno.EEXIST, lambda b: b.set_attr(b.vmm.vm, 0, 0, s.KvmSmcccFilter.pack(nr_functions=1))
    ),
    Case(
        V,
        "SET_DEVICE_ATTR",
        Errno.EBUSY,
        lambda b: b.running().set_attr(b.vmm.vm, 0, 0, s.KvmSmcccFilter.pack(base=0x2000, nr_functions=1)),
    ),
    Case(V, "SET_DEVICE_ATTR", Errno.EFAULT, lambda b: b.set_attr(b.vmm.vm, 0, 0, address=0)),
    *(
        Case(
            C,
            f"{request.name}",
            errno,
            lambda b, request=request, fields=fields: b.vcpu(request, s.KvmDeviceAttr.pack(**fields)),
        )
        for request in KvmAttribute
        for errno, fields in ((Errno.ENXIO, {}), (Errno.EINVAL, {"flags": 1}))
    ),
    # -- vCPUs ------------------------------------------------------------------------------------------------------
    *(
        Case(
            C,
            row.request.name,
            Errno.ENOEXEC,
            lambda b, row=row: b.main.ioctl(b.bare(), row.request, bytearray(row.size) if row.size else 0),
        )
        for row in VcpuTarget.requests.values()
        if Errno.ENOEXEC in row.errors
    ),
    Case(C, "RUN", Errno.EINVAL, lambda b: b.vcpu(KvmVcpu.RUN, 1)),
    Case(C, "RUN", Errno.EINVAL, _not_active),
    Case(C, "RUN", Errno.EPERM, lambda b: b.created().vcpu(KvmVcpu.RUN, features=REC)),
    Case(C, "RUN", Errno.EINTR, _immediate),
    Case(C, "RUN", Errno.EOPNOTSUPP, lambda b: b.vcpu(KvmVcpu.RUN)),
    Case(C, "RUN", Errno.ENXIO, lambda b: (b.vmm.device(DeviceType.ARM_VGIC_V3), b.vcpu(KvmVcpu.RUN))[1]),
    Case(C, "RUN", Errno.ENXIO, lambda b: _run(_dead(b))),
    Case(C, "RUN", Errno.ENXIO, _no_entry),
    Case(C, "RUN", Errno.EBUSY, lambda b: _gic(b, ready=False).vcpu(KvmVcpu.RUN)),
    Case(C, "RUN", Errno.EFAULT, _shares_nothing),
    Case(
        C,
        "ARM_VCPU_INIT",
        Errno.EINVAL,
        lambda b: b.vcpu(KvmVcpu.ARM_VCPU_INIT, s.KvmVcpuInit.pack(target=0, features=[4] * 7)),
    ),
    Case(
        C,
        "ARM_VCPU_INIT",
        Errno.EINVAL,
        lambda b: b.vcpu(KvmVcpu.ARM_VCPU_INIT, s.KvmVcpuInit.pack(target=5, features=[1 << 4, *[0] * 6])),
    ),
    Case(
        C,
        "ARM_VCPU_INIT",
        Errno.EINVAL,
        lambda b: b.vcpu(KvmVcpu.ARM_VCPU_INIT, s.KvmVcpuInit.pack(target=5, features=[REC, *[0] * 6])),
    ),
    Case(
        C,
        "ARM_VCPU_INIT",
        Errno.ENOENT,
        lambda b: b.vcpu(KvmVcpu.ARM_VCPU_INIT, s.KvmVcpuInit.pack(target=5, features=[1 << 20, *[0] * 6])),
    ),
    Case(
        C,
        "ARM_VCPU_INIT",
        Errno.ENOENT,
        lambda b: b.vcpu(KvmVcpu.ARM_VCPU_INIT, s.KvmVcpuInit.pack(target=5, features=[4, 1, *[0] * 5])),
    ),
    Case(C, "ARM_VCPU_FINALIZE", Errno.EINVAL, lambda b: b.vcpu(KvmVcpu.ARM_VCPU_FINALIZE, FINAL)),
    Case(C, "ARM_VCPU_FINALIZE", Errno.EINVAL, lambda b: b.vcpu(KvmVcpu.ARM_VCPU_FINALIZE, FINAL, features=REC)),
    Case(
        C,
        "ARM_VCPU_FINALIZE",
        Errno.EINVAL,
        lambda b: b.created().vcpu(KvmVcpu.ARM_VCPU_FINALIZE, bytes(4), features=REC),
    ),
    Case(
        C,
        "ARM_VCPU_FINALIZE",
        Errno.EPERM,
        lambda b: _twice(lambda: b.vcpu(KvmVcpu.ARM_VCPU_FINALIZE, FINAL, features=REC)) if b.created() else 0,
    ),
    Case(
        C,
        "ARM_VCPU_FINALIZE",
        Errno.ENXIO,
        lambda b: b.created().refusing("REC_CREATE").vcpu(KvmVcpu.ARM_VCPU_FINALIZE, FINAL, features=REC),
    ),
    *(
        Case(C, request.name, errno, lambda b, request=request, argument=argument: b.vcpu(request, argument))
        for request in (KvmVcpu.GET_ONE_REG, KvmVcpu.SET_ONE_REG)
        for errno, argument in (
            (Errno.EFAULT, ONE_REG),
            (Errno.ENOENT, NO_REG),
            (Errno.EINVAL, ODD_REG),
            (Errno.EINVAL, s.KvmOneReg.pack(id=0)),
            (Errno.ENOENT, s.KvmOneReg.pack(id=r.gpr(0) | 0xFFFF)),
        )
    ),
    Case(
        C,
        "SET_ONE_REG",
        Errno.EINVAL,
        lambda b: b.vcpu(KvmVcpu.SET_ONE_REG, s.KvmOneReg.pack(id=r.core("pstate"), addr=b.main.put(bytes(8)))),
    ),
    Case(
        C,
        "SET_ONE_REG",
        Errno.EINVAL,
        lambda b: b.vcpu(KvmVcpu.SET_ONE_REG, s.KvmOneReg.pack(id=r.PSCI_VERSION, addr=b.main.put(bytes(8)))),
    ),
    Case(
        C,
        "ARM_VCPU_RMI_PSCI_COMPLETE",
        Errno.EINVAL,
        lambda b: b.vcpu(k.KvmRmiVcpu.ARM_VCPU_RMI_PSCI_COMPLETE, k.ArmRmiPsciComplete.pack()),
    ),
    *(
        Case(
            C,
            "PRE_FAULT_MEMORY",
            errno,
            lambda b, fields=fields, plain=plain: _prefault(b, plain, **fields),
        )
        for errno, plain, fields in (
            (Errno.EINVAL, True, {"size": 1}),
            (Errno.EINVAL, True, {"size": 0}),
            (Errno.EINVAL, True, {"flags": 1}),
            (Errno.EOPNOTSUPP, False, {}),
            (Errno.ENOENT, True, {"gpa": 0}),
        )
    ),
    Case(C, "GET_REG_LIST", Errno.E2BIG, lambda b: b.vcpu(KvmVcpu.GET_REG_LIST, bytearray(8))),
    Case(C, "SET_MP_STATE", Errno.EINVAL, lambda b: b.vcpu(KvmVcpu.SET_MP_STATE, s.KvmMpState.pack(mp_state=0))),
    Case(C, "SET_MP_STATE", Errno.EINVAL, lambda b: b.vcpu(KvmVcpu.SET_MP_STATE, s.KvmMpState.pack(mp_state=3))),
    Case(
        C,
        "SET_VCPU_EVENTS",
        Errno.EINVAL,
        lambda b: b.vcpu(KvmVcpu.SET_VCPU_EVENTS, s.KvmVcpuEvents.pack(serror_pending=1)),
    ),
    Case(
        C,
        "SET_VCPU_EVENTS",
        Errno.EINVAL,
        lambda b: b.vcpu(KvmVcpu.SET_VCPU_EVENTS, s.KvmVcpuEvents.pack(ext_dabt_pending=1)),
    ),
    # -- attributes of the devices ----------------------------------------------------------------------------------
    *(
        Case(
            kind,
            request.name,
            errno,
            lambda b, kind=kind, request=request, fields=fields: b.main.ioctl(
                b.vmm.device(KINDS[kind].type), request, s.KvmDeviceAttr.pack(**fields)
            ),
        )
        for kind in (G, M)
        for request in KvmAttribute
        for errno, fields in ((Errno.ENXIO, {"group": 99}), (Errno.EINVAL, {"flags": 1}))
    ),
    *(
        Case(
            G,
            f"ADDR.{attr.name}",
            errno,
            lambda b, attr=attr, value=value: b.set_attr(
                b.vmm.device(DeviceType.ARM_VGIC_V3), VgicGroup.ADDR, attr, value.to_bytes(8, "little")
            ),
        )
        for attr in (VgicAddr.DIST, VgicAddr.REDIST)
        for errno, value in ((Errno.EINVAL, 0x1000), (Errno.E2BIG, 1 << 32), (Errno.E2BIG, 1 << 40))
    ),
    *(
        Case(
            G,
            f"ADDR.{attr.name}",
            Errno.EEXIST,
            lambda b, attr=attr: b.set_attr(b.vmm.gic(), VgicGroup.ADDR, attr, bytes(8)),
        )
        for attr in (VgicAddr.DIST, VgicAddr.REDIST)
    ),
    *(
        Case(
            G,
            "NR_IRQS.0",
            Errno.EINVAL,
            lambda b, value=value: b.set_attr(b.vmm.gic(), VgicGroup.NR_IRQS, 0, value.to_bytes(4, "little")),
        )
        for value in (32, 65, 1024, 4096)
    ),
    Case(G, "NR_IRQS.0", Errno.EBUSY, _lines_late),
    Case(M, "CONFIG.HASH_ALGO", Errno.EINVAL, lambda b: _device(b, 0, (2).to_bytes(4, "little"), k.RealmGroup.CONFIG)),
    Case(
        M,
        "CONFIG.HASH_ALGO",
        Errno.EBUSY,
        lambda b: _device(_after(b, k.RealmControl.CREATE), 0, bytes(4), k.RealmGroup.CONFIG),
    ),
    Case(M, "CONTROL.LIMIT", Errno.EBUSY, _limit),
    Case(M, "CONTROL.LIMIT", Errno.EINVAL, lambda b: _limit(_after(b, k.RealmControl.CREATE), length=0)),
    Case(M, "CONTROL.LIMIT", Errno.EINVAL, lambda b: _limit(_after(b, k.RealmControl.CREATE), length=5000)),
    Case(M, "CONTROL.LIMIT", Errno.EFAULT, lambda b: _limit(_after(b, k.RealmControl.CREATE), path=4096)),
    Case(M, "CONTROL.LIMIT", Errno.ENOMEM, lambda b: _limit(_after(b, k.RealmControl.CREATE))),
    Case(M, "CONFIG.PMU_COUNTERS", Errno.EINVAL, lambda b: _device(b, 2, bytes(4), k.RealmGroup.CONFIG)),
    Case(M, "CONFIG.PMU_COUNTERS", Errno.EINVAL, lambda b: _device(b, 2, b"\x40\0\0\0", k.RealmGroup.CONFIG)),
    Case(
        M,
        "CONFIG.PMU_COUNTERS",
        Errno.EBUSY,
        lambda b: _device(_after(b, k.RealmControl.CREATE), 2, b"\1\0\0\0", k.RealmGroup.CONFIG),
    ),
    *(
        Case(G, f"{group.name}.OFFSET", Errno.EBUSY, lambda b, group=group: b.set_attr(b.vmm.gic(), group, 0, bytes(4)))
        for group in (VgicGroup.DIST_REGS, VgicGroup.REDIST_REGS)
    ),
    *(
        Case(
            G,
            f"{group.name}.OFFSET",
            errno,
            lambda b, group=group, attr=attr: b.running().set_attr(_gic_fd(b), group, attr, bytes(4)),
        )
        for group, errno, attr in (
            (VgicGroup.DIST_REGS, Errno.ENXIO, 2),
            (VgicGroup.DIST_REGS, Errno.ENXIO, 0x1_0000),
            (VgicGroup.REDIST_REGS, Errno.ENXIO, 0x2_0000),
            (VgicGroup.REDIST_REGS, Errno.EINVAL, 5 << 32),
        )
    ),
    Case(
        M,
        "CONFIG.RPV",
        Errno.EBUSY,
        lambda b: _device(_after(b, k.RealmControl.CREATE), 1, bytes(64), k.RealmGroup.CONFIG),
    ),
    Case(
        M,
        "CONTROL.CREATE",
        Errno.EBUSY,
        lambda b: (_device(b, 0, bytes(4), k.RealmGroup.CONFIG), b.bare(), _device(b, k.RealmControl.CREATE))[2],
    ),
    Case(M, "CONTROL.CREATE", Errno.EEXIST, lambda b: _twice(lambda: _device(b, k.RealmControl.CREATE))),
    Case(M, "CONTROL.CREATE", Errno.EINVAL, _too_wide),
    Case(M, "CONTROL.CREATE", Errno.ENXIO, lambda b: _device(b.refusing("REALM_CREATE"), k.RealmControl.CREATE)),
    Case(M, "CONTROL.INIT_RIPAS", Errno.EINVAL, lambda b: _device(b, k.RealmControl.INIT_RIPAS, RIPAS)),
    Case(
        M,
        "CONTROL.INIT_RIPAS",
        Errno.EINVAL,
        lambda b: _device(_after(b, k.RealmControl.CREATE), k.RealmControl.INIT_RIPAS, ODD_RIPAS),
    ),
    Case(
        M,
        "CONTROL.INIT_RIPAS",
        Errno.ENXIO,
        lambda b: _device(
            _after(b, k.RealmControl.CREATE).refusing("RTT_INIT_RIPAS"), k.RealmControl.INIT_RIPAS, RIPAS
        ),
    ),
    Case(M, "CONTROL.POPULATE", Errno.EINVAL, lambda b: _device(b, k.RealmControl.POPULATE, PAGE)),
    Case(
        M,
        "CONTROL.POPULATE",
        Errno.EINVAL,
        lambda b: _device(_after(b, k.RealmControl.CREATE), k.RealmControl.POPULATE, PAGE),
    ),
    Case(
        M,
        "CONTROL.POPULATE",
        Errno.EEXIST,
        lambda b: (
            b.vmm.ram(SIZE),
            _after(b, k.RealmControl.CREATE),
            _twice(lambda: _device(b, k.RealmControl.POPULATE, PAGE)),
        )[2],
    ),
    Case(
        M,
        "CONTROL.POPULATE",
        Errno.EFAULT,
        lambda b: (
            b.vm(KvmVm.SET_USER_MEMORY_REGION, b.region()),
            _after(b, k.RealmControl.CREATE),
            _device(b, k.RealmControl.POPULATE, PAGE),
        )[2],
    ),
    Case(
        M,
        "CONTROL.POPULATE",
        Errno.ENXIO,
        lambda b: (
            b.vmm.ram(SIZE),
            _after(b, k.RealmControl.CREATE),
            _device(b.refusing("DATA_CREATE"), k.RealmControl.POPULATE, PAGE),
        )[2],
    ),
    Case(M, "CONTROL.ACTIVATE", Errno.EINVAL, lambda b: _device(b, k.RealmControl.ACTIVATE)),
    Case(
        M,
        "CONTROL.ACTIVATE",
        Errno.ENOEXEC,
        lambda b: (_after(b, k.RealmControl.CREATE), b.bare(), _device(b, k.RealmControl.ACTIVATE))[2],
    ),
    Case(
        M,
        "CONTROL.ACTIVATE",
        Errno.EINVAL,
        lambda b: (_after(b, k.RealmControl.CREATE), b.vmm.vcpu(features=0), _device(b, k.RealmControl.ACTIVATE))[2],
    ),
    Case(
        M,
        "CONTROL.ACTIVATE",
        Errno.ENXIO,
        lambda b: _device(_after(b, k.RealmControl.CREATE).refusing("REALM_ACTIVATE"), k.RealmControl.ACTIVATE),
    ),
]


def _declared() -> set[tuple[str, str, Errno]]:
    found = {
        (kind, row.request.name, errno)
        for kind, row in ROWS
        for errno in row.errors
        if not (errno is Errno.EFAULT and row.size)
    }
    for device in DEVICES.values():
        for one in device.attributes.values():
            found |= {(device.kind, one.name, errno) for errno in one.errors}
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.what}-{case.errno.name}")
def test_case(bench: Bench, case: Case) -> None:
    """A request that must fail gives its error, and its VM can still be closed."""
    assert case.call(bench) == -case.errno


def test_complete() -> None:
    """Every error that the tables name has its case, and every case is in the tables."""
    cases = {(case.kind, case.what, case.errno) for case in CASES}
    declared = _declared()
    assert declared - cases == set()
    efault = {(kind, row.request.name, Errno.EFAULT) for kind, row in ROWS}
    assert cases - declared - efault == set()


class TestEvery:
    """What holds for every request alike."""

    @pytest.mark.parametrize("request_", EVERY, ids=lambda one: one.name)
    def test_descriptor(self, bench: Bench, request_: int) -> None:
        """No open file: EBADF, whatever the argument."""
        for fd in (-1, 0, 1, 99, 1 << 40):
            assert bench.main.ioctl(fd, request_, 0) == -Errno.EBADF

    def test_pointer(self, bench: Bench) -> None:
        """An argument that is nowhere, or too short, or cannot be written: EFAULT."""
        files = bench.open_all()
        for kind, row in ROWS:
            if not row.size:
                continue
            for argument in (0, 1 << 63, (1 << 64) - 8, bytes(row.size - 1)):
                if Errno.EFAULT in row.errors:
                    found = bench.main.ioctl(files[kind], row.request, argument)
                    assert found == -Errno.EFAULT, (kind, row.request.name, argument)

    def test_read_only(self, bench: Bench) -> None:
        """What the kernel fills has to be a buffer that can change."""
        files = bench.open_all()
        for kind, request in (
            ("/dev/rme", k.Rme.GET_VERSION),
            (V, KvmVm.ARM_PREFERRED_TARGET),
            (C, KvmVcpu.GET_MP_STATE),
        ):
            for argument in (bytes(64), memoryview(bytes(64))):
                assert bench.main.ioctl(files[kind], request, argument) == -Errno.EFAULT

    def test_other_file(self, bench: Bench) -> None:
        """A request that a file does not know: EINVAL of KVM's own files, ENOTTY of the others, as in Linux."""
        files = bench.open_all()
        expected = {D: Errno.EINVAL, V: Errno.EINVAL, C: Errno.EINVAL}
        for kind, target in KINDS.items():
            for request in (*EVERY, 0, 0x5401, 0xFFFF_FFFF):
                if int(request) not in target.requests:
                    assert bench.main.ioctl(files[kind], request) == -expected.get(kind, Errno.ENOTTY)

    def test_size(self, bench: Bench) -> None:
        """A structure of another size is another request."""
        files = bench.open_all()
        for kind, row in ROWS:
            if row.size:
                other = Ioctl(row.request).replace(size=row.size + 8)
                known = KINDS[kind].unknown
                assert bench.main.ioctl(files[kind], other, bytearray(row.size + 8)) == -known

    def test_process(self, bench: Bench) -> None:
        """Another process: EIO of all that belongs to one."""
        files, other = bench.open_all(), bench.userspace.spawn()
        for kind, row in ROWS:
            if kind in ("/dev/kvm", "/dev/rme"):
                continue
            fd = other.descriptors.install(bench.process.descriptors.get(files[kind]))
            assert other.main.ioctl(fd, row.request, bytearray(row.size)) == -Errno.EIO
            other.main.close(fd)

    def test_thread(self, bench: Bench) -> None:
        """Another thread: EIO of a vCPU."""
        files, other = bench.open_all(), bench.process.thread()
        for row in VcpuTarget.requests.values():
            assert other.ioctl(files[C], row.request, bytearray(row.size)) == -Errno.EIO

    def test_mapping(self, bench: Bench) -> None:
        """Only vCPUs and /dev/rme can be mapped, a vCPU's one page; and what is mapped is in whole pages."""
        files, main = bench.open_all(), bench.main
        for kind in (D, V, G, M, "guest memory"):
            assert main.mmap(4096, files[kind]) == -Errno.ENODEV
        assert main.mmap(8192, files[C]) == -Errno.EINVAL
        assert main.mmap(4096, files[C], 4096) == -Errno.EINVAL
        assert main.mmap(0) == main.mmap(-1) == main.mmap(4096, files["/dev/rme"], 1) == -Errno.EINVAL
        assert main.mmap(1 << 48) == -Errno.ENOMEM
        assert main.mmap(4096, 99) == -Errno.EBADF
        assert main.munmap(1, 4096) == main.munmap(0, 0) == -Errno.EINVAL

    def test_structures(self) -> None:
        """A row's number says how large its structure is."""
        for _, row in ROWS:
            assert Ioctl(row.request).size == row.size
            assert not isinstance(row.argument, Struct) or row.argument.size == row.size

    def test_devices(self) -> None:
        """Each device has its requests from the one table."""
        assert all(one.requests is DeviceTarget.requests for one in DEVICES.values())
