"""The host's scheduler at work: it runs the vCPU threads of one VMM, or those of several that run together.

Each vCPU is a thread. One runs at a time, on the PE that it is bound to, until it exits or its slice is over; whose
turn is next is a matter of all threads. A VMM that ends, however it does, leaves the others alone.
"""

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Final, Protocol

from cca_arch.types import Instructions, Ticks
from cca_host.kvm.uapi import Exit, HostCall, Kernel, Mmio, Paused, RmiError, Yield
from cca_host.kvmtool.door import VcpuThread
from cca_host.kvmtool.options import Pause
from cca_host.kvmtool.schedule import Schedule, Turns
from cca_platform.errors import MachineStopped
from cca_platform.pe.net import internal_error
from cca_platform.pe.running import BREAKPOINT

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["Client", "Threads"]

_AT_ONCE: Final = (Mmio, HostCall)
"""The exits that a VMM handles at once: the thread goes on in its slice."""


class Client(Protocol):
    """A VMM whose threads the host runs; ``ended`` once it has no use for that any more."""

    system: Kernel
    schedule: Schedule
    retired: int
    exceptions: int
    run_seconds: float
    asked: bool
    """It is to pause."""

    @property
    def ended(self) -> bool:
        """True once the VMM has ended."""

    @property
    def vmid(self) -> int:
        """The VMID of its VM."""

    @property
    def slice_limit(self) -> int | None:
        """The most ticks that a slice may have."""

    def pe_of(self, vcpu: VcpuThread) -> "Pe":
        """The PE that a thread is bound to."""

    def exited(self, vcpu: VcpuThread, pe: "Pe", result: Exit) -> None:
        """Handle an exit."""

    def refused(self, error: RmiError) -> None:
        """The RMM does not let a vCPU run."""

    def typed(self, due: bool) -> bool:
        """True if no thread can run, but input may come; ``due``: something else will."""

    def idle_for_ever(self, awaited: str) -> None:
        """None of its threads can run any more: each waits for something that cannot come."""

    def end_if_interrupted(self) -> None:
        """End the run if the user has asked for that."""

    def tell_threads(self) -> None:
        """Tell the trace what the threads do."""


class Threads:
    """The threads of ``clients``, which run on one machine; ``current`` is the client whose thread ran last.

    It has no state of its own: slices, waits and whose turn is next are the clients' and the system's.
    """

    def __init__(self, clients: Sequence[Client]) -> None:
        self.clients = clients
        self.system = clients[0].system
        self.machine = self.system.machine
        self.current: Client | None = None
        self._by_schedule = {id(client.schedule): client for client in clients}
        last, turn = None, self.system.turn
        if len(clients) > 1 and turn is not None:
            last = next(((number, turn[1]) for number, one in enumerate(clients) if one.vmid == turn[0]), (0, -1))
        self._turns = Turns([client.schedule for client in clients], last)
        self._live = list(clients)
        self._bury()

    @property
    def retired(self) -> int:
        """Instructions that all of them have retired."""
        return sum(client.retired for client in self.clients)

    def advance(self, until: Ticks | None = None, last: int | None = None, alone: bool = False) -> Pause:
        """Run until all have ended, the clock reads ``until``, or they have retired ``last`` instructions.

        Or, with ``alone``, one instruction. Pauses are not events: they change neither the guests nor the trace.
        """
        machine, start = self.machine, perf_counter()
        try:
            with machine.inputs.running():
                while self._live:
                    if any(client.asked for client in self.clients):
                        return Pause.ASKED
                    retired = self.retired
                    if last is not None and retired >= last:
                        return Pause.INSTRUCTIONS
                    if until is not None and machine.clock.now >= until:
                        return Pause.TIME
                    limit = None if last is None else Instructions(machine.clock.retired + last - retired)
                    found = self._go_on(until, limit, alone)
                    if found is not None:
                        return found
        except Exception as error:
            internal = internal_error(machine, error)
            if internal is None:
                raise
            raise internal from error
        finally:
            for client in self.clients:
                client.asked = False
                client.run_seconds += perf_counter() - start
        return Pause.ENDED

    def _go_on(self, until: Ticks | None, limit: Instructions | None, alone: bool) -> Pause | None:
        """Continue or begin a thread's slice: up to an exit, ``until`` or ``limit``.

        Returns why all must pause, if that is known: a breakpoint, or the single step is complete.
        """
        machine = self.machine
        client = next((one for one in self._live if one.schedule.running is not None), None) or self._begin()
        if client is None:
            self._sleep()
            return None
        self.current = client
        schedule = client.schedule
        vcpu = schedule.running
        assert vcpu is not None
        pe = client.pe_of(vcpu)
        before, taken = pe.retired, machine.clock.exceptions
        try:
            result = vcpu.run(pe, until, limit, alone)
        except MachineStopped:
            if machine.stopped != BREAKPOINT:
                raise
            machine.go_on()
            return Pause.BREAKPOINT
        except RmiError as error:
            pe.host_timer(None)
            schedule.end()
            client.refused(error)
            self._bury()
            return None
        finally:
            client.retired += pe.retired - before
            schedule.work += pe.retired - before
            client.exceptions += machine.clock.exceptions - taken
        if isinstance(result, Paused):
            if machine.stopped == BREAKPOINT:  # the limit may be there, too
                machine.go_on()
                return Pause.BREAKPOINT
            return Pause.INSTRUCTIONS if alone else None
        goes_on = isinstance(result, _AT_ONCE) and machine.clock.now < schedule.until
        if not goes_on:
            pe.host_timer(None)
            schedule.end()
        try:
            client.exited(vcpu, pe, result)
        except RmiError as error:
            client.refused(error)
        if goes_on and client.ended:
            pe.host_timer(None)
            schedule.end()
        if client.ended:
            self._bury()
        elif isinstance(result, Yield):
            self._spin(client, vcpu)
        self._tell()
        return None

    def _begin(self) -> Client | None:
        """Begin the slice of the next thread, if one can run."""
        machine, turns = self.machine, self._turns
        found = turns.begin(machine.clock.now)
        if found is None and machine.inputs.active:
            machine.inputs.poll()
            found = turns.begin(machine.clock.now)
        self._tell()
        if found is None:
            return None
        schedule, vcpu = found
        client = self._by_schedule[id(schedule)]
        self.system.turn = client.vmid, vcpu.index
        ticks, limit = turns.slice_ticks(machine.clock.now), client.slice_limit
        schedule.until = machine.clock.now + (ticks if limit is None else min(ticks, limit))
        client.pe_of(vcpu).host_timer(Ticks(schedule.until))
        return client

    def _tell(self) -> None:
        if self.machine.trace.on:
            for client in self.clients:
                client.tell_threads()

    def _bury(self) -> None:
        """Forget who has ended."""
        for client in [one for one in self._live if one.ended]:
            self._live.remove(client)
            self._turns.drop(client.schedule)

    def _sleep(self) -> None:
        """No thread can run: let time pass until the first timer or event, for who is attended, or end the runs."""
        machine, live = self.machine, list(self._live)
        inputs, events = machine.inputs, machine.events
        for client in live:
            client.end_if_interrupted()
        due = [ticks for ticks in (self._turns.deadline(), events.next) if ticks is not None]
        typed = [client.typed(bool(due)) for client in live if not client.ended]
        hopeless = not due and not inputs.attended
        if hopeless and not any(typed):
            for client in live:
                client.idle_for_ever("interrupt")
        self._bury()
        if hopeless or len(self._live) < len(live):
            return
        inputs.idle(Ticks(min(due)) if due else None)
        if events.next is not None and events.next <= machine.clock.now:
            events.run(machine.clock.now)

    def _spin(self, client: Client, vcpu: VcpuThread) -> None:
        """Pass the turn on; while all threads only do that, time passes as if each of them had used its slice."""
        turns, clock = self._turns, self.machine.clock
        if turns.spin(client.schedule, vcpu):
            due, slice_end = turns.deadline(), clock.now + turns.spin_ticks(clock.now)
            self.machine.inputs.idle(Ticks(slice_end if due is None else min(due, slice_end)))
            if client.schedule.hopeless and not self.machine.inputs.attended:
                client.idle_for_ever("event")
                self._bury()
