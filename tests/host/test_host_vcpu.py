"""KVM_RUN, which goes on from plain data."""

import threading

import pytest
from host_code import report

from cca_arch.rmi.v1_0 import RecExitReason
from cca_host.kvm import Interrupted, Paused
from cca_host.kvmtool.layout import RAM_BASE


class TestTraps:
    """What of the Realm exits at the host's wish."""

    @pytest.mark.parametrize(("wfi", "wfe", "flags"), [(0, 0, 0), (1, 0, 4), (0, 1, 8), (1, 1, 12)])
    def test_flags(self, code, start, wfi, wfe, flags):
        """trap_wfi and trap_wfe of RmiRecEnter, each by its own."""
        vcpu = start(code.loop())
        vcpu.trap(wfi=bool(wfi), wfe=bool(wfe))
        assert vcpu.traps == flags


class TestResume:
    """KVM_RUN enters the REC, or goes on where it is."""

    def test_until(self, code, start, system):
        """A run pauses when the clock says so, without an exit, and goes on."""
        code.mov(9, 20_000)
        code.word(0xD100_0529, 0xB5FF_FFE9)  # again: sub x9, x9, #1; cbnz x9, again
        report(code, 9).loop()
        vcpu, clock = start(code), system.machine.clock
        begun = clock.now
        assert vcpu.run(until=begun + 1_000) == Paused()
        assert (vcpu.running, vcpu.exits) == (0, {})
        assert begun + 1_000 <= clock.now < begun + 1_600
        assert vcpu.run(until=begun + 1_000) == Paused()
        result = vcpu.run()
        assert (result.gprs[1], vcpu.running) == (0, None)

    def test_pe(self, code, start, system):
        """A run that was paused goes on on the PE where it is, whichever is named."""
        vcpu, pes = start(code.loop()), system.machine.pes
        assert vcpu.run(pes[2], until=system.machine.clock.now + 100) == Paused()
        before = [pe.retired for pe in pes]
        assert vcpu.run(pes[1], until=system.machine.clock.now + 100) == Paused()
        assert [pe.retired > count for pe, count in zip(pes, before, strict=True)].index(True) == 2

    def test_before_the_entry(self, code, start, system):
        """A limit that is reached between two entries pauses there."""
        code.mov(1, RAM_BASE + 0x10_0000).load(2, 1).loop()
        vcpu = start(code)
        assert vcpu.run(until=system.machine.clock.now) == Paused()
        assert vcpu.running == 0
        assert vcpu.run(until=system.machine.clock.now + 1) == Paused()

    def test_alone(self, code, start, system):
        """One instruction at a time."""
        code.mov(9, 1).mov(9, 2).mov(9, 3).loop()
        vcpu, pe = start(code), system.pe
        while pe.retired == 0 or pe.x[9] == 0:
            assert vcpu.run(alone=True) == Paused()
        seen = []
        for _ in range(4):
            seen.append(pe.x[9])
            assert vcpu.run(alone=True) == Paused()
        assert seen == [1, 2, 3, 3]

    def test_kick(self, code, start, system):
        """A paused run can be ended from outside: it exits with an interrupt, and the next run enters again."""
        vcpu = start(code.loop())
        assert vcpu.kick() is None
        vcpu.run(until=system.machine.clock.now + 100)
        assert vcpu.kick() == Interrupted()
        assert (vcpu.running, vcpu.exits) == (None, {RecExitReason.IRQ: 1})
        assert vcpu.run(until=system.machine.clock.now + 100) == Paused()

    def test_another_thread(self, code, start, system):
        """Who calls next may be another thread: the one before has left nothing of its own."""
        code.mov(9, 20_000).word(0xD100_0529, 0xB5FF_FFE9)
        report(code, 9).loop()
        vcpu, clock, results = start(code), system.machine.clock, []
        for ticks in (100, 1_000, None):
            until = None if ticks is None else clock.now + ticks
            thread = threading.Thread(target=lambda until=until: results.append(vcpu.run(until=until)))
            thread.start()
            thread.join()
        assert results[:2] == [Paused(), Paused()]
        assert (results[2].gprs[1], vcpu.running) == (0, None)

    def test_destroyed(self, code, start, system):
        """A Realm can be destroyed while a vCPU is paused in its REC."""
        vcpu = start(code.loop())
        vcpu.run(until=system.machine.clock.now + 100)
        vcpu.vm.destroy()
        assert (vcpu.vm.troubles, system.delegated) == ([], 0)

    def test_saved(self, code, start, system):
        """A paused run is in the saved state, and goes on after a restore."""
        code.mov(9, 20_000).word(0xD100_0529, 0xB5FF_FFE9)
        report(code, 9).loop()
        vcpu = start(code)
        vcpu.run(until=system.machine.clock.now + 1_000)
        snapshot = system.machine.snapshot()
        ends = []
        for _ in range(2):
            ends.append((vcpu.run().gprs[1], system.machine.clock.now))
            system.machine.restore(snapshot)
            assert vcpu.running == 0
        assert ends[0] == ends[1]
