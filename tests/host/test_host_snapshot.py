"""A snapshot of the machine holds the host and its Realms too."""

import pickle

from cca_arch.rsi.v1_0 import Rsi
from cca_host.kvmtool.layout import RAM_BASE

CALL = RAM_BASE + 0x1000


class TestSnapshot:
    """What was done since a snapshot is undone by its restoration, on both sides."""

    def test_running_realm(self, code, start, system):
        """A Realm goes on from the snapshot as often as one likes."""
        code.mov(20, CALL).mov(10, 0)
        again = len(code.words)
        code.word(0x9100_054A).store(10, 20, 8).smc(Rsi.HOST_CALL, CALL)  # add x10, x10, #1
        code.word(0x1400_0000 | (again - len(code.words)) & 0x3FF_FFFF)
        vcpu = start(code)
        assert vcpu.run().gprs[0] == 1
        snapshot = system.machine.snapshot()
        delegated = system.delegated
        for _ in range(2):
            assert [vcpu.run().gprs[0] for _ in range(3)] == [2, 3, 4]
            vcpu.vm.stage2.fault_in(RAM_BASE + 0x10_0000)
            system.machine.restore(snapshot)
            assert system.delegated == delegated
            assert RAM_BASE + 0x10_0000 not in vcpu.vm.stage2.data
            assert system.vms == [vcpu.vm]

    def test_destroyed_realm_is_back(self, code, start, system):
        """A Realm destroyed since the snapshot is there again."""
        vcpu = start(code.smc(Rsi.HOST_CALL, CALL).loop())
        snapshot = system.machine.snapshot()
        vcpu.vm.destroy()
        assert system.vms == []
        system.machine.restore(snapshot)
        (vm,) = system.vms
        assert vm.vcpus[0].run().imm == 0

    def test_plain_data(self, start, code, system):
        """The host's state is data that can be written to a file."""
        start(code.loop())
        state = system.save()
        assert pickle.loads(pickle.dumps(state)) == state
