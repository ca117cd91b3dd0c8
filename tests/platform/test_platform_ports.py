"""Ports: the granule protection check as firmware, RMM, host and devices meet it."""

from typing import Any

import pytest

from cca_arch.types import Access, Gpi, Pas, SecurityState
from cca_platform.errors import BusError, GranuleProtectionFault

TARGET = 0x8020_0000
_GPI = {Pas.SECURE: Gpi.SECURE, Pas.NON_SECURE: Gpi.NON_SECURE, Pas.ROOT: Gpi.ROOT, Pas.REALM: Gpi.REALM}


class TestPorts:
    """A port passes exactly the granules of its physical address space."""

    @pytest.mark.parametrize("owner", Pas)
    @pytest.mark.parametrize("state", SecurityState)
    def test_own_pas(self, bench: Any, state: SecurityState, owner: Pas) -> None:
        """Of the four spaces an access made in its own PAS reaches its own alone."""
        bench.protect({TARGET: _GPI[owner]})
        port = bench.machine.memory.port(state)
        if owner == Pas(state):
            port.write64(TARGET, 7)
            assert port.read64(TARGET) == 7
            return
        for access in (lambda: port.read64(TARGET), lambda: port.write64(TARGET, 1), lambda: port.view(TARGET, 8)):
            with pytest.raises(GranuleProtectionFault) as fault:
                access()
            assert (fault.value.pa, fault.value.pas, fault.value.level) == (TARGET, Pas(state), 1)
        assert bench.machine.memory.backdoor.read64(TARGET) == 0

    @pytest.mark.parametrize("pas", Pas)
    @pytest.mark.parametrize("state", SecurityState)
    def test_spaces_of_a_state(self, bench: Any, state: SecurityState, pas: Pas) -> None:
        """Root reaches every space, Realm and Secure also Non-secure, Non-secure nothing else."""
        allowed = state == SecurityState.ROOT or pas in (Pas(state), Pas.NON_SECURE)
        if not allowed:
            with pytest.raises(ValueError, match="cannot make accesses"):
                bench.machine.memory.port(state, pas)
            return
        bench.protect({TARGET: _GPI[pas]})
        bench.machine.memory.port(state, pas).write8(TARGET, 3)
        assert bench.machine.memory.backdoor.read8(TARGET) == 3

    def test_any_and_none(self, bench: Any) -> None:
        """GPI 'any' lets everybody pass, 'no access' nobody."""
        bench.protect({TARGET: Gpi.NO_ACCESS})
        for state in SecurityState:
            port = bench.machine.memory.port(state)
            assert port.read64(TARGET + 0x1000) == 0
            with pytest.raises(GranuleProtectionFault):
                port.read64(TARGET)

    def test_tlb_until_invalidated(self, bench: Any) -> None:
        """What a port was granted it keeps until TLBI PA: forgetting that is a bug of EL3 that shows."""
        memory = bench.machine.memory
        bench.protect({TARGET: Gpi.NON_SECURE})
        port = memory.port(SecurityState.NON_SECURE)
        port.read64(TARGET)
        entry, shift = 0x8042_0000 + ((TARGET & 0x3FFF_FFFF) >> 16) * 8, (TARGET >> 12 & 15) * 4
        raw = memory.backdoor
        raw.write64(entry, raw.read64(entry) & ~(15 << shift) | Gpi.REALM << shift)
        assert port.read64(TARGET) == 0
        memory.tlbi_pa(TARGET, 0x1000)
        with pytest.raises(GranuleProtectionFault):
            port.read64(TARGET)

    def test_range_across_granules(self, bench: Any) -> None:
        """An access over two granules is judged granule by granule, and the fault names the one that refused."""
        bench.protect({TARGET + 0x1000: Gpi.REALM})
        port = bench.machine.memory.port(SecurityState.NON_SECURE)
        with pytest.raises(GranuleProtectionFault) as fault:
            port.write(TARGET + 0xFF0, bytes(range(32)))
        assert fault.value.pa == TARGET + 0x1000
        assert fault.value.access == Access.WRITE
        assert bench.machine.memory.backdoor.read(TARGET + 0x1000, 16) == bytes(16)

    def test_nothing_there(self, bench: Any) -> None:
        """Where neither DRAM nor a device answers the access is an external abort."""
        with pytest.raises(BusError, match="nothing answers"):
            bench.machine.memory.port(SecurityState.ROOT).read64(0x7000_0000)
