"""Interrupts as real code takes them: routing, masking, the timers' PPIs, list registers, WFI (DDI 0487, D1.3)."""

from typing import Any, Final

import pytest

from cca_arch.types import SecurityState
from cca_platform.engine import interrupts, timers
from cca_platform.native import block as w

NS, SECURE, REALM = SecurityState.NON_SECURE, SecurityState.SECURE, SecurityState.REALM
IRQ, FIQ, SERROR = interrupts.IRQ, interrupts.FIQ, interrupts.SERROR
FMO, IMO, AMO, VSE, TGE, RW = 1 << 3, 1 << 4, 1 << 5, 1 << 8, 1 << 27, 1 << 31
SCR_IRQ, SCR_FIQ, SCR_EA = 2, 4, 8
MASK_I, MASK_F, MASK_A = 1 << 7, 1 << 6, 1 << 8
IAR1, EOIR1, SGI1R = "s3_0_c12_c12_0", "s3_0_c12_c12_1", "s3_0_c12_c11_5"
ICH_HCR, ICH_VMCR, ICH_LR0 = "s3_4_c12_c11_0", "s3_4_c12_c11_7", "s3_4_c12_c12_0"
CODE, DATA = 0x8010_0000, 0x8012_0000  # where the bench has them
VECTORS_EL2: Final = 0x8013_0000
LOWER: Final = 0x8014_0000
REPORT: Final = f"mrs x10, {IAR1}; mrs x11, spsr_el2; mrs x12, elr_el2; mov x13, #{{offset}}; smc #0"
EL2_TIMER: Final = "mrs x1, cntpct_el0; add x1, x1, #500; msr cnthp_cval_el2, x1; mov x2, #1; msr cnthp_ctl_el2, x2;"


def vectors_el2(bench: Any, handler: str = REPORT) -> None:
    """Every EL2 vector runs ``handler``, which may use its offset."""
    for offset in range(0, 0x800, 0x80):
        bench.place(VECTORS_EL2 + offset, handler.replace("{offset}", str(offset)))
    bench.pe.write_sysreg("vbar_el2", VECTORS_EL2)


class TestRouting:
    """Tables of D1.3.6.3 and D1.3.6.4: which level takes a physical interrupt, and when it stays pending."""

    # (state, EL, HCR_EL2, SCR_EL3, PSTATE masks, signals) -> vector offset | target level, 0 = pending
    ROWS: Final = (
        (NS, 1, 0, 0, 0, w.SIGNAL_G1NS, IRQ | 1),
        (NS, 0, 0, 0, 0, w.SIGNAL_G1NS, IRQ | 1),
        (NS, 1, 0, 0, MASK_I, w.SIGNAL_G1NS, 0),
        (NS, 1, IMO, 0, MASK_I, w.SIGNAL_G1NS, IRQ | 2),
        (NS, 0, TGE, 0, MASK_I, w.SIGNAL_G1NS, IRQ | 2),
        (NS, 2, 0, 0, 0, w.SIGNAL_G1NS, 0),
        (NS, 2, IMO, 0, 0, w.SIGNAL_G1NS, IRQ | 2),
        (NS, 2, TGE, 0, 0, w.SIGNAL_G1NS, IRQ | 2),
        (NS, 2, IMO, 0, MASK_I, w.SIGNAL_G1NS, 0),
        (NS, 2, FMO, 0, 0, w.SIGNAL_G1NS, 0),
        (NS, 1, IMO, SCR_IRQ, MASK_I, w.SIGNAL_G1NS, IRQ | 3),
        (NS, 2, 0, SCR_IRQ, MASK_I, w.SIGNAL_G1NS, IRQ | 3),
        (NS, 2, FMO, SCR_FIQ, MASK_F | MASK_I, w.SIGNAL_G0, FIQ | 3),
        (NS, 1, FMO, 0, MASK_F, w.SIGNAL_G0, FIQ | 2),
        (NS, 1, 0, 0, MASK_F, w.SIGNAL_G0, 0),
        (NS, 1, 0, 0, 0, w.SIGNAL_G1S, FIQ | 1),
        (REALM, 1, IMO, SCR_FIQ, MASK_I, w.SIGNAL_G1NS, IRQ | 2),
        (REALM, 1, IMO, SCR_FIQ, MASK_I, w.SIGNAL_G1S, FIQ | 3),
        (SECURE, 1, IMO, 0, 0, w.SIGNAL_G1S, IRQ | 1),
        (SECURE, 1, IMO, 0, MASK_I, w.SIGNAL_G1S, 0),
        (SECURE, 1, 0, SCR_FIQ, MASK_F | MASK_I, w.SIGNAL_G1NS, FIQ | 3),
        (SECURE, 1, 0, 0, 0, w.SIGNAL_G1NS, FIQ | 1),
        (NS, 1, 0, 0, 0, w.SIGNAL_SERROR, SERROR | 1),
        (NS, 1, AMO, 0, MASK_A, w.SIGNAL_SERROR, SERROR | 2),
        (NS, 1, AMO, SCR_EA, MASK_A, w.SIGNAL_SERROR, SERROR | 3),
        (NS, 2, 0, 0, 0, w.SIGNAL_SERROR, 0),
        (NS, 1, IMO, 0, 0, w.SIGNAL_VIRQ, IRQ | 1),
        (NS, 1, IMO, 0, MASK_I, w.SIGNAL_VIRQ, 0),
        (NS, 1, 0, 0, 0, w.SIGNAL_VIRQ, 0),
        (NS, 2, IMO, 0, 0, w.SIGNAL_VIRQ, 0),
        (NS, 0, IMO | TGE, 0, 0, w.SIGNAL_VIRQ, 0),
        (NS, 1, FMO, 0, 0, w.SIGNAL_VFIQ, FIQ | 1),
        (NS, 1, FMO, 0, MASK_F, w.SIGNAL_VFIQ, 0),
        (SECURE, 1, IMO, 0, 0, w.SIGNAL_VIRQ, 0),
        (NS, 1, IMO, 0, 0, w.SIGNAL_VIRQ | w.SIGNAL_G1NS, IRQ | 2),
        (NS, 1, AMO | VSE, 0, 0, 0, 1 << 16 | SERROR | 1),
        (NS, 1, AMO | VSE, 0, MASK_A, 0, 0),
        (NS, 1, VSE, 0, 0, 0, 0),
    )

    @pytest.mark.parametrize(("state", "el", "hcr", "scr", "masks", "signals", "taken"), ROWS)
    def test_row(
        self, bench: Any, state: int, el: int, hcr: int, scr: int, masks: int, signals: int, taken: int
    ) -> None:
        words = bench.pe.words
        words[w.P_SECURITY], words[w.P_HCR], words[w.P_SCR], words[w.P_SIGNALS] = state, hcr, scr, signals
        assert interrupts.due(bench.pe.address, el << 2 | bool(el) | masks) == taken


class TestReal:
    """Interrupts of real code at Non-secure EL2 and EL1."""

    def test_el2(self, bench: Any) -> None:
        """CNTHP interrupts EL2 code at the IRQ vector of the current level, with INTID 26, PSTATE as it was."""
        vectors_el2(bench)
        bench.enable_interrupts(26)
        source = f"mov x0, #{IMO}; msr hcr_el2, x0; msr daifclr, #2; {EL2_TIMER} loop: add x3, x3, #1; b loop"
        x = bench.run(source, el=2)
        assert (x[10], x[13]) == (26, 0x280)
        assert x[11] == 0x349
        assert 100 < x[3] < 1000

    def test_lower(self, bench: Any) -> None:
        """Under IMO it interrupts EL1 code that masks interrupts, at the vector for lower levels."""
        vectors_el2(bench)
        bench.enable_interrupts(26)
        bench.place(LOWER, "loop: add x3, x3, #1; b loop")
        hcr = f"mov x0, #{IMO}; movk x0, #0x8000, lsl #16; msr hcr_el2, x0;"
        x = bench.run(f"{hcr} {EL2_TIMER} msr elr_el2, x5; msr spsr_el2, x6; eret", el=2, x5=LOWER, x6=0x3C5)
        assert (x[10], x[11], x[13]) == (26, 0x3C5, 0x480)

    def test_unmask(self, bench: Any) -> None:
        """An interrupt that is pending while masked is taken when PSTATE.I is cleared, and not before."""
        vectors_el2(bench)
        bench.enable_interrupts(26)
        source = (
            f"mov x0, #{IMO}; msr hcr_el2, x0; {EL2_TIMER} mov x3, #2000; wait: subs x3, x3, #1; b.ne wait;"
            "mrs x4, isr_el1; mov x5, #1; msr daifclr, #2; nop; mov x5, #2; smc #0"
        )
        x = bench.run(source, el=2)
        assert (x[10], x[13]) == (26, 0x280)
        assert (x[3], x[4], x[5]) == (0, MASK_I, 1)

    def test_acknowledge_and_end(self, bench: Any) -> None:
        """A handler that turns the timer off, ends the interrupt and returns is not interrupted again."""
        handler = f"mrs x10, {IAR1}; msr cnthp_ctl_el2, xzr; msr {EOIR1}, x10; add x14, x14, #1; eret"
        vectors_el2(bench, handler)
        bench.enable_interrupts(26)
        source = (
            f"mov x0, #{IMO}; msr hcr_el2, x0; msr daifclr, #2; {EL2_TIMER}"
            "mov x3, #4000; wait: subs x3, x3, #1; b.ne wait; mrs x15, s3_0_c12_c12_0; smc #0"
        )
        x = bench.run(source, el=2)
        assert (x[10], x[14], x[15]) == (26, 1, 1023)

    def test_level(self, bench: Any) -> None:
        """A level that is still up when its interrupt ends is pending again at once."""
        handler = f"mrs x10, {IAR1}; msr {EOIR1}, x10; add x14, x14, #1; cmp x14, #3; b.eq out; eret; out: smc #0"
        vectors_el2(bench, handler)
        bench.enable_interrupts(26)
        x = bench.run(f"mov x0, #{IMO}; msr hcr_el2, x0; msr daifclr, #2; {EL2_TIMER} loop: b loop", el=2)
        assert (x[10], x[14]) == (26, 3)

    @pytest.mark.parametrize(
        ("intid", "arm"),
        [
            (26, "msr cnthp_cval_el2, xzr; msr cnthp_ctl_el2, x2"),
            (27, "msr cntv_cval_el0, xzr; msr cntv_ctl_el0, x2"),
            (28, "msr s3_4_c14_c3_2, xzr; msr s3_4_c14_c3_1, x2"),
            (30, "msr cntp_cval_el0, xzr; msr cntp_ctl_el0, x2"),
        ],
    )
    def test_timers(self, bench: Any, intid: int, arm: str) -> None:
        """Each timer has its PPI; IMASK takes the level away."""
        vectors_el2(bench)
        bench.enable_interrupts(26, 27, 28, 30)
        source = f"mov x0, #{IMO}; msr hcr_el2, x0; mov x2, #1; {arm}; nop; isb; mrs x4, isr_el1; {{}} smc #0"
        masked = arm.split(";")[1].replace("x2", "x6")
        x = bench.run(source.format(f"mov x6, #3; {masked}; isb; b on; on: mrs x7, isr_el1; mrs x8, {IAR1};"), el=2)
        assert (x[4], x[7], x[8]) == (MASK_I, 0, 1023)
        assert bench.run(source.format(f"mrs x8, {IAR1};"), el=2)[8] == intid

    def test_counter_hypervisor_virtual(self, bench: Any) -> None:
        """CNTHV_TVAL_EL2 and CNTHV_CVAL_EL2 are one state, and CNTVOFF_EL2 is not theirs."""
        source = (
            "mov x1, #77; msr cntvoff_el2, x1; mrs x2, cntpct_el0; mov x3, #4096; msr s3_4_c14_c3_0, x3;"
            "mrs x4, s3_4_c14_c3_2; mrs x5, s3_4_c14_c3_0; smc #0"
        )
        x = bench.run(source, el=2)
        assert 4096 - 20 < x[4] - x[2] < 4096 + 20
        assert 4080 < x[5] <= 4096


class TestSecurePhysicalTimer:
    """CNTPS_*_EL1: the timer of Secure EL1, where SCR_EL3.ST gives it that."""

    TVAL, CTL, CVAL = "s3_7_c14_c2_0", "s3_7_c14_c2_1", "s3_7_c14_c2_2"
    ST = 1 << 11

    def test_interrupt(self, bench: Any) -> None:
        """It signals PPI 29, and its registers read as those of the other timers."""
        bench.enable_interrupts(29)
        bench.machine.scr[SecurityState.SECURE] = self.ST
        arm = f"mrs x0, cntpct_el0; add x0, x0, #100; msr {self.CVAL}, x0; mov x2, #1; msr {self.CTL}, x2"
        early = f"mrs x3, {self.CTL}; mrs x4, isr_el1; mrs x5, {self.TVAL}; mrs x6, {self.CVAL}"
        late = f"mov x7, #200; loop: subs x7, x7, #1; b.ne loop; mrs x8, {self.CTL}; mrs x9, isr_el1"
        off = f"mov x2, #3; msr {self.CTL}, x2; isb; b on; on: mrs x10, isr_el1; mrs x11, {self.CTL}"
        x = bench.run(f"{arm}; {early}; {late}; {off}; smc #0", SecurityState.SECURE)
        assert (x[3], x[4], x[6]) == (1, 0, x[0])
        assert 80 < x[5] <= 100
        assert (x[8], x[9]) == (5, MASK_F)  # an interrupt of Non-secure Group 1 is an FIQ here
        assert (x[10], x[11]) == (0, 7)

    def test_turn_of_another_world(self, bench: Any) -> None:
        """What it is set to stays while other worlds run, and the virtual offset is not its."""
        bench.machine.scr[SecurityState.SECURE] = self.ST
        bench.run(f"mov x0, #77; msr {self.CVAL}, x0; mov x0, #2; msr {self.CTL}, x0; smc #0", SecurityState.SECURE)
        bench.run("mov x0, #5; msr cntp_cval_el0, x0; msr cntv_cval_el0, x0; msr cntvoff_el2, x0; smc #0", el=2)
        x = bench.run(f"mrs x1, {self.CVAL}; mrs x2, {self.CTL}; smc #0", SecurityState.SECURE)
        assert x[1:3] == [77, 2]

    @pytest.mark.parametrize(
        ("state", "el", "scr"),
        [
            (SecurityState.SECURE, 1, 0),
            (SecurityState.SECURE, 0, ST),
            (SecurityState.NON_SECURE, 1, ST),
            (SecurityState.NON_SECURE, 2, ST),
            (SecurityState.REALM, 1, ST),
        ],
    )
    @pytest.mark.parametrize("access", ["mrs x5, {}", "msr {}, x5"])
    def test_not_for_others(self, bench: Any, state: SecurityState, el: int, scr: int, access: str) -> None:
        """Everybody else gets the exception of an undefined instruction, and changes nothing."""
        bench.machine.scr[state] = scr
        bench.vectors()
        vectors_el2(bench, "mrs x20, esr_el2; smc #0")
        for register in (self.TVAL, self.CTL, self.CVAL):
            x = bench.run(f"{access.format(register)}; smc #0", state, el, x5=99, x20=1)
            assert (x[20] >> 26, x[5]) == (0, 99)
        words = w.P_TIMERS + 2 * timers.CNTPS
        assert bench.pe.words[words : words + 2].tolist() == [0, 0]


class TestVirtual:
    """Virtual interrupts of list registers."""

    def test_list_register(self, bench: Any) -> None:
        """EL1 takes the INTID of a list register at its own vector, acknowledges and ends it."""
        bench.vectors(f"mrs x10, {IAR1}; msr {EOIR1}, x10; mrs x11, spsr_el1; mrs x12, {IAR1}; hvc #0")
        vectors_el2(bench, f"mrs x13, {ICH_LR0}; smc #0")
        bench.place(LOWER, "nop; msr daifclr, #2; loop: b loop")
        lr = 1 << 62 | 1 << 60 | 0x80 << 48 | 45
        source = (
            f"msr hcr_el2, x0; msr {ICH_LR0}, x1; msr {ICH_VMCR}, x2; mov x3, #1; msr {ICH_HCR}, x3;"
            "msr elr_el2, x5; msr spsr_el2, x6; eret"
        )
        x = bench.run(source, el=2, x0=RW | IMO | FMO, x1=lr, x2=0xF8 << 24 | 2, x5=LOWER, x6=0x3C5)
        assert (x[10], x[12]) == (45, 1023)
        assert x[11] & MASK_I == 0
        assert x[13] >> 62 == 0

    @pytest.mark.parametrize(
        ("pended", "enable", "shown", "vector"), [(1 << 7, IMO, 1 << 7, 0x80), (1 << 6, FMO, 1 << 6, 0x100)]
    )
    def test_by_hypervisor(self, bench: Any, pended: int, enable: int, shown: int, vector: int) -> None:
        """HCR_EL2.VI and VF pend an IRQ and an FIQ of EL1, with IMO and FMO: in ISR_EL1, and taken when unmasked."""
        bench.vectors("adr x10, .; hvc #0")
        vectors_el2(bench, "smc #0")
        bench.place(LOWER, "mrs x11, isr_el1; msr daifclr, #3; nop; nop; mov x10, #0; hvc #0")
        source = "msr hcr_el2, x0; msr elr_el2, x5; msr spsr_el2, x6; eret"
        x = bench.run(source, el=2, x0=RW | pended | enable, x5=LOWER, x6=0x3C5)
        assert (x[10] & 0x7FF, x[11]) == (0x200 | vector, shown)
        x = bench.run(source, el=2, x0=RW | pended, x5=LOWER, x6=0x3C5)
        assert (x[10], x[11]) == (0, 0)

    def test_virtual_serror(self, bench: Any) -> None:
        """HCR_EL2.VSE makes EL1 take an SError when it is unmasked; VSE is then clear."""
        bench.vectors("mrs x10, esr_el1; mrs x11, elr_el1; hvc #0")
        vectors_el2(bench, "mrs x12, hcr_el2; smc #0")
        bench.place(LOWER, "nop; nop; msr daifclr, #4; nop; loop: b loop")
        source = "msr hcr_el2, x0; msr elr_el2, x5; msr spsr_el2, x6; eret"
        x = bench.run(source, el=2, x0=RW | AMO | VSE, x5=LOWER, x6=0x3C5)
        assert x[10] == 0x2F << 26 | 1 << 25
        assert x[11] == LOWER + 12
        assert x[12] == RW | AMO

    def test_physical_serror(self, bench: Any) -> None:
        """A physical SError is EL1's without AMO, with its ISS in ESR_EL1."""
        bench.vectors("mrs x10, esr_el1; mrs x11, elr_el1; smc #0")
        bench.pe.raise_serror(0x1_2345)
        x = bench.run("nop; msr daifclr, #4; nop; loop: b loop")
        assert x[10] == 0x2F << 26 | 1 << 25 | 0x1_2345
        assert x[11] == CODE + 8


class TestWaiting:
    """WFI lets time pass until an interrupt wakes it, taken or masked."""

    def test_masked(self, bench: Any) -> None:
        """A masked interrupt ends WFI and is not taken."""
        vectors_el2(bench)
        bench.enable_interrupts(26)
        before = bench.machine.clock.now
        source = (
            f"mov x0, #{IMO}; msr hcr_el2, x0; mrs x1, cntpct_el0; mov x4, #50000; add x1, x1, x4;"
            "msr cnthp_cval_el2, x1; mov x2, #1; msr cnthp_ctl_el2, x2; wfi; mrs x3, cntpct_el0; smc #0"
        )
        bench.place(CODE, source)
        pe = bench.pe
        pe.elr, pe.spsr = CODE, 0x3C9
        pe.eret(NS, 2)
        bench.machine.run(100_000)
        x = bench.el3.calls[-1]
        assert x[3] >= x[1] > before
        assert pe.retired < 100

    def test_sgi(self, bench: Any) -> None:
        """An SGI of one PE wakes another one, which takes it."""
        bench.enable_interrupts(3)
        vectors_el2(bench, f"mrs x10, {IAR1}; str x10, [x9]; smc #0")
        first, second = bench.machine.pes[:2]
        second.write_sysreg("vbar_el2", VECTORS_EL2)
        bench.place(CODE, f"mov x3, #4000; wait: subs x3, x3, #1; b.ne wait; msr {SGI1R}, x1; idle: wfi; b idle")
        bench.place(LOWER, f"mov x0, #{IMO}; msr hcr_el2, x0; msr daifclr, #2; idle: wfi; b idle")
        for pe, at in ((first, CODE), (second, LOWER)):
            pe.elr, pe.spsr = at, 0x3C9
            pe.eret(NS, 2)
        first.x[1] = 3 << 24 | 1 << 16 | 1  # Aff3.Aff2 = 0, Aff1 = 1, target list 1: the second PE of the board
        second.x[9] = DATA
        bench.machine.run(100_000)
        assert bench.machine.stopped == "SMC"
        assert bench.machine.memory.backdoor.read64(DATA) == 3

    @pytest.mark.parametrize("ticks", [10, 1000, 50_000])
    def test_timer_of_another(self, bench: Any, ticks: int) -> None:
        """A PE that waits for its timer wakes though another one has run past it before it waits itself."""
        bench.enable_interrupts(26)
        bench.place(
            CODE,
            "mrs x1, cntpct_el0; add x1, x1, x4; msr cnthp_cval_el2, x1; mov x2, #1; msr cnthp_ctl_el2, x2;"
            "wfi; mov x3, #1; smc #0",
        )
        bench.place(LOWER, "run: subs x4, x4, #1; b.ne run; idle: wfi; b idle")
        first, second = bench.machine.pes[:2]
        for pe, at in ((first, CODE), (second, LOWER)):
            pe.elr, pe.spsr, pe.x[4] = at, 0x3C9, ticks
            pe.eret(NS, 2)
        assert bench.machine.run(1_000_000) == "SMC"
        assert bench.el3.calls[-1][3] == 1

    def test_nothing(self, bench: Any) -> None:
        """PEs that all wait for what cannot come end the run."""
        bench.place(CODE, "wfi; smc #0")
        bench.pe.elr, bench.pe.spsr = CODE, 0x3C9
        bench.pe.eret(NS, 2)
        assert bench.machine.run(1000) == "every PE waits for an interrupt that cannot come"


class TestMonitor:
    """Group 0 interrupts are EL3's where SCR_EL3.FIQ says so."""

    def test_fiq(self, bench: Any) -> None:
        """EL3 is entered from code that masks everything, and may go on with it."""
        seen: list[tuple[int, int]] = []

        def on_irq(pe: Any) -> None:
            seen.append((pe.elr, pe.spsr))
            pe.words[w.P_SIGNALS] = 0

        bench.el3.on_irq = on_irq
        bench.machine.scr[NS] = SCR_FIQ
        bench.pe.signal(w.SIGNAL_G0)
        bench.run("mov x1, #1; smc #0", el=2)
        assert seen == [(CODE, 0x3C9)]
        assert bench.el3.calls[-1][1] == 1


class TestTurns:
    """PEs take turns; one that is sent an interrupt has its turn at once."""

    def test_interrupt_of_another(self, bench: Any) -> None:
        """The sender of an SGI sees its effect long before its own turn would have ended."""
        bench.enable_interrupts(3)
        vectors_el2(bench, "mov x10, #1; str x10, [x9]; idle: wfi; b idle")
        first, second = bench.machine.pes[:2]
        second.write_sysreg("vbar_el2", VECTORS_EL2)
        wait = "mov x3, xzr; wait: add x3, x3, #1; ldr x4, [x9]; cbz x4, wait"
        bench.place(CODE, f"mov x3, #40000; on: subs x3, x3, #1; b.ne on; msr {SGI1R}, x1; {wait}; smc #0")
        bench.place(LOWER, f"mov x0, #{IMO}; msr hcr_el2, x0; msr daifclr, #2; idle: b idle")
        for pe, at in ((first, CODE), (second, LOWER)):
            pe.x[9] = DATA
            pe.elr, pe.spsr = at, 0x3C9
            pe.eret(NS, 2)
        first.x[1] = 3 << 24 | 1 << 16 | 1
        bench.machine.run(1_000_000)  # the second PE has had a turn before the SGI is sent
        assert bench.el3.calls[-1][3] < 10
