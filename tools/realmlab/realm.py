"""A live Realm: run it step by step, inspect it, talk to it, hook it, take snapshots half-way."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final, Protocol, Self, Unpack

from msgspec.structs import replace

from cca_arch.types import SecurityState
from cca_host.kvm import PlainVm, Vm
from cca_host.kvmtool import Phase, Vmm
from cca_host.kvmtool.interrupt import interruptible
from cca_host.kvmtool.loader import unwrapped
from cca_host.kvmtool.options import Pause, RunReason, RunResult
from cca_platform.errors import MachineError
from cca_platform.failure import Failure
from cca_platform.machine.inspection import RealmFacts, RmmInspector
from cca_platform.printable import printable
from cca_platform.userfiles import KINDS, read_program

from .calls import Calls
from .checks import COUNT
from .console import Expected, Lines, NotSeen, Watch, sent
from .cpu import Cpu, pages
from .files import special
from .hooks import Hook, Hooks, Listener, is_event
from .options import RealmRunOptions, RunOptions, read, takes
from .results import FAILED, Progress, Reason, not_shown, published
from .symbols import Symbols, loaded
from .vcpu import Owner, Vcpu, inspector_of
from .views import RecView, RttView
from .wall import WallLimits

__all__ = ["Members", "Realm", "RealmOwner"]

_UNREAD: Final = 0x1_0000  # bytes of unread output to keep


class Members(Protocol):
    """Realms that run at the same time: one, or several together."""

    @property
    def members(self) -> "tuple[Realm, ...]":
        """Who they are."""

    def _pause(self, why: Reason) -> None:
        """Pause the run as soon as possible, for this reason."""


class RealmOwner(Owner, Protocol):
    """The machine of a Realm."""

    _calls: Calls

    def _running(self, realm: Members) -> AbstractContextManager[Hooks]:
        """Code that runs in a guest inside the block belongs to ``realm``; yields the hooks of the machine."""

    def break_on(self, where: int | str) -> Hook | Listener:
        """Pause runs before an instruction or after events."""

    def _add_hook(self, where: int | str, callback: Callable[[Cpu], object] | None, realm: "Realm") -> Hook:
        """Add a hook, or a breakpoint if there is no callback, in the code of one Realm."""


class Realm:
    """A Realm, built for a payload, measured and activated. ``Machine.realm`` creates one.

    ::

        with realmlab.Machine() as machine, machine.realm("hello", vcpus=2) as realm:
            realm.break_on("main")
            realm.run()
            print(realm.vcpus[0].regs)
            realm.expect("Hello")
            print(realm.run())

    Leaving the ``with`` block destroys it; ``result`` then has its figures.
    """

    def __init__(self, machine: RealmOwner, vmm: Vmm) -> None:
        self.machine = machine
        self.symbols = Symbols(self._files)
        """The functions and objects of the payload."""
        self._vmm = vmm
        """The host's side of the Realm."""
        self._unread = bytearray()
        self._before = 0  # bytes that it sent before the run,
        self._since = (0, 0)  # the instructions that it had retired, and the time
        self._expected: Expected | None = None
        self._until = b""
        self._why: Reason | None = None
        self._failure: Failure | None = None
        self._wall = WallLimits(None, None, lambda: None)
        self._watch: Watch | None = None
        self._lines: Lines | None = None

    # -- state --------------------------------------------------------------------------------------------------
    @property
    def rd(self) -> int:
        """The physical address of its Realm Descriptor; raises MachineError for a plain VM, which has none."""
        vm = self._vmm.vm
        if not isinstance(vm, Vm):
            raise MachineError("a VM must be a Realm to have a Realm Descriptor: this one is a plain VM")
        return vm.rd

    @property
    def members(self) -> "tuple[Realm, ...]":
        """Who runs when it runs: itself."""
        return (self,)

    @property
    def world(self) -> SecurityState:
        """The security state that its code runs in: Realm, or Non-secure for a plain VM."""
        return SecurityState.REALM if self._vmm.options.realm else SecurityState.NON_SECURE

    @property
    def facts(self) -> RealmFacts:
        """The contents of its RD: state, measurements, RPV; raises MachineError if the RMM brings no inspector."""
        self._must_exist("facts")
        return self._inspector.realm(self.rd)

    @property
    def rtt(self) -> RttView:
        """Its stage 2 tables: a Realm's are found by VTTBR_EL2, or by its RD while no PE runs it."""
        self._must_exist("rtt")
        vm = self._vmm.vm
        if isinstance(vm, PlainVm):
            stage2 = vm.stage2
            return RttView(self.machine.platform, None, stage2.root, stage2.start, stage2.ipa_width)
        inspector = self.machine.inspector
        for vcpu in self.vcpus:
            if vcpu.cpu is not None:
                return RttView.of_cpu(vcpu.cpu, inspector)
        return RttView.of_realm(self.machine.platform, self._inspector, self.facts)

    @property
    def rec(self) -> RecView:
        """The REC of its first vCPU; ``vcpus[n].rec`` is another."""
        self._must_exist("rec")
        return self.vcpus[0].rec

    @property
    def _inspector(self) -> RmmInspector:
        return inspector_of(self.machine)

    def read(self, ipa: int, size: int) -> bytes:
        """Read ``size`` bytes at an IPA, ignoring permissions; raises MachineError if nothing is mapped there."""
        self._must_exist("read()")
        rtt, read_memory = self.rtt, self.machine.platform.memory.backdoor.read
        return b"".join(read_memory(rtt.translate(at), length) for at, length in pages(ipa, size))

    def write(self, ipa: int, data: bytes) -> None:
        """Write bytes at an IPA; raises MachineError, and writes nothing, if part of the range is not mapped."""
        self._must_exist("write()")
        rtt, at = self.rtt, 0
        places = [(rtt.translate(start), length) for start, length in pages(ipa, len(data))]
        for pa, length in places:
            self.machine.platform.memory.backdoor.write(pa, data[at : at + length])
            at += length

    @property
    def vcpus(self) -> tuple[Vcpu, ...]:
        """Its vCPUs."""
        return tuple(Vcpu(self.machine, vcpu, self.symbols) for vcpu in self._vmm.vcpus)

    @property
    def alive(self) -> bool:
        """True if it is built, on an open machine, and neither destroyed nor undone by restoring a snapshot."""
        return self._vmm.phase is Phase.BUILT and not self.machine._calls.closed

    @property
    def ended(self) -> bool:
        """True if it has ended and cannot run any more."""
        return self._vmm.end is not None

    @property
    def instructions(self) -> int:
        """Instructions retired by all its vCPUs."""
        return self._vmm.retired

    @property
    def console(self) -> bytes:
        """What it has sent: the last 8 MiB of it. ``on_console`` gets all of it."""
        return bytes(self._vmm.console.sent)

    # -- running ------------------------------------------------------------------------------------------------
    @takes(RealmRunOptions)
    def run(self, **options: Unpack[RealmRunOptions]) -> Progress:
        """Run until the Realm ends, a breakpoint, a ``stop``, Ctrl-C, or one of these conditions.

        ``until``: its console shows this string. ``max_insns``: it retired this many instructions in this run, or up
        to a block of code more. ``timeout``, ``silence``: seconds of wall time are over. Pauses do not change what the
        Realm does.
        """
        given = read(RealmRunOptions, options)
        with self.machine._calls.call("run"):
            wall = self._within(given["timeout"], given["silence"])
            return self._run(given["max_insns"], given["until"], self._interrupted, wall)

    def step(self, count: int = 1) -> Vcpu:
        """Run ``count`` instructions on the vCPU whose turn it is, and return that vCPU.

        An exception in place of an instruction is a step, too. The RMM and the host handle it meanwhile; hooks and
        breakpoints do not fire.
        """
        COUNT("count", count)
        self._must_be_alive()
        calls = self.machine._calls
        with calls.call("step"):
            with self.machine._running(self):
                for _ in range(count):
                    if calls.failed:
                        break
                    if self._vmm.step() is Pause.ENDED:
                        raise MachineError(f"{self!r} must go on to step, not end")
            for pe in self.machine.platform.pes:
                pe.rearm()
        running = self._vmm.schedule.running
        assert running is not None
        return Vcpu(self.machine, running.cpu, self.symbols)

    def _run(
        self, max_insns: int | None, until: str | None, interrupt: Callable[[], object], wall: WallLimits
    ) -> Progress:
        self._begin(until)
        machine, vmm = self.machine, self._vmm
        with interruptible(interrupt), machine._running(self) as hooks, wall:
            machine._calls.raise_kept()  # of the exit of another Realm
            reason = self._go(hooks, None if max_insns is None else vmm.retired + max_insns)
            self._explain()
        limit = wall.text
        if reason is Reason.LIMIT and not limit:
            limit = f"the limit of {max_insns} instructions is reached in {wall.phase}"
        unseen = "" if until is None or reason is Reason.UNTIL else f"the console did not show {until!r}"
        return self._progress(reason, limit, unseen)

    def _begin(self, until: str | None = None) -> None:
        """Note where a run begins that ends when the console shows ``until``."""
        self._must_be_alive()
        self._before = self._vmm.console.sent.total
        self._since = self._vmm.retired, self.machine.platform.clock.now
        self._until, self._why = (until or "").encode(errors="surrogateescape"), None

    def _progress(self, reason: Reason, *notes: str) -> Progress:
        """How far the run got, which has ended for ``reason``."""
        self._until = b""
        vmm, (retired, ticks) = self._vmm, self._since
        end, sent = vmm.end, vmm.console.sent
        return Progress(
            reason=reason,
            status=None if end is None else end.status,
            message="; ".join(filter(None, ("" if end is None else end.message, *notes))),
            failure=self._failure,
            console=sent.since(self._before),
            console_dropped=max(sent.dropped - self._before, 0),
            instructions=vmm.retired - retired,
            ticks=self.machine.platform.clock.now - ticks,
        )

    def _go(self, hooks: Hooks, last: int | None = None) -> Reason:
        """Run the Realm until it has retired at most ``last`` instructions in all; returns why it stopped.

        For its machine, which has made way for it.
        """
        vmm = self._vmm
        while self._why is None:
            pause = vmm.advance(max_insns=None if last is None else max(last - vmm.retired, 0))
            if pause is Pause.BREAKPOINT and hooks.reached():
                return Reason.BREAKPOINT
            if self._why is None and vmm.end is not None:
                return Reason(vmm.end.reason.value)
            if self._why is None and pause is Pause.INSTRUCTIONS:
                return Reason.LIMIT
        return self._why

    def _explain(self) -> None:
        """Explain the end of the run, if it has failed, while the Realm still exists."""
        end = self._vmm.end
        if end is None or self._failure is not None or not self.alive:
            return
        if Reason(end.reason.value) not in FAILED and not self._vmm.console.gave_up:
            return
        from .failure import Built, of_realm

        with self.machine.platform.trace.paused():
            built = Built(self._vmm, self.symbols, [_registers(vcpu) for vcpu in self.vcpus], _tables(self))
            failure = self._failure = of_realm(built, Reason(end.reason.value), end.message)
        self._vmm.end = replace(end, message=failure.message)

    def _pause(self, why: Reason) -> None:
        """Pause the run as soon as possible, for this reason."""
        self._why = self._why or why
        self._vmm.pause(at_once=why not in (Reason.INTERRUPTED, Reason.LIMIT))  # of a signal handler, a thread

    def _within(self, timeout: float | None, silence: float | None, phase: str = "the run") -> WallLimits:
        """The limits of wall time for a run or a build, as a block."""
        self._wall = WallLimits(timeout, silence, lambda: self._pause(Reason.LIMIT), phase)
        return self._wall

    def _interrupted(self) -> None:
        """Ctrl-C, in a signal handler."""
        self._pause(Reason.INTERRUPTED)

    def _must_exist(self, what: str) -> None:
        self.machine._calls.must_be_open(what)
        if not self.alive:
            raise MachineError(f"a Realm must exist for {what}, not be destroyed or undone: make another")

    def _must_be_alive(self) -> None:
        self._must_exist("a run")
        if self.ended:
            raise MachineError(f"{self!r} must not have ended to run: make another, or go back to a snapshot")

    # -- console ------------------------------------------------------------------------------------------------
    def expect(self, pattern: str | re.Pattern[str], *, max_insns: int | None = None) -> re.Match[str]:
        """Run until the console shows a match of this regular expression; consumes the output up to its end.

        Matches the unread output line by line, unless the pattern has a line feed. Raises NotSeen if the Realm ends,
        pauses, or retires ``max_insns`` instructions first.
        """
        limit = read(RunOptions, {"max_insns": max_insns})["max_insns"]
        self.machine._calls.must_be_free("expect")
        expected = Expected(pattern, self._unread)
        if not expected.look():
            self._expected = expected
            try:
                with self.machine._calls.call("expect"):
                    progress = self._run(limit, None, self._interrupted, self._within(None, None))
            finally:
                self._expected = None
            if not expected.look(thoroughly=True):
                why = progress.message or progress.reason
                raise NotSeen(f"the console must show {expected.pattern.pattern!r}, but {why}; {sent(self._unread)}")
        assert expected.match is not None
        return expected.match

    def send(self, data: bytes | str) -> None:
        """Send input to the Realm's UART; the Realm receives it when it runs."""
        self._must_exist("send()")
        self._vmm.console.receive(data.encode(errors="surrogateescape") if isinstance(data, str) else data)

    def sendline(self, text: str = "", *, end: str = "\r") -> None:
        """Send a line and Return to the Realm's UART."""
        self.send(text + end)

    def _heard(self, data: bytes) -> None:
        """Take output of the Realm and look for the pattern that a run waits for."""
        self._wall.heard()
        self._unread += data
        if self._lines is not None and self._watch is not None:
            self._lines.take(data)
            if self._watch.over:
                self._pause(Reason.REJECTED if self._watch.rejected else Reason.UNTIL)
        expected = self._expected
        if len(self._unread) > 2 * _UNREAD:
            del self._unread[:-_UNREAD]
            if expected is not None:
                expected.restart()
        if (self._until and self._shows(len(data))) or (expected is not None and expected.look()):
            self._pause(Reason.UNTIL)

    def _look_for(self, watch: Watch) -> None:
        """Look for what a run that is to end has been given."""
        if watch.until is not None or watch.missing or watch.rejects:
            self._watch, self._lines = watch, Lines(watch, "the console")

    def _judge(self) -> None:
        """The run has ended: what the console has shown decides first."""
        vmm, watch = self._vmm, self._watch
        if watch is None or self._lines is None:
            return
        self._lines.end()
        end = vmm.end
        if watch.rejected:
            vmm.end = None
            vmm.over(1, RunReason.REJECTED, watch.rejected)
        elif watch.unseen and end is not None:
            vmm.end = None
            vmm.over(end.status or 1, end.reason, "; ".join(filter(None, (end.message, not_shown(watch)))))
        elif watch.reached:
            vmm.over(0, RunReason.UNTIL)

    def _shows(self, size: int) -> bool:
        """True if the last ``size`` bytes complete what the run waits for."""
        sent = self._vmm.console.sent
        return self._until in sent.since(max(self._before, sent.total - size - len(self._until)))

    # -- hooks --------------------------------------------------------------------------------------------------
    def hook(self, where: int | str, callback: Callable[[Cpu], object]) -> Hook:
        """Call ``callback(cpu)`` each time before this Realm executes the instruction at ``where``.

        ``where`` is a virtual address or a symbol of the payload. See ``Machine.hook``.
        """
        self._must_exist("hook()")
        return self.machine._add_hook(where, callback, self)

    def break_on(self, where: int | str) -> Hook | Listener:
        """Pause runs before this Realm executes the instruction at ``where``; the next run continues from there.

        An event name, such as ``rec.exit``, pauses runs after such events.
        """
        self._must_exist("break_on()")
        if is_event(where):
            return self.machine.break_on(where)
        return self.machine._add_hook(where, None, self)

    # -- end ----------------------------------------------------------------------------------------------------
    def destroy(self) -> RunResult:
        """Destroy the Realm and return its granules, scrubbed, to the host; returns how it ended and its figures."""
        self._destroy()
        return self.result

    def _destroy(self) -> None:
        if self._vmm.phase is Phase.DESTROYED:
            return
        with self.machine._calls.call("destroy"), self.machine._running(self):
            self._vmm.destroy()

    @property
    def result(self) -> RunResult:
        """How it ended and its figures, once it is destroyed; raises MachineError before."""
        vmm = self._vmm
        if vmm.phase is not Phase.DESTROYED:
            raise MachineError("a Realm must be destroyed to have a result: call destroy(), or leave its `with` block")
        if vmm.end is None:
            raise MachineError("a Realm must have ended to have a result, not be undone: make another")
        return published(vmm.result(), self._failure)

    def _files(self) -> list[tuple[bytes, int]]:
        """The payload and its load offset, for symbols."""
        path = self._vmm.options.payload
        if special(path):  # a pipe has no second time
            return []
        return [loaded(unwrapped(read_program(path, KINDS["payload"]), str(path)))]

    def _save(self) -> bytes:
        """The console state of a snapshot: the unread output."""
        return bytes(self._unread)

    def _load(self, unread: bytes | None) -> None:
        """A snapshot was restored, with this unread output or without this Realm."""
        if unread is None or self._vmm not in self.machine.platform.parts.values():
            self._vmm.phase = Phase.DESTROYED
        if self._vmm.end is None:
            self._failure = None
        self._unread[:] = unread or b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self.machine._calls.closed:  # with the machine, the Realm is gone
            self._destroy()

    def __repr__(self) -> str:
        name = printable(str(self._vmm.options.payload).rpartition("/")[2])
        if not self.alive:
            return f"<Realm {name}: gone>"
        if self._vmm.end is not None:
            return f"<Realm {name}: {self._vmm.end.reason} ({self._vmm.end.status})>"
        return f"<Realm {name}: {', '.join(map(repr, self.vcpus))}>"


def _registers(vcpu: Vcpu) -> Any:
    """The registers of a vCPU, or None if the RMM does not tell them."""
    try:
        return vcpu.regs
    except MachineError:
        return None


def _tables(realm: Realm) -> RttView | None:
    """The stage 2 tables of a Realm, or None if the RMM does not tell where they are."""
    try:
        return realm.rtt
    except MachineError:
        return None
