"""Nothing that the host, its devices or a probe on the bus tries gets at a Realm, the RMM or EL3."""

from collections import Counter

from cca_host.attacks import attack_new_realm
from cca_host.kvm import Vm
from cca_host.kvmtool.layout import RAM_BASE

SECRET = b"what only the Realm may know    "


class TestAttacks:
    """Every attempt is stopped."""

    def test_all_stopped(self, system):
        """Accesses end in granule protection faults, commands in errors, for every kind of granule."""
        attempts = attack_new_realm(system)
        assert [attempt for attempt in attempts if not attempt.stopped] == []
        kinds = Counter(attempt.target for attempt in attempts)
        assert {"RD", "RTT", "RTT, starting level", "DATA", "REC", "REC_AUX"} <= set(kinds)
        assert {"root, first granule", "realm_image, last granule", "secure, first granule"} <= set(kinds)
        assert kinds.pop("Realm") == 1
        assert set(kinds.values()) == {12}

    def test_a_bus_probe_sees_ciphertext(self, system):
        """Neither what a Realm holds nor the zeroes around it can be read off the bus; the host's own pages neither."""
        with Vm(system) as vm:
            vm.add_memory(RAM_BASE, 2 << 20)
            vm.init_ripas()
            vm.populate(RAM_BASE, SECRET)
            pa, probe = min(vm.stage2.data.values()), system.machine.memory.probe
            assert system.machine.memory.backdoor.read(pa, len(SECRET)) == SECRET
            system.port.write(vm.staging, SECRET + bytes(64))
            for granule in (pa, vm.staging, vm.rd):
                shown = probe(granule, 0x1000)
                assert SECRET[:16] not in shown
                assert bytes(16) not in shown
            assert probe(pa, 64) != probe(vm.staging, 64)
