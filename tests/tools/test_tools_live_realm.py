"""A live Realm: run it in parts, step, hook, break, talk, and go back to a snapshot half-way."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ns_code import assemble

import realmlab
from cca_host.kvmtool import RunReason
from realmlab import Machine, MachineError, NotSeen, Progress, Reason

RAM = 0x8000_0000
UART = 1 << 32 | 0x0100_0000
_CALL = "movz x0, #0x190; movk x0, #0xc400, lsl #16; mov x1, #0x10000; smc #0;"  # RSI_VERSION
COUNT = "mov x0, #0; again: add x0, x0, #1; cmp x0, #5; b.ne again; movz x0, #8; movk x0, #0x8400, lsl #16; smc #0"
AGAIN = RAM + 4
ECHO = (
    "movz x2, #0x0100, lsl #16; movk x2, #1, lsl #32; more: ldrb w3, [x2, #5]; tbz w3, #0, more; ldrb w1, [x2]; "
    "strb w1, [x2]; cmp w1, #13; b.ne more; movz x0, #8; movk x0, #0x8400, lsl #16; smc #0"
)


@pytest.fixture
def payload(tmp_path: Path) -> Any:
    """A maker of raw payloads from assembly."""

    def make(source: str) -> Path:
        path = tmp_path / "payload.bin"
        path.write_bytes(assemble(source, RAM))
        return path

    return make


class TestRun:
    """A Realm runs in parts, and the parts add up to the whole."""

    def test_parts(self) -> None:
        """However often it pauses, it retires the same, sends the same and makes the same calls."""
        with Machine() as machine:
            whole = machine.run_realm("hello")
        with Machine() as machine, machine.realm("hello") as realm:
            parts: list[Progress] = []
            while not (parts and parts[-1].ended):
                parts.append(realm.run(max_insns=500))
            assert {part.reason for part in parts[:-1]} == {Reason.LIMIT} and len(parts) > 3
            result = realm.destroy()
        assert b"".join(part.console for part in parts) == whole.console == result.console
        assert sum(part.instructions for part in parts) == whole.instructions == result.instructions
        assert (result.calls, result.exits, result.ticks) == (whole.calls, whole.exits, whole.ticks)
        assert (result.granules_left, result.granules_dirty) == (0, 0)

    def test_until(self) -> None:
        """A text on the console pauses it, and the next run goes on."""
        with Machine() as machine, machine.realm("hello") as realm:
            first = realm.run(until="PSCI")
            assert (first.reason, first.status) == (Reason.UNTIL, None) and b"PSCI" in first.console
            last = realm.run(until="no such text")
            assert (last.reason, last.status) == (Reason.EXIT, 0)
            assert last.message == "the console did not show 'no such text'"
            assert realm.console == first.console + last.console

    def test_reason(self) -> None:
        """One enumeration has the reasons of a run, of a result, and of ``run_realm``; each equals its text."""
        with Machine() as machine, machine.realm("hello") as realm:
            reasons = [realm.run().reason, realm.destroy().reason, realm.result.reason]
            reasons.append(machine.run_realm("hello").reason)
        assert all(reason is Reason.EXIT and reason == "exit" for reason in reasons)
        assert {reason.value for reason in RunReason} <= {reason.value for reason in Reason}

    def test_ended(self) -> None:
        """What has ended or is gone does not run."""
        with Machine() as machine, machine.realm("hello") as realm:
            realm.run()
            with pytest.raises(MachineError, match="must not have ended"):
                realm.run()
            result = realm.destroy()
            assert result.status == 0 and not realm.alive and machine.realms == ()
            with pytest.raises(MachineError, match="must exist for a run"):
                realm.step()

    def test_half_way(self) -> None:
        """A Realm that is destroyed half-way gives everything back."""
        with Machine() as machine:
            with machine.realm("hello", vcpus=2) as realm:
                realm.run(max_insns=1_000)
            result = realm.result
            assert (result.reason, result.granules_left, result.granules_dirty) == (Reason.DESTROYED, 0, 0)
            assert machine.run_realm("hello").status == 0

    def test_interrupt(self, payload: Any) -> None:
        """Ctrl-C pauses it, and it goes on when it is run again."""
        before = signal.getsignal(signal.SIGINT)

        def press() -> None:
            while signal.getsignal(signal.SIGINT) is before:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        with Machine() as machine, machine.realm(payload("b .")) as realm:
            finger = threading.Thread(target=press)
            finger.start()
            assert realm.run().reason is Reason.INTERRUPTED
            finger.join()
            assert signal.getsignal(signal.SIGINT) is before
            assert realm.run(max_insns=1_000).reason is Reason.LIMIT

    def test_two(self) -> None:
        """Realms of one machine take turns, as their user likes."""
        with Machine() as machine, machine.realm("hello") as one, machine.realm("hello", memory="32M") as two:
            turns = 0
            while not (one.ended and two.ended):
                for realm in machine.realms:
                    if not realm.ended:
                        realm.run(max_insns=200)
                        turns += 1
            assert turns > 6 and one.rd != two.rd
            assert one.console and one.console.count(b"Hello") == two.console.count(b"Hello") == 1
            assert one.destroy().status == two.destroy().status == 0

    def test_in_between(self) -> None:
        """In the middle of the code of one, another comes and goes; each has what it would have alone."""
        with Machine() as machine, machine.realm("hello") as one:
            one.step(100)
            assert machine.run_realm("hello").status == 0
            one.step(100)
            with machine.realm("hello", vcpus=2) as two:
                two.step(50)
                assert one.run().status == 0
                assert two.run().status == 0
            assert one.destroy().granules_dirty == 0

    def test_refused(self) -> None:
        """What the RMM or the host refuses is a MachineError, and nothing is left of it."""
        with Machine() as machine:
            with pytest.raises(MachineError):
                machine.realm("hello", ipa_width=60)
            with pytest.raises(MachineError, match="`vcpus`"):
                machine.realm("hello", vcpus=0)
            assert machine.realms == () and machine.host.delegated == 0


class TestGone:
    """What a Realm cannot do in its present state is a MachineError that says why."""

    @pytest.mark.parametrize("undone", [False, True])
    def test_gone(self, undone: bool) -> None:
        """One that was destroyed, or that a snapshot does not have, shows nothing any more."""
        with Machine() as machine:
            saved, realm = machine.snapshot(), machine.realm("hello")
            if undone:
                machine.restore(saved)
            else:
                realm.destroy()
            looks: list[Callable[[], object]] = [
                lambda: realm.read(RAM, 4),
                lambda: realm.write(RAM, b"word"),
                lambda: realm.rtt,
                lambda: realm.rec,
                lambda: realm.facts,
                realm.run,
                realm.step,
            ]
            for look in looks:
                with pytest.raises(MachineError, match=r"a Realm must exist for .*, not be destroyed or undone: make"):
                    look()
            if undone:
                with pytest.raises(MachineError, match="must have ended to have a result, not be undone"):
                    _ = realm.result

    def test_result(self) -> None:
        """There is a result once it is destroyed."""
        with Machine() as machine, machine.realm("hello") as realm:
            realm.run()
            with pytest.raises(MachineError, match=r"must be destroyed to have a result: call destroy\(\)"):
                _ = realm.result

    @pytest.mark.parametrize("count", [0, -1])
    def test_count(self, count: int) -> None:
        """One step is the least."""
        with Machine() as machine, machine.realm("hello") as realm:
            with pytest.raises(MachineError, match=f"`count` must be 1 or more, not {count}"):
                realm.step(count)
            assert realm.instructions == 0


class TestStep:
    """Instructions of one vCPU."""

    def test_step(self, payload: Any) -> None:
        """Each step retires one; calls to the RMM and exits to the host happen meanwhile."""
        with Machine() as machine, machine.realm(payload(f"mov x5, #1; {_CALL} mov x6, x1; b .")) as realm:
            vcpu = realm.step()
            assert vcpu.regs.pc == RAM + 4 and vcpu.regs.x5 == 1
            assert realm.step(3).regs.pc == RAM + 16
            assert realm.step().regs.pc == RAM + 20 and realm.vcpus[0].regs.x0 == 0
            assert realm.step().regs.x6 == 0x10000 and realm.instructions == 6

    def test_end(self, payload: Any) -> None:
        """A step in which the Realm ends is none."""
        with Machine() as machine, machine.realm(payload(COUNT)) as realm, pytest.raises(MachineError, match="to step"):
            realm.step(1_000)


class TestHooks:
    """Callbacks and breakpoints in the Realm's code."""

    def test_hook(self, payload: Any) -> None:
        """Each time, with the registers of that moment, and the Realm does as without."""
        seen = []
        path = payload(COUNT)
        with Machine() as machine:
            plain = machine.run_realm(path)
        with Machine() as machine, machine.realm(path) as realm:
            realm.hook(AGAIN, lambda cpu: seen.append((cpu.world.name, cpu.regs.x0)))
            realm.run()
        result = realm.result
        assert seen == [("REALM", count) for count in range(5)]
        assert (result.instructions, result.ticks, result.reason) == (plain.instructions, plain.ticks, plain.reason)

    def test_break(self, payload: Any) -> None:
        """A breakpoint pauses before the instruction; the next run goes on to the next time."""
        with Machine() as machine, machine.realm(payload(COUNT)) as realm:
            realm.break_on(AGAIN)
            for count in range(5):
                assert realm.run().reason is Reason.BREAKPOINT
                assert (realm.vcpus[0].regs.pc, realm.vcpus[0].regs.x0) == (AGAIN, count)
            realm.vcpus[0].regs.x0 = 4
            assert realm.run().reason is Reason.SYSTEM_OFF

    def test_symbol(self) -> None:
        """A function of the payload by its name, from the Realm and from its machine."""
        with Machine() as machine, machine.realm("hello") as realm:
            own, other = realm.break_on("main"), machine.hook("main", lambda cpu: None)
            assert realm.run().reason is Reason.BREAKPOINT
            assert "<main>" in repr(realm.vcpus[0]) and "<main>" in repr(own)
            assert (own.hits, other.hits) == (1, 1)

    def test_whose(self, payload: Any) -> None:
        """A hook of one Realm keeps still in the code of another."""
        path = payload(COUNT)
        with Machine() as machine, machine.realm(path) as one, machine.realm(path) as two:
            hook = one.hook(AGAIN, lambda cpu: None)
            two.run()
            assert hook.hits == 0
            one.run()
            assert hook.hits == 5

    def test_event(self) -> None:
        """An event of the trace pauses, and a callback of one, too."""
        with Machine() as machine, machine.realm("hello") as realm:
            for owner in (machine, realm):
                with owner.break_on("rec.exit"):
                    assert realm.run().reason is Reason.BREAKPOINT
            with pytest.raises(MachineError, match=r"did you mean 'rec\.exit'"):
                realm.break_on("rec.exits")
            exits: list[str] = []
            with machine.on("rec.exit", lambda record: (exits.append(record["reason"]), machine.stop())):
                assert realm.run().reason is Reason.STOPPED
            assert len(exits) == 1 and realm.run().ended

    def test_one_liner(self) -> None:
        """Hooks work in ``run_realm`` too; a breakpoint ends it."""
        with Machine() as machine:
            hook = machine.hook(RAM, lambda cpu: None)
            assert machine.run_realm("hello").status == 0 and hook.hits == 1
            machine.break_on(RAM)
            result = machine.run_realm("hello")
            assert (result.reason, result.granules_left) == (Reason.DESTROYED, 0)


class TestConsole:
    """Talking to a Realm."""

    def test_expect(self) -> None:
        """What comes up to the pattern is consumed; what never comes is NotSeen."""
        with Machine() as machine, machine.realm("hello") as realm:
            assert realm.expect(r"RSI (\d)\.0")[1] == "1"
            assert realm.expect("Hello from (.*)EL1")[1] == "Realm "
            with pytest.raises(NotSeen, match=r"must show 'Hello', but exit; it sent '\\n'"):
                realm.expect("Hello")

    def test_talk(self, payload: Any) -> None:
        """A line is typed, and echoed."""
        with Machine() as machine, machine.realm(payload(ECHO)) as realm:
            realm.run(max_insns=1_000)
            realm.sendline("hello")
            assert realm.expect("hello\r") and realm.run().reason is Reason.SYSTEM_OFF

    def test_on_console(self) -> None:
        """Output comes while it runs, too."""
        heard: list[bytes] = []
        with Machine() as machine, machine.realm("hello", on_console=heard.append) as realm:
            realm.run()
            assert b"".join(heard) == realm.console


class TestSnapshots:
    """A snapshot half-way through a Realm is an ordinary one."""

    def test_half_way(self) -> None:
        """From it, the rest happens again, to the last tick."""
        with Machine() as machine, machine.realm("hello", vcpus=2) as realm:
            realm.run(max_insns=900)
            saved = machine.snapshot()
            ends = []
            for _ in range(2):
                machine.restore(saved)
                ends.append((realm.run(), realm.console, machine.platform.clock.now))
            assert ends[0] == ends[1] and ends[0][0].status == 0

    def test_tree(self) -> None:
        """Going back to an old one loses no newer one, nor one of another branch."""
        with Machine() as machine, machine.realm("hello") as realm:
            root = machine.snapshot()
            trunk, branch = [], []
            for moments in (trunk, branch):
                machine.restore(root)
                for _ in range(3):
                    realm.run(max_insns=400 if moments is trunk else 300)
                    moments.append((machine.snapshot(), realm.instructions, realm.console, machine.platform.clock.now))
            assert branch[0][0].parent == root.number and branch[1][0].parent == branch[0][0].number
            for saved, *facts in (trunk[2], branch[0], trunk[0], branch[2], trunk[1], branch[1]):
                machine.restore(saved)
                assert [realm.instructions, realm.console, machine.platform.clock.now] == facts
            machine.restore(trunk[1][0])
            assert realm.run().status == 0

    def test_in_code(self, payload: Any) -> None:
        """At a breakpoint, registers and the breakpoint are as they were."""
        with Machine() as machine, machine.realm(payload(COUNT)) as realm:
            realm.break_on(AGAIN)
            realm.run()
            saved = machine.snapshot()
            for _ in range(2):
                realm.run()
                assert realm.vcpus[0].regs.x0 == 1
                machine.restore(saved)
                assert (realm.vcpus[0].regs.x0, realm.vcpus[0].regs.pc) == (0, AGAIN)

    def test_ended(self) -> None:
        """A Realm that has ended goes on from before; one that was destroyed is there again."""
        with Machine() as machine, machine.realm("hello") as realm:
            saved = machine.snapshot()
            realm.run()
            realm.destroy()
            machine.restore(saved)
            assert realm.alive and not realm.ended
            assert realm.run().status == 0 and realm.expect("Hello from")

    def test_branches(self) -> None:
        """Each snapshot has its own Realms, with their consoles, whatever was built and lost in between."""
        with Machine() as machine:
            root = machine.snapshot()
            one = machine.realm("smp", vcpus=2)
            one.run(until="counted")
            one.step(10)
            half, unread = machine.snapshot(), bytes(one._unread)
            end = one.run()
            assert unread
            machine.restore(root)
            two = machine.realm("hello")
            two.step(100)
            other = machine.snapshot()
            for _ in range(2):
                machine.restore(half)
                assert machine.realms == (one,) and not two.alive and bytes(one._unread) == unread
                assert machine.run_realm("hello").status == 0
                machine.restore(half)
                assert one.run() == end
                machine.restore(other)
                assert machine.realms == (two,) and not one.alive
                assert two.run().status == 0 and machine.run_realm("hello").status == 0

    def test_dropped(self) -> None:
        """A Realm that its user does not hold any more comes back with its snapshot."""
        with Machine() as machine:
            root = machine.snapshot()
            machine.realm("hello").step(100)
            half = machine.snapshot()
            machine.restore(root)
            for _ in range(3):
                machine.realm("smp").destroy()
            machine.restore(half)
            (realm,) = machine.realms
            assert realm.instructions == 100 and realm.run().status == 0 and b"Hello" in realm.console

    def test_another(self) -> None:
        """A snapshot of another machine is refused."""
        with Machine() as machine, Machine() as other:
            machine.snapshot()
            with pytest.raises(MachineError, match="must be one of this machine"):
                machine.restore(other.snapshot())

    def test_undone(self) -> None:
        """A Realm that is younger than the snapshot is gone."""
        with Machine() as machine:
            saved = machine.snapshot()
            with machine.realm("hello") as realm:
                machine.restore(saved)
                assert not realm.alive and machine.realms == () and repr(realm) == "<Realm hello.elf: gone>"


class TestViews:
    """Objects tell their state."""

    def test_repr(self, payload: Any) -> None:
        """Machine, Realm, vCPU and Progress."""
        with Machine() as machine, machine.realm(payload(COUNT)) as realm:
            assert repr(machine) == "<Machine fvp: <Realm payload.bin: <Vcpu 0: on, its REC is not entered>>>"
            realm.step()
            assert repr(realm.vcpus[0]) == "<Vcpu 0: EL1 on PE 0, pc 0x80000004>"
            assert repr(realm.run()) == "<Progress system_off (0), 18 instructions>"
            assert repr(realm) == "<Realm payload.bin: system_off (0)>"

    def test_vcpus(self) -> None:
        """One that is off says so; exits are counted by reason."""
        with Machine() as machine, machine.realm("hello", vcpus=2) as realm:
            assert repr(realm.vcpus[1]) == "<Vcpu 1: off>" and realm.vcpus[1].mpidr == 1
            realm.run()
            assert realm.vcpus[0].exits["HOST_CALL"] > 1


def test_public() -> None:
    """The classes are there for annotations."""
    assert {"Realm", "Vcpu", "Progress"} <= set(realmlab.__all__)
