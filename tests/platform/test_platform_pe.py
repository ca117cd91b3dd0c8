"""A PE runs code, takes exceptions where the architecture takes them, and counts what it retires."""

from collections.abc import Callable
from typing import Any

import pytest

from cca_arch.types import SecurityState
from cca_platform.errors import InstructionLimit, MachineStopped
from cca_platform.isa import frame

CODE = 0x8010_0000
VECTORS = 0x8011_0000
DATA = 0x8012_0000
UART = 0x1C09_0000
NS, REALM = SecurityState.NON_SECURE, SecurityState.REALM
IL = 1 << 25
TO_EL1 = (
    "msr vbar_el2, x1; msr hcr_el2, x4; adr x2, el1; msr elr_el2, x2; mov x3, #0x3c5; msr spsr_el2, x3; eret"
)  # x1 = vectors of EL2, x4 = HCR_EL2; seven instructions


class TestEntry:
    """Exception entry into real vectors: offset, ELR, SPSR, ESR and PSTATE."""

    @pytest.mark.parametrize(
        ("source", "el", "esr", "after"),
        [
            ("svc #0x123", 0, 0x15 << 26 | IL | 0x123, 4),
            ("svc #7", 1, 0x15 << 26 | IL | 7, 4),
            ("brk #0x55", 1, 0x3C << 26 | IL | 0x55, 0),
            ("brk #0x55", 0, 0x3C << 26 | IL | 0x55, 0),
            (".word 0", 1, IL, 0),
            ("smc #0", 0, IL, 0),
            ("mrs x0, vbar_el2", 1, IL, 0),
            ("mrs x0, ttbr0_el1", 0, IL, 0),
        ],
    )
    def test_syndrome(self, bench: Any, source: str, el: int, esr: int, after: int) -> None:
        """SVC returns after itself, BRK and undefined instructions to themselves; each has its class and immediate."""
        bench.vectors("mrs x20, esr_el1; mrs x22, elr_el1; mrs x23, spsr_el1; adr x24, .; mrs x25, currentel; smc #0")
        x = bench.run(f"nop; {source}", el=el)
        assert x[20] == esr
        assert x[22] == CODE + 4 + after
        assert x[23] & 0xF == {0: 0, 1: 5}[el]
        assert x[24] == VECTORS + (0x400 if el == 0 else 0x200) + 12
        assert x[25] == 4

    def test_stack_pointers(self, bench: Any) -> None:
        """EL0 uses SP_EL0, its exception SP_EL1, and ERET gives SP_EL0 back."""
        bench.vectors("mov x20, sp; mrs x21, sp_el0; msr elr_el1, x9; mov x10, #0x3c5; msr spsr_el1, x10; eret")
        bench.place(CODE + 0x100, "mov x22, sp; smc #0")
        source = "adr x9, .+0x100; mov sp, x1; msr sp_el0, x2; adr x3, el0; msr elr_el1, x3; msr spsr_el1, xzr; eret"
        x = bench.run(f"{source}; el0: sub sp, sp, #16; svc #0", x1=0x8030_0000, x2=0x8038_0000)
        assert x[20:23] == [0x8030_0000, 0x8038_0000 - 16, 0x8030_0000]

    def test_hvc_to_el2_code(self, bench: Any) -> None:
        """HVC from EL1 enters the vectors of real EL2 code, after the HVC; ERET there is native."""
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS + offset, "mrs x20, esr_el2; mrs x21, elr_el2; mrs x22, currentel; smc #0")
        x = bench.run(f"{TO_EL1}; el1: mrs x5, currentel; hvc #0x44", el=2, x1=VECTORS, x4=1 << 31)
        assert x[5] == 4
        assert x[20] == 0x16 << 26 | IL | 0x44
        assert (x[21], x[22]) == (CODE + 9 * 4, 8)

    def test_smc_immediate(self, bench: Any) -> None:
        """EL3 sees the immediate of an SMC."""
        bench.run("smc #0x3e")
        assert bench.el3.syndromes == [0x17 << 26 | IL | 0x3E]

    def test_trapped_smc(self, bench: Any) -> None:
        """HCR_EL2.TSC: an SMC of EL1 is an exception to EL2, at the SMC itself."""
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS + offset, "mrs x20, esr_el2; mrs x21, elr_el2; smc #0")
        x = bench.run(f"{TO_EL1}; el1: smc #9", el=2, x1=VECTORS, x4=1 << 31 | 1 << 19)
        assert x[20:22] == [0x17 << 26 | IL | 9, CODE + 7 * 4]

    def test_unaligned_exclusive(self, bench: Any) -> None:
        """A misaligned exclusive is an alignment fault: DFSC 0x21, FAR the address."""
        bench.vectors()
        x = bench.run("ldxr x2, [x1]", x1=DATA + 1)
        assert x[20:23] == [0x25 << 26 | IL | 0x21, DATA + 1, CODE]


class TestPython:
    """A level in Python: its exceptions, and what it may change."""

    class Level2:
        """R-EL2 that notes what it gets and steps over it."""

        def __init__(self) -> None:
            self.seen: list[tuple[int, int, int, int, int]] = []

        def on_sync(self, pe: Any, esr: int, far: int, hpfar: int) -> None:
            self.seen.append((esr >> 26, esr & 0xFFFFFF, far, hpfar, pe.elr))
            pe.elr += 4 if esr >> 26 != 0x16 else 0
            pe.x[5] = 0x77

        def on_irq(self, pe: Any) -> None:
            self.seen.append((-1, 0, 0, 0, pe.elr))
            pe.host_timer(None)

        def on_eret(self, pe: Any) -> None:
            raise AssertionError("nobody enters this level")

    def test_sync(self, bench: Any) -> None:
        """HVC, a trapped WFI and a trapped ID register arrive with their class; a changed X5 is seen by the code."""
        level2 = self.Level2()
        bench.machine.install(REALM, 2, level2)
        bench.pe.set_el2(1 << 31 | 1 << 13 | 1 << 18, 0, 0, 0x8000_0000)
        x = bench.run("hvc #1; mov x6, x5; wfi; mrs x7, id_aa64pfr0_el1; smc #0", REALM, x5=0, x7=1)
        assert [(ec, elr - CODE) for ec, _, _, _, elr in level2.seen] == [(0x16, 4), (0x01, 8), (0x18, 12)]
        assert x[5:8] == [0x77, 0x77, 1]

    def test_interrupt_generation(self, bench: Any) -> None:
        """Under HCR_EL2.IMO a write of ICC_SGI1R_EL1 is EL2's, with its register in the syndrome; else it is done."""
        level2 = self.Level2()
        bench.machine.install(REALM, 2, level2)
        bench.vectors()
        bench.pe.set_el2(1 << 31 | 1 << 4, 0, 0, 0x8000_0000)
        bench.run("msr s3_0_c12_c11_5, x9; smc #0", REALM, x9=1)
        ec, iss, _, _, elr = level2.seen[0]
        assert (ec, elr) == (0x18, CODE)
        assert iss == 3 << 20 | 5 << 17 | 0 << 14 | 12 << 10 | 9 << 5 | 11 << 1
        bench.pe.set_el2(1 << 31, 0, 0, 0x8000_0000)
        bench.enable_interrupts(0)
        assert bench.run("msr s3_0_c12_c11_5, x9; mrs x10, s3_0_c12_c12_0; smc #0", REALM, x9=1, x20=7)[20] == 7

    def test_irq(self, bench: Any) -> None:
        """The host's timer interrupts code of a lower level at the first block boundary after its deadline."""
        level2 = self.Level2()
        bench.machine.install(REALM, 2, level2)
        bench.enable_interrupts(26)
        bench.pe.set_el2(1 << 31 | 1 << 4, 0, 0, 0x8000_0000)
        bench.pe.host_timer(bench.machine.clock.now + 1000)
        bench.run("loop: subs x1, x1, #1; b.ne loop; smc #0", REALM, x1=2000)
        assert level2.seen[0][0] == -1
        assert len(level2.seen) == 1

    def test_register_files(self, bench: Any) -> None:
        """save_el1 stores the interrupted code's registers in memory; restore_el1 brings every one of them back."""
        memory, pe = bench.machine.memory, bench.pe
        values = {"tpidr_el0": 1, "tpidr_el1": 2, "vbar_el1": VECTORS, "contextidr_el1": 4, "mair_el1": 0xFF}
        for name, value in values.items():
            pe.write_sysreg(name, value)
        address = memory.backdoor.host_address(DATA, frame.EL1_FRAME_SIZE)
        seen: list[bytes] = []

        class Level2(self.Level2):
            def on_sync(self, pe: Any, esr: int, far: int, hpfar: int) -> None:
                pe.save_el1(address)
                seen.append(memory.backdoor.read(DATA, frame.EL1_FRAME_SIZE))
                for name in values:
                    pe.write_sysreg(name, 0x1000)
                pe.x[:] = memoryview(bytes(31 * 8)).cast("Q")
                pe.restore_el1(address)

        bench.machine.install(REALM, 2, Level2())
        after = "mrs x10, tpidr_el0; mrs x11, tpidr_el1; mov x12, sp; fmov x13, d3; smc #0"
        source = f"fmov d3, x3; mov sp, x4; hvc #0; {after}"
        x = bench.run(source, REALM, x3=0x4008_0000_0000_0000, x4=0x8033_0000, x30=9)
        assert x[3] == 0x4008_0000_0000_0000
        assert x[10:14] == [1, 2, 0x8033_0000, x[3]]
        assert x[30] == 9
        stored = seen[0]
        for name, value in {**values, "x30": 9, "sp_el1": 0x8033_0000, "pc": CODE + 12, "pstate": 0x3C5}.items():
            at = frame.offset(name)
            assert int.from_bytes(stored[at : at + 8], "little") & 0xFFFFFFFF == value, name


class TestCounting:
    """The clock counts retired instructions exactly, whatever interrupts a block."""

    @pytest.mark.parametrize("turns", [1, 10, 1000])
    def test_loop(self, bench: Any, turns: int) -> None:
        """A loop of two instructions retires twice its turns, the SMC included."""
        before = bench.pe.retired
        bench.run("loop: subs x1, x1, #1; b.ne loop; smc #0", x1=turns)
        assert bench.pe.retired - before == 2 * turns + 1

    def test_aborts(self, bench: Any) -> None:
        """An access that aborts is not retired; what its handler retires is."""
        bench.vectors("mrs x20, elr_el1; add x20, x20, #4; msr elr_el1, x20; eret")
        before = bench.pe.retired
        bench.run("nop; nop; ldr x2, [x1]; nop; smc #0", x1=0x7000_0000)
        assert bench.pe.retired - before == 4 + 4

    def test_counter(self, bench: Any) -> None:
        """CNTVCT_EL0 and CNTPCT_EL0 read the clock, CNTFRQ_EL0 the board's frequency."""
        x = bench.run("mrs x1, cntvct_el0; mrs x2, cntpct_el0; mrs x3, cntfrq_el0; isb; mrs x4, cntvct_el0; smc #0")
        assert x[1] == x[2]
        assert x[3] == 100_000_000
        assert x[4] >= x[1]
        assert x[4] <= bench.machine.clock.now

    def test_timer_registers(self, bench: Any) -> None:
        """CTL, CVAL and TVAL of the virtual timer are one state: TVAL is CVAL - counter, ISTATUS the comparison."""
        source = (
            "mov x1, #1000; msr cntv_tval_el0, x1; mov x2, #1; msr cntv_ctl_el0, x2; mrs x3, cntv_ctl_el0;"
            "mrs x4, cntv_cval_el0; mrs x5, cntv_tval_el0; msr cntv_cval_el0, xzr; mrs x6, cntv_ctl_el0; smc #0"
        )
        x = bench.run(source)
        assert x[3] == 1
        assert x[4] - 1000 <= bench.machine.clock.now
        assert 0 < x[5] <= 1000
        assert x[6] == 5

    def test_timer_far_away(self, bench: Any) -> None:
        """A compare value with bit 63 set is far in the future, not in the past."""
        source = "mov x1, #-1; msr cntv_cval_el0, x1; mov x2, #1; msr cntv_ctl_el0, x2; mrs x3, cntv_ctl_el0; smc #0"
        assert bench.run(source)[3] == 1
        assert bench.pe.deadline() is None

    def test_limit(self, bench: Any) -> None:
        """A run stops within one block of its limit of instructions."""
        bench.place(CODE, "loop: b loop")
        bench.pe.elr, bench.pe.spsr = CODE, 0x3C5
        bench.pe.eret(NS, 1)
        with pytest.raises(InstructionLimit, match="5000 instructions"):
            bench.machine.run(5000)
        assert bench.pe.retired == 5000

    def test_nothing_can_wake_it(self, bench: Any) -> None:
        """WFI with no timer anywhere ends the run instead of hanging it."""
        bench.place(CODE, "wfi; smc #0")
        bench.pe.elr, bench.pe.spsr = CODE, 0x3C5
        bench.pe.eret(NS, 1)
        assert "cannot come" in bench.machine.run(1000)

    def test_stuck(self, bench: Any) -> None:
        """A vector that faults on itself is no code that runs: with nothing else to wait for, the run ends."""
        bench.pe.write_sysreg("vbar_el1", 0x7000_0000)
        bench.place(CODE, ".word 0")
        bench.pe.elr, bench.pe.spsr = CODE, 0x3C5
        bench.pe.eret(NS, 1)
        assert bench.machine.run(1_000_000) == "every PE waits for an interrupt that cannot come"
        assert (bench.pe.stuck, bench.pe.retired) == (True, 0)

    def test_stopped(self, bench: Any) -> None:
        """After power-off nothing runs."""
        bench.machine.stop("system off")
        bench.pe.eret(NS, 1)
        with pytest.raises(MachineStopped, match="system off"):
            bench.pe.step()


class TestDevices:
    """A device register is accessed by the instruction, whatever its form, and stepped over."""

    def test_uart(self, bench: Any) -> None:
        """Stores to UARTDR come out; UARTFR says that the transmit FIFO is empty."""
        bench.run("mov w2, #72; str w2, [x1]; mov w2, #105; strb w2, [x1]; ldr w3, [x1, #0x18]; smc #0", x1=UART)
        assert bytes(bench.machine.bus.devices["uart0"].output) == b"Hi"
        assert bench.el3.calls[-1][3] == 0x90

    def test_writeback(self, bench: Any) -> None:
        """A post-indexed access moves its base, a pair reads two registers."""
        x = bench.run("str wzr, [x1], #8; add x2, x3, #0xfe0; ldp w4, w5, [x2]; smc #0", x1=UART + 0x24, x3=UART)
        assert x[1] == UART + 0x2C
        assert x[4:6] == [0x11, 0x10]

    def test_external_abort(self, bench: Any) -> None:
        """Where nothing answers, and for a fetch from a device, the abort is external: 0x10."""
        bench.vectors()
        assert bench.run("ldr x2, [x1]", x1=0x7000_0000)[20:22] == [0x25 << 26 | IL | 0x10, 0x7000_0000]
        assert bench.run("br x1", x1=UART)[20] & 0xFC00_003F == 0x21 << 26 | 0x10


class TestCode:
    """Translated code never outlives the bytes it was made of."""

    def test_written_from_python(self, bench: Any) -> None:
        """Code that a port rewrites is executed anew."""
        assert bench.run("mov x1, #1; smc #0")[1] == 1
        assert bench.run("mov x1, #2; smc #0")[1] == 2

    def test_written_by_itself(self, bench: Any) -> None:
        """Code that a store rewrites is executed anew, with the maintenance that the architecture wants."""
        patched = int.from_bytes(b"\xe3\x00\x80\xd2", "little")  # mov x3, #7
        maintenance = "dc cvau, x1; dsb ish; ic ivau, x1; dsb ish; isb"
        assert bench.run(f"adr x1, place; str w2, [x1]; {maintenance}; place: mov x3, #1; smc #0", x2=patched)[3] == 7

    def test_written_by_another_pe(self, bench: Any) -> None:
        """IC IVAU reaches the other PEs: what one wrote, the other executes."""
        first, second = bench.machine.pes[:2]
        bench.place(DATA, "mov x3, #1; smc #0")

        def call(pe: Any, source: str, **registers: int) -> list[int]:
            bench.pe = pe
            result: list[int] = bench.run(source, **registers)
            return result

        assert call(second, "br x1", x1=DATA)[3] == 1
        patched = int.from_bytes(b"\xe3\x00\x80\xd2", "little")
        call(first, "str w2, [x1]; dc cvau, x1; dsb ish; ic ivau, x1; dsb ish; smc #0", x1=DATA, x2=patched)
        assert call(second, "br x1", x1=DATA)[3] == 7


class TestIdentification:
    """What code reads of the machine it runs on."""

    def test_mpidr(self, bench: Any) -> None:
        """Each PE has the MPIDR of the board."""
        for index in (0, 3, 7):
            bench.pe = bench.machine.pes[index]
            assert bench.run("mrs x1, mpidr_el1; smc #0", el=2)[1] == bench.machine.board.pes[index]

    def test_features(self, bench: Any) -> None:
        """RME is there; the physical address size is the board's; no SVE, no PMU, no LPA2."""
        x = bench.run("mrs x1, id_aa64pfr0_el1; mrs x2, id_aa64mmfr0_el1; mrs x3, id_aa64dfr0_el1; smc #0", el=2)
        assert x[1] >> 52 & 15 == 1
        assert x[1] >> 32 & 15 == 0
        assert x[2] & 15 == 5
        assert x[3] >> 8 & 15 == 0

    @pytest.mark.parametrize("el", [1, 2])
    def test_same_answer_from_python(self, bench: Any, el: int) -> None:
        """id_register and MRS agree."""
        x = bench.run("mrs x1, id_aa64mmfr1_el1; mrs x2, id_aa64isar0_el1; mrs x3, s3_0_c0_c7_2; smc #0", el=el)
        ids = [bench.pe.id_register(3, 0, 0, crm, op2) for crm, op2 in ((7, 1), (6, 0), (7, 2))]
        assert x[1:4] == ids


class TestAddressTranslation:
    """AT answers from the machine's own walker."""

    def test_flat(self, bench: Any) -> None:
        """With the MMU off the address comes back; beyond the physical size it is an Address Size Fault, level 0."""
        x = bench.run("at s1e1r, x1; mrs x2, par_el1; at s1e1w, x3; mrs x4, par_el1; smc #0", x1=DATA, x3=1 << 50)
        assert x[2] & 0xFFFF_FFFF_F001 == DATA
        assert x[4] & 0x7F == 0b1

    def test_mapped(self, benches: Callable[..., Any]) -> None:
        """With the MMU on it follows the tables, and a hole is a translation fault of its level."""
        bench = benches()
        raw, pe = bench.machine.memory.backdoor, bench.pe
        table = DATA + 0x1000
        raw.write64(table + 8 * 2, 0x8000_0000 | 0x701)
        raw.write64(table + 8 * 3, 0x8000_0000 | 0x701)
        for name, value in {"mair_el1": 0xFF, "tcr_el1": 25 | 1 << 23 | 5 << 32, "ttbr0_el1": table}.items():
            pe.write_sysreg(name, value)
        pe.write_sysreg("sctlr_el1", 0x30D0_0801)
        source = "at s1e1r, x1; mrs x2, par_el1; at s1e1r, x3; mrs x4, par_el1; smc #0"
        x = bench.run(source, x1=DATA + 0x4000_0000, x3=0x4000_0000)
        assert x[2] & 0xFFFF_FFFF_F001 == DATA
        assert x[4] & 0x7F == 0x05 << 1 | 1
