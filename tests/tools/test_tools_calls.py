"""Callbacks in the middle of a call: what they must not do, and where their exceptions come out."""

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ns_code import OFF, assemble, say
from structlog import DropEvent

from realmlab import Listing, Machine, MachineError, NsImage, NsMachine, Reason, Snapshot, Trace

RAM = 0x8000_0000
EVENTS = ("rmi.call", "rmi.return", "rec.exit", "rsi.call", "rsi.return", "world.switch")


class Broken(Exception):
    """What a callback raises."""


def fail(*args: object) -> None:
    """A callback with a fault."""
    raise Broken


class Bad:
    """A sink with a fault, which shows from the first RSI call on."""

    def write(self, record: dict[str, Any]) -> None:
        """Fail."""
        if record["event"] == "rsi.call":
            raise Broken

    def close(self) -> None:
        """Nothing is kept."""


def attempt(refusals: list[str], call: Callable[[], object]) -> None:
    """Note the text with which a call is refused."""
    try:
        call()
    except MachineError as error:
        refusals.append(str(error))


class TestRefused:
    """A callback does not call what changes the course of the run that it is called from."""

    @pytest.mark.parametrize("event", EVENTS)
    def test_events(self, event: str) -> None:
        """Each call is refused, says so, and the run is as it is without a callback."""
        with Machine() as machine, machine.realm("hello") as realm:
            saved, refusals = machine.snapshot(), list[str]()
            calls: dict[str, Callable[[], object]] = {
                "run": realm.run,
                "step": realm.step,
                "expect": lambda: realm.expect("Hello"),
                "destroy": realm.destroy,
                "realm": lambda: machine.realm("hello"),
                "run_realm": lambda: machine.run_realm("hello"),
                "restore": lambda: machine.restore(saved),
                "snapshot": machine.snapshot,
                "close": machine.close,
            }

            def call_all(record: object) -> None:
                for call in calls.values():
                    attempt(refusals, call)
                listener.remove()

            with machine.on(event, call_all) as listener:
                first = realm.run()
            assert [text.partition("(")[0] for text in refusals] == list(calls)
            assert all("must wait until run() has returned" in text and "stop()" in text for text in refusals)
            machine.restore(saved)
            assert realm.run() == first and first.status == 0

    def test_hook(self) -> None:
        """A hook must not run either, but its snapshot is as good as any."""
        refusals, taken = list[str](), list[Snapshot]()
        with Machine() as machine, machine.realm("smp", vcpus=2) as realm:

            def callback(cpu: object) -> None:
                taken.append(machine.snapshot())
                attempt(refusals, realm.run)
                attempt(refusals, lambda: machine.restore(taken[0]))
                attempt(refusals, realm.destroy)

            with realm.hook(RAM, callback):
                realm.run(until="counted")
            end = realm.run()
            assert len(refusals) == 3 * len(taken) > 0 and end.status == 0
            console = realm.console
            machine.restore(taken[0])
            assert realm.run().status == 0 and realm.console == console

    def test_console(self) -> None:
        """Nor does a callback of the console."""
        refusals: list[str] = []
        with Machine() as machine:
            result = machine.run_realm("hello", on_console=lambda data: attempt(refusals, machine.snapshot))
            assert result.status == 0 and refusals and "take it in a `hook`" in refusals[0]

    def test_ns(self) -> None:
        """The same holds for Non-secure software."""
        refusals: list[str] = []
        with NsMachine(NsImage(assemble(f"{say('hi')} {OFF}"), name="code")) as machine:
            saved = machine.snapshot()

            def callback(name: str, data: bytes) -> None:
                for call in (machine.run, machine.step, machine.snapshot, lambda: machine.restore(saved)):
                    attempt(refusals, call)
                attempt(refusals, lambda: machine.expect("hi"))

            assert machine.run(on_output=callback).reason is Reason.SYSTEM_OFF
            assert len(refusals) == 5 * len(b"hi")


class TestClosed:
    """A machine that is closed takes no more calls, and says so."""

    def test_realms(self) -> None:
        """Neither it nor its Realms."""
        with Machine() as machine:
            realm, saved = machine.realm("hello"), machine.snapshot()
        calls: list[Callable[[], object]] = [
            lambda: machine.realm("hello"),
            lambda: machine.run_realm("hello"),
            machine.snapshot,
            lambda: machine.restore(saved),
            realm.run,
            realm.step,
            realm.destroy,
            lambda: realm.expect("Hello"),
            lambda: realm.read(RAM, 4),
            lambda: realm.write(RAM, b"word"),
            lambda: realm.rtt,
            lambda: machine.read(RAM, 4),
            lambda: machine.write(RAM, b"word"),
            lambda: machine.granule(RAM),
        ]
        for call in calls:
            with pytest.raises(MachineError, match=r"a machine must be open for .*, not closed: make another"):
                call()
        machine.close()

    @pytest.mark.skipif(sys.platform != "linux", reason="the size of the address space is read from /proc")
    @pytest.mark.parametrize("what", ["nothing", "a Realm that waits", "a snapshot", "a failed call"])
    def test_address_space(self, what: str) -> None:
        """Its memory is given back at once, whatever it was doing, and not when the cyclic collector comes."""

        def size() -> int:
            lines = Path("/proc/self/status").read_text().splitlines()
            return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmSize"))

        def use() -> object:
            """What stays in the user's hands."""
            with Machine() as machine:
                held: list[object] = [machine]
                if what != "nothing":
                    realm = machine.realm("hello")
                    held += [realm, realm.step()]
                if what == "a snapshot":
                    held.append(machine.snapshot())
                if what == "a failed call":
                    with pytest.raises(MachineError) as failure:
                        machine.realm("hello", memory="1M")
                    held.append(failure)
                return held

        gc.disable()
        try:
            first = use()
            before = size()
            second = use()
            assert size() < before + (1 << 30), (first, second)
        finally:
            gc.enable()

    def test_ns(self) -> None:
        """The same holds for Non-secure software."""
        with NsMachine(NsImage(assemble(OFF), name="code")) as machine:
            pass
        for call in (machine.run, machine.step, machine.snapshot, lambda: machine.expect("x")):
            with pytest.raises(MachineError, match="not closed: make another"):
                call()


class TestRaised:
    """What a callback raises comes out of the call, and harms nothing."""

    @pytest.mark.parametrize("event", EVENTS)
    def test_event(self, event: str) -> None:
        """The run pauses soon after, and goes on as if nothing had been."""
        with Machine() as machine:
            plain = machine.run_realm("hello")
            with machine.realm("hello") as realm:
                with machine.on(event, fail), pytest.raises(Broken):
                    realm.run()
                assert not realm.ended
                assert realm.run().status == 0 and realm.console == plain.console
            assert realm.result.instructions == plain.instructions
            assert machine.run_realm("hello").status == 0

    def test_step(self) -> None:
        """A step is a call, too, and the last of its count."""
        with Machine() as machine, machine.realm("hello") as realm:
            with machine.on("rmi.call", fail), pytest.raises(Broken):
                realm.step(100)
            assert realm.instructions < 100 and realm.run().status == 0

    def test_build(self) -> None:
        """A Realm whose construction has been disturbed is destroyed again."""
        with Machine() as machine:
            for build in (machine.realm, machine.run_realm):
                with machine.on("rmi.call", fail), pytest.raises(Broken):
                    build("hello")
            assert machine.realms == () and machine.host.delegated == 0
            assert machine.run_realm("hello").granules_dirty == 0

    def test_destroy(self) -> None:
        """A destruction is finished first."""
        with Machine() as machine:
            realm = machine.realm("hello")
            with machine.on("rmi.call", fail), pytest.raises(Broken):
                realm.destroy()
            assert not realm.alive and machine.host.delegated == 0

    def test_console(self) -> None:
        """The same holds for a callback of the console."""
        with Machine() as machine:
            with machine.realm("hello", on_console=fail) as realm:
                with pytest.raises(Broken):
                    realm.run()
                assert not realm.ended
            assert machine.run_realm("hello").status == 0

    def test_sink(self) -> None:
        """And for a sink of the user's own trace."""
        with Machine(trace=Trace(Bad())) as machine, machine.realm("hello") as realm:
            with pytest.raises(Broken):
                realm.run()
            machine.trace.sinks.clear()
            assert realm.run().status == 0

    def test_processor(self) -> None:
        """And for a processor of it; one that drops events has no fault."""
        listing, error = Listing(), Exception()

        def process(logger: object, method: str, record: dict[str, Any]) -> dict[str, Any]:
            if record["event"] == "rsi.call":
                raise error
            return record

        def calls() -> int:
            return sum(record["event"] == "rsi.call" for record in listing)

        with Machine(trace=Trace(listing, processors=(process,))) as machine, machine.realm("hello") as realm:
            error = Broken()
            with pytest.raises(Broken):
                realm.run()
            before, error = calls(), DropEvent()
            assert realm.run().status == 0 and calls() == before > 0

    def test_hook(self) -> None:
        """And for a hook."""
        with Machine() as machine, machine.realm("hello") as realm:
            with realm.hook(RAM, fail), pytest.raises(Broken):
                realm.run()
            assert realm.run().status == 0

    def test_ns(self) -> None:
        """Non-secure software goes on after it, as well."""
        with NsMachine(NsImage(assemble(f"{say('hi')} {OFF}"), name="code")) as machine:
            with pytest.raises(Broken):
                machine.run(on_output=fail)
            assert machine.run().reason is Reason.SYSTEM_OFF
