"""PSTATE.DIT and PSTATE.SSBS of the CPU model ``max``, which the engine does not know: in every move between levels."""

from random import Random
from typing import Any

import pytest

from cca_arch.sysregs import Hcr
from cca_arch.types import Ticks
from cca_platform.machine.saved import Checkpoint
from cca_platform.state import decode, encode

CODE, VECTORS, LOG = 0x8010_0000, 0x8011_0000, 0x8014_0000
DIT, SSBS, DSSBS = 1 << 24, 1 << 12, 1 << 44
SOFT = DIT | SSBS
_IMMEDIATE = {DIT: 0xD503405F, SSBS: 0xD503403F}
_NAME = {DIT: "s3_3_c4_c2_5", SSBS: "s3_3_c4_c2_6"}
_MODE = {0: 0x3C0, 1: 0x3C5, 2: 0x3C9}


class Program:
    """A random program of moves between levels, and what it must log; written with the architecture at hand alone."""

    def __init__(self, random: Random, length: int, seen: float) -> None:
        self.random, self.seen = random, seen
        self.el, self.soft = 2, 0
        self.spsr = {1: 0, 2: 0}
        self.known = {1: False, 2: False}  # whether an exception return may use it: it names a level that exists
        self.dssbs = {el: random.getrandbits(1) for el in (1, 2)}
        self.source: list[str] = []
        self.expected: list[int] = []
        for number in range(length):
            self._number = number
            choices = [self._immediate, self._register, self._return, self._return, self._return]
            choices += [self._supervisor] if self.el < 2 else []
            choices += [self._hypervisor, self._write_spsr] if self.el else []
            random.choice(choices)()
            if random.random() < seen:
                self._log()
        if self.el == 0:
            self._supervisor()
        self._log()
        self.source.append("smc #0")

    def _log(self) -> None:
        for bit in (DIT, SSBS):
            self.source.append(f"mrs x12, {_NAME[bit]}; str x12, [x11], #8")
            self.expected.append(self.soft & bit)

    def _immediate(self) -> None:
        bit, value = self.random.choice((DIT, SSBS)), self.random.getrandbits(1)
        self.source.append(f".word {_IMMEDIATE[bit] | value << 8:#x}")
        self.soft = self.soft & ~bit | bit * value

    def _register(self) -> None:
        bit, value = self.random.choice((DIT, SSBS)), self.random.getrandbits(1)
        self.source.append(f"mov x12, #{bit if value else 0}; msr {_NAME[bit]}, x12")
        self.soft = self.soft & ~bit | bit * value

    def _some(self, highest: int) -> int:
        return _MODE[self.random.randint(0, highest)] | self.random.choice((0, DIT, SSBS, SOFT))

    def _spsr(self, el: int) -> None:
        """Write the SPSR of ``el``: a level that a return from there may go to."""
        value = self._some(el)
        self.source.append(f"movz x12, #{value & 0xFFFF}; movk x12, #{value >> 16}, lsl #16; msr spsr_el{el}, x12")
        self.spsr[el], self.known[el] = value, True

    def _write_spsr(self) -> None:
        self._spsr(self.random.randint(1, self.el))

    def _return(self) -> None:
        el = self.el
        if el == 0:
            return
        if not self.known[el] or self.random.random() < 0.6:
            self._spsr(el)
        label = f"back{self._number}"
        self.source.append(f"adr x12, {label}; msr elr_el{el}, x12; eret; {label}: nop")
        self.el, self.soft = self.spsr[el] >> 2 & 3, self.spsr[el] & SOFT

    def _exception(self, target: int) -> None:
        value = _MODE[self.el] | self.soft
        self.spsr[target], self.known[target] = value, True
        self.expected.append(value & SOFT)
        self.soft = self.soft & DIT | SSBS * self.dssbs[target]
        self.el = target

    def _supervisor(self) -> None:
        self.source.append("svc #0")
        self._exception(1)

    def _hypervisor(self) -> None:
        self.source.append("hvc #0")
        self._exception(2)


def start(bench: Any, program: Program) -> None:
    """Everything in place for a program at EL2: vectors that log the SPSR and go on, at the level of the exception."""
    for el in (1, 2):
        for offset in range(0, 0x800, 0x80):
            log = f"mrs x12, spsr_el{el}; and x12, x12, x13; str x12, [x11], #8; mrs x12, elr_el{el}; br x12"
            bench.place(VECTORS + 0x1000 * el + offset, log)
        bench.pe.write_sysreg(f"vbar_el{el}", VECTORS + 0x1000 * el)
        name = f"sctlr_el{el}"
        bench.pe.write_sysreg(name, bench.pe.read_sysreg(name) & ~DSSBS | DSSBS * program.dssbs[el])
    bench.place(CODE, f".word {_IMMEDIATE[DIT]:#x}; .word {_IMMEDIATE[SSBS]:#x}; " + "; ".join(program.source))
    bench.write(LOG, bytes(8 * len(program.expected)))
    bench.pe.x[11], bench.pe.x[13] = LOG, SOFT
    bench.pe.elr, bench.pe.spsr = CODE, _MODE[2]
    bench.machine.stopped = None
    bench.pe.eret(1, 2)


def logged(bench: Any, program: Program) -> list[int]:
    raw = bench.machine.memory.backdoor
    assert bench.pe.x[11] == LOG + 8 * len(program.expected)
    return [raw.read64(LOG + 8 * number) for number in range(len(program.expected))]


class TestRandom:
    """Programs of exceptions, returns and writes, against a model of the architecture."""

    @pytest.mark.parametrize("seed", range(25))
    def test_run(self, benches: Any, seed: int) -> None:
        """In one run, whether code looks at the bits often or seldom."""
        program = Program(Random(seed), 150, (0.0, 0.05, 0.3, 1.0)[seed % 4])
        bench = benches(cpu="max")
        start(bench, program)
        bench.pe.run(Ticks(bench.machine.clock.now + 1_000_000))
        assert logged(bench, program) == program.expected

    @pytest.mark.parametrize("seed", range(100, 108))
    def test_slices(self, benches: Any, seed: int) -> None:
        """In slices, each of which another machine continues from a checkpoint."""
        random = Random(seed)
        program = Program(random, 60, 0.1)
        bench, other = benches(cpu="max"), benches(cpu="max")
        start(bench, program)
        while bench.machine.stopped is None:
            bench.pe.run(Ticks(bench.machine.clock.now + random.randint(1, 40)))
            if bench.machine.stopped is None and random.random() < 0.3:
                other.machine.adopt(decode(encode(bench.machine.checkpoint()), Checkpoint))
                bench, other = other, bench
        assert logged(bench, program) == program.expected


class TestRegisters:
    """What code can do with the two bits."""

    @pytest.mark.parametrize("el", [0, 1, 2])
    @pytest.mark.parametrize("bit", [DIT, SSBS])
    def test_move(self, benches: Any, el: int, bit: int) -> None:
        """MRS, MSR of a register, of XZR, and of an immediate, at every level."""
        name, immediate, end = _NAME[bit], _IMMEDIATE[bit], "smc #0" if el else "svc #0"
        source = f"mrs x1, {name}; .word {immediate | 1 << 8:#x}; mrs x2, {name}; msr {name}, xzr; mrs x3, {name}; "
        source += f"mvn x4, xzr; msr {name}, x4; mrs x5, {name}; .word {immediate:#x}; mrs x6, {name}; "
        bench = benches(cpu="max")
        bench.vectors()
        x = bench.run(f"{source} msr {name}, x4; mrs xzr, {name}; {end}", el=el)
        assert x[1:7] == [0, bit, 0, (1 << 64) - 1, bit, 0]
        if el == 0:
            assert x[23] & SOFT == bit  # in SPSR_EL1

    def test_next_to_others(self, benches: Any) -> None:
        """Other PSTATE bits are as they were, and what changes those leaves the two as they are."""
        moves = f".word {_IMMEDIATE[DIT] | 256:#x}; mrs x2, nzcv; msr daifset, #15; mrs x3, {_NAME[DIT]}; "
        moves += f".word 0xd500419f; mrs x4, {_NAME[DIT]}; msr nzcv, xzr; mrs x5, {_NAME[DIT]}; mrs x6, nzcv"
        x = benches(cpu="max").run(f"cmp x0, x0; {moves}; smc #0", x0=0)
        assert x[2:7] == [6 << 28, DIT, DIT, DIT, 0]

    def test_reserved(self, benches: Any) -> None:
        """Bits of an SPSR that are RES0 read as zero when the PE uses them itself."""
        x = benches(cpu="max").run("msr spsr_el1, x1; mrs x2, spsr_el1; smc #0", x1=1 << 26 | DIT | 0x3C5)
        assert x[2] == DIT | 0x3C5

    def test_branch_type(self, benches: Any) -> None:
        """Without FEAT_BTI no SPSR tells that the instruction was reached by an indirect branch."""
        bench = benches(cpu="max")
        bench.vectors()
        x = bench.run("adr x1, target; br x1; target: .word 0; smc #0")
        assert x[23] == 0x3C5

    def test_virtual_interrupt(self, benches: Any) -> None:
        """A virtual interrupt by HCR_EL2.VI keeps DIT, and SPSR_EL1 has nothing that is not the architecture's."""
        bench = benches(cpu="max")
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS + offset, f"mrs x20, spsr_el1; mrs x21, {_NAME[DIT]}; smc #0")
        bench.pe.write_sysreg("vbar_el1", VECTORS)
        source = "msr hcr_el2, x10; adr x9, lower; msr elr_el2, x9; msr spsr_el2, x16; eret; lower: "
        source += f".word {_IMMEDIATE[DIT] | 256:#x}; msr daifclr, #2; nop; b next; next: nop; smc #0"
        x = bench.run(source, el=2, x10=1 << 31 | 1 << 7 | 1 << 4, x16=0x3C5, x20=0)
        assert (x[20], x[21]) == (DIT | 0x345, DIT)

    @pytest.mark.parametrize("first", ["mrs x1, id_aa64pfr0_el1", "mrs x1, s3_7_c15_c9_7", "nop"])
    def test_virtual_interrupt_that_traps(self, guests: Any, first: str) -> None:
        """A handler whose first instruction is trapped or UNDEFINED has the SSBS of SCTLR_EL1 all the same."""
        guest = guests(cpu="max")
        guest.place(VECTORS + 0x280, f"{first}; hvc #0")
        hcr = guest.HCR | int(Hcr.make(vi=1, imo=1, tid3=1))
        report = guest.enter("nop; b x; x: msr daifclr, #2; nop; nop", x10=hcr, x13=0x3C5 | SSBS)
        assert (report.level, report.spsr & SSBS) == (1 if "s3_7" in first else 2, 0)

    @pytest.mark.parametrize("operation", ["dc cvac, x0", "ic ivau, x0"])
    def test_maintenance_that_aborts(self, benches: Any, operation: str) -> None:
        """DC and IC that abort at EL2, for which the engine is told another level, keep the bits."""
        bench = benches(cpu="max")
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS + offset, f"mrs x20, spsr_el2; mrs x21, {_NAME[DIT]}; mrs x22, currentel; smc #0")
        bench.pe.write_sysreg("vbar_el2", VECTORS)
        source = "adr x9, here; msr elr_el2, x9; msr spsr_el2, x16; eret; here: "
        x = bench.run(f"{source} {operation}; smc #0", el=2, x0=1 << 50, x16=0x3C9 | SOFT)
        assert x[20:23] == [0x3C9 | SOFT, DIT, 8]
