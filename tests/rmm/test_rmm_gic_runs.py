"""The virtual CPU interface while a REC runs: what the Realm does with list registers, and what every exit tells."""

from collections.abc import Callable
from typing import Any

import pytest
from realm_code import REPORT, load, reported, with_vectors

from cca_arch.rmi.v1_0 import RecEnterFlags, RecExitReason, Rmi, RmiRecExit
from cca_host.kvm.irqchip import Irqchip
from cca_platform.gic.virtual import VMCR_RESET

Running = Callable[..., Any]
IAR0, IAR1, EOIR1 = "S3_0_C12_C8_0", "S3_0_C12_C12_0", "S3_0_C12_C12_1"
DIR, SGI1R, RPR = "S3_0_C12_C11_1", "S3_0_C12_C11_5", "S3_0_C12_C11_3"
PMR, BPR0, BPR1 = "S3_0_C4_C6_0", "S3_0_C12_C8_3", "S3_0_C12_C12_3"
CTLR, IGRPEN0, IGRPEN1, SRE = "S3_0_C12_C12_4", "S3_0_C12_C12_6", "S3_0_C12_C12_7", "S3_0_C12_C12_5"
UIE, LRENPIE, NPIE, GRP0EIE, GRP0DIE, GRP1EIE, GRP1DIE, TDIR = (1 << bit for bit in (1, 2, 3, 4, 5, 6, 7, 14))
M_EOI, M_U, M_LRENP, M_NP, M_GRP0E, M_GRP0D, M_GRP1E, M_GRP1D = (1 << bit for bit in range(8))
PENDING, ACTIVE = 1 << 62, 2 << 62
MAINTENANCE_AT_EOI = 1 << 41
OPEN = f"mov x9, #0xF0; msr {PMR}, x9; mov x9, #1; msr {IGRPEN1}, x9; isb"
VENG1 = 1 << 1
SPURIOUS = 1023


def lr(state: int, vintid: int = 27, priority: int = 0xA0, group: int = 1) -> int:
    """ICH_LR<n>_EL2."""
    return state | group << 60 | priority << 48 | vintid


def opened(pmr: int = 0xF0) -> int:
    """ICH_VMCR_EL2 after OPEN."""
    return VMCR_RESET | pmr << 24 | VENG1


def msr(register: str, value: int) -> str:
    """Write a constant."""
    return f"{load('x9', value)}; msr {register}, x9; isb"


class TestLists:
    """Virtual interrupts by list registers."""

    def test_acknowledge_and_end(self, running: Running) -> None:
        """Pending, then active, then gone; the Host sees each step, and brings the list registers again."""
        realm = running(f"{OPEN}; mrs x7, {IAR1}; {REPORT}; msr {EOIR1}, x7; mrs x7, {IAR1}; {REPORT}")
        exit = realm.enter(gicv3_lrs=(lr(PENDING), *(0,) * 15))
        assert reported(exit)[7] == 27
        assert exit.gicv3_lrs == (lr(ACTIVE), *(0,) * 15)
        exit = realm.enter(gicv3_lrs=exit.gicv3_lrs)
        assert reported(exit)[7] == SPURIOUS
        assert exit.gicv3_lrs == (lr(0), *(0,) * 15)
        assert (exit.gicv3_hcr, exit.gicv3_misr, exit.gicv3_vmcr) == (0, 0, opened())

    @pytest.mark.parametrize("slot", range(4))
    def test_every_list_register(self, running: Running, slot: int) -> None:
        """There are four."""
        realm = running(f"{OPEN}; mrs x3, {IAR1}; {REPORT}")
        lrs = tuple(lr(PENDING, 40 + slot) if number == slot else 0 for number in range(16))
        assert reported(realm.enter(gicv3_lrs=lrs))[3] == 40 + slot

    def test_priority(self, running: Running) -> None:
        """The most urgent first; one that is not more urgent than the running one waits."""
        acks = "; ".join(f"mrs x{number}, {IAR1}" for number in (3, 4, 5))
        realm = running(f"{OPEN}; {acks}; mrs x6, {RPR}; {REPORT}")
        lrs = (lr(PENDING, 40, 0xA0), lr(PENDING, 41, 0x80), lr(PENDING, 42, 0x80), *(0,) * 13)
        exit = realm.enter(gicv3_lrs=lrs)
        assert reported(exit)[3:7] == (41, SPURIOUS, SPURIOUS, 0x80)
        assert exit.gicv3_lrs[:3] == (lr(PENDING, 40, 0xA0), lr(ACTIVE, 41, 0x80), lr(PENDING, 42, 0x80))

    @pytest.mark.parametrize("hint", ["wfi; mov x5, #7", "nop; mov x5, #7"])
    def test_taken(self, running: Running, hint: str) -> None:
        """With PSTATE.I clear the Realm takes it at the vector of IRQ from EL1h; SPSR is that of the code."""
        realm = running(with_vectors(f"{OPEN}; msr daifclr, #2; {hint}; {REPORT}"))
        exit = realm.enter(gicv3_lrs=(lr(PENDING), *(0,) * 15))
        _, _, _, spsr, vector = reported(exit)[:5]
        assert (vector, spsr & 0x3CF) == (0x280, 0x345)
        assert exit.gicv3_lrs[0] == lr(PENDING)

    @pytest.mark.parametrize(("mask", "waits"), [(0xF0, False), (0xA0, True)])
    def test_wfi(self, running: Running, mask: int, waits: bool) -> None:
        """A WFI that would not wait is not trapped (DDI 0487, HCR_EL2.TWI): an interrupt is signalled, if masked."""
        realm = running(f"{OPEN}; {msr(PMR, mask)}; wfi; mov x5, #7; {REPORT}")
        exit = realm.enter(flags=RecEnterFlags.make(trap_wfi=1), gicv3_lrs=(lr(PENDING), *(0,) * 15))
        if waits:
            assert (exit.exit_reason, exit.esr, exit.gicv3_lrs[0]) == (RecExitReason.SYNC, 1 << 26, lr(PENDING))
            exit = realm.enter(flags=RecEnterFlags.make(trap_wfi=1))
        assert reported(exit)[5] == 7

    def test_group_0(self, running: Running) -> None:
        """Group 0 is an FIQ."""
        enable = f"{msr(PMR, 0xF0)}; {msr(IGRPEN0, 1)}"
        realm = running(with_vectors(f"{enable}; msr daifclr, #1; nop; {REPORT}"))
        exit = realm.enter(gicv3_lrs=(lr(PENDING, group=0), *(0,) * 15))
        assert reported(exit)[4] == 0x300

    @pytest.mark.parametrize(
        "hidden", [f"{msr(PMR, 0xA0)}; {msr(IGRPEN1, 1)}", msr(PMR, 0xF0), f"{OPEN}; {msr(PMR, 0)}"]
    )
    def test_not_taken(self, running: Running, hidden: str) -> None:
        """Nothing is signalled below the priority mask, or with the group disabled."""
        realm = running(with_vectors(f"{hidden}; msr daifclr, #2; nop; mov x4, #1"))
        assert reported(realm.enter(gicv3_lrs=(lr(PENDING), *(0,) * 15)))[4] == 1

    def test_nothing_is_left(self, running: Running, host: Any) -> None:
        """After an exit the interface of the PE is empty and signals nothing."""
        realm = running(f"{OPEN}; mrs x3, {IAR1}; {REPORT}")
        realm.enter(gicv3_hcr=NPIE, gicv3_lrs=(lr(PENDING), *(0,) * 15))
        virtual = host.pe.gic.virtual
        assert (virtual.hcr, virtual.lrs, virtual.vmcr, virtual.active) == (0, [0] * 4, VMCR_RESET, [0, 0])
        assert host.pe.gic.signals == 0


class TestKept:
    """ICH_VMCR_EL2 and the active priorities stay in the REC."""

    def test_between_runs(self, running: Running) -> None:
        """They are what the Realm left; an interrupt that ends without a list register counts in EOIcount."""
        realm = running(f"{OPEN}; mrs x7, {IAR1}; {REPORT}; mrs x4, {RPR}; msr {EOIR1}, x7; mrs x5, {RPR}; {REPORT}")
        realm.enter(gicv3_lrs=(lr(PENDING), *(0,) * 15))
        exit = realm.enter()
        assert reported(exit)[4:6] == (0xA0, 0xFF)
        assert (exit.gicv3_hcr, exit.gicv3_misr, exit.gicv3_vmcr) == (1 << 27, 0, opened())

    def test_of_another_rec(self, host: Any, realm: Any, assemble: Any) -> None:
        """A REC on the same PE finds its own interface."""
        realm.write(0x8000_0000, assemble(f"mrs x3, {PMR}; {OPEN}; mrs x4, {IAR1}; {REPORT}; mrs x3, {PMR}; {REPORT}"))
        realm.write(0x8000_1000, b"")
        realm.rec()
        realm.rec()
        realm.activate()
        assert reported(realm.enter(0, gicv3_lrs=(lr(PENDING), *(0,) * 15)))[3:5] == (0, 27)
        assert reported(realm.enter(1))[3:5] == (0, SPURIOUS)
        assert reported(realm.enter(0))[3] == 0xF0

    def test_reset(self, running: Running) -> None:
        """A new REC: groups disabled, mask 0, the lowest binary points; the Host sees the same."""
        reads = "; ".join(f"mrs x{3 + at}, {name}" for at, name in enumerate((PMR, BPR0, BPR1, IGRPEN0, IGRPEN1, SRE)))
        exit = running(f"{reads}; {REPORT}").enter()
        assert reported(exit)[3:9] == (0, 2, 3, 0, 0, 7)
        assert (exit.gicv3_vmcr, exit.gicv3_vmcr >> 21 & 7, exit.gicv3_vmcr >> 18 & 7) == (VMCR_RESET, 2, 3)

    def test_identification(self, running: Running) -> None:
        """ID_AA64PFR0_EL1.GIC says that there are system registers; ICH_VTR_EL2 is no register of a Realm."""
        realm = running(with_vectors("mrs x5, id_aa64pfr0_el1; ubfx x5, x5, #24, #4; mrs x6, S3_4_C12_C11_1"))
        exit = reported(realm.enter())
        assert (exit[5], exit[0] >> 26, exit[4]) == (1, 0, 0x200)

    def test_vmcr(self, running: Running) -> None:
        """ICV_PMR, ICV_CTLR.EOImode, ICV_BPR0, ICV_BPR1, ICV_IGRPEN0 and ICV_IGRPEN1, field by field."""
        writes = ((PMR, 0x58), (BPR0, 4), (BPR1, 6), (IGRPEN0, 1), (IGRPEN1, 1), (CTLR, 2))
        exit = running(f"{'; '.join(msr(*write) for write in writes)}; {REPORT}").enter()
        vmcr = exit.gicv3_vmcr
        fields = (vmcr >> 24, vmcr >> 21 & 7, vmcr >> 18 & 7, vmcr >> 9 & 1, vmcr >> 4 & 1, vmcr >> 1 & 1, vmcr & 1)
        assert fields == (0x58, 4, 6, 1, 0, 1, 1)

    def test_snapshot(self, running: Running, host: Any) -> None:
        """A machine that was put back goes on with the same interface."""
        realm = running(f"{OPEN}; mrs x3, {IAR1}; {REPORT}; mrs x3, {RPR}; mrs x4, {PMR}; {REPORT}")
        realm.enter(gicv3_lrs=(lr(PENDING), *(0,) * 15))
        saved = host.machine.snapshot()
        first = realm.enter()
        host.machine.restore(saved)
        assert reported(realm.enter()) == reported(first)
        assert reported(first)[3:5] == (0xA0, 0xF0)

    def test_of_the_host(self, running: Running, host: Any) -> None:
        """What a Host has set up for a VM of its own is there again, and the Realm has seen none of it."""
        virtual = host.pe.gic.virtual
        lists = (lr(PENDING, 50), lr(ACTIVE, 51), lr(PENDING, 52), lr(ACTIVE, 53))
        virtual.load(1 | NPIE | UIE | GRP0DIE, lists, opened(0x80), 1 << 9, 1 << 20)
        kept = virtual.save()
        assert reported(running(f"mrs x3, {PMR}; mrs x4, {RPR}; {OPEN}; mrs x5, {IAR1}; {REPORT}").enter())[3:6] == (
            0, 0xFF, SPURIOUS,
        )  # fmt: skip
        assert virtual.save() == kept


MISR = [
    ("underflow", UIE, (PENDING, 0), M_U), ("two-valid", UIE, (PENDING, ACTIVE), 0), ("no-list", UIE, (0, 0), M_U),
    ("none-pending", NPIE, (ACTIVE, 0), M_NP), ("pending", NPIE, (PENDING, ACTIVE), 0),
    ("group-0-off", GRP0DIE, (), M_GRP0D), ("group-0-on", GRP0EIE, (), 0),
    ("group-1-off", GRP1DIE, (), M_GRP1D), ("group-1-on", GRP1EIE, (), 0),
    ("all", UIE | NPIE | GRP0DIE | GRP1DIE, (), M_U | M_NP | M_GRP0D | M_GRP1D),
]  # fmt: skip


class TestMaintenance:
    """ICH_MISR_EL2, and the maintenance interrupt, which ends the run."""

    @pytest.mark.parametrize(("name", "hcr", "states", "misr"), MISR, ids=[row[0] for row in MISR])
    def test_at_entry(self, running: Running, name: str, hcr: int, states: tuple[int, ...], misr: int) -> None:
        """A condition that holds at entry: IRQ exit before anything else; else the Realm runs."""
        lrs = [lr(state, 40 + number) for number, state in enumerate(states)]
        exit = running(REPORT).enter(gicv3_hcr=hcr, gicv3_lrs=(*lrs, *(0,) * (16 - len(lrs))))
        assert (exit.gicv3_misr, exit.gicv3_hcr) == (misr, hcr)
        assert exit.exit_reason == (RecExitReason.IRQ if misr else RecExitReason.HOST_CALL)
        assert exit.esr == 0

    def test_end_of_interrupt(self, running: Running) -> None:
        """EOI of a list register that asks for it; it stays to be seen."""
        realm = running(f"{OPEN}; mrs x3, {IAR1}; msr {EOIR1}, x3; nop; {REPORT}")
        exit = realm.enter(gicv3_lrs=(lr(PENDING) | MAINTENANCE_AT_EOI, *(0,) * 15))
        assert (exit.exit_reason, exit.esr, exit.gicv3_misr) == (RecExitReason.IRQ, 0, M_EOI)
        assert exit.gicv3_lrs[0] == lr(0) | MAINTENANCE_AT_EOI
        assert reported(realm.enter())[3] == 27

    def test_record(self, running: Running, host: Any) -> None:
        """The whole of run.exit: reason, ICH_HCR, list registers, ICH_MISR and ICH_VMCR, and zero everywhere else."""
        realm = running(f"{load('x10', 0x5EC2_E7)}; {OPEN}; mrs x3, {IAR1}; msr {EOIR1}, x3; nop; {REPORT}")
        lrs = (lr(PENDING, 1019) | MAINTENANCE_AT_EOI, 0, lr(ACTIVE, 8192, 0xF8), lr(0, 60), *(0,) * 12)
        run = realm.prepare(gicv3_hcr=LRENPIE | TDIR, gicv3_lrs=lrs)
        host.memory.write(run + 0x800, b"\xff" * 0x800)
        host.ok(Rmi.REC_ENTER, realm.recs[0], run)
        after = (lr(0, 1019) | MAINTENANCE_AT_EOI, 0, lr(ACTIVE, 8192, 0xF8), lr(0, 60), *(0,) * 12)
        assert host.memory.read(run + 0x800, 0x800) == RmiRecExit.pack(
            exit_reason=RecExitReason.IRQ, gicv3_hcr=LRENPIE | TDIR, gicv3_lrs=after, gicv3_misr=M_EOI,
            gicv3_vmcr=opened(),
        )  # fmt: skip

    def test_list_register_not_present(self, running: Running) -> None:
        """LRENP once EOIcount is not zero."""
        realm = running(f"{OPEN}; mrs x7, {IAR1}; {REPORT}; msr {EOIR1}, x7; nop; {REPORT}")
        realm.enter(gicv3_lrs=(lr(PENDING), *(0,) * 15))
        exit = realm.enter(gicv3_hcr=LRENPIE)
        assert (exit.exit_reason, exit.gicv3_misr, exit.gicv3_hcr) == (RecExitReason.IRQ, M_LRENP, LRENPIE | 1 << 27)

    def test_groups(self, running: Running) -> None:
        """The Realm turns its group on and off."""
        realm = running(f"{OPEN}; nop; {msr(IGRPEN1, 0)}; nop; {REPORT}")
        first = realm.enter(gicv3_hcr=GRP1EIE)
        assert (first.exit_reason, first.gicv3_misr) == (RecExitReason.IRQ, M_GRP1E)
        second = realm.enter(gicv3_hcr=GRP1EIE | GRP1DIE)
        assert (second.exit_reason, second.gicv3_misr) == (RecExitReason.IRQ, M_GRP1E)
        third = realm.enter(gicv3_hcr=GRP1DIE)
        assert (third.exit_reason, third.gicv3_misr) == (RecExitReason.IRQ, M_GRP1D)
        assert realm.enter().exit_reason == RecExitReason.HOST_CALL


class TestTraps:
    """What of the CPU interface is the Host's."""

    def test_dir(self, running: Running) -> None:
        """ICC_DIR_EL1 deactivates; with ICH_HCR_EL2.TDIR it is the Host's, and the list register stays active."""
        source = f"{OPEN}; {msr(CTLR, 2)}; mrs x3, {IAR1}; msr {EOIR1}, x3; msr {DIR}, x3; {REPORT}"
        exit = running(source).enter(gicv3_lrs=(lr(PENDING), *(0,) * 15))
        assert (reported(exit)[3], exit.gicv3_lrs[0]) == (27, lr(0))

    def test_dir_trapped(self, running: Running) -> None:
        """The write is in gprs[0], Rt is not given; the Realm goes on after it."""
        source = f"{OPEN}; {msr(CTLR, 2)}; mrs x3, {IAR1}; msr {EOIR1}, x3; msr {DIR}, x3; {REPORT}"
        realm = running(source)
        exit = realm.enter(gicv3_hcr=TDIR, gicv3_lrs=(lr(PENDING), *(0,) * 15))
        assert (exit.exit_reason, exit.esr >> 26, exit.gprs[0]) == (RecExitReason.SYNC, 0x18, 27)
        assert exit.esr & 0x3F_FFFF == 3 << 20 | 1 << 17 | 12 << 10 | 11 << 1
        assert (exit.gicv3_hcr, exit.gicv3_lrs[0]) == (TDIR, lr(ACTIVE))
        assert reported(realm.enter(gicv3_lrs=(lr(0), *(0,) * 15)))[3] == 27

    @pytest.mark.parametrize("register", [SGI1R, "S3_0_C12_C11_6", "S3_0_C12_C11_7"])
    def test_sgi_read(self, running: Running, register: str) -> None:
        """The registers that make SGIs are write-only: to read one is undefined, and no exit."""
        exit = running(with_vectors(f"mrs x5, {register}")).enter()
        assert reported(exit)[0] >> 26 == 0

    def test_sgi(self, running: Running) -> None:
        """An SGI always exits."""
        realm = running(f"{load('x3', 1 << 40 | 5 << 24)}; msr {SGI1R}, x3; mov x3, #8; {REPORT}")
        exit = realm.enter()
        assert (exit.exit_reason, exit.gprs[0]) == (RecExitReason.SYNC, 1 << 40 | 5 << 24)
        assert reported(realm.enter())[3] == 8


class TestHostInterrupts:
    """Physical interrupts while a Realm runs."""

    def test_masked_by_the_host(self, running: Running, host: Any) -> None:
        """An interrupt that ICC_PMR_EL1 of the Host masks does not end the run; it is still pending afterwards."""
        gic = host.pe.gic
        gic.write((3, 0, 4, 6, 0), 0, 2, 1, 0)
        realm = running(f"mov x3, #0; mov x5, #4000; again: add x3, x3, #1; cmp x3, x5; b.ne again; {REPORT}")
        host.pe.host_timer(host.machine.clock.now + 1000)
        assert reported(realm.enter())[3] == 4000
        gic.write((3, 0, 4, 6, 0), 0xF0, 2, 1, 0)
        assert host.pe.gic.read((3, 0, 12, 12, 2), 2, 1, 0) == 26
        Irqchip(host.machine).handle(host.pe)
        assert host.pe.gic.read((3, 0, 12, 12, 2), 2, 1, 0) == SPURIOUS

    @pytest.mark.parametrize("timer", ["cntv", "cntp"])
    def test_timers_of_the_realm(self, running: Running, host: Any, timer: str) -> None:
        """A timer of the Realm ends the run, and is no interrupt of the Host's once the Realm is off the PE."""
        arm = f"mov x3, #500; msr {timer}_tval_el0, x3; mov x3, #1; msr {timer}_ctl_el0, x3"
        exit = running(f"{arm}; again: b again").enter()
        assert (exit.exit_reason, getattr(exit, f"{timer}_ctl")) == (RecExitReason.IRQ, 5)
        assert host.pe.gic.signals == 0
        assert host.pe.gic.read((3, 0, 12, 12, 0), 2, 1, 0) == SPURIOUS
