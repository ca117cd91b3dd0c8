"""Everything that is not deterministic comes through one door, and a journal of it makes the same run again."""

import random
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from assembly import assemble
from exact import exact_board
from host_time import FakeTime

from cca_arch.types import SecurityState, Ticks
from cca_platform.errors import InstructionLimit, MachineError
from cca_platform.machine.inputs import Journal, Way
from cca_platform.machine.machine import Machine
from cca_platform.machine.saved import Checkpoint
from cca_platform.state import decode, encode
from cca_platform.trace.sinks import Listing
from cca_platform.trace.trace import Trace

CODE, UART, DATA = 0x8010_0000, 0x1C09_0000, 0x8012_0000
# Reads what UART0 has received, and puts the time at which it came and the byte into a table, until it gets a "q".
_ECHO = """
    loop: ldr w1, [x10, #0x18]; tbnz w1, #4, loop; ldr w2, [x10]; mrs x3, cntpct_el0;
    stp x2, x3, [x11], #16; str w2, [x10]; cmp w2, #113; b.ne loop; smc #0
"""


class Off:
    """EL3: an SMC ends the run."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def on_sync(self, pe: Any, esr: int, far: int, hpfar: int) -> None:
        self.machine.stop("SMC")

    def on_irq(self, pe: Any) -> None:
        raise AssertionError

    def on_eret(self, pe: Any) -> None:
        raise AssertionError


class Rig:
    """A machine that echoes what it receives."""

    def __init__(self, **options: Any) -> None:
        self.events = Listing()
        self.machine = Machine(exact_board(), trace=Trace(self.events), **options)
        self.machine.install(SecurityState.ROOT, 3, Off(self.machine))
        code = assemble(_ECHO, CODE)
        self.machine.memory.backdoor.write(CODE, code)
        pe = self.machine.pes[0]
        pe.x[10], pe.x[11] = UART, DATA
        pe.elr, pe.spsr = CODE, 0x3C5
        pe.eret(SecurityState.NON_SECURE, 1)
        self.uart: Any = self.machine.bus.devices["uart0"]

    def go(self, instructions: int | None = None) -> bool:
        """Run on; whether it is over."""
        try:
            self.machine.run(max_insns=instructions)
        except InstructionLimit:
            return False
        return True

    def outcome(self) -> tuple[Any, ...]:
        """Time, instructions, memory and the events."""
        machine = self.machine
        table = struct.unpack("<32Q", machine.memory.backdoor.read(DATA, 256))
        return machine.clock.now, machine.clock.retired, table, bytes(self.uart.output), list(self.events)


@pytest.fixture
def rigs() -> Iterator[Any]:
    made: list[Rig] = []

    def make(**options: Any) -> Rig:
        made.append(Rig(**options))
        return made[-1]

    yield make
    for rig in made:
        rig.machine.close()


def _typed(rig: Rig, seed: int, text: bytes = b"hello, q") -> None:
    """Send ``text`` byte by byte, with runs of random lengths between."""
    dice = random.Random(seed)
    for byte in text:
        assert not rig.go(dice.randrange(1, 5_000))
        rig.uart.receive(bytes((byte,)))
    assert rig.go(1_000_000)


def _written(journal: Journal) -> Journal:
    return decode(encode(journal), Journal)


class TestReplay:
    """The machine with the journal does what the first one did, in one go."""

    @pytest.mark.parametrize("clock", ["virtual", "host"])
    @pytest.mark.parametrize("seed", range(3))
    def test_same(self, rigs: Any, clock: str, seed: int) -> None:
        """Memory, time and events are the same, with time of the host, too."""
        first = rigs(clock=clock, record=True)
        _typed(first, seed)
        journal = _written(first.machine.inputs.journal())
        assert sum(one.source == "uart0" for one in journal.inputs) == 8
        assert (clock == "host") == any(one.source == "clock" for one in journal.inputs)
        again = rigs(clock=clock, replay=journal)
        assert again.go(1_000_000)
        assert again.outcome() == first.outcome()
        assert not again.machine.inputs.replaying

    def test_callback(self, rigs: Any) -> None:
        """What somebody sends in answer to output, while code runs, is noticed at the same place."""
        answers = iter(b"bcdefq")
        first = rigs(record=True)
        first.uart.on_output = lambda data: first.uart.receive(bytes((next(answers),))) if data != b"q" else None
        first.uart.receive(b"a")
        assert first.go(1_000_000)
        again = rigs(replay=_written(first.machine.inputs.journal()))
        assert again.go(1_000_000)
        assert again.outcome() == first.outcome()
        assert first.uart.output == b"abcdefq"

    def test_asked(self, rigs: Any) -> None:
        """What the machine asked for, as its real-time clock does for the date, is that of the journal."""
        first = rigs(clock="host", record=True)
        (date,) = (one for one in first.machine.inputs.journal().inputs if one.way is Way.ASKED)
        other = Journal((*[date], *first.machine.inputs.journal().inputs[1:]))
        again = rigs(clock="host", replay=other)
        read = [rig.machine.bus.read(0x1C17_0000, 4) for rig in (first, again)]
        assert read == [date.data, date.data]

    def test_goes_on(self, rigs: Any) -> None:
        """After the journal the machine is open again."""
        first = rigs(record=True)
        first.uart.receive(b"ab")
        first.go(10_000)
        again = rigs(replay=first.machine.inputs.journal(), record=True)
        with pytest.raises(MachineError, match="the machine replays a journal: input for uart0 must come from there"):
            again.uart.receive(b"x")
        again.go(10_000)
        again.uart.receive(b"q")
        assert again.go(10_000)
        assert again.uart.output == b"abq"
        assert [one.data for one in again.machine.inputs.journal().inputs] == [b"ab", b"q"]

    def test_another_run(self, rigs: Any) -> None:
        """A journal of another run is refused where the two part."""
        first = rigs(record=True)
        first.go(100)
        first.uart.receive(b"q")
        assert first.go(10_000)
        other = rigs(replay=first.machine.inputs.journal())
        other.machine.clock.skip_to(Ticks(7))
        with pytest.raises(MachineError, match=r"must be that of the journal, where input 0 is pushed for uart0 at"):
            other.go(10_000)


class TestSnapshots:
    """Journals and the tree of snapshots."""

    def test_branches(self, rigs: Any) -> None:
        """A journal is that of the way to the present: what came on another branch is not in it."""
        rig = rigs(record=True)
        rig.uart.receive(b"a")
        rig.go(1_000)
        saved = rig.machine.snapshot()
        journals = []
        for text in (b"bq", b"cq"):
            rig.machine.restore(saved)
            _typed(rig, 1, text)
            journals.append((rig.machine.inputs.journal(), bytes(rig.uart.output)))
        assert [output for _, output in journals] == [b"abq", b"acq"]
        for journal, output in journals:
            again = rigs(replay=journal)
            assert again.go(1_000_000)
            assert again.uart.output == output

    def test_from_a_snapshot(self, rigs: Any) -> None:
        """From a snapshot half-way the rest of the journal is replayed, as often as wanted."""
        rig = rigs(clock="host", record=True)
        rig.uart.receive(b"a")
        rig.go(1_000)
        saved, seen = rig.machine.snapshot(), len(rig.events)
        _typed(rig, 2)
        journal, expected = rig.machine.inputs.journal(), rig.outcome()
        for _ in range(2):
            rig.machine.restore(saved)
            del rig.events[seen:]
            rig.machine.inputs.replay(journal)
            assert rig.go(1_000_000)
            outcome = rig.outcome()
            assert outcome[:4] == expected[:4]

    def test_clock_of_the_host(self, rigs: Any) -> None:
        """Time goes on from a restored snapshot: it does not jump to the present."""
        rig, host = rigs(clock="host"), FakeTime()
        rig.machine.inputs.wall.host = host
        rig.uart.on_output = lambda data: host.passes(300_000_000)
        rig.uart.receive(b"a")
        rig.go(20)
        saved, then = rig.machine.snapshot(), rig.machine.clock.now
        rig.uart.receive(b"b")
        rig.go(100)
        assert rig.machine.clock.now == then + 30_000_000
        rig.machine.restore(saved)
        assert rig.machine.clock.now == then
        host.passes(10_000_000)
        rig.uart.receive(b"c")
        rig.go(100)
        assert rig.machine.clock.now == then + 30_000_000

    def test_queued(self, rigs: Any) -> None:
        """Input that nobody has noticed yet is part of a checkpoint."""
        rig, other = rigs(), rigs()
        with rig.machine.inputs.running():
            rig.uart.receive(b"q")
        other.machine.adopt(decode(encode(rig.machine.checkpoint()), Checkpoint))
        assert other.go(1_000)
        assert other.uart.output == b"q"


class TestThreads:
    """Results of threads come at the time that was fixed for them."""

    def _start(self, rig: Rig, gate: threading.Event, data: bytes = b"q") -> None:
        inputs = rig.machine.inputs
        inputs.submit("uart0", lambda: data if gate.wait(10) else b"", Ticks(rig.machine.clock.now + 5_000))

    @pytest.mark.parametrize("late", [False, True])
    def test_due(self, rigs: Any, late: bool) -> None:
        """However fast the thread is, its result is there at the same tick: the machine waits for it."""
        times = []
        for delay in (0.0, 0.05):
            rig, gate = rigs(), threading.Event()
            self._start(rig, gate)
            threading.Timer(delay if late else 0.0, gate.set).start()
            assert rig.go(100_000)
            times.append(rig.outcome())
        assert times[0] == times[1]
        assert times[0][2][1] >= 5_000

    def test_replay(self, rigs: Any) -> None:
        """A replay has the result from the journal, and lets no thread work."""
        first, gate = rigs(record=True), threading.Event()
        gate.set()
        self._start(first, gate)
        assert first.go(100_000)
        again = rigs(replay=_written(first.machine.inputs.journal()))
        self._start(again, threading.Event())
        assert again.go(100_000)
        assert again.outcome() == first.outcome()

    def test_snapshot(self, rigs: Any) -> None:
        """A snapshot waits for the thread, and the result comes in the restored machine at its time."""
        rig, other, gate = rigs(), rigs(), threading.Event()
        gate.set()
        self._start(rig, gate)
        written = encode(rig.machine.checkpoint())
        other.machine.adopt(decode(written, Checkpoint))
        assert rig.go(100_000) and other.go(100_000)
        assert other.outcome() == rig.outcome()

    def test_failure(self, rigs: Any) -> None:
        """What goes wrong in a thread is raised where its result would have come."""
        rig = rigs()
        rig.machine.inputs.submit("uart0", lambda: struct.pack("B", 256), Ticks(1_000))
        with pytest.raises(struct.error):
            rig.go(10_000)


def test_unknown_source(rigs: Any) -> None:
    """Input for something that the machine has not is refused with what it has."""
    with pytest.raises(MachineError, match=r"must be one of uart0, uart1, .*, not 'uart9'"):
        rigs().machine.inputs.push("uart9", b"")
