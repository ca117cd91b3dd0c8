"""Plain VMs: guests at Non-secure EL1 under the host's own stage 2, with PSCI, GIC and timers, without an RMM."""

from collections.abc import Callable

import pytest
from assembly import assemble

from cca_arch.gic import GICR_SGI_BASE, Gicd
from cca_arch.psci import PSCI_VERSION, AffinityInfo, Psci, PsciStatus
from cca_arch.rsi.v1_0 import Rsi
from cca_arch.smccc import NOT_SUPPORTED, SMCCC_VERSION, Smccc
from cca_arch.types import Ticks
from cca_host.kvm import (
    CpuOff,
    HostCall,
    Idle,
    Interrupted,
    Mmio,
    Paused,
    PlainVm,
    System,
    SystemEvent,
    SystemEventKind,
    Yield,
)
from cca_host.kvm.plain.vcpu import PlainVcpu
from cca_host.kvmtool.layout import DISTRIBUTOR_BASE, RAM_BASE, UART_BASE, redistributor_base
from cca_platform.errors import MachineError

BLOCK = 2 << 20
LINE = 20  # a PPI that no hardware drives
TELL = 7  # the immediate of HVC by which programs here tell of registers
Start = Callable[..., PlainVcpu]


def mov(register: str, value: int) -> str:
    """Instructions that load a constant."""
    parts = [f"movz {register}, #{value & 0xFFFF}"]
    parts += [f"movk {register}, #{value >> s & 0xFFFF}, lsl #{s}" for s in (16, 32, 48) if value >> s & 0xFFFF]
    return "; ".join(parts)


def call(conduit: str, *args: int) -> str:
    """Instructions that make a call with X0 and up."""
    return "; ".join([*(mov(f"x{number}", value) for number, value in enumerate(args)), f"{conduit} #0"])


@pytest.fixture
def vm(system: System) -> Callable[..., PlainVm]:
    """Make a plain VM that runs some code: ``vm(source, vcpus=1, memory=...)``."""

    def make(source: str, *, vcpus: int = 1, memory: int = 4 << 20) -> PlainVm:
        made = PlainVm(system)
        made.add_memory(RAM_BASE, memory)
        made.populate(RAM_BASE, assemble(source, RAM_BASE))
        made.create_vgic(DISTRIBUTOR_BASE, redistributor_base(vcpus))
        for index in range(vcpus):
            made.create_vcpu(RAM_BASE, runnable=index == 0).trap(wfi=True, wfe=vcpus > 1)
        return made

    return make


@pytest.fixture
def start(vm: Callable[..., PlainVm]) -> Start:
    """Make a plain VM that runs some code: its first vCPU."""
    return lambda source, **options: vm(source, **options).vcpus[0]


def told(vcpu: PlainVcpu) -> list[int]:
    """Run until the guest tells of its registers."""
    found = vcpu.run()
    assert isinstance(found, HostCall) and found.imm == TELL, found
    vcpu.host_call_status(0)
    return found.gprs


class TestMemory:
    def test_lazy_blocks(self, start: Start, system: System) -> None:
        """RAM is mapped where it is touched, 2 MiB at a time, and is zero there."""
        vcpu = start(f"{mov('x1', RAM_BASE + BLOCK + 0x1238)}; ldr x0, [x1]; str x1, [x1]; hvc #{TELL}")
        stage2 = vcpu.vm.stage2
        assert list(stage2.blocks) == [RAM_BASE]
        assert told(vcpu)[0] == 0
        assert list(stage2.blocks) == [RAM_BASE, RAM_BASE + BLOCK]
        assert len(stage2.pages) == 0
        pa = vcpu.vm.shared_page(RAM_BASE + BLOCK + 0x1000)
        assert pa is not None and pa == stage2.blocks[RAM_BASE + BLOCK] + 0x1000
        assert system.port.read64(pa + 0x238) == RAM_BASE + BLOCK + 0x1238
        assert (vcpu.vm.shared_page(RAM_BASE - 1), vcpu.vm.shared_page(RAM_BASE + (4 << 20))) == (None, None)

    @pytest.mark.pure("it takes a method of the host away")
    def test_pages(self, start: Start, system: System, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where host memory is not in one piece, or the RAM is smaller, pages are mapped."""
        source = f"{mov('x1', RAM_BASE + BLOCK)}; str x1, [x1, #0x100]; ldr x0, [x1, #0x100]; hvc #{TELL}"
        vcpu = start(source, memory=BLOCK + 0x2000)
        assert told(vcpu)[0] == RAM_BASE + BLOCK
        assert (list(vcpu.vm.stage2.blocks), list(vcpu.vm.stage2.pages)) == ([RAM_BASE], [RAM_BASE + BLOCK])
        monkeypatch.setattr("cca_host.kvm.backing.HostPages.take_block", lambda self, ipa: None)
        vcpu = start(source)
        assert told(vcpu)[0] == RAM_BASE + BLOCK
        assert (list(vcpu.vm.stage2.blocks), list(vcpu.vm.stage2.pages)) == ([], [RAM_BASE, RAM_BASE + BLOCK])

    def test_dropped(self, start: Start, system: System) -> None:
        """What is dropped goes back to the host, and is zero when it is touched again; the rest of a block stays."""
        at = RAM_BASE + 0x3000
        vcpu = start(f"{mov('x1', at)}; str x1, [x1]; str x1, [x1, #0x1000]; hvc #{TELL}; ldr x0, [x1]; hvc #{TELL}")
        told(vcpu)
        used = system.pages.used
        vcpu.vm.stage2.drop(at, at + 0x1000)
        assert system.pages.used == used - 1 + 1  # the page, and a table
        assert vcpu.vm.stage2.look(at) is None
        assert told(vcpu)[0] == 0
        kept = vcpu.vm.shared_page(at + 0x1000)
        assert kept is not None and system.port.read64(kept) == at

    def test_nothing_there(self, start: Start) -> None:
        """An access without a syndrome, or beyond the IPA space, is an external abort; so is one that has no device."""
        vectors = RAM_BASE + 0x800
        skip = "mrs x2, elr_el1; add x2, x2, #4; msr elr_el1, x2; eret"
        handler = f"mrs x0, esr_el1; mrs x1, far_el1; hvc #{TELL}; {skip}"
        setup = f"{mov('x9', vectors)}; msr vbar_el1, x9; {mov('x3', UART_BASE)}; {mov('x4', 1 << 40)}"
        source = f"{setup}; ldp x5, x6, [x3]; ldr x5, [x4]; ldr x5, [x3]; br x3"
        vcpu = start(source)
        code = assemble(source, RAM_BASE).ljust(0xC00, b"\0")
        vcpu.vm.populate(RAM_BASE, code[:0xA00] + assemble(handler, RAM_BASE + 0xA00))
        for far in (UART_BASE, 1 << 40):
            esr, found = told(vcpu)[:2]
            assert (esr & 0x3F, esr >> 26, found) == (0x10, 0x25, far)
        found_mmio = vcpu.run()
        assert isinstance(found_mmio, Mmio) and found_mmio.ipa == UART_BASE
        vcpu.abort()
        esr, found = told(vcpu)[:2]
        assert (esr & 0x3F, esr >> 26, found) == (0x10, 0x25, UART_BASE)
        assert told(vcpu)[0] >> 26 == 0x21  # a fetch

    def test_no_room(self, system: System) -> None:
        """RAM must be whole pages in the IPA space; contents must be in RAM."""
        with PlainVm(system, ipa_width=32) as vm:
            with pytest.raises(MachineError, match="must end below 0x100000000, the end of a 32-bit IPA space"):
                vm.add_memory(RAM_BASE, 4 << 30)
            with pytest.raises(MachineError, match="must lie in memory"):
                vm.populate(RAM_BASE, b"x")
        with pytest.raises(MachineError, match="must be 32 to 48 bits, not 31"):
            PlainVm(system, ipa_width=31)

    def test_nothing_leaks(self, system: System, vm: Callable[..., PlainVm]) -> None:
        """What a VM had is the host's again, and the next one gets the same addresses."""
        places = set()
        for _ in range(20):
            made = vm(f"{mov('x1', RAM_BASE + BLOCK)}; str x1, [x1]; hvc #{TELL}; b .")
            told(made.vcpus[0])
            places.add(made.stage2.blocks[RAM_BASE + BLOCK])
            made.destroy()
            assert (system.pages.used, system.vmids, system.delegated) == (0, set(), 0)
        assert len(places) == 1


class TestAccesses:
    def test_mmio(self, start: Start) -> None:
        """A device is the VMM's: it gets the value of a store, and its answer extends as the load says."""
        vcpu = start(
            f"{mov('x1', UART_BASE)}; mov x2, #-2; strh w2, [x1]; ldrsb x3, [x1, #8]; ldr w4, [x1, #4]; "
            f"ldr xzr, [x1]; hvc #{TELL}"
        )
        assert vcpu.run() == Mmio(UART_BASE, 2, True, 0xFFFE)
        vcpu.mmio_result()
        assert vcpu.run() == Mmio(UART_BASE + 8, 1, False, 0)
        vcpu.mmio_result(0x1_0080)
        assert vcpu.run() == Mmio(UART_BASE + 4, 4, False, 0)
        vcpu.mmio_result(0xFFFF_FFFF_8000_0001)
        vcpu.run()
        vcpu.mmio_result(5)
        assert told(vcpu)[3:5] == [0xFFFF_FFFF_FFFF_FF80, 0x8000_0001]

    def test_identification(self, start: Start) -> None:
        """The guest reads the PE's ID registers without what KVM does not give it; MPIDR is its own."""
        vcpu = start(
            "mrs x0, id_aa64dfr0_el1; mrs x1, id_aa64mmfr0_el1; mrs x2, mpidr_el1; mrs x3, midr_el1; "
            f"mrs x4, actlr_el1; hvc #{TELL}",
            vcpus=2,
        )
        pe = vcpu.vm.system.pe
        gprs = told(vcpu)
        assert (gprs[0] >> 8 & 0xF, gprs[0] & 0xF) == (0, pe.id_register(3, 0, 0, 5, 0) & 0xF)
        assert gprs[1:5] == [pe.id_register(3, 0, 0, 7, 0), 1 << 31, pe.ids.midr, 0]

    def test_undefined(self, start: Start) -> None:
        """A performance monitor is undefined; debug registers read as zero."""
        vectors = RAM_BASE + 0x800
        source = f"{mov('x9', vectors)}; msr vbar_el1, x9; msr mdscr_el1, x9; mrs x8, mdscr_el1; mrs x7, pmcr_el0; b ."
        vcpu = start(source)
        handler = assemble(f"mrs x0, esr_el1; hvc #{TELL}", RAM_BASE + 0xA00)
        vcpu.vm.populate(RAM_BASE, assemble(source, RAM_BASE).ljust(0xA00, b"\0") + handler)
        gprs = told(vcpu)
        assert (gprs[0] >> 26, gprs[8]) == (0, 0)


class TestCalls:
    @pytest.mark.parametrize("conduit", ["hvc", "smc"])
    def test_services(self, start: Start, conduit: str) -> None:
        """PSCI 1.1 and the SMCCC answer by HVC and by SMC; no RSI, no other service."""
        expected = {
            (Psci.VERSION,): PSCI_VERSION,
            (Psci.FEATURES, Psci.CPU_ON_64): 0,
            (Psci.FEATURES, Smccc.VERSION): 0,
            (Psci.FEATURES, Psci.SYSTEM_SUSPEND): NOT_SUPPORTED,
            (Smccc.VERSION,): SMCCC_VERSION,
            (Smccc.ARCH_FEATURES, Smccc.ARCH_WORKAROUND_1): NOT_SUPPORTED,
            (Psci.AFFINITY_INFO_64, 0, 0): AffinityInfo.ON,
            (Psci.AFFINITY_INFO_64, 1, 0): AffinityInfo.OFF,
            (Psci.AFFINITY_INFO_64, 1, 1): AffinityInfo.ON,
            (Psci.AFFINITY_INFO_64, 2, 0): PsciStatus.INVALID_PARAMETERS,
            (Psci.AFFINITY_INFO_64, 0, 4): PsciStatus.INVALID_PARAMETERS,
            (Psci.CPU_ON_64, 0, RAM_BASE, 0): PsciStatus.ALREADY_ON,
            (Psci.CPU_ON_64, 1 << 24, RAM_BASE, 0): PsciStatus.INVALID_PARAMETERS,
            (Psci.CPU_SUSPEND_64, 0, RAM_BASE, 0): PsciStatus.SUCCESS,
            (Psci.MEM_PROTECT, 1): NOT_SUPPORTED,
            (Rsi.VERSION, 0x10000): NOT_SUPPORTED,
        }
        vcpu = start("; ".join(f"{call(conduit, *map(int, args))}; hvc #{TELL}" for args in expected), vcpus=2)
        for args, status in expected.items():
            if args[0] == Psci.CPU_SUSPEND_64:
                assert vcpu.run() == Idle(None)
            assert told(vcpu)[:4] == [status, 0, 0, 0], args

    def test_cpus(self, start: Start) -> None:
        """CPU_ON starts a vCPU at its entry with its context, again after CPU_OFF; a denied one stays off."""
        entry = RAM_BASE + 0x100
        source = f"{call('hvc', Psci.CPU_ON_64, 1, entry, 0x77)}; hvc #{TELL}; b ."
        vcpu = start(source, vcpus=3)
        second = assemble(f"mrs x1, currentel; mrs x2, mpidr_el1; hvc #{TELL}; {call('hvc', Psci.CPU_OFF)}", entry)
        vcpu.vm.populate(RAM_BASE, assemble(source, RAM_BASE).ljust(0x100, b"\0") + second)
        other = vcpu.siblings[1]
        for _ in range(2):
            assert not other.on
            other.deny_on = False
            vcpu.reset(RAM_BASE, ())
            assert vcpu.run() == Interrupted()  # the other one is to run
            assert told(vcpu)[0] == PsciStatus.SUCCESS
            assert other.on
            assert told(other)[:3] == [0x77, 1 << 2, 1 << 31 | 1]
            assert other.run() == CpuOff()
        other.deny_on = True
        vcpu.reset(RAM_BASE, ())
        assert told(vcpu)[0] == PsciStatus.DENIED

    @pytest.mark.parametrize(
        ("function", "kind"),
        [(Psci.SYSTEM_OFF, SystemEventKind.OFF), (Psci.SYSTEM_RESET, SystemEventKind.RESET)],
    )
    def test_end(self, start: Start, function: Psci, kind: SystemEventKind) -> None:
        """The VM turns itself off, or asks for a reset."""
        assert start(call("hvc", function)).run() == SystemEvent(kind)


_SETUP = "; ".join(
    [
        f"{mov('x9', RAM_BASE + 0x800)}; msr vbar_el1, x9",
        f"{mov('x10', DISTRIBUTOR_BASE)}; {mov('w11', 0x12)}; str w11, [x10]",
        f"{mov('x12', redistributor_base(2) + GICR_SGI_BASE)}",
        f"{mov('w11', 1 << 30 | 1 << 27 | 1 << LINE | 1)}; str w11, [x12, #{Gicd.ISENABLER}]",
        "mov x13, #0xff; msr S3_0_C4_C6_0, x13; mov x13, #1; msr S3_0_C12_C12_7, x13",
        "mrs x20, cntvct_el0",
    ]
)
_HANDLER = "; ".join(
    [
        "mrs x0, S3_0_C12_C12_0; msr cntv_ctl_el0, xzr; msr cntp_ctl_el0, xzr",
        f"hvc #{TELL}; msr S3_0_C12_C12_1, x0; eret",
    ]
)


def interrupted(start: Start, source: str, **options: int) -> PlainVcpu:
    """A vCPU whose program has a handler that tells of each interrupt by X0."""
    vcpu = start(f"{_SETUP}; {source}", **options)
    handler = assemble(_HANDLER, RAM_BASE + 0xA80)
    vcpu.vm.populate(RAM_BASE, assemble(f"{_SETUP}; {source}", RAM_BASE).ljust(0xA80, b"\0") + handler)
    return vcpu


class TestInterrupts:
    def test_sleep(self, start: Start) -> None:
        """The virtual counter starts at 0; WFI waits for a timer, whose deadline is the host's time, and gets it."""
        vcpu = interrupted(
            start,
            "add x1, x20, #0x8000; msr cntv_cval_el0, x1; mov x2, #1; msr cntv_ctl_el0, x2; msr daifclr, #2; wfi",
            vcpus=2,
        )
        clock = vcpu.vm.system.machine.clock
        began = vcpu.vm.cntvoff
        found = vcpu.run()
        assert isinstance(found, Idle) and found.deadline is not None
        assert 0x8000 < found.deadline - began < 0x9000
        assert not vcpu.wakes()
        clock.skip_to(Ticks(found.deadline))
        assert vcpu.wakes()
        assert told(vcpu)[0] == 27

    @pytest.mark.parametrize(("timer", "intid"), [("cntv", 27), ("cntp", 30)])
    def test_while_running(self, start: Start, timer: str, intid: int) -> None:
        """A timer interrupts code that runs, without an exit to the VMM; each firing is one interrupt."""
        vcpu = interrupted(
            start,
            f"msr daifclr, #2; mov x2, #1; mov x3, #0x400; msr {timer}_tval_el0, x3; msr {timer}_ctl_el0, x2; b .",
            vcpus=2,
        )
        assert told(vcpu)[0] == intid
        vcpu.host_call_status(intid)
        pe = vcpu.vm.system.pe
        pe.host_timer(Ticks(pe.clock.now + 10_000))
        assert vcpu.run() == Interrupted()

    def test_sgi(self, start: Start) -> None:
        """An SGI to oneself comes at once, one to another vCPU wakes it."""
        vcpu = interrupted(start, "mov x1, #3; msr S3_0_C12_C11_5, x1; isb; msr daifclr, #2; b .", vcpus=2)
        other = vcpu.siblings[1]
        assert not other.wakes()
        assert told(vcpu)[0] == 0
        vgic = vcpu.vm.vgic
        assert vgic is not None and vgic.cpus[1].private.latch & 1

    def test_line(self, start: Start) -> None:
        """An interrupt from outside ends the run of a vCPU that is in the guest, and is delivered by the next."""
        vcpu = interrupted(start, "msr daifclr, #2; b .", vcpus=2)
        pe = vcpu.vm.system.pe
        assert vcpu.run(limit=pe.clock.retired + 5_000) == Paused()
        vcpu.vm.irq_line(LINE, True)
        assert vcpu.run() == Interrupted()
        assert told(vcpu)[0] == LINE


class TestHost:
    def test_slice(self, start: Start) -> None:
        """The host's timer ends a run; WFE yields; the vCPU goes on where it was."""
        vcpu = start("again: add x0, x0, #1; b again")
        pe = vcpu.vm.system.pe
        for _ in range(3):
            pe.host_timer(Ticks(pe.clock.now + 1_000))
            assert vcpu.run() == Interrupted()
        yielding = start(f"wfe; wfe; hvc #{TELL}", vcpus=2)  # the first takes the event of the exception return
        assert yielding.run() == Yield()
        told(yielding)

    def test_beside_a_realm(self, start: Start, realm: Callable[..., object], code: object) -> None:
        """A Realm that runs on the same PE in between changes none of its registers, timers or interrupts."""
        vcpu = start(
            f"mov x19, #0x19; msr tpidr_el1, x19; msr cntv_cval_el0, x19; mov v8.d[0], x19; hvc #{TELL}; "
            f"mrs x0, tpidr_el1; mrs x1, cntv_cval_el0; mov x2, v8.d[0]; hvc #{TELL}"
        )
        told(vcpu)
        other = realm(code.mov(0, 1).loop()).vcpus[0]  # type: ignore[attr-defined]
        pe = vcpu.vm.system.pe
        pe.host_timer(Ticks(pe.clock.now + 1_000))
        assert other.run() == Interrupted()
        assert told(vcpu)[:3] == [0x19, 0x19, 0x19]
        assert other.kick() is None

    def test_saved_anywhere(self, start: Start, system: System) -> None:
        """A run that stops at any instruction is saved, and goes on from there to the same end, again and again."""
        vcpu = start(
            f"{mov('x1', RAM_BASE + BLOCK)}; mov x0, #200; again: add x2, x2, x0; str x2, [x1], #8; subs x0, x0, #1; "
            f"b.ne again; hvc #{TELL}"
        )
        machine = system.machine
        assert vcpu.run(limit=machine.clock.retired + 300) == Paused()
        assert vcpu.running == 0
        snapshot = machine.snapshot()
        first = told(vcpu)
        retired = machine.clock.retired
        for _ in range(2):
            machine.restore(snapshot)
            assert vcpu.running == 0
            assert (told(vcpu), machine.clock.retired) == (first, retired)
        vcpu.vm.destroy()
        machine.restore(snapshot)
        again = system.vms[0]
        assert isinstance(again, PlainVm)
        assert told(again.vcpus[0]) == first
        again.destroy()
