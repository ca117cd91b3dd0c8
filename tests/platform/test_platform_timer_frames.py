"""The memory-mapped generic timers, by the rules of DDI 0487 I2 and against the timers of a PE."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from case_code import ns_registers
from exact import exact_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ns_code import OFF, assemble
from realm_code import load
from secure_code import NOTES, payload

from cca_arch.timer_frames import Cntacr, CntBase, CntCtlBase, Cntel0acr
from cca_arch.types import Pas, Ticks
from cca_platform.board import Board, DeviceRow
from cca_platform.clock import ClockState
from cca_platform.engine import timers
from cca_platform.errors import BusError, MachineError
from cca_platform.machine.machine import Machine
from cca_platform.native import block as w
from realmlab import NsImage, NsMachine

CONTROL, SECURE_FRAME, NS_FRAME = 0x2A81_0000, 0x2A82_0000, 0x2A83_0000
FULL_FRAME, EL0_FRAME = 0x1100_0000, 0x1101_0000
PHYSICAL, VIRTUAL, NS_IRQ, SECURE_IRQ = 141, 142, 58, 57
ALL = 0x3F
ENABLE, IMASK, ISTATUS = 1, 2, 4
FULL = DeviceRow(
    "full", "generic-timer-frame", FULL_FRAME, 0x2_0000, irq=PHYSICAL,
    options={"control": "timer-control", "frame": 5, "virtual_irq": VIRTUAL, "el0": 0x1_0000},
)  # fmt: skip


class Frames:
    """A board with a frame that has everything, as Non-secure software and time drive it."""

    def __init__(self) -> None:
        self.machine = Machine(Board.load("fvp").with_device(FULL))
        self.lines: dict[int, bool] = {}
        self.machine.bus.signal = self.lines.__setitem__
        self.write(CONTROL + CntCtlBase.CNTNSAR, 1 << 5, pas=Pas.SECURE)
        self.write(CONTROL + CntCtlBase.CNTACR + 4 * 5, ALL)
        self._start = self.machine.bus.save()

    def fresh(self) -> None:
        """As after its set-up, at time 0."""
        self.machine.clock.restore(ClockState(retired=0, skipped=0))
        self.machine.bus.restore(self._start)
        self.lines.clear()

    def read(self, at: int, size: int = 4, pas: Pas = Pas.NON_SECURE) -> int:
        return self.machine.bus.read(at, size, pas)

    def write(self, at: int, value: int, size: int = 4, pas: Pas = Pas.NON_SECURE) -> None:
        self.machine.bus.write(at, size, value, pas)

    def go(self, ticks: int) -> None:
        """Let time pass; events are run when they are due."""
        clock, events = self.machine.clock, self.machine.events
        end = Ticks(clock.now + ticks)
        while events.next is not None and events.next <= end:
            clock.skip_to(events.next)
            events.run(clock.now)
        clock.skip_to(end)


@pytest.fixture(scope="module")
def shared() -> Iterator[Frames]:
    """One board for all tests."""
    made = Frames()
    yield made
    made.machine.close()


@pytest.fixture
def frames(shared: Frames) -> Frames:
    """The board, as new."""
    shared.fresh()
    return shared


class TestCounters:
    """CNTPCT, CNTVCT and CNTFRQ."""

    def test_counters(self, frames: Frames) -> None:
        """CNTPCT is the system counter, whole or in halves; CNTVCT is CNTVOFF less, which a frame only shows."""
        frames.go(0x1_2345_6789)
        frames.write(CONTROL + CntCtlBase.CNTVOFF + 8 * 5, 0x1_0000_0001, size=8)
        assert frames.read(FULL_FRAME + CntBase.CNTPCT, 8) == 0x1_2345_6789
        assert [frames.read(FULL_FRAME + CntBase.CNTPCT + half) for half in (0, 4)] == [0x2345_6789, 1]
        assert frames.read(FULL_FRAME + CntBase.CNTVCT, 8) == 0x2345_6788
        frames.write(FULL_FRAME + CntBase.CNTVOFF, 5, size=8)
        assert frames.read(FULL_FRAME + CntBase.CNTVOFF, 8) == 0x1_0000_0001

    def test_frequency(self, frames: Frames) -> None:
        """CNTFRQ of a frame is that of the control frame, which Secure software sets."""
        frames.write(CONTROL, 7)
        frames.write(FULL_FRAME + CntBase.CNTFRQ, 8)
        assert frames.read(FULL_FRAME + CntBase.CNTFRQ) == 0
        frames.write(CONTROL, 100_000_000, pas=Pas.SECURE)
        assert [frames.read(at) for at in (CONTROL, FULL_FRAME + CntBase.CNTFRQ)] == [100_000_000] * 2

    @pytest.mark.parametrize(("offset", "size"), [(0, 1), (0, 2), (2, 4), (4, 8), (1, 1)])
    def test_size(self, frames: Frames, offset: int, size: int) -> None:
        """Accesses that are not an aligned word or two read as zero and are ignored."""
        compare = FULL_FRAME + CntBase.CNTP_CVAL
        frames.write(compare, 0x1122_3344_5566_7788, size=8)
        frames.write(compare + offset, 0xFF, size)
        assert frames.read(compare + offset, size) == 0
        assert frames.read(compare, 8) == 0x1122_3344_5566_7788


class TestIdentity:
    """CNTTIDR."""

    def test_frames(self, frames: Frames) -> None:
        """Frames 0 and 1 of the FVP have a physical timer alone; a frame with everything says so."""
        assert [frames.read(CONTROL + CntCtlBase.CNTTIDR, pas=pas) for pas in Pas] == [0x70_0011] * 4

    def test_no_virtual_timer(self, frames: Frames) -> None:
        """Without a virtual timer neither its registers nor its offset exist."""
        frames.write(CONTROL + CntCtlBase.CNTNSAR, 2, pas=Pas.SECURE)
        frames.write(CONTROL + CntCtlBase.CNTACR + 4, ALL)
        frames.go(9)
        for at in (NS_FRAME + CntBase.CNTV_CVAL, CONTROL + CntCtlBase.CNTVOFF + 8, NS_FRAME + CntBase.CNTEL0ACR):
            frames.write(at, 0xFF)
            assert frames.read(at) == 0
        assert [frames.read(NS_FRAME + at) for at in (CntBase.CNTVCT, CntBase.CNTPCT)] == [0, 9]

    @pytest.mark.parametrize("number", [0, 8, -1])
    def test_number(self, number: int) -> None:
        """A frame has a number from 0 to 7 of its own."""
        row = DeviceRow("odd", FULL.kind, FULL_FRAME, 0x1000, options={"control": "timer-control", "frame": number})
        with pytest.raises(MachineError, match=f"frame.* must be a .*number from 0 to 7.*, not {number}"):
            Machine(Board.load("fvp").with_device(row))


class TestAccess:
    """Who may access what."""

    def test_power_on(self, frames: Frames) -> None:
        """After a reset all frames are Secure and show nothing."""
        frames.go(5)
        frames.machine.bus.reset()
        frames.write(CONTROL + CntCtlBase.CNTACR + 4 * 5, ALL)
        assert frames.read(FULL_FRAME, 8) == frames.read(FULL_FRAME, 8, Pas.SECURE) == 0
        frames.write(CONTROL + CntCtlBase.CNTACR + 4 * 5, ALL, pas=Pas.SECURE)
        assert (frames.read(FULL_FRAME, 8), frames.read(FULL_FRAME, 8, Pas.SECURE)) == (0, 5)

    def test_cntnsar(self, frames: Frames) -> None:
        """CNTNSAR is Secure; the Root PAS counts as Secure, the Realm PAS as Non-secure."""
        at = CONTROL + CntCtlBase.CNTNSAR
        frames.write(at, 0)
        frames.write(at, 0, pas=Pas.REALM)
        assert [frames.read(at, pas=pas) for pas in (Pas.NON_SECURE, Pas.REALM)] == [0, 0]
        assert [frames.read(at, pas=pas) for pas in (Pas.SECURE, Pas.ROOT)] == [1 << 5] * 2
        frames.write(at, 0xFF, pas=Pas.ROOT)
        assert frames.read(at, pas=Pas.SECURE) == 0x23  # of the frames that exist

    @pytest.mark.parametrize(("field", "registers"), [
        ("rpct", {CntBase.CNTPCT}), ("rvct", {CntBase.CNTVCT}),
        ("rfrq", {CntBase.CNTFRQ}), ("rvoff", {CntBase.CNTVOFF}),
        ("rwpt", {CntBase.CNTP_CVAL, CntBase.CNTP_TVAL, CntBase.CNTP_CTL}),
        ("rwvt", {CntBase.CNTV_CVAL, CntBase.CNTV_TVAL, CntBase.CNTV_CTL}),
    ])  # fmt: skip
    def test_cntacr(self, frames: Frames, field: str, registers: set[CntBase]) -> None:
        """Each bit of CNTACR<n> opens the registers of its name, for Secure accesses too, and no other."""
        frames.go(1000)
        frames.write(CONTROL, 1, pas=Pas.SECURE)
        frames.write(CONTROL + CntCtlBase.CNTVOFF + 8 * 5, 7, size=8)
        for timer in (CntBase.CNTP_CVAL, CntBase.CNTV_CVAL):
            frames.write(FULL_FRAME + timer, 5)
            frames.write(FULL_FRAME + timer + 12, IMASK)
        frames.write(CONTROL + CntCtlBase.CNTACR + 4 * 5, Cntacr.make(**{field: 1}))
        for pas in (Pas.NON_SECURE, Pas.SECURE):
            shown = {register for register in CntBase if frames.read(FULL_FRAME + register, pas=pas)}
            assert shown == registers

    @pytest.mark.parametrize(("field", "registers"), [
        ("el0pcten", {CntBase.CNTPCT, CntBase.CNTFRQ}), ("el0vcten", {CntBase.CNTVCT, CntBase.CNTFRQ}),
        ("el0pten", {CntBase.CNTP_CVAL, CntBase.CNTP_TVAL, CntBase.CNTP_CTL}),
        ("el0vten", {CntBase.CNTV_CVAL, CntBase.CNTV_TVAL, CntBase.CNTV_CTL}),
    ])  # fmt: skip
    def test_cntel0acr(self, frames: Frames, field: str, registers: set[CntBase]) -> None:
        """Each bit of CNTEL0ACR opens the registers of its name in the second view, if CNTACR<n> does."""
        frames.go(1000)
        frames.write(CONTROL, 1, pas=Pas.SECURE)
        frames.write(CONTROL + CntCtlBase.CNTVOFF + 8 * 5, 7, size=8)
        frames.write(FULL_FRAME + CntBase.CNTEL0ACR, 0xFFFF_FFFF)
        assert frames.read(FULL_FRAME + CntBase.CNTEL0ACR) == 0x303
        for timer in (CntBase.CNTP_CVAL, CntBase.CNTV_CVAL):
            frames.write(EL0_FRAME + timer, 5)
            frames.write(EL0_FRAME + timer + 12, IMASK)
        frames.write(EL0_FRAME + CntBase.CNTEL0ACR, 0)
        frames.write(FULL_FRAME + CntBase.CNTEL0ACR, Cntel0acr.make(**{field: 1}))
        assert {register for register in CntBase if frames.read(EL0_FRAME + register)} == registers
        frames.write(CONTROL + CntCtlBase.CNTACR + 4 * 5, 0)
        assert not any(frames.read(EL0_FRAME + register) for register in CntBase)


class TestInterrupts:
    """The outputs of the timers."""

    def test_exact(self, frames: Frames) -> None:
        """The interrupt is asserted at the tick of its compare value, and until the condition or the timer ends."""
        frames.write(FULL_FRAME + CntBase.CNTP_TVAL, 1000)
        frames.write(FULL_FRAME + CntBase.CNTP_CTL, ENABLE)
        frames.go(999)
        assert (frames.lines.get(PHYSICAL), frames.machine.events.next) == (False, 1000)
        frames.go(1)
        assert (frames.lines[PHYSICAL], frames.read(FULL_FRAME + CntBase.CNTP_CTL)) == (True, ENABLE | ISTATUS)
        assert frames.read(FULL_FRAME + CntBase.CNTP_TVAL) == 0
        frames.write(FULL_FRAME + CntBase.CNTP_CTL, ENABLE | IMASK)
        assert not frames.lines[PHYSICAL]
        frames.write(FULL_FRAME + CntBase.CNTP_CTL, ENABLE)
        frames.write(FULL_FRAME + CntBase.CNTP_CVAL, 5000, size=8)
        assert (frames.lines[PHYSICAL], frames.machine.events.next) == (False, 5000)

    def test_masked(self, frames: Frames) -> None:
        """A timer that is masked or off makes no event."""
        frames.write(FULL_FRAME + CntBase.CNTP_TVAL, 1000)
        frames.write(FULL_FRAME + CntBase.CNTP_CTL, ENABLE | IMASK)
        assert frames.machine.events.next is None
        frames.go(1000)
        assert frames.read(FULL_FRAME + CntBase.CNTP_CTL) == ENABLE | IMASK | ISTATUS

    def test_offset(self, frames: Frames) -> None:
        """A new CNTVOFF moves the interrupt of the virtual timer, at once if it is due."""
        frames.go(10_000)
        frames.write(CONTROL + CntCtlBase.CNTVOFF + 8 * 5, 10_000, size=8)
        frames.write(FULL_FRAME + CntBase.CNTV_CVAL, 500, size=8)
        frames.write(FULL_FRAME + CntBase.CNTV_CTL, ENABLE)
        assert (frames.lines[VIRTUAL], frames.machine.events.next) == (False, 10_500)
        frames.write(CONTROL + CntCtlBase.CNTVOFF + 8 * 5, 9_000, size=8)
        assert frames.lines[VIRTUAL]

    def test_snapshot(self, frames: Frames) -> None:
        """A snapshot of running timers has all that they are, and they go on from it."""
        frames.write(CONTROL + CntCtlBase.CNTVOFF + 8 * 5, 0xFFFF_FFFF_FFFF_0000, size=8)
        frames.write(FULL_FRAME + CntBase.CNTEL0ACR, 0x101)
        for timer, value in ((CntBase.CNTP_CVAL, 3000), (CntBase.CNTV_CVAL, 0x1_0000 + 4000)):
            frames.write(FULL_FRAME + timer, value, size=8)
            frames.write(FULL_FRAME + timer + 12, ENABLE)
        frames.go(1234)
        machine = frames.machine
        before, shown = machine.snapshot(), [frames.read(FULL_FRAME + at) for at in range(0, 0x40, 4)]
        frames.go(10_000)
        for at in range(0x14, 0x40, 4):
            frames.write(FULL_FRAME + at, 0)
        frames.write(CONTROL + CntCtlBase.CNTACR + 4 * 5, 0)
        machine.restore(before)
        assert [frames.read(FULL_FRAME + at) for at in range(0, 0x40, 4)] == shown
        for irq, due in ((PHYSICAL, 3000), (VIRTUAL, 4000)):
            frames.lines.clear()
            frames.go(due - 1 - machine.clock.now)
            assert not frames.lines.get(irq)
            frames.go(1)
            assert frames.lines[irq]


WORDS = st.one_of(st.integers(0, 2000), st.integers(0, (1 << 64) - 1), st.integers((1 << 64) - 2000, (1 << 64) - 1))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([CntBase.CNTP_CVAL, CntBase.CNTV_CVAL]), WORDS),
        st.tuples(st.sampled_from([CntBase.CNTP_TVAL, CntBase.CNTV_TVAL]), st.integers(0, (1 << 32) - 1)),
        st.tuples(st.sampled_from([CntBase.CNTP_TVAL, CntBase.CNTV_TVAL]), st.integers(0, 2000)),
        st.tuples(st.sampled_from([CntBase.CNTP_CTL, CntBase.CNTV_CTL]), st.integers(0, 7)),
        st.tuples(st.just(CntBase.CNTVOFF), WORDS),
        st.tuples(st.none(), st.integers(0, 3000)),
    ),
    max_size=16,
)
OP2 = {8: 0, 12: 1, 0: 2}  # by the offset from CVAL: TVAL, CTL, CVAL


class TestAgainstPe:
    """A PE's own timers are the model: each register, and the time of each interrupt."""

    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(STEPS)
    def test_steps(self, frames: Frames, steps: list[tuple[CntBase | None, int]]) -> None:
        """After any sequence of writes and time, registers, outputs and the next event are those of CNTP and CNTV."""
        frames.fresh()
        machine = frames.machine
        pe = machine.pes[0]
        pe.words[w.P_CNTVOFF] = 0
        pe.words[w.P_TIMER_MASK] = 0
        for timer in (timers.CNTP, timers.CNTV):
            for op2 in (1, 2):
                timers.write(pe.address, timer, op2, 0)
        for register, value in steps:
            if register is None:
                frames.go(value)
            elif register is CntBase.CNTVOFF:
                frames.write(CONTROL + CntCtlBase.CNTVOFF + 8 * 5, value, size=8)
                pe.words[w.P_CNTVOFF] = value
            else:
                timer = timers.CNTP if register < CntBase.CNTV_CVAL else timers.CNTV
                size = 8 if register in (CntBase.CNTP_CVAL, CntBase.CNTV_CVAL) else 4
                frames.write(FULL_FRAME + register, value, size=size)
                timers.write(pe.address, timer, OP2[register & 0xF], value - (value >> 63 << 64))
            self._compare(frames, pe)

    def _compare(self, frames: Frames, pe: Any) -> None:
        now = frames.machine.clock.now
        asserted = timers.asserted(pe.address, now)
        for timer, base, irq in (
            (timers.CNTP, CntBase.CNTP_CVAL, PHYSICAL), (timers.CNTV, CntBase.CNTV_CVAL, VIRTUAL)
        ):  # fmt: skip
            for offset, op2, size in ((8, 0, 4), (12, 1, 4), (0, 2, 8)):
                expected = timers.read(pe.address, timer, op2) & (1 << 8 * size) - 1
                assert frames.read(FULL_FRAME + base + offset, size) == expected
            assert frames.lines.get(irq, False) == bool(asserted >> timer & 1)
        due = timers.next_change(pe.address, now)
        following = frames.machine.events.next
        if due < 1 << 62 and not asserted:
            assert following == due


class TestRealCode:
    """Software of the board, after firmware has set the frames up."""

    @staticmethod
    def _frame(code: str) -> str:
        """X1 is CNTPCT, X2 CNTFRQ, X3 CNTP_CTL when it is over; X28 is the frame's address."""
        return (
            f"ldr w2, [x28, #{CntBase.CNTFRQ}]; mov w0, #5000; str w0, [x28, #{CntBase.CNTP_TVAL}]; "
            f"ldr x4, [x28, #{CntBase.CNTP_CVAL}]; mov w0, #1; str w0, [x28, #{CntBase.CNTP_CTL}]; {code} "
            f"ldr x1, [x28]; ldr w3, [x28, #{CntBase.CNTP_CTL}]; str wzr, [x28, #{CntBase.CNTP_CTL}]"
        )

    def test_wait(self, tmp_path: Path) -> None:
        """A wait by reading the status ends; the counter is that of the PE, to the instruction."""
        poll = f"again: ldr w3, [x28, #{CntBase.CNTP_CTL}]; tbz w3, #2, again; mrs x5, cntpct_el0; ldr x6, [x28]; "
        x = ns_registers(f"{load('x28', NS_FRAME)}; {self._frame(poll)}", board=str(exact_file(tmp_path)))
        assert (x[2], x[3]) == (100_000_000, ENABLE | ISTATUS)
        assert 0 <= x[1] - x[4] < 100
        assert x[6] - x[5] == 1  # the second of two instructions

    def test_interrupt(self) -> None:
        """At Non-secure EL2, INTID 58 ends a WFI at the tick of its compare value."""
        gicd = 0x2F00_0000
        enable = (
            f"{load('x27', gicd)}; mov w0, #0x12; str w0, [x27]; "
            f"{load('x0', 1 << (NS_IRQ - 32))}; str w0, [x27, #0x104]; "
            f"add x26, x27, #0x6000; str xzr, [x26, #{8 * NS_IRQ}]; mov x0, #0xf0; msr S3_0_C4_C6_0, x0; mov x0, #1; "
            f"msr S3_0_C12_C12_7, x0; isb; "
        )
        wait = "wfi; mrs x6, cntpct_el0; mrs x5, S3_0_C12_C12_0; "
        x = ns_registers(f"{enable} {load('x28', NS_FRAME)}; {self._frame(wait)}; msr S3_0_C12_C12_1, x5")
        assert (x[3], x[5]) == (ENABLE | ISTATUS, NS_IRQ)
        assert 0 <= x[6] - x[4] < 5

    def test_secure_frame(self, tmp_path: Path) -> None:
        """At S-EL1 frame 0 is there, and its INTID 57 is a Secure interrupt; Non-secure accesses abort."""
        allow = f"{load('x27', CONTROL)}; mov w0, #0x3f; str w0, [x27, #{CntCtlBase.CNTACR}]"
        setup = f"{allow}; {load('x28', SECURE_FRAME)}; "
        take = (
            "mov x0, #0xff; msr S3_0_C4_C6_0, x0; mov x0, #1; msr S3_0_C12_C12_7, x0; isb; "
            "none: mrs x5, S3_0_C12_C12_2; cmp x5, #1023; b.eq none; mrs x5, S3_0_C12_C12_0; "
        )
        save = f"{load('x27', NOTES)}; stp x1, x2, [x27]; stp x3, x4, [x27, #16]; str x5, [x27, #32]; "
        path = tmp_path / "secure.bin"
        path.write_bytes(payload(start=f"{setup} {self._frame(take)}; msr S3_0_C12_C12_1, x5; {save}"))
        with NsMachine(NsImage(assemble(OFF)), secure=path) as machine:
            counter, frequency, control, compare, intid = struct.unpack("<5Q", machine.memory.backdoor.read(NOTES, 40))
            assert (frequency, control, intid) == (100_000_000, ENABLE | ISTATUS, SECURE_IRQ)
            assert 0 <= counter - compare < 100
            with pytest.raises(BusError):
                machine.platform.bus.read(SECURE_FRAME, 4, Pas.NON_SECURE)
