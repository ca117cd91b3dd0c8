"""Refused accesses within the hook of TLB fills: they come to what they do in Python, at the same time."""

import random
from typing import Any, Final

import pytest
from tests.platform.conftest import DATA, VECTORS, Guest

from cca_arch.types import Gpi, SecurityState
from cca_platform.board import DeviceRow
from cca_platform.devices.base import Device, Register, RegisterTable
from cca_platform.devices.wiring import Wiring
from cca_platform.native import block as w
from cca_platform.trace.sinks import Listing

_SECRET, _UART, _NOWHERE, _UNMAPPED = 0x8018_0000, 0x1C09_0000, 0x1F00_0000, 0x9000_0000
_FR: Final = 0x18
_FORMS: Final = (
    "ldr x1, [x{b}, #8]", "ldr w1, [x{b}, #4]", "ldrb w1, [x{b}]", "ldrh w1, [x{b}, #2]", "ldrsb w1, [x{b}, #3]",
    "ldrsh x1, [x{b}]", "ldrsw x1, [x{b}, #4]", "ldur x1, [x{b}, #8]", "ldur w1, [x{b}, #-4]", "str x2, [x{b}, #8]",
    "str w2, [x{b}]", "strb w2, [x{b}, #5]", "strh w2, [x{b}, #6]", "stur x2, [x{b}, #8]", "ldr xzr, [x{b}]",
    "str wzr, [x{b}, #4]", "ldr w1, [x{b}, #24]", "ldr w1, [x{b}, #24]", "ldrh w1, [x{b}, #24]", "str w2, [x{b}, #24]",
    "ldr x{b}, [x{b}]", "ldr x1, [x{b}, #1]", "ldp x1, x3, [x{b}]", "stp x2, x2, [x{b}, #16]",
    "ldr x1, [x{b}, #8]!; sub x{b}, x{b}, #8", "str x2, [x{b}], #8; sub x{b}, x{b}, #8", "ldxr x1, [x{b}]",
    "ldr q0, [x{b}]", "ldtr x1, [x{b}]", "ldr x1, [x{b}, x5]", "prfm pldl1keep, [x{b}]", "dc civac, x{b}",
    "dc zva, x{b}", "ldar x1, [x{b}]", "ldur x1, [x{b}, #-4]", "stur x2, [x{b}, #-3]", "ldp x1, x3, [x{b}, #-8]",
    "stp w2, w2, [x{b}], #8; sub x{b}, x{b}, #8", "ldp x1, x3, [x{b}, #16]!; sub x{b}, x{b}, #16",
    "ldpsw x1, x3, [x{b}]",
    "ldnp x1, x3, [x{b}]", "str w2, [x{b}, w5, uxtw #2]", "ldrsw x1, [x{b}, x5, lsl #2]", "ldrb w1, [x{b}, w5, sxtw]",
    "str d1, [x{b}, #8]", "ldp q0, q1, [x{b}]", "stur q0, [x{b}, #-8]", "ldr s1, [x{b}], #4; sub x{b}, x{b}, #4",
    "ldrsb x1, [x{b}, #1]!; sub x{b}, x{b}, #1",
)  # fmt: skip
_HANDLER = (
    "mrs x20, esr_el{el}; mrs x21, far_el{el}; mrs x22, elr_el{el}; mrs x23, {last}; mrs x24, spsr_el{el}; "
    "eor x28, x20, x28, ror #3; add x28, x28, x21; eor x28, x28, x22, lsl #5; add x28, x28, x23; eor x28, x28, x24; "
    "add x27, x27, #1; add x22, x22, #4; msr elr_el{el}, x22; eret"
)


def _choose(way: str, bench: Any) -> None:
    """How refused accesses are dealt with: in the hook, in Python for a journal, or in Python for the trace."""
    if way == "journal":
        bench.machine.inputs.active = bench.machine.inputs._record = True
    elif way == "traced":
        bench.machine.trace.add(Listing())


def _program(seed: int, bases: int) -> str:
    chosen, source = random.Random(seed), []
    for number in range(120):
        base = chosen.randrange(bases)
        source.append(chosen.choice(_FORMS).format(b=10 + base))
        source.append("eor x26, x1, x26, ror #11")
        if "x1{base}" in source[-2]:
            source.append("nop")
        source.append(chosen.choice(("nop", f"b l{number}; l{number}: nop", "mrs x4, cntpct_el0; add x26, x26, x4")))
    return "; ".join(source)


def _handlers(bench: Any) -> None:
    for el, at, last in ((1, VECTORS, "currentel"), (2, VECTORS + 0x1000, "hpfar_el2")):
        for offset in (0x200, 0x400):
            bench.place(at + offset, _HANDLER.format(el=el, last=last))
        bench.pe.write_sysreg(f"vbar_el{el}", at)


def _end(bench: Any, x: list[int]) -> list[Any]:
    machine, pe = bench.machine, bench.pe
    words = [pe.words[one] for one in (w.P_RETIRED, w.P_NESTED, w.P_TAKEN)]
    return [x, words, machine.clock.now, machine.clock.exceptions, machine.bus.save(), bytes(pe.recent)]


_BASES: Final = {"x10": DATA, "x11": _SECRET, "x12": _UART, "x13": _NOWHERE, "x5": 8, "x2": 0x8877_6655_4433_2211}


class TestSame:
    """In the hook, in Python for a journal, and in Python for the trace."""

    @pytest.mark.parametrize("cpu", ["a72", "max"])
    @pytest.mark.parametrize(("el", "state"), [(2, 1), (1, 1), (1, 3), (1, 0)])
    @pytest.mark.parametrize("seed", range(2))
    def test_random(self, benches: Any, seed: int, el: int, state: int, cpu: str) -> None:
        """Random accesses to memory, devices, nothing and a granule of another world end alike."""
        found = []
        for way in ("hook", "journal", "traced"):
            bench = benches(cpu=cpu)
            _choose(way, bench)
            _handlers(bench)
            bench.protect({_SECRET: Gpi.ROOT})
            source = f"{_program(seed, 4)}; smc #0"
            x = bench.run(source, SecurityState(state), el, **_BASES, x26=0, x27=0, x28=0)
            assert x[27] > 20
            found.append(_end(bench, x))
        assert found[0] == found[1] == found[2]

    @pytest.mark.parametrize("cpu", ["a72", "max"])
    @pytest.mark.parametrize("seed", range(4))
    def test_random_stage2(self, seed: int, cpu: str) -> None:
        """Those of a guest under real EL2 code, which also gets the faults of stage 2."""
        found = []
        for way in ("hook", "journal", "traced"):
            guest = Guest(cpu)
            _choose(way, guest)
            _handlers(guest)
            guest.map(_UART, _UART, guest.S2)
            guest.protect({_SECRET: Gpi.ROOT})
            bases = _BASES | {"x13": _UNMAPPED}
            registers = {f"x{int(name[1:]) + 5 if name in ('x10', 'x11', 'x12', 'x13') else name[1:]}": value
                         for name, value in bases.items()}  # fmt: skip
            source = _program(seed, 4)
            for number in (13, 12, 11, 10):
                source = source.replace(f"x{number}", f"x{number + 5}")
            report = guest.enter(source, **registers, x26=0, x27=0, x28=0)
            assert report.x[27] > 20
            found.append(_end(guest, report.x))
            guest.machine.close()
        assert found[0] == found[1] == found[2]

    @pytest.mark.parametrize(("el", "bases"), [(1, {}), (2, {}), (1, {"x11": _UNMAPPED})])
    def test_fetch(self, el: int, bases: dict[str, int]) -> None:
        """Code that goes where it cannot be fetched: to another world's granule, an unmapped page, a device."""
        found = []
        for way in ("hook", "journal", "traced"):
            guest = Guest()
            _choose(way, guest)
            for level, at in ((1, VECTORS), (2, VECTORS + 0x1000)):
                handler = _HANDLER.format(el=level, last=("currentel", "hpfar_el2")[level - 1])
                for offset in (0x200, 0x400):
                    guest.place(at + offset, handler.replace("add x22, x22, #4", "mov x22, x30"))
            guest.protect({_SECRET: Gpi.ROOT})
            source = "again: blr x11; add x26, x26, #1; blr x16; blr x17; subs x19, x19, #1; b.ne again"
            given = {"x11": _SECRET, "x12": guest.root, "x16": _UART, "x17": _SECRET + 0x1000 + 2, "x19": 8} | bases
            if el == 1:
                given["x9"] = given.pop("x11")
                source = f"mov x11, x9; {source}"
                x = guest.enter(source, **given, x26=0, x27=0, x28=0).x
            else:
                x = guest.run(f"{source}; smc #0", el=2, **given, x26=0, x27=0, x28=0)
            assert (x[26], x[27]) == (8, 24)
            found.append(_end(guest, x))
            guest.machine.close()
        assert found[0] == found[1] == found[2]

    def test_endless(self, benches: Any) -> None:
        """A handler that faults again and again is found after as many exceptions."""
        found = []
        for way in ("hook", "journal", "traced"):
            bench = benches()
            _choose(way, bench)
            bench.protect({_SECRET: Gpi.ROOT})
            for offset in (0x200, 0x400):
                bench.place(VECTORS + offset, "ldr x1, [x11]; b .")
            bench.pe.write_sysreg("vbar_el1", VECTORS)
            with pytest.raises(AssertionError, match="must end with an SMC"):
                bench.run("nop; ldr x1, [x11]; smc #0", ticks=20_000, **_BASES)
            assert bench.pe.stuck
            found.append([bench.machine.clock.exceptions, bench.pe.retired, bench.pe.fruitless, bench.pe.progress])
        assert found[0] == found[1] == found[2]


class TestInside:
    """What is done without Python."""

    def test_abort(self, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A granule protection fault of EL2, and a repair that goes back to the access, need no Python."""
        bench.protect({_SECRET: Gpi.ROOT})
        bench.place(VECTORS + 0x200, "mrs x20, esr_el2; mrs x21, far_el2; mov x11, x10; eret")
        bench.pe.write_sysreg("vbar_el2", VECTORS)
        monkeypatch.setattr("cca_platform.pe.exceptions.refused", lambda pe: pytest.fail("Python was asked"))
        bench.write(DATA + 8, (77).to_bytes(8, "little"))
        x = bench.run("nop; ldr x1, [x11, #8]; smc #0", el=2, **_BASES)
        assert (x[1], x[21]) == (77, _SECRET + 8) and x[20] & 0x3F == 0x28 and x[20] >> 26 == 0x25

    def test_device(self, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A plain register is read once by its device; then it is known until the device changes."""
        uart, reads = bench.machine.bus.devices["uart0"], []
        read = uart.read
        monkeypatch.setattr(uart, "read", lambda offset, size: reads.append(offset) or read(offset, size))
        loop = "mov x3, #30; again: ldr w1, [x12, #24]; subs x3, x3, #1; b.ne again"
        x = bench.run(f"{loop}; strb w2, [x12]; ldr w1, [x12, #24]; smc #0", **_BASES)
        assert x[1] == 0x90 and reads == [_FR, _FR]
        uart.receive(b"x")
        assert bench.run(f"{loop}; smc #0", **_BASES)[1] == 0xC0 and reads == [_FR] * 3

    def test_time(self, bench: Any) -> None:
        """An access takes the time of its instruction."""
        for _ in range(3):
            before = bench.pe.retired
            bench.run("nop; ldr w1, [x12, #24]; nop; ldr w1, [x12, #24]; ldr w1, [x12, #24]; nop; smc #0", **_BASES)
            assert bench.pe.retired - before == 7

    def test_restored(self, bench: Any) -> None:
        """A restored or reset device shows its own state, not what was read before."""
        uart = bench.machine.bus.devices["uart0"]
        saved = bench.machine.snapshot()
        uart.receive(b"x")
        assert bench.run("ldr w1, [x12, #24]; smc #0", **_BASES)[1] == 0xC0
        bench.machine.restore(saved)
        assert bench.run("ldr w1, [x12, #24]; smc #0", **_BASES)[1] == 0x90

    def test_world(self, bench: Any) -> None:
        """What is known of a page in one PAS says nothing of another."""
        bench.machine.bus.attach("other", _NOWHERE, 0x1000, _Other(bench.machine.bus.devices["uart0"]))
        assert bench.run("ldr w1, [x13, #24]; ldr w1, [x13, #24]; smc #0", **_BASES)[1] == 0x5A

    def test_declared(self) -> None:
        """Plain is what a register is declared to be; a write of one that keeps something is never plain."""
        table = RegisterTable(Register("A", 0, plain=True), Register("B", 4), Register("C", 8, writable=1, plain=True))
        found = [(table.is_plain(at, False), table.is_plain(at, True)) for at in (0, 4, 8, 12)]
        assert found == [(True, True), (False, False), (True, False), (False, False)]


class _Other(Device):
    """A model that only has one register that is not plain."""

    registers = RegisterTable(Register("X", _FR, reset=0x5A))

    def __init__(self, like: Device) -> None:
        super().__init__(DeviceRow("other", "pl011", _NOWHERE, 0x1000), like.wiring)
        assert isinstance(self.wiring, Wiring)
