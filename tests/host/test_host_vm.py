"""A Realm VM from its creation to its last granule."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cca_arch.rmi.v1_0 import Rmi, RmiRipas
from cca_arch.rsi.v1_0 import Rsi
from cca_host.kvm import HostCall, RmiError, Vm
from cca_host.kvm.stage2 import start_level
from cca_host.kvmtool.layout import RAM_BASE
from cca_platform.errors import GranuleProtectionFault, MachineError


class TestStartLevel:
    """KVM's choice of the starting level."""

    @pytest.mark.parametrize(
        ("width", "level", "count"), [(32, 2, 4), (34, 2, 16), (35, 1, 1), (40, 1, 2), (43, 1, 16), (48, 0, 1)]
    )
    def test_choice(self, width, level, count):
        """As few levels as sixteen concatenated tables permit."""
        assert start_level(width) == (level, count)


class TestLifecycle:
    """Build and destroy give everything back (the fixture checks it)."""

    @pytest.mark.parametrize("width", [32, 33, 34, 36, 40, 48])
    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    def test_shapes(self, system, code, realm, width, algorithm):
        """Realms of every shape in use run, and go."""
        base = RAM_BASE if width > 32 else 0x4000_0000
        with Vm(system, ipa_width=width, hash_algo=algorithm) as vm:
            vm.add_memory(base, 4 << 20)
            vm.init_ripas()
            vm.populate(base, bytes(code.smc(Rsi.HOST_CALL, base + 0x1000).loop()))
            vcpu = vm.create_vcpu(base)
            vm.activate()
            assert isinstance(vcpu.run(), HostCall)
        assert vm.troubles == []

    def test_small(self, system, code):
        """Four pages and a vCPU need few granules and no table that is not used."""
        with Vm(system) as vm:
            vm.add_memory(RAM_BASE, 4 << 12)
            vm.init_ripas()
            vm.populate(RAM_BASE, bytes(code.loop()))
            vm.create_vcpu(RAM_BASE)
            vm.activate()
            assert len(vm.stage2.tables) == 1
            assert system.delegated == 1 + 8 + 1 + 1 + 1 + vm.aux_count

    def test_never_activated(self, realm, system):
        """A Realm that never ran can be destroyed at any step."""
        Vm(system).destroy()
        vm = Vm(system)
        vm.add_memory(RAM_BASE, 2 << 20)
        vm.init_ripas()
        vm.destroy()
        assert vm.troubles == []

    def test_two_at_once(self, code, start):
        """Two Realms live side by side with VMIDs of their own."""
        code.smc(Rsi.HOST_CALL, RAM_BASE + 0x1000).loop()
        one, two = start(code), start(code)
        assert one.vm.vmid != two.vm.vmid
        assert isinstance(two.run(), HostCall)
        assert isinstance(one.run(), HostCall)
        two.vm.destroy()
        assert one.vm.system.vms == [one.vm]

    def test_odd_memory(self, system):
        """Memory that is no whole number of 2 MiB blocks is RAM to its last page, and not beyond."""
        with Vm(system) as vm:
            vm.add_memory(RAM_BASE, (2 << 20) + 0x3000)
            vm.init_ripas()
            ripas = [
                system.rmi(Rmi.RTT_READ_ENTRY, vm.rd, RAM_BASE + (2 << 20) + page * 0x1000, 3)[4] for page in range(4)
            ]
        assert ripas == [RmiRipas.RAM] * 3 + [RmiRipas.EMPTY]

    @settings(max_examples=8, suppress_health_check=list(HealthCheck))
    @given(st.sets(st.integers(0, 2000), min_size=1, max_size=12), st.sets(st.integers(0, 2000), max_size=6))
    def test_any_pages(self, system, private, shared):
        """Whatever pages are populated and shared, all come back."""
        with Vm(system) as vm:
            vm.add_memory(RAM_BASE, 8 << 20)
            vm.init_ripas()
            for page in sorted(private):
                vm.populate(RAM_BASE + page * 0x1000, b"x")
            for page in sorted(shared):
                vm.stage2.share(RAM_BASE + page * 0x1000)
        assert vm.troubles == []
        assert system.delegated == system.dirty == 0


class TestPopulate:
    """Contents reach the Realm, and are out of the host's reach."""

    def test_gone_from_the_host(self, system):
        """A populated page cannot be read by the host any more, and comes back empty."""
        with Vm(system) as vm:
            vm.add_memory(RAM_BASE, 2 << 20)
            vm.init_ripas()
            vm.populate(RAM_BASE, b"secret")
            page = vm.stage2.data[RAM_BASE]
            with pytest.raises(GranuleProtectionFault):
                system.port.read(page, 6)
        assert system.port.read(page, 6) == bytes(6)


class TestRefusals:
    """What a Realm cannot be is said before anything is delegated."""

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"ipa_width": 31}, "the IPA width must be 32 to 48 bits, not 31"),
            ({"ipa_width": 49}, "the IPA width must be 32 to 48 bits, not 49"),
            ({"hash_algo": "md5"}, "the hash algorithm must be sha256 or sha512, not 'md5'"),
            ({"rpv": bytes(65)}, "the Realm Personalization Value must be at most 64 bytes, not 65"),
        ],
    )
    def test_options(self, system, options, text):
        """Options out of range name the range."""
        with pytest.raises(MachineError) as caught:
            Vm(system, **options)
        assert str(caught.value) == text

    def test_memory(self, system):
        """Memory has to be pages of the protected half."""
        with Vm(system) as vm:
            with pytest.raises(MachineError, match="must be whole 4 KiB pages"):
                vm.add_memory(RAM_BASE, 100)
            with pytest.raises(MachineError, match="must end below 0x100000000, the protected half of a 33-bit"):
                vm.add_memory(RAM_BASE, 4 << 30)

    def test_too_late(self, code, start):
        """An active Realm takes no more initial contents; the granule for it comes back."""
        vcpu = start(code.loop())
        before = vcpu.vm.system.delegated
        with pytest.raises(RmiError, match="RMI_DATA_CREATE answered RMI_ERROR_REALM"):
            vcpu.vm.populate(RAM_BASE + 0x1000, b"late")
        assert vcpu.vm.system.delegated == before
