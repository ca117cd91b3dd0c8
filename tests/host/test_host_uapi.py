"""KVM's door to user space: Realms by the three flavours of the interface, processes, descriptors, and their ends."""

import pytest
import uapi_vmm as u

from cca_arch.errno import Errno
from cca_arch.gic import Gicd
from cca_arch.kvm import realm as k
from cca_arch.kvm import registers as r
from cca_arch.kvm import structures as s
from cca_arch.kvm.requests import KvmAttribute, KvmSystem, KvmVcpu, KvmVm
from cca_arch.kvm.values import DeviceType, ExitReason, SystemEventType, VcpuFeature, VgicGroup, VmType
from cca_arch.psci import Psci, PsciStatus
from cca_arch.rmi.v1_0 import FeatureRegister0
from cca_arch.rsi.v1_0 import Rsi
from cca_arch.types import Ticks
from cca_firmware.boot import boot
from cca_host.kvm import CpuOff, Interrupted, Paused, System
from cca_host.kvm.uapi import Advice, RealmNumbers, UserFault, Userspace
from cca_platform.board import Board
from cca_platform.errors import MachineError
from cca_platform.machine.machine import Machine
from cca_rmm.rmm import Rmm

UART = 0x0100_0000
SHARED = 1 << (u.WIDTH - 1)


def facts(system, rd):
    """What the RMM has in an RD."""
    return next(one for one in system.machine.programs.values() if hasattr(one, "inspector")).inspector.realm(rd)


FLAVOURS = [u.with_capability, u.with_populate, u.with_device]


@pytest.fixture
def userspace(system):
    """The processes of the host; afterwards none is left."""
    userspace = Userspace.of(system)
    yield userspace
    for process in list(userspace.processes.values()):
        process.exit()
    assert userspace.vms == []


@pytest.fixture
def main(userspace):
    """The first thread of a process."""
    return userspace.spawn().main


@pytest.fixture
def hello(code):
    """A program that writes a device, reads it, makes a host call and turns the Realm off."""
    code.mov(1, UART | SHARED).mov(2, 0x41).store(2, 1, 8).load(3, 1, 16).mov(4, u.RAM + 0x1000)
    code.store(3, 4, 16).mov(5, 7).store(5, 4, 8)  # gprs[1] is what it has read, gprs[0] is 7
    code.smc(Rsi.HOST_CALL, u.RAM + 0x1000).load(6, 4, 8).mov(1, UART | SHARED).store(6, 1)
    return bytes(code.smc(Psci.SYSTEM_OFF))


class TestFlavours:
    """Three ways to a Realm, one state machine."""

    @pytest.mark.parametrize("make", FLAVOURS)
    def test_run(self, main, hello, make):
        """A Realm runs, reaches user space by MMIO, host call and PSCI, and is gone with the process."""
        vmm = make(main, hello)
        assert vmm.run() == 0
        mmio = vmm.exit_as(s.KvmExitMmio)
        assert vmm.exit()[0] == ExitReason.MMIO
        assert (mmio.phys_addr, mmio.data, mmio.len, mmio.is_write) == (UART + 8, 0x41, 8, 1)
        assert vmm.run() == 0
        mmio = vmm.exit_as(s.KvmExitMmio)
        assert (mmio.phys_addr, mmio.len, mmio.is_write) == (UART + 16, 8, 0)
        main.write(vmm.pages[0] + s.EXIT + s.KvmExitMmio.offset("data"), (0x1234).to_bytes(8, "little"))
        assert vmm.run() == 0
        call = vmm.exit_as(s.KvmExitHypercall)
        assert vmm.exit()[0] == ExitReason.HYPERCALL
        assert (call.nr, call.args[0]) == (7, 0)
        assert vmm.get_reg(0, r.gpr(1)) == 0x1234
        vmm.set_reg(0, r.gpr(0), 99)
        assert vmm.run() == 0
        assert vmm.exit_as(s.KvmExitMmio).data == 99
        assert vmm.run() == 0
        event = vmm.exit_as(s.KvmExitSystemEvent)
        assert vmm.exit()[0] == ExitReason.SYSTEM_EVENT
        assert (event.type, event.ndata) == (SystemEventType.SHUTDOWN, 1)

    def test_same_measurement(self, userspace, system, hello):
        """The same steps in the same order have the same measurement, whichever requests they come by."""
        rims = set()
        for make in FLAVOURS:
            with userspace.spawn() as process:
                vmm = make(process.main, hello)
                assert vmm.run() == 0
                rims.add(facts(system, userspace.vms[-1].guest.rd).rim)
        assert len(rims) == 1

    def test_order_counts(self, userspace, system, hello):
        """RIPAS before the contents is another Realm: the order is user space's."""
        found = []
        for ripas_first in (True, False):
            with userspace.spawn() as process:
                vmm = u.Vmm(process.main)
                vmm.ram(4 << 20)
                vmm.enable(k.RmeCommand.CREATE_REALM)
                steps = [
                    (k.RmeCommand.INIT_RIPAS_REALM, k.RmeInitRipas.pack(base=u.RAM, size=4 << 20)),
                    (k.RmeCommand.POPULATE_REALM, k.RmePopulate.pack(base=u.RAM, size=4096, flags=k.POPULATE_MEASURE)),
                ]
                for command, argument in steps if ripas_first else reversed(steps):
                    vmm.enable(command, argument)
                found.append(facts(system, userspace.vms[-1].guest.rd).rim)
        assert found[0] != found[1]

    def test_configuration(self, userspace, system, main):
        """Hash algorithm and RPV reach the Realm, by the capability and by the device."""
        rpv = bytes(range(64))
        vmm = u.Vmm(main)
        algorithm = k.RmeConfigHashAlgo.pack(cfg=k.RmeConfigItem.HASH_ALGO, hash_algo=1)
        vmm.enable(k.RmeCommand.CONFIG_REALM, algorithm)
        vmm.enable(k.RmeCommand.CONFIG_REALM, k.RmeConfigRpv.pack(cfg=k.RmeConfigItem.RPV, rpv=rpv))
        vmm.enable(k.RmeCommand.CONFIG_REALM, k.RmeConfigPmu.pack(cfg=k.RmeConfigItem.PMU, num_pmu_cntrs=2))
        vmm.enable(k.RmeCommand.CREATE_REALM)
        vmm.enable(k.RmeCommand.INIT_RIPAS_REALM, k.RmeInitRipas.pack())
        other = u.Vmm(main, machine=0)
        other.realm_device = other.device(k.DEV_TYPE_ARM_REALM)
        other.attribute(other.realm_device, k.RealmGroup.CONFIG, k.RealmConfig.HASH_ALGO, (1).to_bytes(4, "little"))
        other.attribute(other.realm_device, k.RealmGroup.CONFIG, k.RealmConfig.RPV, rpv)
        counters = (2).to_bytes(4, "little")
        other.attribute(other.realm_device, k.RealmGroup.CONFIG, k.RealmConfig.PMU_COUNTERS, counters)
        other.control(k.RealmControl.CREATE)
        for kvm in userspace.vms:
            found = facts(system, kvm.guest.rd)
            assert (found.hash_algo, found.rpv) == ("SHA_512", rpv)

    def test_populated_again(self, main, hello):
        """A page is loaded once; a second time it is EEXIST, and the first bytes are told."""
        vmm = u.with_populate(main, hello)
        source = main.put(bytes(0x2000))
        whole = k.ArmRmiPopulate.pack(base=u.RAM, size=0x2000, source_uaddr=source)
        rest = k.ArmRmiPopulate.pack(base=u.RAM + 0x1000, size=0x2000, source_uaddr=source)
        assert main.ioctl(vmm.vm, k.KvmRmiVm.ARM_RMI_POPULATE, whole) == -Errno.EEXIST
        assert main.ioctl(vmm.vm, k.KvmRmiVm.ARM_RMI_POPULATE, rest) == 0x2000
        short = k.ArmRmiPopulate.pack(base=u.RAM + 0x3000, size=0x4000, source_uaddr=source)
        assert main.ioctl(vmm.vm, k.KvmRmiVm.ARM_RMI_POPULATE, short) == 0x2000

    def test_dead(self, main, hello):
        """A failure inside the activation leaves a Realm that answers ENXIO for ever."""
        vmm = u.with_populate(main, hello)
        vmm_two = main.ioctl(vmm.vm, KvmVm.CREATE_VCPU, 5)
        assert vmm_two == -Errno.EBUSY  # the GIC is ready
        other = u.Vmm(main)
        gic = other.gic()
        other.ram(4 << 20, private=True)
        other.vcpu(u.RAM)
        odd = main.ioctl(other.vm, KvmVm.CREATE_VCPU, 5)
        init = s.KvmVcpuInit.pack(target=5, features=[u.PSCI, *[0] * 6])
        assert main.ioctl(odd, KvmVcpu.ARM_VCPU_INIT, init) == 0
        other.ready(gic)
        assert [other.run(), other.run()] == [-Errno.ENXIO] * 2  # the RMM wants RECs in their order
        assert main.ioctl(other.vm, k.KvmRmiVm.ARM_RMI_POPULATE, k.ArmRmiPopulate.pack(
            base=u.RAM, size=4096, source_uaddr=other.memory)) == -Errno.ENXIO  # fmt: skip

    def test_no_gic(self, main, hello):
        """A Realm needs its GIC in the kernel, with addresses, and initialised."""
        vmm = u.Vmm(main)
        vmm.ram(4 << 20, private=True)
        vmm.vcpu(u.RAM)
        populate = k.ArmRmiPopulate.pack(base=u.RAM, size=4096, source_uaddr=main.put(hello))
        vmm.call(vmm.vm, k.KvmRmiVm.ARM_RMI_POPULATE, populate)
        assert vmm.run() == -Errno.EOPNOTSUPP
        gic = vmm.device(DeviceType.ARM_VGIC_V3)
        assert vmm.run() == -Errno.ENXIO
        vmm.place(gic)
        assert vmm.run() == -Errno.EBUSY
        vmm.ready(gic)
        assert vmm.run() == 0

    def test_both_sides(self, main, code):
        """A page of the Realm and a shared one can be at the same place: the guest sees both, each where it is."""
        place = u.RAM + 0x1000
        code.mov(1, place).mov(2, 5).store(2, 1).mov(3, place | SHARED).mov(4, 6).store(4, 3).load(5, 1)
        code.mov(6, UART | SHARED).store(5, 6).loop()
        vmm = u.with_device(main, bytes(code))
        assert vmm.run() == 0 and vmm.exit_as(s.KvmExitMmio).data == 5
        assert main.read(vmm.memory + 0x1000, 1) == b"\6"

    def test_device_shows_nothing(self, main, hello):
        """Memory of /dev/rme is the process's own until the Realm has it; then nobody looks into it."""
        vmm = u.with_device(main, hello)
        with pytest.raises(UserFault, match=r"must not read 0x7f.*: it is the Realm's, which granules protect"):
            main.read(vmm.memory, 8)
        with pytest.raises(UserFault, match="must not write"):
            main.write(vmm.memory, b"x")
        populate = k.RmePopulate.pack(base=u.RAM, size=4096)
        address = main.put(populate)
        attribute = s.KvmDeviceAttr.pack(group=k.RealmGroup.CONTROL, attr=k.RealmControl.POPULATE, addr=vmm.memory)
        assert main.ioctl(vmm.realm_device, KvmAttribute.SET_DEVICE_ATTR, attribute) == -Errno.EFAULT
        assert main.munmap(address, 4096) == 0
        assert main.read(vmm.memory + 0x10_0000, 8) == bytes(8)  # not yet the Realm's


class TestSystem:
    """/dev/kvm and /dev/rme."""

    def test_files(self, main):
        """Only these two can be opened; descriptors are the lowest free numbers."""
        assert [main.open("/dev/kvm"), main.open("/dev/rme"), main.open("/dev/kvmx")] == [3, 4, -Errno.ENOENT]
        assert main.close(3) == 0
        assert main.open("/dev/kvm") == 3
        assert [main.close(9), main.dup(9)] == [-Errno.EBADF] * 2

    def test_version(self, main, system):
        """Version 12, an RMM of version 1.0, and its features."""
        kvm, rme = main.open("/dev/kvm"), main.open("/dev/rme")
        assert main.ioctl(kvm, KvmSystem.GET_API_VERSION) == 12
        assert main.ioctl(kvm, KvmSystem.GET_VCPU_MMAP_SIZE) == 0x1000
        version, features = bytearray(16), bytearray(16)
        assert main.ioctl(rme, k.Rme.GET_VERSION, version) == 0
        assert main.ioctl(rme, k.Rme.GET_FEATURES, features) == 0
        assert k.RmeVersion.unpack(version).lower == 0x10000
        assert FeatureRegister0(k.RmeFeatures.unpack(features).value) == system.features

    @pytest.mark.parametrize("numbers", [RealmNumbers(), RealmNumbers(rme=240, rmi=300)])
    def test_numbers(self, userspace, numbers):
        """The numbers of what Linux has not merged are to be chosen; both say that there is an RMM."""
        userspace.use(numbers)
        with userspace.spawn() as process:
            kvm = process.main.open("/dev/kvm")
            answers = {number: process.main.ioctl(kvm, KvmSystem.CHECK_EXTENSION, number) for number in (240, 247, 300)}
        userspace.use(RealmNumbers())
        assert answers == {240: numbers.rme == 240, 247: numbers.rmi == 247, 300: True}

    @pytest.mark.pure("it replaces what the RMM answers the host")
    def test_no_rmm(self):
        """Without an RMM there are no Realms, and /dev/rme says so."""
        machine = Machine(Board.load("fvp"))
        system = System(machine)
        system.rmi = lambda fid, *args: [(1 << 64) - 1, 0, 0, 0, 0]
        main = Userspace.of(system).spawn().main
        kvm, rme = main.open("/dev/kvm"), main.open("/dev/rme")
        assert main.ioctl(kvm, KvmSystem.CHECK_EXTENSION, RealmNumbers().rmi) == 0
        assert main.ioctl(kvm, KvmSystem.CREATE_VM, VmType.make(ipa_size=33, machine=1)) == -Errno.EINVAL
        assert main.ioctl(rme, k.Rme.GET_VERSION, bytearray(16)) == -Errno.ENODEV


class TestOwnership:
    """A VM is its process's, a vCPU its thread's."""

    def test_process(self, userspace, main, hello):
        """Another process gets EIO, even with the descriptor: it has its own mapping of numbers, and another memory."""
        vmm = u.with_populate(main, hello)
        other = userspace.spawn()
        for fd in (vmm.vm, vmm.vcpus[0]):
            other.descriptors.files[fd] = main.process.descriptors.files[fd]
            other.descriptors.files[fd].references += 1
        assert other.main.ioctl(vmm.vm, KvmVm.ARM_PREFERRED_TARGET, bytearray(32)) == -Errno.EIO
        assert other.main.ioctl(vmm.vcpus[0], KvmVcpu.RUN) == -Errno.EIO
        other.exit()
        assert vmm.run() == 0

    def test_thread(self, main, hello):
        """Another thread of the process may use the VM, but not a vCPU that it has not made."""
        vmm = u.with_populate(main, hello)
        thread = main.process.thread()
        assert thread.ioctl(vmm.vm, KvmVm.ARM_PREFERRED_TARGET, bytearray(32)) == 0
        assert thread.ioctl(vmm.vcpus[0], KvmVcpu.RUN) == -Errno.EIO
        with pytest.raises(MachineError, match="must be a vCPU of thread"):
            thread.vcpu(vmm.vcpus[0])

    def test_ended(self, userspace):
        """A process that has ended makes no calls."""
        process = userspace.spawn()
        process.exit()
        with pytest.raises(MachineError, match="must exist for a system call, but it has ended"):
            process.main.open("/dev/kvm")


class TestLife:
    """A VM lives until its last descriptor."""

    def test_vcpu_holds(self, userspace, main, hello, system):
        """The vCPU's descriptor, and even its mapping, hold the VM."""
        vmm = u.with_populate(main, hello)
        for fd in sorted(main.process.descriptors.files):
            if fd not in (vmm.vcpus[0],):
                assert main.close(fd) == 0
        assert vmm.run() == 0
        assert len(userspace.vms) == 1 and system.delegated
        assert main.close(vmm.vcpus[0]) == 0
        assert len(userspace.vms) == 1  # kvm_run is mapped
        assert main.munmap(vmm.pages[0], 4096) == 0
        assert userspace.vms == [] and system.delegated == 0

    def test_dup(self, userspace, main):
        """A duplicate is the same open file."""
        vmm = u.Vmm(main)
        other = main.dup(vmm.vm)
        assert main.close(vmm.vm) == 0
        assert main.ioctl(other, KvmVm.ARM_PREFERRED_TARGET, bytearray(32)) == 0
        assert main.close(other) == 0
        assert userspace.vms == []

    def test_unmapped_memory(self, main, code):
        """What a process unmaps, its guest does not share any more: EFAULT, and the guest can go on with new memory."""
        code.mov(1, (u.RAM + 0x10_0000) | SHARED).load(2, 1).store(2, 1).mov(3, UART | SHARED).store(2, 3).loop()
        vmm = u.with_populate(main, bytes(code))
        attributes = s.KvmMemoryAttributes.pack(address=u.RAM + 0x10_0000, size=0x1000)
        vmm.call(vmm.vm, KvmVm.SET_MEMORY_ATTRIBUTES, attributes)
        main.write(vmm.memory + 0x10_0000, b"A")
        assert vmm.run() == 0
        assert vmm.exit_as(s.KvmExitMmio).data == 0x41
        stage2 = main.process.space.watchers[0].guest.stage2
        assert u.RAM + 0x10_0000 in stage2.shared
        assert main.munmap(vmm.memory + 0x10_0000, 0x1000) == 0
        assert u.RAM + 0x10_0000 not in stage2.shared

    def test_slot_goes(self, main, hello):
        """A slot that is deleted takes its pages from the guest."""
        vmm = u.with_populate(main, hello)
        vmm.run()
        guest = main.process.space.watchers[0].guest
        assert len(guest.stage2.data)
        region = s.KvmUserspaceMemoryRegion2.pack(slot=0)
        vmm.call(vmm.vm, KvmVm.SET_USER_MEMORY_REGION2, region)
        assert not guest.stage2.data and guest.slots == []


class TestRun:
    """KVM_RUN and its page."""

    def test_immediate_exit(self, main, hello):
        """`immediate_exit` comes back at once with EINTR, after the access has been answered."""
        vmm = u.with_populate(main, hello)
        vmm.run()
        vmm.run()
        main.write(vmm.pages[0] + s.EXIT + 8, (5).to_bytes(8, "little"))
        main.write(vmm.pages[0] + s.RUN_IMMEDIATE_EXIT, b"\1")
        assert vmm.run() == -Errno.EINTR
        main.write(vmm.pages[0] + s.EXIT + 8, bytes(8))
        main.write(vmm.pages[0] + s.RUN_IMMEDIATE_EXIT, b"\0")
        assert vmm.run() == 0
        assert vmm.get_reg(0, r.gpr(1)) == 5

    def test_signal(self, main, hello):
        """A signal ends the next KVM_RUN with EINTR; the one after it goes on."""
        vmm = u.with_populate(main, hello)
        main.vcpu(vmm.vcpus[0]).signal()
        assert vmm.run() == -Errno.EINTR
        assert vmm.run() == 0

    def test_abort(self, main, code):
        """KVM_SET_VCPU_EVENTS answers an access by an external abort, once, and only such an access."""
        handler = u.RAM + 0x800
        code.mov(0, handler).word(0xD518C000).mov(1, UART | SHARED).load(2, 1).loop()  # MSR VBAR_EL1, X0
        while len(bytes(code)) < 0x800 + 0x200:
            code.word(0)
        code.mov(7, 0x123).mov(4, u.RAM + 0x1000).store(7, 4, 8).smc(Rsi.HOST_CALL, u.RAM + 0x1000).loop()
        vmm = u.with_populate(main, bytes(code))
        events = s.KvmVcpuEvents.pack(ext_dabt_pending=1)
        assert main.ioctl(vmm.vcpus[0], KvmVcpu.SET_VCPU_EVENTS, events) == -Errno.EINVAL
        assert vmm.run() == 0
        assert main.ioctl(vmm.vcpus[0], KvmVcpu.SET_VCPU_EVENTS, events) == 0
        assert main.ioctl(vmm.vcpus[0], KvmVcpu.SET_VCPU_EVENTS, events) == -Errno.EINVAL
        assert vmm.run() == 0
        assert vmm.exit_as(s.KvmExitHypercall).nr == 0x123

    def test_waits(self, main, code, system):
        """WFI with a timer lets virtual time pass in KVM_RUN; with none it would never come back, and that is said."""
        code.word(0xD53BE040)  # MRS X0, CNTVCT_EL0... the timer itself stays off
        vmm = u.with_populate(main, bytes(code.wfi().loop()))
        with pytest.raises(MachineError, match="vCPU 0 must have something to wait for in KVM_RUN"):
            vmm.run()

    def test_off_for_the_others(self, main, code):
        """Once a vCPU has turned the Realm off, KVM_RUN of it is a shutdown."""
        vmm = u.with_populate(main, bytes(code.smc(Psci.SYSTEM_OFF)))
        assert vmm.run() == 0 and vmm.exit()[0] == ExitReason.SYSTEM_EVENT
        assert vmm.run() == 0 and vmm.exit()[0] == ExitReason.SHUTDOWN

    def test_registers(self, main, hello):
        """The list has what can be read; a Realm's vCPU takes X0 to X30 and PC alone."""
        vmm = u.with_populate(main, hello)
        listed = bytearray(8 + 8 * 100)
        listed[:8] = (100).to_bytes(8, "little")
        assert main.ioctl(vmm.vcpus[0], KvmVcpu.GET_REG_LIST, listed) == 0
        count = int.from_bytes(listed[:8], "little")
        found = [int.from_bytes(listed[8 + 8 * at : 16 + 8 * at], "little") for at in range(count)]
        assert found == sorted(found) and r.gpr(30) in found and r.core("pc") in found
        for identifier in found:
            vmm.get_reg(0, identifier)
        assert vmm.get_reg(0, r.core("pc")) == u.RAM

    def test_power(self, main, hello):
        """A vCPU that starts off is STOPPED."""
        vmm = u.with_populate(main, hello, vcpus=2)
        states = []
        for fd in vmm.vcpus:
            state = bytearray(4)
            assert main.ioctl(fd, KvmVcpu.GET_MP_STATE, state) == 0
            states.append(state[0])
        assert states == [0, 5]
        assert vmm.run() == 0
        assert 1 << VcpuFeature.POWER_OFF == 1


class TestPsci:
    """PSCI calls that user space has asked for."""

    @pytest.mark.parametrize(("status", "on"), [(0, True), (PsciStatus.DENIED & 0xFFFF_FFFF, False)])
    def test_complete(self, main, code, status, on):
        """User space decides whether a vCPU may turn another on; the caller gets its answer from the RMM."""
        code.smc(Psci.CPU_ON_64, 1, u.RAM, 0).mov(3, UART | SHARED).store(0, 3).loop()
        vmm = u.with_populate(main, bytes(code), vcpus=2, forward=[Psci.CPU_ON_64])
        assert vmm.run() == 0
        call = vmm.exit_as(s.KvmExitHypercall)
        assert (vmm.exit()[0], call.nr, vmm.get_reg(0, r.gpr(1))) == (ExitReason.HYPERCALL, Psci.CPU_ON_64, 1)
        for wrong in ({"target_mpidr": 9}, {"padding": [1, 0, 0]}, {"psci_status": 77}):
            fields = {"target_mpidr": 1, "psci_status": status, **wrong}
            bad = k.ArmRmiPsciComplete.pack(**fields)
            request = k.KvmRmiVcpu.ARM_VCPU_RMI_PSCI_COMPLETE
            assert main.ioctl(vmm.vcpus[0], request, bad) == -Errno.EINVAL
        vmm.call(vmm.vcpus[0], request, k.ArmRmiPsciComplete.pack(target_mpidr=1, psci_status=status))
        assert vmm.run() == 0
        assert vmm.exit_as(s.KvmExitMmio).data == (0 if on else PsciStatus.DENIED)
        state = bytearray(4)
        vmm.call(vmm.vcpus[1], KvmVcpu.GET_MP_STATE, state)
        assert state[0] == (0 if on else 5)

    def test_denied(self, main, code):
        """A function that user space denies is not there, as one that nobody knows."""
        code.mov(1, u.RAM + 0x1000).mov(2, 0x4000).store(2, 1, 8).smc(Rsi.HOST_CALL, u.RAM + 0x1000)
        code.mov(1, u.RAM + 0x1000).load(0, 1, 8).mov(3, UART | SHARED).store(0, 3).loop()
        vmm = u.with_populate(main, bytes(code))
        assert vmm.run() == 0
        assert vmm.exit_as(s.KvmExitMmio).data == (1 << 64) - 1


class TestThreads:
    """A thread for each vCPU, and a scheduler that gives them turns."""

    def make(self, main, code):
        """A Realm whose first vCPU turns the second on and waits for what that stores; each writes to a device."""
        flag, there = u.RAM + 0x1000, u.RAM + 0x800
        code.smc(Psci.CPU_ON_64, 1, there, 0).mov(4, flag)
        code.load(5, 4).word(0xB4FF_FFE5)  # cbz x5, the load
        code.mov(3, UART | SHARED).store(5, 3).smc(Psci.SYSTEM_OFF)
        while len(bytes(code)) < 0x800:
            code.word(0)
        code.mov(3, UART | SHARED).mov(5, 1).store(5, 3).mov(4, flag).mov(5, 2).store(5, 4).smc(Psci.CPU_OFF)
        vmm = u.Vmm(main)
        gic = vmm.gic()
        vmm.ram(4 << 20, private=True)
        threads = [main, main.process.thread()]
        for thread in threads:
            vmm.vcpu(u.RAM, thread=thread)
        vmm.ready(gic)
        populate = k.ArmRmiPopulate.pack(base=u.RAM, size=4096, source_uaddr=main.put(bytes(code)))
        vmm.call(vmm.vm, k.KvmRmiVm.ARM_RMI_POPULATE, populate)
        return vmm, threads

    def test_turns(self, main, code, system):
        """KVM_RUN of each goes on where it was; one that waits says so, and a signal ends it."""
        vmm, threads = self.make(main, code)
        vcpus = [thread.vcpu(fd) for thread, fd in zip(threads, vmm.vcpus, strict=True)]
        machine, seen = system.machine, []
        while len(seen) < 3:
            for thread, vcpu in zip(threads, vcpus, strict=True):
                if vcpu.vcpu is not None and not vcpu.vcpu.on:
                    continue
                answer = thread.run(vcpu, machine.pes[vcpu.number], until=Ticks(machine.clock.now + 100))
                if answer is None:
                    assert isinstance(vcpu.left, Paused | CpuOff | Interrupted)
                    continue
                reason = vmm.exit(vcpu.number)[0]
                written = vmm.exit_as(s.KvmExitMmio, vcpu.number).data if reason == ExitReason.MMIO else None
                seen.append((answer, vcpu.number, reason, written))
        assert seen == [
            (0, 1, ExitReason.MMIO, 1), (0, 0, ExitReason.MMIO, 2), (0, 0, ExitReason.SYSTEM_EVENT, None),
        ]  # fmt: skip
        assert vcpus[1].running and not vcpus[1].vcpu.on
        vcpus[1].signal()
        assert threads[1].run(vcpus[1]) == -Errno.EINTR
        assert vmm.exit(1)[0] == ExitReason.INTR

    def test_alone(self, main, code):
        """KVM_RUN of a vCPU that has turned itself off never comes back while no other runs, and that is said."""
        vmm, threads = self.make(main, code)
        vcpus = [thread.vcpu(fd) for thread, fd in zip(threads, vmm.vcpus, strict=True)]
        for _ in range(3):
            threads[0].run(vcpus[0], until=Ticks(main.process.system.machine.clock.now + 500))
        assert vmm.run(1, threads[1]) == 0
        with pytest.raises(MachineError, match="vCPU 1 must be on for KVM_RUN to come back"):
            vmm.run(1, threads[1])


class TestConversion:
    """With guest memory, user space converts pages: the kernel tells when, by EFAULT and KVM_EXIT_MEMORY_FAULT."""

    PAGE = u.RAM + 0x10_0000

    def convert(self, vmm, private):
        attributes = s.KvmMemoryAttributes.pack(address=self.PAGE, size=0x1000, attributes=8 * private)
        vmm.call(vmm.vm, KvmVm.SET_MEMORY_ATTRIBUTES, attributes)

    def fault(self, vmm):
        """The fault that a run ends with: (address, size, flags)."""
        assert vmm.run() == -Errno.EFAULT
        assert vmm.exit()[0] == ExitReason.MEMORY_FAULT
        fault = vmm.exit_as(s.KvmExitMemoryFault)
        return fault.gpa, fault.size, fault.flags

    def test_shared(self, main, code):
        """The guest shares a page, writes to it, and user space reads it; then it takes the page back."""
        code.mov(1, self.PAGE).mov(2, 0x42).store(2, 1)
        code.smc(Rsi.IPA_STATE_SET, self.PAGE, self.PAGE + 0x1000, 0, 0)
        code.mov(1, self.PAGE | SHARED).mov(2, 0x43).store(2, 1).mov(3, UART | SHARED).store(2, 3)
        code.smc(Rsi.IPA_STATE_SET, self.PAGE, self.PAGE + 0x1000, 1, 1)
        code.mov(1, self.PAGE).load(2, 1).mov(3, UART | SHARED).store(2, 3).loop()
        vmm = u.with_populate(main, bytes(code))
        guest = None
        assert self.fault(vmm) == (self.PAGE, 0x1000, 0)
        guest = main.process.space.watchers[0].guest
        assert self.PAGE in guest.stage2.data
        self.convert(vmm, False)
        assert vmm.run() == 0
        assert self.PAGE not in guest.stage2.data
        assert main.read(vmm.memory + 0x10_0000, 1) == b"C"
        assert self.fault(vmm) == (self.PAGE, 0x1000, 8)
        self.convert(vmm, True)
        assert self.PAGE not in guest.stage2.shared
        assert vmm.run() == 0
        assert vmm.exit_as(s.KvmExitMmio).data == 0  # a new page
        assert main.read(vmm.memory + 0x10_0000, 1) == b"C"  # the process's own page stays its own

    def test_mismatch(self, main, code):
        """A touch of the other view is told, as often as it happens, and never done."""
        code.mov(1, self.PAGE | SHARED).load(2, 1).mov(3, UART | SHARED).store(2, 3)
        code.mov(1, self.PAGE).load(2, 1).loop()
        vmm = u.with_populate(main, bytes(code))
        assert [self.fault(vmm) for _ in range(3)] == [(self.PAGE, 0x1000, 0)] * 3
        self.convert(vmm, False)
        assert vmm.run() == 0 and vmm.exit()[0] == ExitReason.MMIO
        assert self.fault(vmm) == (self.PAGE, 0x1000, 8)

    @pytest.mark.parametrize("make", [u.with_capability, u.with_device])
    def test_kernel(self, main, code, make):
        """Without guest memory, the kernel converts by itself."""
        code.smc(Rsi.IPA_STATE_SET, self.PAGE, self.PAGE + 0x1000, 0, 0)
        code.mov(1, self.PAGE | SHARED).mov(2, 0x43).store(2, 1).mov(3, UART | SHARED).store(2, 3).loop()
        vmm = make(main, bytes(code))
        assert vmm.run() == 0 and vmm.exit()[0] == ExitReason.MMIO
        assert main.read(vmm.memory + 0x10_0000, 1) == b"C"


class TestPlain:
    """A plain VM: its memory is the process's, and its registers are open."""

    def test_run(self, main, code):
        """It starts with the registers that it was given, sees the process's memory, and reaches its devices."""
        code.mov(3, UART).store(1, 3).mov(4, u.RAM + 0x20_0000).load(5, 4).store(5, 3, 8).mov(6, 77).store(6, 4, 8)
        code.load(7, 3).store(7, 3).smc(Psci.SYSTEM_OFF)
        vmm = u.plain(main, bytes(code))
        main.write(vmm.memory + 0x20_0000, (1234).to_bytes(8, "little"))
        found = []
        for _ in range(2):
            assert vmm.run() == 0 and vmm.exit()[0] == ExitReason.MMIO
            mmio = vmm.exit_as(s.KvmExitMmio)
            found.append((mmio.phys_addr, mmio.data, mmio.is_write))
        assert found == [(UART, 6, 1), (UART + 8, 1234, 1)]
        assert vmm.run() == 0 and not vmm.exit_as(s.KvmExitMmio).is_write
        assert int.from_bytes(main.read(vmm.memory + 0x20_0008, 8), "little") == 77
        assert vmm.get_reg(0, r.gpr(5)) == 1234
        assert vmm.get_reg(0, r.core("pc")) == u.RAM + bytes(code).index((0xF940_0067).to_bytes(4, "little"))
        vmm.set_reg(0, r.core("sp_el1"), 0x8888)
        main.write(vmm.pages[0] + s.EXIT + 8, (99).to_bytes(8, "little"))
        assert vmm.run() == 0 and vmm.exit_as(s.KvmExitMmio).data == 99
        assert vmm.get_reg(0, r.core("sp_el1")) == 0x8888
        assert vmm.run() == 0
        assert vmm.exit()[0] == ExitReason.SYSTEM_EVENT

    def test_all_registers(self, main, code):
        """Every register in the list can be read, before the first run and after it; they start as at reset."""
        vmm = u.plain(main, bytes(code.mov(3, UART).store(1, 3).loop()))
        listed = bytearray(8 + 8 * 100)
        listed[:8] = (100).to_bytes(8, "little")
        vmm.call(vmm.vcpus[0], KvmVcpu.GET_REG_LIST, listed)
        count = int.from_bytes(listed[:8], "little")
        found = [int.from_bytes(listed[8 + 8 * at : 16 + 8 * at], "little") for at in range(count)]
        assert vmm.get_reg(0, r.core("pstate")) == 0x3C5
        address = main.put(bytes(16))
        for first in (True, False):
            for identifier in found:
                vmm.call(vmm.vcpus[0], KvmVcpu.GET_ONE_REG, s.KvmOneReg.pack(id=identifier, addr=address))
            if first:
                assert vmm.run() == 0
        vmm.call(vmm.vcpus[0], KvmVcpu.SET_ONE_REG, s.KvmOneReg.pack(id=r.vector(31), addr=main.put(b"v" * 16)))
        vmm.call(vmm.vcpus[0], KvmVcpu.GET_ONE_REG, s.KvmOneReg.pack(id=r.vector(31), addr=address))
        assert main.read(address, 16) == b"v" * 16
        init = s.KvmVcpuInit.pack(target=5, features=[u.PSCI, *[0] * 6])
        vmm.call(vmm.vcpus[0], KvmVcpu.ARM_VCPU_INIT, init)
        assert vmm.get_reg(0, r.core("pc")) == vmm.get_reg(0, r.gpr(1)) == 0

    def test_blocks(self, main, code, system):
        """Memory that nobody has touched comes in 2 MiB pieces, which are the process's, too."""
        code.mov(4, u.RAM + 0x40_0000).mov(5, 7).store(5, 4, 8).mov(3, UART).store(1, 3).loop()
        vmm = u.plain(main, bytes(code), size=8 << 20)
        assert vmm.run() == 0
        guest = main.process.space.watchers[0].guest
        assert list(guest.stage2.blocks) == [u.RAM + 0x40_0000]
        assert main.read(vmm.memory + 0x40_0008, 1) == b"\7"
        assert main.munmap(vmm.memory + 0x40_0000, 0x1000) == 0
        assert guest.stage2.look(u.RAM + 0x40_0000) is None
        assert guest.stage2.look(u.RAM + 0x40_1000) is not None

    def test_unmapped(self, main, code):
        """A touch of what the process has not mapped is EFAULT, as often as it happens, until it is mapped."""
        code.mov(4, u.RAM + 0x10_0000).load(5, 4).mov(3, UART).store(1, 3).loop()
        vmm = u.plain(main, bytes(code))
        main.munmap(vmm.memory + 0x10_0000, 0x1000)
        for _ in range(2):
            assert vmm.run() == -Errno.EFAULT
            assert vmm.exit()[0] == ExitReason.MEMORY_FAULT
        assert main.read(vmm.memory, 4)

    def test_interrupt(self, main, code):
        """An SPI reaches the guest, whose vector tells user space."""
        handler = u.RAM + 0x800
        for address, value in ((u.DISTRIBUTOR, 0x12), (u.DISTRIBUTOR + 0x104, 0x100), (u.DISTRIBUTOR + 0x84, 0x100)):
            code.mov(3, address).mov(4, value).word(0xB900_0064)  # str w4, [x3]
        code.mov(0, handler).word(0xD518_C000)  # msr vbar_el1, x0
        code.mov(0, 0xF0).word(0xD518_4600).mov(0, 1).word(0xD518_CCE0)  # PMR, IGRPEN1
        code.word(0xD503_42FF).mov(3, UART).store(0, 3).wfi().loop()  # msr daifclr, #2
        while len(bytes(code)) < 0x800 + 0x280:
            code.word(0)
        code.word(0xD538_CC00).mov(3, UART).store(0, 3, 8).loop()  # mrs x0, ICC_IAR1_EL1
        vmm = u.plain(main, bytes(code))
        assert vmm.run() == 0 and vmm.exit_as(s.KvmExitMmio).phys_addr == UART
        vmm.call(vmm.vm, KvmVm.IRQ_LINE, s.KvmIrqLevel.pack(irq=1 << 24 | 40, level=1))
        assert vmm.run() == 0
        assert (vmm.exit_as(s.KvmExitMmio).phys_addr, vmm.exit_as(s.KvmExitMmio).data) == (UART + 8, 40)

    def test_message(self, main, code):
        """KVM_SIGNAL_MSI makes an SPI pending; the GIC's registers show it, to read and to write."""
        vmm = u.plain(main, bytes(code.mov(3, UART).store(1, 3).loop()))
        assert vmm.run() == 0
        message = s.KvmMsi.pack(address_lo=u.DISTRIBUTOR + Gicd.SETSPI_NSR, data=50)
        assert main.ioctl(vmm.vm, KvmVm.SIGNAL_MSI, message) == 1
        files = main.process.descriptors.files
        gic = next(fd for fd, file in files.items() if file.target.kind == "GICv3")
        address = main.put(bytes(4))
        for group, attr, value in (
            (VgicGroup.DIST_REGS, Gicd.ISPENDR + 4, 1 << 50 - 32),
            (VgicGroup.REDIST_REGS, 0x1_0000 + Gicd.ISENABLER, 0xFFFF),
        ):
            argument = s.KvmDeviceAttr.pack(group=group, attr=attr, addr=address)
            vmm.call(gic, KvmAttribute.GET_DEVICE_ATTR, argument)
            assert int.from_bytes(main.read(address, 4), "little") == value
        vmm.attribute(gic, VgicGroup.DIST_REGS, Gicd.ISENABLER + 4, b"\1\0\0\0")
        argument = s.KvmDeviceAttr.pack(group=VgicGroup.DIST_REGS, attr=Gicd.ISENABLER + 4, addr=address)
        vmm.call(gic, KvmAttribute.GET_DEVICE_ATTR, argument)
        assert main.read(address, 4) == b"\1\0\0\0"

    def test_shown(self, main, code):
        """A page that is no memory can show a byte, which the guest reads without an exit."""
        place, group = 0x200_0000, k.VM_GROUP_SHOWN
        code.mov(3, UART).store(1, 3).mov(4, place).word(0x3940_0085).store(5, 3).word(0x3940_0086).loop()  # ldrb
        vmm = u.plain(main, bytes(code))

        def show(ipa, value):
            address = main.put(value.to_bytes(4, "little"))
            attribute = s.KvmDeviceAttr.pack(group=group, attr=ipa, addr=address)
            return main.ioctl(vmm.vm, KvmAttribute.SET_DEVICE_ATTR, attribute)

        assert show(place, 1) == -Errno.EBUSY
        assert vmm.run() == 0
        assert [show(place + 1, 1), show(place, 0x101), show(1 << 33, 1), show(u.RAM, 1)] == [
            -Errno.EINVAL, -Errno.EINVAL, -Errno.EINVAL, -Errno.EEXIST,
        ]  # fmt: skip
        assert show(place, 0x5A) == 0
        assert vmm.run() == 0 and vmm.exit_as(s.KvmExitMmio).data == 0x5A
        assert show(place, k.SHOWN_NOTHING) == 0
        assert vmm.run() == 0 and vmm.exit_as(s.KvmExitMmio).phys_addr == place

    def test_balloon(self, main, code, system):
        """madvise takes pages from the guest that stay mapped: the next access finds zeroes."""
        vmm = u.plain(
            main, bytes(code.mov(3, UART).store(1, 3).mov(4, u.RAM + 0x10_0000).load(5, 4).store(5, 3).loop())
        )
        main.write(vmm.memory + 0x10_0000, b"A")
        assert vmm.run() == 0
        used = system.pages.used
        assert main.madvise(vmm.memory + 0x10_0000, 0x1000, Advice.DONTNEED) == 0
        assert system.pages.used == used - 1
        assert main.madvise(1, 0x1000, Advice.DONTNEED) == -Errno.EINVAL
        assert main.madvise(vmm.memory - (1 << 30), 0x1000, Advice.DONTNEED) == -Errno.ENOMEM
        assert vmm.run() == 0 and vmm.exit_as(s.KvmExitMmio).data == 0

    def test_power(self, main, code):
        """KVM_SET_MP_STATE turns a vCPU on or off."""
        vmm = u.plain(main, bytes(code.loop()))
        for state in (5, 0):
            vmm.call(vmm.vcpus[0], KvmVcpu.SET_MP_STATE, s.KvmMpState.pack(mp_state=state))
            found = bytearray(4)
            vmm.call(vmm.vcpus[0], KvmVcpu.GET_MP_STATE, found)
            assert found[0] == state

    def test_snapshot(self, main, code, system):
        """It goes on after a restore."""
        code.mov(3, UART).store(1, 3).load(5, 3).store(5, 3).loop()
        vmm = u.plain(main, bytes(code))
        assert vmm.run() == 0 and vmm.run() == 0
        snapshot = system.machine.snapshot()
        for value in (3, 4):
            main.write(vmm.pages[0] + s.EXIT + 8, value.to_bytes(8, "little"))
            assert vmm.run() == 0 and vmm.exit_as(s.KvmExitMmio).data == value
            system.machine.restore(snapshot)


class TestSnapshot:
    """Open descriptors are saved state."""

    @pytest.mark.parametrize("make", FLAVOURS)
    def test_restored(self, userspace, main, hello, make, system):
        """A run in the middle goes on after a restore, with the same descriptors and the same memory."""
        vmm = make(main, hello)
        assert vmm.run() == 0 and vmm.run() == 0
        snapshot = system.machine.snapshot()
        state = userspace.save()
        results = []
        for value in (1, 2):
            main.write(vmm.pages[0] + s.EXIT + 8, value.to_bytes(8, "little"))
            assert vmm.run() == 0
            assert vmm.exit()[0] == ExitReason.HYPERCALL
            results.append(vmm.get_reg(0, r.gpr(1)))
            system.machine.restore(snapshot)
            assert userspace.save() == state
        assert results == [1, 2]

    def test_elsewhere(self, main, hello, system):
        """A saved machine goes on in another one: the processes are there, with their descriptors and memory."""
        vmm = u.with_populate(main, hello)
        assert vmm.run() == 0 and vmm.run() == 0
        checkpoint = system.machine.checkpoint()
        machine = Machine(Board.load("fvp"))
        host = System(machine)
        boot(machine, rmm=Rmm(machine), ns_program=host)
        machine.adopt(checkpoint)
        (process,) = Userspace.of(host).processes.values()
        for thread in (main, process.main):
            thread.write(vmm.pages[0] + s.EXIT + 8, (0x77).to_bytes(8, "little"))
            assert thread.ioctl(vmm.vcpus[0], KvmVcpu.RUN) == 0
            assert thread.read(vmm.pages[0] + s.RUN_EXIT_REASON, 1)[0] == ExitReason.HYPERCALL
        process.exit()
        assert host.delegated == 0 and host.pages.used == 0

    def test_before(self, userspace, system):
        """A process that a snapshot does not know has ended after its restore."""
        snapshot = system.machine.snapshot()
        process = userspace.spawn()
        u.Vmm(process.main).ram(1 << 20)
        system.machine.restore(snapshot)
        with pytest.raises(MachineError, match="it has ended"):
            process.main.open("/dev/kvm")
        assert userspace.vms == []
