"""Plain accesses to devices: the short way does what the long way does, in the same order and at the same time."""

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from cca_arch.types import SecurityState
from cca_platform.engine import devices
from cca_platform.errors import InstructionLimit
from cca_platform.machine.machine import Machine
from cca_platform.trace.sinks import Listing

CODE, VECTORS, UART, NOWHERE = 0x8010_0000, 0x8011_0000, 0x1C09_0000, 0x1F00_0000
_REGISTERS = (0x00, 0x04, 0x18, 0x24, 0x28, 0x2C, 0x30, 0x34, 0x38, 0x3C, 0x44, 0xFE0)
_LOADS = ("ldrb w", "ldrh w", "ldr w", "ldr x", "ldrsb w", "ldrsh w", "ldrsw x", "ldrsb x", "ldrsh x")
_STORES = ("strb w", "strh w", "str w", "str x")
_UNSCALED = tuple(name.replace("ldr", "ldur").replace("str", "stur") for name in _LOADS + _STORES)


@pytest.fixture
def long_way(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Turns the short way off."""

    def turn(long: bool) -> None:
        monkeypatch.undo()
        if long:
            monkeypatch.setattr(devices, "plain", lambda p: 0)

    return turn


def _size(mnemonic: str) -> int:
    """The bytes of an access."""
    name, _, register = mnemonic.partition(" ")
    return {"b": 1, "h": 2, "w": 4}.get(name[-1], 4 if register == "w" else 8)


def _program(seed: int) -> str:
    """Loads and stores of every form, with the registers that drivers use, XZR and SP."""
    chosen, source = random.Random(seed), []
    for _ in range(60):
        mnemonic = chosen.choice(_LOADS + _STORES + _UNSCALED)
        size, rt = _size(mnemonic), chosen.choice([*range(8), "zr"])
        offset = chosen.choice(_REGISTERS) & -size
        base = chosen.choice(("x10", "sp"))
        source.append(f"{mnemonic}{rt}, [{base}, #{min(offset, 248) if 'u' in mnemonic.split()[0] else offset}]")
        source.append(chosen.choice(("nop", "add x1, x1, #0x35", f"b l{len(source)}; l{len(source)}: nop")))
    return "; ".join(source)


def _outcome(bench: Any, source: str, limit: int | None = None) -> list[Any]:
    """Everything that can be told of a run that ends with an SMC."""
    pe, machine = bench.pe, bench.machine
    bench.vectors("mrs x20, esr_el1; mrs x21, far_el1; mrs x22, elr_el1; smc #0")
    bench.place(CODE, f"mov sp, x10; {source}; smc #0")
    for number in range(8):
        pe.x[number] = 0x8182_8384_8586_8788 + number
    pe.x[10] = UART
    pe.elr, pe.spsr = CODE, 0x3C5
    pe.eret(SecurityState.NON_SECURE, 1)
    while machine.stopped is None:
        with suppress(InstructionLimit):
            machine.run(max_insns=limit or 100_000)
    values = bench.el3.calls[-1][:30]
    return [values, pe.retired, machine.clock.now, machine.bus.save(), pe.elr]


class TestSame:
    """Short and long way."""

    @pytest.mark.parametrize("seed", range(12))
    def test_random(self, benches: Any, long_way: Callable[[bool], None], seed: int) -> None:
        """Random accesses leave the same registers, device, counts and time."""
        found = []
        for long in (False, True):
            long_way(long)
            found.append(_outcome(benches(), _program(seed)))
        assert found[0] == found[1]

    @pytest.mark.parametrize("limit", [1, 2, 3, 7])
    def test_pauses(self, benches: Any, long_way: Callable[[bool], None], limit: int) -> None:
        """Wherever the run pauses, the rest is the same."""
        assert _outcome(benches(), _program(77), limit) == _outcome(benches(), _program(77))

    def test_trace(self, long_way: Callable[[bool], None], benches: Any) -> None:
        """The trace has the same events at the same times."""
        found = []
        for long in (False, True):
            long_way(long)
            bench, listing = benches(), Listing()
            bench.machine.trace.add(listing)
            _outcome(bench, _program(5))
            found.append(list(listing))
        assert found[0] == found[1]
        assert {record["event"] for record in found[0]} >= {"mmio.read", "mmio.write"}

    @pytest.mark.parametrize("access", ["ldr w1, [x10, #2]", "str x1, [x11]", "ldrh w1, [x10, #0x19]", "ldr w1, [x12]"])
    def test_faults(self, benches: Any, long_way: Callable[[bool], None], access: str) -> None:
        """What is not aligned, or finds no device, takes the same exception."""
        found = []
        for long in (False, True):
            long_way(long)
            found.append(_outcome(benches(), f"mov x11, #{NOWHERE}; add x12, x11, #8; {access}")[0][20:23])
        assert found[0] == found[1]
        assert found[0][0] >> 26 == 0x25


class TestBetween:
    """What comes between two accesses comes there."""

    @pytest.mark.parametrize("long", [False, True])
    def test_interrupt(self, bench: Any, long_way: Callable[[bool], None], long: bool) -> None:
        """A timer that is due within the accesses interrupts after one of them, which is the same in both ways."""
        long_way(long)
        bench.enable_interrupts(27)
        bench.vectors("mrs x20, elr_el1; smc #0")
        source = "mov x9, #60; msr cntv_tval_el0, x9; mov x9, #1; msr cntv_ctl_el0, x9; msr daifclr, #2; "
        bench.run(source + "; ".join(["ldr w1, [x10, #0x18]"] * 100) + "; brk #0", x10=UART)
        assert (bench.pe.x[20] - CODE) // 4 == 61  # 60 after the second instruction, at 1

    def test_turns(self, benches: Any, long_way: Callable[[bool], None]) -> None:
        """Two PEs that poll devices get turns of the same length."""
        found = []
        for long in (False, True):
            long_way(long)
            bench = benches()
            bench.place(CODE, "again: ldr w1, [x10, #0x18]; add x2, x2, #1; b again")
            for pe in bench.machine.pes[:2]:
                pe.elr, pe.spsr, pe.x[10] = CODE, 0x3C5, UART
                pe.eret(SecurityState.NON_SECURE, 1)
            with pytest.raises(InstructionLimit):
                bench.machine.run(max_insns=3_000)
            found.append([(pe.retired, pe.elr, pe.x[2]) for pe in bench.machine.pes[:2]])
        assert found[0] == found[1]

    def test_end(self, bench: Any) -> None:
        """An access that stops the machine is the last."""
        machine: Machine = bench.machine
        machine.bus.devices["uart0"].on_output = lambda data: machine.stop("enough")  # type: ignore[attr-defined]
        bench.place(CODE, "again: strb w1, [x10]; add x2, x2, #1; b again")
        bench.pe.elr, bench.pe.spsr, bench.pe.x[10] = CODE, 0x3C5, UART
        bench.pe.eret(SecurityState.NON_SECURE, 1)
        assert machine.run(1_000_000) == "enough"
        assert (bench.pe.x[2], bench.pe.retired) == (0, 1)
