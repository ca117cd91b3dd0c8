"""A random hypervisor and a random VM at the virtual CPU interface: what the VM is shown, and what list registers and
maintenance state become, is always as a model written from the rules has it."""

import random
from typing import Any

import pytest
from gic_virtual_machine import INTIDS, PHYSICAL, PRIORITIES, STATES, VirtualMachine
from gic_virtual_model import ListRegister
from hypothesis import HealthCheck, settings

TestVirtualInterface = VirtualMachine.TestCase
TestVirtualInterface.settings = settings(
    max_examples=30, stateful_step_count=40, suppress_health_check=list(HealthCheck)
)


class Busy:
    """A VM with much to do: list registers are filled, their interrupts taken and ended."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.machine = VirtualMachine()
        self.machine.start([self.register() for _ in range(4)])

    def register(self) -> ListRegister:
        """Anything that a list register may hold."""
        one = self.random.choice
        hardware, ask = one((True, False, False)), one((True, False))
        return ListRegister(one(INTIDS), one(STATES), one((0, 1, 1)), one(PRIORITIES), hardware, ask, one(PHYSICAL))

    def step(self) -> None:
        """Something happens."""
        one, it = self.random.choice, self.machine
        group, on = one((0, 1, 1)), one((True, False))
        active = [held.intid for held in it.model.registers if held.state & 2] or [27]
        actions: dict[str, tuple[int, Any]] = {
            "register": (8, lambda: it.list_register(one(range(4)), self.register())),
            "maintenance": (2, lambda: it.maintenance(one((0, 1, 1, 1)), one(range(128)), one((0, 1, 31)))),
            "vmcr": (1, lambda: it.vmcr(one((3, 3, 2, 1)), on, one((True, False)), one(range(8)), one(range(8)), 0xFF)),
            "no active": (1, it.no_active_priorities),
            "mask": (2, lambda: it.mask(one((0xFF, 0xFF, 0xFF, 0xA0, 0x28)))),
            "point": (2, lambda: it.binary_point(group, one(range(8)))),
            "control": (2, lambda: it.control(one((True, False, False)), on)),
            "enable": (3, lambda: it.group_enable(group, one((True, True, True, False)))),
            "acknowledge": (3, lambda: it.acknowledge(group)),
            "take": (12, lambda: it.told[1] and it.acknowledge(1 if it.told[1] & 8 else 0)),
            "end": (3, lambda: it.end(group, one(INTIDS))),
            "finish": (8, lambda: it.model.stack and it.end(it.model.stack[-1][1], one(active))),
            "deactivate": (3, lambda: it.deactivate(one(active))),
            "save": (1, it.save),
            "restore": (1, lambda: it.snapshot and it.restore()),
        }
        names = list(actions)
        actions[self.random.choices(names, [actions[name][0] for name in names])[0]][1]()


class TestBusyVm:
    """Long sequences with seeds: the failing one can be had again."""

    @pytest.mark.parametrize("seed", range(6))
    def test_busy(self, seed: int) -> None:
        """After each step everything is as the model has it."""
        busy = Busy(seed)
        for _ in range(600):
            busy.step()
            busy.machine.same_signals()
            busy.machine.same_view()
            busy.machine.same_hyp_state()
