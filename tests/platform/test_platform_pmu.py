"""The performance monitors: exact counts by level and state, overflow, interrupts, and who may use what."""

import ctypes
import random
from typing import Any

import numpy as np
import pytest

from cca_arch.gic import Ppi
from cca_arch.types import SecurityState
from cca_platform.engine import pmu
from cca_platform.isa.frame import EL2_FRAME_SIZE, offset_el2
from cca_platform.machine.saved import Checkpoint
from cca_platform.native import block as w
from cca_platform.state import decode, encode

CODE, VECTORS, VECTORS_EL2 = 0x8010_0000, 0x8011_0000, 0x8013_0000
ALL, CYCLES = 1 << 31 | 0x3F, 1 << 31
SW_INCR, INST_RETIRED, CPU_CYCLES, CHAIN = 0x00, 0x08, 0x11, 0x1E
P, U, NSK, NSU, NSH, M, RLK, RLU, RLH = 1 << 31, 1 << 30, 1 << 29, 1 << 28, 1 << 27, 1 << 26, 1 << 22, 1 << 21, 1 << 20
E, LP, DP = 1, 1 << 7, 1 << 5
HPME, HPMD, HCCD, HLP = 1 << 7, 1 << 17, 1 << 23, 1 << 26
PMU = int(Ppi.PMU)


def start(counters: int = ALL, pmcr: int = E, **registers: int) -> str:
    """Set registers of the monitors, then let ``counters`` count: the first instruction after this is counted."""
    source = "msr pmcr_el0, xzr; "
    source += "".join(f"{load(9, value)}; msr {name}, x9; " for name, value in registers.items())
    return source + f"{load(9, counters)}; {load(10, pmcr)}; msr pmcntenset_el0, x9; msr pmcr_el0, x10; "


def load(register: int, value: int) -> str:
    """Move a constant into a register."""
    words = [(value >> shift & 0xFFFF, shift) for shift in (0, 16, 32, 48)]
    return "; ".join(
        f"mov{'k' if shift else 'z'} x{register}, #{word}, lsl #{shift}" for word, shift in words if word or not shift
    )


def loop(count: int) -> str:
    """2 * count + 1 instructions."""
    return f"mov x8, #{count}; 1: sub x8, x8, #1; cbnz x8, 1b".replace("1:", f"l{count}:").replace("1b", f"l{count}")


def wait(bench: Any, source: str) -> list[int]:
    """X0.. at the SMC of code that waits in between."""
    bench.place(CODE, source)
    bench.pe.elr, bench.pe.spsr = CODE, 0x3C5
    bench.pe.eret(SecurityState.NON_SECURE, 1)
    assert bench.machine.run(100_000) == "SMC"
    return list(bench.el3.calls[-1])


class TestCounts:
    """Counts are of the instructions that are retired, no more and no fewer."""

    @pytest.mark.parametrize("cpu", ["a72", "max"])
    def test_exact(self, benches: Any, cpu: str) -> None:
        """Each read counts what is before it: cycles and instructions, in blocks and in the middle of one."""
        bench = benches(cpu=cpu)
        counters = start(pmevtyper0_el0=INST_RETIRED, pmevtyper1_el0=CPU_CYCLES, pmevtyper2_el0=0x23)
        reads = "mrs x1, pmccntr_el0; mrs x2, pmevcntr0_el0; mrs x3, pmevcntr1_el0; mrs x4, pmevcntr2_el0"
        x = bench.run(f"{counters} nop; nop; {reads}; {loop(1000)}; mrs x5, pmccntr_el0; mrs x6, pmevcntr0_el0; smc #0")
        assert x[1:7] == [2, 3, 4, 0, 6 + 2001, 7 + 2001]

    def test_faults(self, bench: Any) -> None:
        """An instruction that faults is not retired; its handler is, at its own level."""
        bench.vectors("mrs x7, elr_el1; add x7, x7, #4; msr elr_el1, x7; eret")
        x = bench.run(start(CYCLES) + f"{load(3, 1 << 45)}; nop; ldr x4, [x3]; nop; mrs x1, pmccntr_el0; smc #0")
        assert x[1] == 2 + 1 + 4 + 1  # MOVZ and MOVK, NOP; the handler; NOP

    def test_device(self, bench: Any) -> None:
        """An access to a device, which the machine does for the engine, is one instruction."""
        x = bench.run(start(CYCLES) + f"{load(3, 0x1C09_0018)}; ldr w4, [x3]; mrs x1, pmccntr_el0; smc #0")
        assert x[1] == 2 + 1

    def test_repeatable(self, benches: Any) -> None:
        """Two machines read the same, and nothing of the host's clock."""
        source = start(pmevtyper0_el0=INST_RETIRED) + f"{loop(5000)}; "
        source += "mrs x1, pmccntr_el0; mrs x2, pmevcntr0_el0; smc #0"
        assert [benches().run(source)[1:3] for _ in range(2)] == [[10_001, 10_002]] * 2

    def test_waiting(self, bench: Any) -> None:
        """The clock runs on in WFI; the PE retires nothing and counts no cycles."""
        bench.enable_interrupts(int(Ppi.CNTP))
        timer = f"{load(9, 5000)}; msr cntp_tval_el0, x9; mov x9, #1; msr cntp_ctl_el0, x9"
        x = wait(bench, start(CYCLES) + f"{timer}; wfi; mrs x1, pmccntr_el0; mrs x2, cntpct_el0; smc #0")
        assert x[1] == 5
        assert x[2] >= 5000


class TestFilters:
    """P, U, NSK, NSU, NSH, RLK, RLU, RLH: a counter counts at the levels that its filter lets it."""

    TYPES = (0, P, U, P | U, P | NSK, U | NSU)

    def run(self, bench: Any, types: tuple[int, ...], state: SecurityState) -> list[int]:
        """Count 11 instructions at EL0 and 5 at EL1 (with those that read); the counters."""
        bench.vectors("nop; " + "; ".join(f"mrs x{1 + n}, pmevcntr{n}_el0" for n in range(6)) + "; smc #0")
        registers = {f"pmevtyper{n}_el0": kind | INST_RETIRED for n, kind in enumerate(types)}
        lower = "adr x1, low; msr elr_el1, x1; mov x2, #0x3c0; msr spsr_el1, x2; "
        source = lower + start(ALL, **registers) + f"nop; nop; eret; low: {loop(4)}; nop; svc #0"
        return list(bench.run(source, state)[1:7])

    def test_non_secure(self, bench: Any) -> None:
        """P and NSK for EL1, U and NSU for EL0: it counts where the two are the same."""
        el0, el1 = 11, [3 + 1 + n for n in range(6)]  # NOP, NOP, ERET; NOP and the reads before
        found = self.run(bench, self.TYPES, SecurityState.NON_SECURE)
        assert found == [el0 + el1[0], el0, el1[2], 0, el0 + el1[4], el0 + el1[5]]

    def test_realm(self, bench: Any) -> None:
        """RLK and RLU instead, in Realm state."""
        el0, el1 = 11, [3 + 1 + n for n in range(6)]
        types = (0, P, U, RLK, P | RLK, U | RLU | NSK)
        found = self.run(bench, types, SecurityState.REALM)
        assert found == [el0 + el1[0], el0, el1[2], el0, el0 + el1[4], el0 + el1[5]]

    def test_secure(self, bench: Any) -> None:
        """Nothing is counted in Secure state (MDCR_EL3.SPME = 0, SCCD = 1)."""
        assert self.run(bench, self.TYPES, SecurityState.SECURE) == [0] * 6

    def test_cycles(self, bench: Any) -> None:
        """PMCCFILTR_EL0 filters the cycle counter in the same way."""
        bench.vectors("mrs x1, pmccntr_el0; smc #0")
        lower = "adr x1, low; msr elr_el1, x1; mov x2, #0x3c0; msr spsr_el1, x2; "
        for filtered, expected in ((0, 2 + 12), (P, 12), (U, 2), (P | U, 0)):
            source = lower + start(CYCLES, E | 4, pmccfiltr_el0=filtered) + f"nop; eret; low: {loop(5)}; svc #0"
            assert bench.run(source)[1] == expected

    @pytest.mark.parametrize(
        ("kind", "mdcr", "at_el2", "at_el1"),
        [(0, 6, 0, 1), (NSH, 6, 1, 1), (NSH | P, 6, 1, 0), (NSH, 6 | HPMD, 0, 1), (NSH | P, HPME, 1, 0),
         (NSH, HPMD | HPME, 1, 1), (NSH, 0, 0, 0)],
    )  # fmt: skip
    def test_el2(self, bench: Any, kind: int, mdcr: int, at_el2: int, at_el1: int) -> None:
        """EL2 needs NSH; MDCR_EL2.HPMD leaves it only the counters above HPMN, which HPME turns on."""
        bench.vectors("smc #0")
        lower = "adr x1, low; msr elr_el2, x1; mov x2, #0x3c5; msr spsr_el2, x2; "
        end = "; hvc #0"
        bench.pe.write_sysreg("vbar_el2", VECTORS_EL2)
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS_EL2 + offset, "mrs x1, pmevcntr0_el0; smc #0")
        enable = f"{load(9, mdcr)}; msr mdcr_el2, x9; "
        source = lower + enable + start(1, pmevtyper0_el0=kind | INST_RETIRED) + f"nop; eret; low: {loop(5)}{end}"
        x = bench.run(source, el=2)
        after = 3 if mdcr & HPME and not mdcr & 31 else 2  # MSR PMCR_EL0 itself, if PMCNTENSET_EL0 was enough
        assert x[1] == at_el2 * after + at_el1 * 12

    def test_main_enables(self, bench: Any) -> None:
        """PMCR_EL0.E turns on the counters below HPMN and the cycle counter, HPME the others, each those alone."""
        types = {f"pmevtyper{n}_el0": NSH | INST_RETIRED for n in range(4)}
        reads = "; ".join(f"mrs x{1 + n}, pmevcntr{n}_el0" for n in range(4)) + "; mrs x5, pmccntr_el0; smc #0"
        for mdcr, pmcr, expected in ((2 | HPME, 0, [0, 0, 1, 1, 0]), (2, E, [1, 1, 0, 0, 1]), (2 | HPME, E, [1] * 5)):
            first = f"{load(9, 2)}; msr mdcr_el2, x9; mov x9, #6; msr pmcr_el0, x9; "
            enable = f"{load(11, mdcr)}; msr mdcr_el2, x11; nop; "
            source = first + start(ALL, pmcr, **types, pmccfiltr_el0=NSH) + enable
            assert [value > 0 for value in bench.run(source + reads, el=2)[1:6]] == expected

    def test_world_switch(self, bench: Any) -> None:
        """What was counted before EL2's controls were replaced was counted by the old ones: LP, not HLP."""
        near = (1 << 32) - 2
        bench.run(start(1, E | LP, pmevtyper0_el0=INST_RETIRED, pmevcntr0_el0=near) + f"{loop(100)}; smc #0")
        buffer = ctypes.create_string_buffer(EL2_FRAME_SIZE)
        bench.pe.save_el2(ctypes.addressof(buffer))
        for name in ("mdcr", "mdcr_el2"):
            ctypes.c_uint64.from_buffer(buffer, offset_el2(name)).value = 0  # every counter is EL2's, of 32 bits
        bench.pe.restore_el2(ctypes.addressof(buffer))
        x = bench.run("mrs x1, pmovsset_el0; mrs x2, pmevcntr0_el0; smc #0", el=2)
        assert x[1:3] == [0, near + 201 + 1]

    def test_hccd(self, bench: Any) -> None:
        """MDCR_EL2.HCCD stops the cycle counter at EL2; HPMD does with PMCR_EL0.DP."""
        for mdcr, pmcr, expected in ((6, E, 2), (6 | HCCD, E, 0), (6 | HPMD, E, 2), (6 | HPMD, E | DP, 0)):
            first = f"{load(9, mdcr)}; msr mdcr_el2, x9; "
            source = first + start(CYCLES, pmcr | 4, pmccfiltr_el0=NSH) + "nop; nop; mrs x1, pmccntr_el0; smc #0"
            assert bench.run(source, el=2)[1] == expected

    def test_change_of_mdcr(self, bench: Any) -> None:
        """A write of MDCR_EL2 counts from the next instruction on."""
        source = start(CYCLES, pmccfiltr_el0=NSH) + (
            f"{load(3, 6 | HCCD)}; mov x4, #6; nop; msr mdcr_el2, x3; nop; nop; msr mdcr_el2, x4; nop; "
            "mrs x1, pmccntr_el0; smc #0"
        )
        assert bench.run(source, el=2)[1] == 5 + 1


class TestOverflow:
    """PMOVSSET_EL0, CHAIN, 32 and 64 bits."""

    def run(self, bench: Any, source: str, **registers: int) -> list[int]:
        """X1 = PMOVSSET_EL0, X2.. = the first counters, X4 = PMCCNTR_EL0."""
        reads = "mrs x1, pmovsset_el0; mrs x2, pmevcntr0_el0; mrs x3, pmevcntr1_el0; mrs x4, pmccntr_el0; smc #0"
        return list(bench.run(f"{source}{reads}", **registers)[1:5])

    def test_32_bits(self, bench: Any) -> None:
        """Without LP an event counter overflows at 32 bits and counts on above; the cycle counter has 64 always."""
        near = (1 << 32) - 3
        source = start(pmevtyper0_el0=INST_RETIRED, pmevcntr0_el0=near, pmccntr_el0=near)
        assert self.run(bench, source + "nop; nop; ") == [0, near + 3, 0, near + 5]
        assert bench.run("mrs x1, pmovsset_el0; smc #0")[1] == 1

    def test_64_bits(self, bench: Any) -> None:
        """With PMCR_EL0.LP at 64 bits."""
        near = (1 << 64) - 3
        source = start(pmcr=E | LP, pmevtyper0_el0=INST_RETIRED, pmevcntr0_el0=near, pmccntr_el0=near - 1)
        assert self.run(bench, source + "nop; nop; nop; nop; ") == [CYCLES | 1, 2, 0, 3]
        source = start(pmcr=E | LP, pmevtyper0_el0=INST_RETIRED, pmevcntr0_el0=(1 << 32) - 2, pmovsclr_el0=ALL)
        assert self.run(bench, source + "nop; nop; nop; nop; ")[0] == 0

    def test_chain(self, bench: Any) -> None:
        """CHAIN on an odd counter counts the overflows of the even one below, if that has 32 bits."""
        registers = dict(pmevtyper0_el0=INST_RETIRED, pmevtyper1_el0=CHAIN, pmevcntr0_el0=(1 << 32) - 2)
        assert self.run(bench, start(**registers) + "nop; nop; nop; ")[:3] == [1, (1 << 32) + 2, 1]
        again = start(**registers, pmevcntr1_el0=(1 << 32) - 1, pmovsclr_el0=ALL)
        assert self.run(bench, again + "nop; nop; nop; ")[::2] == [3, 1 << 32]
        others = start(1, **registers, pmevcntr1_el0=0, pmovsclr_el0=ALL, pmcntenclr_el0=2)
        assert self.run(bench, others + "nop; nop; nop; ")[:3] == [1, (1 << 32) + 2, 0]

    def test_software(self, bench: Any) -> None:
        """PMSWINC_EL0 counts on those counters that count SW_INCR, are enabled and not filtered."""
        registers = dict(pmevtyper0_el0=SW_INCR, pmevtyper1_el0=P, pmevtyper2_el0=INST_RETIRED)
        source = start(0b0111, **registers, pmevcntr0_el0=0xFFFF_FFFF)
        source += "mov x3, #0xff; msr pmswinc_el0, x3; msr pmswinc_el0, x3; "
        source += "mrs x1, pmovsset_el0; mrs x2, pmevcntr0_el0; mrs x3, pmevcntr1_el0; mrs x4, pmevcntr2_el0; "
        source += "mrs x5, pmevcntr3_el0; smc #0"
        assert bench.run(source)[1:6] == [1, (1 << 32) + 1, 0, 6, 0]

    def test_hlp(self, bench: Any) -> None:
        """MDCR_EL2.HLP is LP of the counters above HPMN."""
        for mdcr, expected in ((HPME, 1), (HPME | HLP, 0)):
            first = f"{load(9, mdcr)}; msr mdcr_el2, x9; msr pmovsclr_el0, x9; mov x9, #-1; msr pmovsclr_el0, x9; "
            registers = dict(pmevtyper0_el0=INST_RETIRED | NSH, pmevcntr0_el0=(1 << 32) - 2)
            source = first + start(1, LP if not mdcr & HLP else 0, **registers)
            assert bench.run(source + "nop; nop; nop; mrs x1, pmovsset_el0; smc #0", el=2)[1] == expected


class TestDue:
    """When an overflow interrupt is due."""

    @pytest.mark.parametrize("seed", range(40))
    def test_exact(self, seed: int) -> None:
        """At the instruction that sets a flag whose interrupt is enabled, not one earlier; never if none does."""
        chosen, block = random.Random(seed), np.zeros(w.P_WORDS, np.int64)
        p: Any = int(block.ctypes.data)
        near = (0, 1, 5, 1 << 31, (1 << 32) - 7, (1 << 32) - 1, -1, -4, -(1 << 40))
        block[w.P_SECURITY], block[w.P_RETIRED] = SecurityState.NON_SECURE, 99
        block[w.P_MDCR] = chosen.choice((6, 2)) | chosen.choice((0, HPME))
        block[w.P_PMU_SINCE], block[w.P_PMCR] = 99, E | chosen.choice((0, LP))
        block[w.P_PMCNTEN] = chosen.choice((ALL, 0x3F, 0x2D, CYCLES | 3))
        block[w.P_PMINTEN] = chosen.choice((ALL, 0x2A, 0x15, CYCLES))
        block[w.P_PMCCNTR] = chosen.choice(near)
        for counter in range(6):
            block[w.P_PMEVCNTR + counter] = chosen.choice(near)
            kinds = (INST_RETIRED, CPU_CYCLES, SW_INCR) if counter % 2 == 0 else (INST_RETIRED, CHAIN, CHAIN)
            block[w.P_PMEVTYPER + counter] = chosen.choice(kinds)
        pmu.update(p, 1)
        due, far = int(block[w.P_PMU_DUE]), 99 + (1 << 32) - 1  # as far as one ``sync`` goes
        for at, flagged in ((due - 1, False), (due, True)) if 0 < due <= far else ((far, False),):
            block[w.P_RETIRED] = at
            pmu.sync(p)
            assert bool(block[w.P_PMOVS] & block[w.P_PMINTEN]) == flagged


class TestInterrupt:
    """PPI 23."""

    HANDLER = "mrs x1, pmccntr_el0; mrs x2, icc_iar1_el1; mrs x3, pmovsset_el0; mrs x4, elr_el1; smc #0"

    def armed(self, bench: Any, until: int, **registers: int) -> str:
        """Code that gets the interrupt after ``until`` instructions or soon after."""
        bench.enable_interrupts(PMU)
        bench.vectors(self.HANDLER)
        types = dict(pmevtyper0_el0=INST_RETIRED, pmevcntr0_el0=(1 << 32) - until, pmintenset_el1=1)
        return start(**(types | registers)).replace("msr pmcr_el0, x10", "msr daifclr, #2; msr pmcr_el0, x10")

    def test_due(self, benches: Any) -> None:
        """The overflow interrupts before the next block, the same in every run."""
        for _ in range(2):
            bench = benches()
            x = bench.run(self.armed(bench, 1000) + f"{loop(4000)}; brk #0")
            assert x[2:4] == [PMU, 1]
            assert 1000 <= x[1] <= 1003

    def test_chained(self, bench: Any) -> None:
        """That of the upper counter of a pair, too."""
        chained = dict(pmevtyper1_el0=CHAIN, pmevcntr1_el0=0xFFFF_FFFF, pmintenset_el1=2)
        x = bench.run(self.armed(bench, 300, **chained) + f"{loop(4000)}; brk #0")
        assert x[2:4] == [PMU, 3]
        assert 300 <= x[1] <= 303

    def test_cycles(self, bench: Any) -> None:
        """And that of the cycle counter."""
        far = dict(pmccntr_el0=(1 << 64) - 500, pmintenset_el1=CYCLES, pmevcntr0_el0=0)
        x = bench.run(self.armed(bench, 0, **far) + f"{loop(4000)}; brk #0")
        assert x[2:4] == [PMU, CYCLES]
        assert x[1] <= 3

    def test_level(self, bench: Any) -> None:
        """The interrupt is a level: it goes with the flag, the enable of the interrupt, or PMCR_EL0.E."""
        bench.enable_interrupts(PMU)
        pending = "mrs x{}, icc_hppir1_el1; "
        source = start(0, pmintenset_el1=1, pmovsset_el0=1) + pending.format(1)
        source += "mov x9, #1; msr pmintenclr_el1, x9; " + pending.format(2) + "msr pmintenset_el1, x9; "
        source += pending.format(3) + "msr pmcr_el0, xzr; " + pending.format(4) + "msr pmcr_el0, x9; "
        source += pending.format(5) + "msr pmovsclr_el0, x9; " + pending.format(6) + "smc #0"
        assert bench.run(source)[1:7] == [PMU, 1023, PMU, 1023, PMU, 1023]

    def test_no_enable(self, bench: Any) -> None:
        """Without PMINTENSET_EL1 the flag is set, and nothing interrupts."""
        source = self.armed(bench, 100, pmintenset_el1=0) + f"{loop(400)}; mrs x5, pmovsset_el0; smc #0"
        assert bench.run(source)[5] == 1

    def test_where_it_counts(self, bench: Any) -> None:
        """An overflow at EL0, of a counter that EL1 does not move, interrupts as soon as it comes."""
        bench.enable_interrupts(PMU)
        bench.vectors(self.HANDLER)
        lower = "adr x1, low; msr elr_el1, x1; mov x2, #0x340; msr spsr_el1, x2; "
        types = dict(pmevtyper0_el0=INST_RETIRED | P, pmevcntr0_el0=(1 << 32) - 50, pmintenset_el1=1, pmccfiltr_el0=P)
        x = bench.run(lower + start(**types) + f"{loop(300)}; eret; low: {loop(4000)}; brk #0")
        assert x[2:4] == [PMU, 1]
        assert 50 <= x[1] <= 53

    def test_wakes(self, bench: Any) -> None:
        """It ends a WFI as any interrupt does."""
        bench.enable_interrupts(PMU)
        x = wait(bench, start(0, pmintenset_el1=1, pmovsset_el0=1) + "wfi; mov x1, #77; smc #0")
        assert x[1] == 77


class TestRegisters:
    """What the registers read, and who has them."""

    def test_identification(self, bench: Any) -> None:
        """PMUVer 6 and 6 counters; PMCEID names the events there are; PMMIR reads as zero."""
        source = (
            "mrs x1, id_aa64dfr0_el1; mrs x2, pmcr_el0; mrs x3, pmceid0_el0; mrs x4, pmceid1_el0; mrs x5, s3_0_c9_c14_6"
        )
        x = bench.run(f"{source}; smc #0")
        assert (x[1] >> 8 & 15, x[2] >> 11 & 31, x[2] & 0x7FF) == (6, 6, 1 << 6)
        assert x[3:6] == [1 << SW_INCR | 1 << INST_RETIRED | 1 << CPU_CYCLES | 1 << CHAIN, 0x1000_0018, 0]

    def test_kept(self, bench: Any) -> None:
        """The bits of each register that there are: nothing else can be set."""
        ones = "mov x9, #-1; "
        names = ("pmcr_el0", "pmcntenset_el0", "pmintenset_el1", "pmovsset_el0", "pmselr_el0", "pmuserenr_el0",
                 "pmccfiltr_el0", "pmevtyper5_el0", "pmevcntr5_el0", "pmccntr_el0")  # fmt: skip
        source = ones + "; ".join(f"msr {name}, x9" for name in names[1:]) + "; mov x9, #0xfe; msr pmcr_el0, x9; "
        source += "; ".join(f"mrs x{1 + n}, {name}" for n, name in enumerate(names))
        x = bench.run(source + "; smc #0")
        filters = P | U | NSK | NSU | NSH | M | RLK | RLU | RLH
        assert x[1:9] == [0x4100_30E0, ALL, ALL, ALL, 31, 15, filters, filters | 0xFFFF]
        assert x[9:11] == [0, 0]  # PMCR_EL0.P and C

    def test_clear(self, bench: Any) -> None:
        """PMCNTENCLR, PMINTENCLR and PMOVSCLR clear, and read as the set registers do."""
        source = "mov x9, #0xf; mov x10, #5; "
        for number, (name, el) in enumerate((("cnten", 0), ("inten", 1), ("ovs", 0))):
            source += f"msr pm{name}set_el{el}, x9; msr pm{name}clr_el{el}, x10; "
            source += f"mrs x{1 + number}, pm{name}clr_el{el}; "
        assert bench.run(source + "smc #0")[1:4] == [0xA] * 3

    def test_selection(self, bench: Any) -> None:
        """PMXEVTYPER and PMXEVCNTR are the registers of the counter in PMSELR; 31 selects PMCCFILTR."""
        source = (
            "mov x9, #3; msr pmselr_el0, x9; mov x9, #0x11; msr pmxevtyper_el0, x9; mov x9, #99; "
            "msr pmxevcntr_el0, x9; mrs x1, pmevtyper3_el0; mrs x2, pmevcntr3_el0; mrs x3, pmxevtyper_el0; "
            "mrs x4, pmxevcntr_el0; mov x9, #31; msr pmselr_el0, x9; "
            f"{load(9, NSH | 8)}; msr pmxevtyper_el0, x9; mrs x5, pmccfiltr_el0; smc #0"
        )
        assert bench.run(source)[1:6] == [0x11, 99, 0x11, 99, NSH]

    @pytest.mark.parametrize(
        "source",
        ["mrs x1, s3_3_c9_c12_4", "msr pmceid0_el0, x1", "mrs x1, pmevcntr6_el0", "msr pmevtyper30_el0, x1",
         "mov x9, #6; msr pmselr_el0, x9; mrs x1, pmxevcntr_el0",
         "mov x9, #31; msr pmselr_el0, x9; mrs x1, pmxevcntr_el0",
         "mrs x1, s3_0_c9_c14_3"],
    )  # fmt: skip
    def test_undefined(self, bench: Any, source: str) -> None:
        """There is no such access, or no such counter."""
        bench.vectors()
        assert bench.run(source.replace("pmceid0_el0, x1", "s3_3_c9_c12_6, x1"))[20] == 1 << 25

    def test_hpmn(self, bench: Any) -> None:
        """EL1 has the counters below MDCR_EL2.HPMN alone: PMCR_EL0.N, the masks, the reset, and their registers."""
        bench.vectors()
        bench.pe.write_sysreg("vbar_el2", VECTORS_EL2)
        prepare = "mov x9, #2; msr mdcr_el2, x9; mov x9, #-1; msr pmcntenset_el0, x9; mov x9, #50; "
        prepare += "msr pmevcntr1_el0, x9; msr pmevcntr2_el0, x9; "
        prepare += "adr x1, low; msr elr_el2, x1; mov x2, #0x3c5; msr spsr_el2, x2; eret; low: "
        source = "mrs x1, pmcr_el0; mrs x2, pmcntenset_el0; mov x9, #-1; msr pmintenset_el1, x9; "
        source += "mrs x3, pmintenset_el1; mov x9, #2; msr pmcr_el0, x9; msr pmcntenclr_el0, x9; "
        source += "mrs x4, pmevcntr1_el0; mrs x5, pmevcntr2_el0; smc #0"
        x = bench.run(prepare + source, el=2)
        assert (x[1] >> 11 & 31, x[2:5]) == (2, [CYCLES | 3, CYCLES | 3, 0])
        assert x[20] == 1 << 25
        reads = "mrs x1, pmcr_el0; mrs x2, pmcntenset_el0; mrs x3, pmintenset_el1; mrs x5, pmevcntr2_el0"
        x = bench.run(f"{reads}; smc #0", el=2)
        assert (x[1] >> 11 & 31, x[2], x[3], x[5]) == (6, ALL & ~2, CYCLES | 3, 50)

    def test_user(self, bench: Any) -> None:
        """PMUSERENR_EL0 can be read at EL0 and not written; PMINTENSET_EL1 is not EL0's."""
        for source in ("msr pmuserenr_el0, x1", "mrs x1, pmintenset_el1", "mrs x1, s3_0_c9_c14_6"):
            bench.vectors()
            assert bench.run(source, el=0)[20] == 1 << 25
        bench.vectors("mov x24, x1; smc #0")
        assert bench.run("msr pmuserenr_el0, x9; smc #0", x9=5)
        assert bench.run("mrs x1, pmuserenr_el0; svc #0", el=0)[24] == 5


class TestState:
    """The monitors are state of the PE."""

    def test_saved(self, benches: Any) -> None:
        """A machine that adopts a checkpoint counts on from there."""
        bench, other = benches(), benches()
        bench.run(start(pmevtyper0_el0=INST_RETIRED, pmintenset_el1=1) + f"{loop(100)}; smc #0")
        other.machine.adopt(decode(encode(bench.machine.checkpoint()), Checkpoint))
        source = "nop; mrs x1, pmccntr_el0; mrs x2, pmevcntr0_el0; mrs x3, pmcntenset_el0; mrs x4, pmintenset_el1"
        found = [one.run(f"{source}; smc #0")[1:5] for one in (bench, other)]
        assert found == [[203, 204, ALL, 1]] * 2

    def test_snapshot(self, bench: Any) -> None:
        """A snapshot brings the counts back."""
        bench.run(start() + f"{loop(10)}; smc #0")
        snapshot = bench.machine.snapshot()
        first = bench.run(f"{loop(20)}; mrs x1, pmccntr_el0; smc #0")[1]
        bench.machine.restore(snapshot)
        assert bench.run(f"{loop(20)}; mrs x1, pmccntr_el0; smc #0")[1] == first == 22 + 41

    def test_reset(self, bench: Any) -> None:
        """A reset, and turning the PE off, leave the monitors in their reset state."""
        for end in (bench.pe.reset, bench.pe.power_off):
            bench.run(start(pmevtyper0_el0=INST_RETIRED, pmintenset_el1=1, pmovsset_el0=1) + "nop; smc #0")
            end()
            reads = "mrs x1, pmcr_el0; mrs x2, pmcntenset_el0; mrs x3, pmccntr_el0; mrs x4, pmovsset_el0"
            assert bench.run(f"{reads}; smc #0")[1:5] == [0x4100_3040, 0, 0, 0]

    def test_switched(self, bench: Any) -> None:
        """``save_pmu`` and ``load_pmu`` move every register, as a world switch needs it."""
        names = ("pmcr_el0", "pmcntenset_el0", "pmintenset_el1", "pmovsset_el0", "pmselr_el0", "pmuserenr_el0",
                 "pmccfiltr_el0", "pmccntr_el0", *(f"pmevcntr{n}_el0" for n in range(6)),
                 *(f"pmevtyper{n}_el0" for n in range(6)))  # fmt: skip
        reads = "; ".join(f"mrs x{n}, {name}" for n, name in enumerate(names)) + "; smc #0"
        empty = bench.run(reads)[:20]
        writes = f"mov x9, #0x20; msr pmcr_el0, x9; {load(9, 1 << 31 | 1)}; " + "; ".join(
            f"add x9, x9, #1; msr {name}, x9" for name in names[1:]
        )
        bench.run(f"{writes}; smc #0")
        full = bench.run(reads)[:20]
        assert all(one != other for one, other in zip(full, empty, strict=True))
        assert len(set(full[6:])) == 14
        saved = bench.pe.save_pmu()
        bench.pe.reset_pmu()
        assert bench.run(reads)[:20] == empty
        bench.pe.load_pmu(saved)
        assert bench.run(reads)[:20] == full
