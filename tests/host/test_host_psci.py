"""PSCI calls that the RMM leaves to the host."""

import pytest
from host_code import CALL, report

from cca_arch.psci import Psci
from cca_arch.rsi.v1_0 import Rsi
from cca_host.kvm import Interrupted, SystemEvent
from cca_host.kvmtool.layout import RAM_BASE


class TestPsci:
    """PSCI calls that the RMM leaves to the host."""

    @pytest.mark.parametrize(("fid", "kind"), [(Psci.SYSTEM_OFF, "off"), (Psci.SYSTEM_RESET, "reset")])
    def test_system(self, code, start, fid, kind):
        """The end of the Realm comes to the VMM."""
        vcpu = start(code.smc(fid))
        assert vcpu.run() == SystemEvent(kind)
        assert vcpu.run() == SystemEvent("off")

    def test_cpu_on(self, code, realm):
        """CPU_ON makes the other vCPU run at its entry with its context; the caller makes way, and gets SUCCESS."""
        other = type(code)().mov(20, CALL + 0x100).store(0, 20, 16).smc(Rsi.HOST_CALL, CALL + 0x100).loop()
        code.smc(Psci.CPU_ON_64, 1, RAM_BASE + 0x400, 0xC0DE).word(0xAA00_03EA)
        report(code, 10).loop()
        code.words += [0] * (0x100 - len(code.words)) + other.words
        first, second = realm(code, vcpus=2).vcpus
        assert not second.on
        assert first.run() == Interrupted()
        assert first.run().gprs[1] == 0
        assert second.on
        assert second.run().gprs[1] == 0xC0DE

    def test_affinity_info(self, code, realm):
        """AFFINITY_INFO of a vCPU that is off answers OFF."""
        code.smc(Psci.AFFINITY_INFO_64, 1, 0).word(0xAA00_03EA)
        report(code, 10).loop()
        assert realm(code, vcpus=2).vcpus[0].run().gprs[1] == 1
