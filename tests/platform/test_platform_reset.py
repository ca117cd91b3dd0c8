"""System reset: what is lost, what stays, and what runs again."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cca_arch.types import Gpi, Pas, SecurityState
from cca_platform.board import Bank
from cca_platform.errors import MachineError
from cca_platform.trace.sinks import Listing

CODE, VECTORS, DATA = 0x8010_0000, 0x8011_0000, 0x8012_0000
KEPT = 0x8020_0000
SECOND_BANK = 0x8_8000_0000
SP805, GENERIC_WATCHDOG, SYSREG = 0x1C0F_0000, 0x2A44_0000, 0x1C01_0000
WORD = 0x1122_3344_5566_7788

_ARM_SP805 = """
    mov w1, #100; str w1, [x10]; mov w1, #3; str w1, [x10, #8];
    str x11, [x12]; str x11, [x13]; forever: add x2, x2, #1; b forever
"""
_ARM_GENERIC = """
    mov w1, #5000; str w1, [x10, #8]; mov w1, #1; str w1, [x10];
    str x11, [x12]; str x11, [x13]; forever: add x2, x2, #1; b forever
"""
_REBOOT = "str x11, [x12]; str x11, [x13]; str w1, [x10, #0xA4]; forever: add x2, x2, #1; b forever"


@pytest.fixture
def kept(bench: Any) -> Any:
    """A bare machine with a page that a reset keeps."""
    bench.machine.nonvolatile = (Bank(KEPT, 0x1000),)
    return bench


def _start(bench: Any, source: str, **registers: int) -> None:
    """Let the first PE run ``source`` at EL1."""
    pe = bench.pe
    bench.place(CODE, source)
    for name, value in registers.items():
        pe.x[int(name[1:])] = value
    pe.elr, pe.spsr = CODE, 0x3C5
    pe.eret(SecurityState.NON_SECURE, 1)


class TestMemory:
    """DRAM."""

    def test_lost(self, kept: Any) -> None:
        """Every byte is zero again, in every bank; nonvolatile memory is what it was."""
        raw = kept.machine.memory.backdoor
        places = [DATA, KEPT - 8, KEPT + 0x1000, 0xFFFF_FFF8, SECOND_BANK, SECOND_BANK + 0x7FFF_FFF8]
        for place in (*places, KEPT, KEPT + 0xFF8):
            raw.write64(place, WORD)
        kept.machine.reset("test")
        assert [raw.read64(place) for place in places] == [0] * len(places)
        assert [raw.read64(KEPT), raw.read64(KEPT + 0xFF8)] == [WORD, WORD]

    def test_twice(self, kept: Any) -> None:
        """A second reset is like the first."""
        raw = kept.machine.memory.backdoor
        raw.write64(KEPT, WORD)
        for _ in range(2):
            raw.write64(DATA, WORD)
            kept.machine.reset("test")
            assert (raw.read64(DATA), raw.read64(KEPT)) == (0, WORD)

    def test_protection(self, bench: Any) -> None:
        """Granule protection is off, and no port remembers what it was granted."""
        bench.protect({DATA: Gpi.REALM})
        port = bench.machine.memory.port(SecurityState.REALM)
        port.read64(DATA)
        bench.machine.reset("test")
        assert (bench.machine.memory.gpccr, bench.machine.memory.gptbr, port.tlb) == (0, 0, {})

    @pytest.mark.parametrize("gpi", [Gpi.REALM, Gpi.ROOT, Gpi.SECURE, Gpi.NO_ACCESS])
    def test_other_worlds(self, kept: Any, gpi: Gpi) -> None:
        """What another world has in nonvolatile memory does not survive into Non-secure hands."""
        raw = kept.machine.memory.backdoor
        kept.machine.nonvolatile = (Bank(KEPT, 0x3000),)
        for page in range(3):
            raw.write64(KEPT + 0x1000 * page, WORD)
        kept.protect({KEPT + 0x1000: gpi})
        kept.machine.reset("test")
        assert [raw.read64(KEPT + 0x1000 * page) for page in range(3)] == [WORD, 0, WORD]

    def test_nonvolatile(self, bench: Any) -> None:
        """Only Non-secure DRAM can be kept."""
        for base, size in ((0xFFC0_0000, 0x1000), (DATA + 8, 0x1000), (DATA, 0), (SYSREG, 0x1000)):
            with pytest.raises(MachineError, match="nonvolatile memory"):
                bench.machine.nonvolatile = (Bank(base, size),)
        assert bench.machine.nonvolatile == ()


class TestPes:
    """Processing elements."""

    def test_registers(self, bench: Any) -> None:
        """General, vector and system registers are those after power-on, and the PE is off."""
        fresh = bench.run("mrs x1, tpidr_el0; fmov x2, d1; mrs x3, cntv_cval_el0; mrs x4, vbar_el1; smc #0")
        bench.run("msr tpidr_el0, x9; fmov d1, x9; msr cntv_cval_el0, x9; msr vbar_el1, x9; smc #0", x9=0x800)
        bench.machine.reset("test")
        assert not any(bench.pe.x)
        assert (bench.pe.on, bench.pe.elr, bench.pe.retired) == (False, 0, 0)
        bench.machine.install(SecurityState.ROOT, 3, bench.el3)
        assert bench.run("mrs x1, tpidr_el0; fmov x2, d1; mrs x3, cntv_cval_el0; mrs x4, vbar_el1; smc #0") == fresh

    def test_code_and_translations(self, bench: Any) -> None:
        """Code that is loaded anew is what runs, at the addresses and with the data of before."""
        assert bench.run("ldr x1, [x2]; mov x3, #1; smc #0", x2=DATA)[3] == 1
        bench.machine.reset("test")
        bench.machine.install(SecurityState.ROOT, 3, bench.el3)
        bench.machine.memory.backdoor.write64(DATA, WORD)
        found = bench.run("ldr x1, [x2]; mov x3, #2; smc #0", x2=DATA)
        assert (found[1], found[3]) == (WORD, 2)

    def test_software(self, bench: Any) -> None:
        """No program and no part is left, and nothing is stopped."""
        bench.machine.stop("system reset: test")
        bench.machine.reset("test")
        assert (bench.machine.programs, bench.machine.parts, bench.machine.stopped) == ({}, {}, None)


class TestDevices:
    """Devices, interrupt controller, time."""

    def test_devices(self, rig: Any) -> None:
        """Devices are as after power-on but for what has a battery: the time and SYS_NVFLAGS."""
        rtc, sysreg, watchdog = rig.device("rtc"), rig.device("sysreg"), rig.device("watchdog")
        rtc.write(8, 1_000)
        for offset in (0x30, 0x38):
            sysreg.write(offset, 5)
        watchdog.write(8, 3)
        watchdog.write(0, 0)
        rig.go(1)
        assert watchdog.irq
        rig.machine.reset("test")
        assert [sysreg.read(0x30), sysreg.read(0x38), rtc.read(0), watchdog.read(8)] == [0, 5, 1_000, 0]
        assert (watchdog.irq, rig.machine.events.next) == (False, None)

    def test_console(self, rig: Any) -> None:
        """What a UART has sent is out, and what waits on its line arrives after the reset."""
        uart = rig.bus.devices["uart0"]
        rig.device("uart0").write(0, 65)
        uart.receive(b"ab")
        rig.machine.reset("test")
        assert (bytes(uart.output), rig.device("uart0").read(0)) == (b"A", ord("b"))

    def test_gic(self, bench: Any) -> None:
        """The interrupt controller is as after power-on."""
        gic = bench.machine.gic
        fresh = gic.save()
        gic.set_line(40, True)
        gic.set_ppi(0, 30, True)
        assert gic.save() != fresh
        bench.machine.reset("test")
        assert gic.save() == fresh

    def test_time(self, rig: Any) -> None:
        """The system counter and the trace go on; the event names the reason."""
        events = Listing()
        rig.machine.trace.add(events)
        rig.go(1_000)
        rig.machine.reset("SP805 watchdog")
        assert rig.machine.clock.now == 1_000
        assert [(e["event"], e["reason"], e["time"]) for e in events[1:]] == [("system.reset", "SP805 watchdog", 1_000)]


class TestSnapshots:
    """Snapshots and resets."""

    @pytest.mark.parametrize("before", [0, 1, 2])
    def test_restore(self, kept: Any, before: int) -> None:
        """A snapshot from before a reset brings everything back: memory, devices, registers, software."""
        machine, raw = kept.machine, kept.machine.memory.backdoor
        kept.run("msr tpidr_el0, x1; mov x5, #7; smc #0", x1=WORD)
        for place in (DATA, KEPT, SECOND_BANK):
            raw.write64(place, WORD)
        line = [machine.snapshot()]
        raw.write64(DATA + 8, 1)
        line.append(machine.snapshot())
        raw.write64(DATA + 0x1000, 2)
        line.append(machine.snapshot())
        raw.write64(DATA + 0x2000, 3)
        machine.reset("test")
        raw.write64(DATA, 9)
        raw.write64(KEPT, 9)
        assert machine.programs == {}
        machine.restore(line[before])
        assert [raw.read64(place) for place in (DATA, KEPT, SECOND_BANK)] == [WORD] * 3
        assert raw.read64(DATA + 8) == (before > 0)
        assert raw.read64(DATA + 0x1000) == 2 * (before > 1)
        assert raw.read64(DATA + 0x2000) == 0
        assert kept.run("mrs x2, tpidr_el0; smc #0")[2] == WORD

    def test_after(self, kept: Any) -> None:
        """A snapshot after a reset is one of the machine as it is then."""
        machine, raw = kept.machine, kept.machine.memory.backdoor
        raw.write64(DATA, WORD)
        first = machine.snapshot()
        machine.reset("test")
        second = machine.snapshot()
        raw.write64(DATA, 5)
        machine.restore(second)
        assert raw.read64(DATA) == 0
        machine.restore(first)
        assert raw.read64(DATA) == WORD

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("write"), st.integers(0, 5), st.integers(0, 255)),
                st.tuples(st.sampled_from(["take", "reset"]), st.just(0), st.just(0)),
                st.tuples(st.just("restore"), st.integers(0, 5), st.just(0)),
            ),
            max_size=30,
        )
    )
    def test_any_order(self, benches: Any, steps: list[tuple[str, int, int]]) -> None:
        """Writes, snapshots, restores and resets in any order: memory is what a plain copy would be."""
        machine = benches().machine
        machine.nonvolatile = (Bank(KEPT, 0x2000),)
        raw, places = machine.memory.backdoor, [KEPT + 0x1000 * page for page in range(6)]
        model, line = [0] * 6, list[tuple[Any, list[int]]]()
        for step, number, value in steps:
            if step == "write":
                raw.write8(places[number], value)
                model[number] = value
            elif step == "take":
                line.append((machine.snapshot(), list(model)))
            elif step == "reset":
                machine.reset("test")
                model[2:] = [0] * 4
            elif line:
                machine.restore(line[number % len(line)][0])
                model = list(line[number % len(line)][1])
            assert [raw.read8(place) for place in places] == model
        machine.close()

    def test_before_any_code(self, bench: Any) -> None:
        """A snapshot from before the first instruction brings back the registers after power-on."""
        saved = bench.machine.snapshot()
        bench.run("msr tpidr_el0, x1; smc #0", x1=WORD)
        bench.machine.restore(saved)
        assert bench.run("mrs x2, tpidr_el0; smc #0")[2] == 0


class TestByCode:
    """Code that brings a reset about, and runs again after it."""

    @pytest.mark.parametrize(
        ("source", "device", "reason"),
        [
            (_ARM_SP805, SP805, "SP805 watchdog"),
            (_ARM_GENERIC, GENERIC_WATCHDOG, "generic watchdog"),
            (_REBOOT, SYSREG, "system registers"),
        ],
    )
    def test_second_life(self, kept: Any, source: str, device: int, reason: str) -> None:
        """After the reset a word in nonvolatile memory is there, DRAM elsewhere is zero, and the devices are quiet."""
        machine = kept.machine
        _start(kept, source, x1=0xC090_0000, x10=device, x11=WORD, x12=KEPT, x13=DATA)
        assert machine.run(2_000_000) == f"system reset: {reason}"
        raw = machine.memory.backdoor
        assert raw.read64(DATA) == raw.read64(KEPT) == WORD
        machine.reset(reason)
        machine.install(SecurityState.ROOT, 3, kept.el3)
        found = kept.run("ldr x1, [x12]; ldr x2, [x13]; ldr w3, [x10, #8]; smc #0", x10=device, x12=KEPT, x13=DATA)
        assert found[1:4] == [WORD, 0, 0]
        assert machine.events.next is None

    def test_served(self, kept: Any) -> None:
        """Code that serves the watchdog in time is not reset."""
        _start(
            kept,
            "mov w1, #100; str w1, [x10]; mov w1, #3; str w1, [x10, #8]; movz x5, #20;"
            "again: movz x6, #0x1, lsl #16; wait: subs x6, x6, #1; b.ne wait; str w1, [x10, #12];"
            "subs x5, x5, #1; b.ne again; smc #0",
            x10=SP805,
        )
        assert kept.machine.run(10_000_000) == "SMC"
        assert kept.machine.bus.read(SP805 + 0x10, 4, pas=Pas.NON_SECURE) == 0
