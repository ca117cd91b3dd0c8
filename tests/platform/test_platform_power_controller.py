"""The FVP's power controller: it shows which PEs, clusters and system have power."""

from typing import Any

import pytest
from case_code import ns_registers
from realm_code import load

from cca_arch.psci import Psci
from cca_platform.devices.power_controller import Psysr
from cca_platform.power import Level, Wake

PPOFFR, PPONR, PCOFFR, PWKUPR, PSYSR = range(0, 0x14, 4)
BASE = 0x1C10_0000


@pytest.fixture
def controller(rig: Any) -> Any:
    """The controller of the default board."""
    return rig.device("power-controller")


def status(controller: Any, affinity: int) -> Psysr:
    """PSYSR of a PE."""
    controller.write(PSYSR, affinity)
    return Psysr(controller.read(PSYSR))


class TestState:
    """PSYSR."""

    def test_domains(self, rig: Any, controller: Any) -> None:
        """Bits L0 to L2 are the PE, its cluster and the system; WK says why the PE came up last."""
        power = rig.machine.power
        power.up(0)
        power.up(1, Wake.REQUEST)
        power.up(2, Wake.INTERRUPT)
        power.down(2, Level.SYSTEM)
        levels = {n: status(controller, n << 8) for n in range(4)} | {4: status(controller, 0x1_0000)}
        assert {n: (one.l0, one.l1, one.l2) for n, one in levels.items()} == {
            0: (1, 1, 1), 1: (1, 1, 1), 2: (0, 1, 1), 3: (0, 1, 1), 4: (0, 0, 1),
        }  # fmt: skip
        assert [levels[n].wk for n in range(5)] == [0, 2, 3, 0, 0]
        assert [levels[n].mpidr for n in range(5)] == [0, 0x100, 0x200, 0x300, 0x1_0000]

    @pytest.mark.parametrize("affinity", [0x400, 0x2_0000, 0xFF_FFFF])
    def test_nobody(self, controller: Any, affinity: int) -> None:
        """An affinity of no PE reads all ones."""
        assert status(controller, affinity) == 0xFFFF_FFFF

    def test_requests(self, rig: Any, controller: Any) -> None:
        """Requests are pending bits of the PE that they name, until PPONR; a PE that is off has none."""
        power = rig.machine.power
        for pe in (0, 1):
            power.up(pe)
        for register in (PPOFFR, PCOFFR):
            controller.write(register, 0x100)
        controller.write(PWKUPR, 1 << 31 | 0x100)
        found = [status(controller, at) for at in (0, 0x100)]
        assert [(one.pp, one.pc, one.wen) for one in found] == [(0, 0, 0), (1, 1, 1)]
        before = rig.machine.snapshot()
        controller.write(PPONR, 0x100)
        controller.write(PWKUPR, 0x100)
        one = status(controller, 0x100)
        assert (one.pp, one.pc, one.wen, one.l0) == (0, 0, 0, 1)
        rig.machine.restore(before)
        power.down(1, Level.PE)
        one = status(controller, 0x100)
        assert (one.pp, one.pc, one.wen, one.l0) == (0, 1, 1, 0)

    def test_unknown(self, controller: Any) -> None:
        """Requests for an affinity of no PE are ignored."""
        for register in (PPOFFR, PPONR, PCOFFR, PWKUPR):
            controller.write(register, 0xFF_FFFF)
        assert status(controller, 0) & 0x1C00_0000 == 0


def test_real_code() -> None:
    """Software at Non-secure EL2 finds its own PE on, the next one off, and on after CPU_ON."""
    show = f"mov w0, #0x100; str w0, [x28, #{PSYSR}]; ldr w{{to}}, [x28, #{PSYSR}]; "
    x = ns_registers(
        f"{load('x28', BASE)}; str wzr, [x28, #{PSYSR}]; ldr w10, [x28, #{PSYSR}]; {show.format(to=11)}"
        f"{load('x0', Psci.CPU_ON_64)}; mov x1, #0x100; adr x2, there; mov x3, #0; smc #0; mov x13, x0; "
        f"{show.format(to=12)} b done; there: wfi; b there; done: mov x0, #0"
    )
    first, other, later = (Psysr(value) for value in x[10:13])
    assert (first.l0, first.l1, first.l2, first.wk) == (1, 1, 1, Wake.RESET)
    assert (other.l0, other.l1) == (0, 1)
    assert (x[13], later.l0, later.wk) == (0, 1, Wake.REQUEST)
