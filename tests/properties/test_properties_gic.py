"""Random use of the GIC by peripherals, PEs and software in both states: signals, acknowledges and registers are always
those of a model written from the rules."""

import random
from typing import Any

import pytest
from gic_machine import GROUPS, LEVELS, MPIDRS, PES, PRIVATE, SHARED, WHO, GicMachine
from gic_model import NS_1, SECURE_0, SECURE_1
from hypothesis import HealthCheck, settings

SGIS = ("SGI1", "SGI1", "ASGI1", "SGI0")
KINDS = ("enabled", "latched", "latched", "active", "edge")

TestGic = GicMachine.TestCase
TestGic.settings = settings(max_examples=30, stateful_step_count=40, suppress_health_check=list(HealthCheck))


class Busy:
    """A system with much to do: interrupts come, are taken, end, and now and then something is configured."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.machine = GicMachine()
        one = self.random.choice
        self.machine.boot(
            kinds=[(one((*GROUPS, NS_1)), one((True, False)), one(LEVELS)) for _ in range(10)],
            controls=[(one(range(32)), one(range(7))) for _ in MPIDRS],
            routes=[(one(PES), one((True, False))) for _ in SHARED],
        )

    def step(self) -> None:
        """Something happens."""
        one, it = self.random.choice, self.machine
        pe, who, intid, secure = one(PES), one(tuple(WHO)), one(PRIVATE + SHARED), one((True, False))
        on = one((True, False))
        active = [held.intid for held in it.model.private[pe] + it.model.spis if held.active] or [1023]
        actions: dict[str, tuple[int, Any]] = {
            "line": (12, lambda: it.line(pe, one(PRIVATE[3:] + SHARED), on)),
            "message": (2, lambda: it.message(one(SHARED), on, secure, one((True, False)))),
            "sgi": (6, lambda: it.sgi(pe, one((1, 9, 15)), one(SGIS), who, one((None, 0, 1, 2, 3)))),
            "configure": (6, lambda: it.configure(one(KINDS), pe, intid, secure, on)),
            "enable": (4, lambda: it.configure("enabled", pe, intid, True, True)),
            "priority": (3, lambda: it.priority(pe, intid, secure, one(LEVELS))),
            "group": (1, lambda: it.set_group(pe, intid, one(GROUPS))),
            "route": (2, lambda: it.route(one(SHARED), secure, one((0, 1, 2, None)), on, one((True, False)))),
            "distributor": (1, lambda: it.distributor_control(one((7, 7, 7, 3, 0)), secure)),
            "waker": (1, lambda: it.waker(pe, one((True, True, True, False)), secure)),
            "mask": (2, lambda: it.mask(pe, who, one((0xFF, 0xFF, 0xF0, 0xA0, 0x40)))),
            "point": (2, lambda: it.binary_point(pe, who, one(range(8)), one((0, 1)))),
            "group enable": (2, lambda: it.group_enable(pe, one(GROUPS), one((True, True, True, False)))),
            "mode": (1, lambda: it.eoi_mode(pe, one(("S", "NS")), on)),
            "control": (1, lambda: it.control(pe, one(range(32)))),
            "acknowledge": (4, lambda: it.acknowledge(pe, who, one((0, 1, 1)))),
            "take": (20, lambda: it.told[pe] and it.take(pe)),
            "end": (6, lambda: it.end(pe, who, one((0, 1, 1)), one(active))),
            "finish": (14, lambda: it.model.pes[pe].stack and self.finish(pe)),
            "deactivate": (6, lambda: it.deactivate(pe, who, one(active))),
            "save": (1, it.save),
            "restore": (1, lambda: it.snapshot and on and it.restore()),
        }  # fmt: skip
        names = list(actions)
        actions[self.random.choices(names, [actions[name][0] for name in names])[0]][1]()

    def finish(self, pe: int) -> None:
        """The end of a handler, in the state that took the interrupt."""
        it, group = self.machine, self.machine.model.pes[pe].stack[-1][1]
        who = {SECURE_0: "EL3", SECURE_1: "S", NS_1: "NS"}[group]
        mine = [held for held in it.model.private[pe] + it.model.spis if held.active]
        right = [held.intid for held in mine if held.group == group]
        intid = self.random.choice(right or [held.intid for held in mine] or [1])
        it.end(pe, who, 0 if group == SECURE_0 else 1, intid)


class TestBusySystem:
    """Long sequences with seeds: the failing one can be had again."""

    @pytest.mark.parametrize("seed", range(8))
    def test_busy(self, seed: int) -> None:
        """After each step everything is as the model has it."""
        busy = Busy(seed)
        for _ in range(600):
            busy.step()
            busy.machine.same_signals()
            busy.machine.same_interfaces()
            busy.machine.same_state()
