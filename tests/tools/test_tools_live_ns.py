"""A live machine of Non-secure images: stepping, hooks, breakpoints, events, consoles, snapshots half-way."""

import re
from typing import Any

import pytest
from ns_code import ENTRY, FOREVER, OFF, RESET, UART0, assemble, constant, say

import realmlab
from realmlab import Cpu, MachineError, NotSeen, NsImage, NsMachine, Reason, SecurityState

COUNT = f"mov x0, #0; again: add x0, x0, #1; cmp x0, #5; b.ne again; {OFF}"
AGAIN = ENTRY + 4
ECHO = (
    f"{constant('x2', UART0)} more: ldr w3, [x2, #0x18]; tbnz w3, #4, more; ldr w1, [x2]; str w1, [x2]; "
    f"cmp w1, #13; b.ne more; {say('bye')} {OFF}"
)
"""Sends back what it receives up to a carriage return."""


def machine(source: str, **options: Any) -> NsMachine:
    """A machine with this code."""
    return NsMachine(NsImage(assemble(source), name="code"), **options)


class TestHooks:
    """Callbacks before an instruction; the run goes on by itself."""

    def test_hook(self) -> None:
        """Each time, with the registers of that moment, and the run ends as without."""
        seen: list[tuple[int, int]] = []
        with machine(COUNT) as m, machine(COUNT) as plain:
            hook = m.hook(AGAIN, lambda cpu: seen.append((cpu.pc, cpu.regs.x0)))
            result, other = m.run(), plain.run()
        assert seen == [(AGAIN, count) for count in range(5)] and hook.hits == 5
        assert (result.reason, result.retired, result.ticks) == (other.reason, other.retired, other.ticks)

    def test_monitors(self) -> None:
        """The performance monitors can be read by name, exact at each instruction, and not written."""
        seen: list[tuple[int, int]] = []
        start = "mov x9, #1; msr pmcntenset_el0, x9; mov x10, #0x08; movk x10, #0x800, lsl #16; "
        start += "msr pmevtyper0_el0, x10; msr pmcr_el0, x9; "  # NSH: EL2 is counted
        with machine(start + COUNT) as m:
            m.hook(AGAIN + 6 * 4, lambda cpu: seen.append((cpu.regs.x0, cpu.regs.pmevcntr0_el0)))
            m.run()
            assert seen == [(count, 1 + 3 * count) for count in range(5)]
            registers = m.cpus[0].regs
            assert (registers.pmcntenset_el0, registers.pmceid1_el0) == (1, 0x1000_0018)
            assert "pmevtyper5_el0" in dir(registers)
            with pytest.raises(AttributeError, match="pmccntr_el0 must be written by software"):
                registers.pmccntr_el0 = 1

    def test_change(self) -> None:
        """A callback changes registers, and where the code goes on."""

        def skip(cpu: Cpu) -> None:
            cpu.regs.x0 = 4

        with machine(COUNT) as m:
            hook = m.hook(AGAIN, skip)
            m.run()
        assert hook.hits == 1
        with machine(f"mov x0, #1; b .; {OFF}") as m:
            m.hook(ENTRY + 4, lambda cpu: setattr(cpu.regs, "pc", ENTRY + 8))
            assert m.run(max_insns=100).reason is Reason.SYSTEM_OFF

    def test_removed(self) -> None:
        """A hook that is taken away is not called, even when a callback takes its own."""
        with machine(COUNT) as m:
            once = m.hook(AGAIN, lambda cpu: once.remove())
            with m.hook(AGAIN + 4, lambda cpu: None) as inside:
                pass
            m.run()
        assert (once.hits, inside.hits) == (1, 0)

    def test_stop(self) -> None:
        """A callback pauses the run, and the next one goes on."""
        with machine(COUNT) as m:
            m.hook(AGAIN, lambda cpu: m.stop() if cpu.regs.x0 == 3 else None)
            result = m.run()
            assert (result.reason, result.status, m.regs.x0, m.regs.pc) == (Reason.STOPPED, 0, 3, AGAIN)
            assert m.run().reason is Reason.SYSTEM_OFF and m.regs.x0 & 0xFFFF_FFFF != 3

    def test_error(self) -> None:
        """What a callback raises comes out of the run."""

        def wrong(cpu: Cpu) -> None:
            raise ZeroDivisionError

        with machine(COUNT) as m:
            m.hook(AGAIN, wrong)
            with pytest.raises(ZeroDivisionError):
                m.run()

    def test_world(self) -> None:
        """A hook keeps to the world that it is for."""
        with machine(COUNT) as m:
            other, own = (
                m.hook(AGAIN, print, world=world) for world in (SecurityState.REALM, SecurityState.NON_SECURE)
            )
            own.callback = lambda cpu: None
            m.run()
        assert (other.hits, own.hits) == (0, 5)

    def test_symbol(self) -> None:
        """A symbol of an image is a place; one that nothing has is refused with a guess."""
        with NsMachine("ns_gpf") as m:
            hook = m.hook("main", lambda cpu: None)
            assert m.run().status == 0 and hook.hits == 1
            assert "<main>" in repr(hook)
            with pytest.raises(MachineError, match="did you mean 'main'"):
                m.hook("mainn", print)

    def test_reset(self) -> None:
        """Hooks stay over a reset of the system."""
        with machine(RESET) as m:
            hook = m.hook(ENTRY, lambda cpu: None)
            assert m.run(max_resets=2).reason is Reason.LIMIT
        assert hook.hits == 3


class TestBreakpoints:
    """The run pauses before the instruction, or after the event."""

    def test_address(self) -> None:
        """Each run goes on to the next time."""
        with machine(COUNT) as m:
            place = m.break_on(AGAIN)
            for count in range(5):
                result = m.run()
                assert (result.reason, m.regs.x0, m.regs.pc) == (Reason.BREAKPOINT, count, AGAIN)
            place.remove()
            assert m.run().reason is Reason.SYSTEM_OFF

    def test_event(self) -> None:
        """An event pauses the run at once; the machine is off or on as the software has it."""
        with machine(f"{constant('x0', 0xC400_0150)} mov x1, #0; smc #0; mov x5, #1; {FOREVER}") as m:
            m.break_on("rmi.return")
            assert m.run(max_insns=1_000).reason is Reason.BREAKPOINT
            assert m.regs.x5 == 0 and m.run(max_insns=1_000).reason is Reason.LIMIT and m.regs.x5 == 1

    def test_limit(self) -> None:
        """Instructions up to breakpoints and hooks count."""
        with machine(FOREVER) as m:
            m.hook(ENTRY, lambda cpu: None)
            result = m.run(max_insns=100)
            assert result.reason is Reason.LIMIT and result.instructions == 100


class TestEvents:
    """``on`` calls back for events of the trace, whether or not there is a trace file."""

    def test_on(self) -> None:
        """A name, the part before its dot, or everything."""
        with machine(f"{constant('x0', 0xC400_0150)} mov x1, #0; smc #0; {OFF}") as m:
            names: dict[str | None, list[str]] = {"rmi.call": [], "rmi": [], None: []}
            for name, got in names.items():
                m.on(name, lambda record, got=got: got.append(record["event"]))  # type: ignore[misc] # bound now
            m.run()
        assert names["rmi.call"] == ["rmi.call"] and names["rmi"] == ["rmi.call", "rmi.return"]
        assert len(names[None]) > 3 and "trace.start" not in names[None]

    def test_removed(self) -> None:
        """Without listeners the trace is off again."""
        with machine(OFF) as m:
            with m.on("smc.call", print):
                assert m.trace.on
            assert not m.trace.on

    def test_later(self) -> None:
        """A listener that a console's callback adds hears of the very next access, though no trace was on before."""
        reads: list[str] = []

        def listen(uart: str, data: bytes) -> None:
            if data == b"A":
                m.on("mmio.read", lambda record: reads.append(record["address"]))

        flags = "ldr w4, [x2, #0x18];"
        with machine(f"{say('A')} {5 * flags} {say('B')} {OFF}", on_output=listen) as m:
            assert m.run(max_insns=1_000).reason is Reason.SYSTEM_OFF
        assert reads == 5 * [hex(UART0 + 0x18)]

    def test_unknown(self) -> None:
        """A name that no event has is refused with a guess."""
        with machine(OFF) as m, pytest.raises(MachineError, match=r"did you mean 'rmi.call'"):
            m.on("rmi.cal", print)


class TestStep:
    """One instruction at a time."""

    def test_step(self) -> None:
        """The PE stands after each; ``count`` is so many."""
        with machine(COUNT) as m:
            assert m.step().pc == ENTRY + 4 and m.step(3).pc == AGAIN and m.regs.x0 == 1
            m.run()
            with pytest.raises(MachineError, match="must be on to step"):
                m.step()

    def test_over_an_event(self) -> None:
        """Steps go on over events to break on."""
        with machine(f"{constant('x0', 0xC400_0150)} mov x1, #0; smc #0; mov x5, #1; {FOREVER}") as m:
            m.break_on("rmi.call")
            assert m.step(6).regs.x5 == 1

    def test_off(self) -> None:
        """A PE that PSCI has not turned on cannot step."""
        with machine(COUNT) as m, pytest.raises(MachineError, match="PE 1 must be on"):
            m.step(cpu=1)

    def test_refused(self) -> None:
        """One step is the least, and the PE must be one of the machine."""
        with machine(COUNT) as m:
            for count in (0, -1):
                with pytest.raises(MachineError, match=f"`count` must be 1 or more, not {count}"):
                    m.step(count)
            with pytest.raises(MachineError, match="`cpu` must be 7 or less, not 8"):
                m.step(cpu=8)


class TestConsole:
    """Talking to the software, as pwntools and pexpect do."""

    def test_expect(self) -> None:
        """What comes up to the pattern is consumed; groups are those of the match."""
        with machine(say("one 1\ntwo 2\n> ") + FOREVER) as m:
            assert m.expect(r"(\w+) (\d)").groups() == ("one", "1")
            assert m.expect(r"(\w+) (\d)").groups() == ("two", "2")
            assert m.expect(re.compile("> $"))[0] == "> "
            with pytest.raises(NotSeen, match=r"uart0 must show '3', but limit.*; there is no unread output"):
                m.expect("3", max_insns=1_000)

    def test_talk(self) -> None:
        """A line is typed, echoed, and answered."""
        with machine(ECHO) as m:
            m.sendline("hello")
            assert m.expect("hello\r")
            assert m.expect("bye") and m.run().reason is Reason.SYSTEM_OFF

    def test_lines(self) -> None:
        """A pattern with a line feed goes over lines; a run's own output is there to be expected, too."""
        with machine(say("one\ntwo\n") + OFF) as m:
            assert m.run().console == b"one\ntwo\n"
            assert m.expect("one\ntwo")

    def test_ends(self) -> None:
        """A run that ends is no match, and the message has what was sent instead."""
        with machine(say("no luck") + OFF) as m, pytest.raises(NotSeen, match=r"system_off; it sent 'no luck'"):
            m.expect("luck!")

    def test_refused(self) -> None:
        """A UART that does not exist, and what is no pattern."""
        with machine(OFF) as m:
            with pytest.raises(MachineError, match="`uart` must be one of uart0"):
                m.expect("x", uart="uart9")
            with pytest.raises(MachineError, match="`pattern` must be a regular expression"):
                m.expect("(")


class TestSnapshots:
    """A snapshot half-way through a run is an ordinary one."""

    def test_half_way(self) -> None:
        """From a breakpoint the rest happens again, and the breakpoint where it was."""
        with machine(COUNT) as m:
            m.break_on(AGAIN)
            m.run()
            m.run()
            saved = m.snapshot()
            ends = []
            for _ in range(2):
                m.restore(saved)
                assert (m.regs.pc, m.regs.x0) == (AGAIN, 1)
                ends.append((m.run().reason, m.regs.x0, m.run().reason, m.regs.x0))
            assert ends[0] == ends[1]

    def test_console(self) -> None:
        """What was not consumed comes back, too."""
        with machine(say("one two ") + FOREVER) as m:
            m.expect("one ")
            saved = m.snapshot()
            for _ in range(2):
                assert m.expect("two ")
                m.restore(saved)

    def test_repr(self) -> None:
        """Objects tell their state."""
        with machine(COUNT) as m:
            m.step()
            assert repr(m) == "<NsMachine fvp, code: <Cpu 0: non-secure EL2, pc 0x88000004>>"
            assert repr(m.cpus[1]) == "<Cpu 1: off>" and repr(m.snapshot()) == "<Snapshot 1 at tick 1>"
            assert repr(m.run()) == "<NsResult system_off (0), 18 instructions>"
            assert repr(m) == "<NsMachine fvp, code: system off>"


class TestRegisters:
    """The names of the architecture, to read and to write."""

    def test_names(self) -> None:
        """General, special, vector and system registers."""
        source = "mov x0, #-1; mov x1, #7; msr vbar_el2, xzr; fmov v3.2d, #0x70; mov sp, x1; msr sp_el0, x0; b ."
        with machine(source) as m:
            m.step(6)
            regs = m.regs
            assert (regs.x0, regs.w0, regs.sp, regs.sp_el2) == ((1 << 64) - 1, 0xFFFF_FFFF, 7, 7)
            assert regs.sp_el0 == (1 << 64) - 1 and regs.pstate & 0xF == 9
            assert regs.v3 == 0x3FF0_0000_0000_0000_3FF0_0000_0000_0000 and regs.vbar_el2 == 0

    def test_written(self) -> None:
        """The code goes on with what was written."""
        with machine("b .; add x0, x1, x2; add w3, w3, #1; mrs x4, vbar_el2; mov x5, sp; mrs x6, sp_el1; b .") as m:
            regs = m.regs
            regs.x1, regs.x2, regs.x3, regs.lr = 5, -2, 1 << 40, 9
            regs.w3, regs.vbar_el2, regs.sp, regs.sp_el1, regs.pc = 1 << 32 | 6, 0x8000, 0x40, 0x50, ENTRY + 4
            m.step(5)
            assert [getattr(regs, f"x{n}") for n in (0, 3, 4, 5, 6, 30)] == [3, 7, 0x8000, 0x40, 0x50, 9]

    def test_unknown(self) -> None:
        """A name that is none is an AttributeError with a guess."""
        with machine(OFF) as m:
            with pytest.raises(AttributeError, match="did you mean 'vbar_el1'"):
                m.regs.vbar_el11  # noqa: B018 (the access is what raises)
            with pytest.raises(AttributeError, match="not written"):
                m.regs.hcr_el2 = 0
            assert {"x0", "w5", "pc", "esr_el1"} <= set(dir(m.regs)) and "x30 0x" in repr(m.regs)


class TestMemory:
    """Physical and virtual memory."""

    def test_physical(self) -> None:
        """Memory is seen as a world sees it."""
        with machine(OFF) as m:
            m.write(0x9000_0000, b"hello")
            assert m.read(0x9000_0000, 5) == b"hello"
            with pytest.raises(realmlab.GranuleProtectionFault):
                m.read(m.platform.board.region("root").base, 8)

    def test_virtual(self) -> None:
        """Virtual memory is what the code that is next sees, over pages."""
        with machine(OFF) as m:
            m.cpus[0].write(0x9000_0FFE, b"pages")
            assert m.cpus[0].read(0x9000_0FFE, 5) == m.read(0x9000_0FFE, 5) == b"pages"
            with pytest.raises(MachineError, match="VA 0x1000000000000000 must be mapped"):
                m.cpus[0].read(1 << 60, 1)
