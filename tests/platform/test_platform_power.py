"""Power domains: PEs, clusters, and the system."""

import pytest

from cca_platform.board import Board
from cca_platform.machine.machine import Machine
from cca_platform.power import Level, Power, Wake

THREADED = (0x8100_0000, 0x8100_0100, 0x8101_0000, 0x8101_0100)
PLAIN = (0x8000_0000, 0x8000_0001, 0x8000_0100, 0x8000_0101)


@pytest.mark.parametrize("mpidrs", [THREADED, PLAIN])
class TestPower:
    """PE 0 and 1 are one cluster, 2 and 3 another, whichever affinity field numbers the PEs."""

    def test_members(self, mpidrs: tuple[int, ...]) -> None:
        """The domains of a PE are itself, the PEs of its cluster, and all PEs."""
        power = Power(mpidrs)
        assert [power.members(2, level) for level in Level] == [(2,), (2, 3), (0, 1, 2, 3)]

    def test_reset(self, mpidrs: tuple[int, ...]) -> None:
        """At reset everything is off; the first PE that comes up brings its domains along, and no other."""
        power = Power(mpidrs)
        assert power.off(3, Level.SYSTEM)
        power.up(1)
        assert [power.off(pe) for pe in range(4)] == [True, False, True, True]
        assert [power.off(pe, Level.CLUSTER) for pe in range(4)] == [False, False, True, True]
        assert not power.off(2, Level.SYSTEM)
        power.reset()
        assert power.off(1, Level.SYSTEM)

    @pytest.mark.parametrize("levels", [(0, 1), (1, 0), (1, 1), (2, 1), (2, 2)])
    def test_last_man(self, mpidrs: tuple[int, ...], levels: tuple[int, int]) -> None:
        """A domain is off once every PE in it permits that, in whichever order they go down."""
        power = Power(mpidrs)
        for pe in range(4):
            power.up(pe)
        power.down(2, levels[0])
        assert not power.off(2, Level.CLUSTER)
        power.down(3, levels[1])
        assert power.off(3)
        assert power.off(2, Level.CLUSTER) == (min(levels) >= Level.CLUSTER)
        assert not power.off(0, Level.CLUSTER)
        for pe in (0, 1):
            power.down(pe, Level.SYSTEM)
        assert power.off(0, Level.SYSTEM) == (min(levels) == Level.SYSTEM)

    def test_state(self, mpidrs: tuple[int, ...]) -> None:
        """Save and restore keep what each PE permits, and why it came up last."""
        power = Power(mpidrs)
        power.up(0, Wake.REQUEST)
        power.down(0, Level.CLUSTER)
        saved = power.save()
        power.up(0, Wake.INTERRUPT)
        assert power.wake(0) is Wake.INTERRUPT
        power.restore(saved)
        assert power.wake(0) is Wake.REQUEST
        assert power.off(0, Level.CLUSTER)
        assert not power.off(0, Level.SYSTEM)


def test_machine() -> None:
    """A machine has it for its devices and tools, and resets it with the system."""
    machine = Machine(Board.load("virt"))
    try:
        assert len(machine.power.members(0, Level.CLUSTER)) == 8
        machine.power.up(0)
        saved = machine.save()
        machine.reset("test")
        assert machine.power.off(0)
        machine.load(saved)
        assert not machine.power.off(0)
    finally:
        machine.close()
