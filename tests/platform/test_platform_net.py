"""The net below every call and run: an exception of the model becomes an internal error with a bundle."""

import json
import operator
from typing import Any

import pytest

from cca_arch.types import SecurityState
from cca_platform.board import Board
from cca_platform.errors import InternalError, MachineError, MachineStopped
from cca_platform.machine.machine import Machine
from cca_platform.trace.trace import Trace

NS, ROOT = SecurityState.NON_SECURE, SecurityState.ROOT


class Level:
    """A level in Python whose handlers are what the test says."""

    def __init__(self, action: Any = None) -> None:
        self.action = action

    def on_sync(self, pe: Any, esr: int, far: int, hpfar: int) -> None:
        """Nothing, or the action."""
        if self.action is not None:
            self.action(pe)

    on_irq = on_eret = on_sync


def fails(machine: Machine, monkeypatch: Any) -> None:
    """EL3 that goes wrong: no frame of a test is on the way."""
    wrong = Level()
    monkeypatch.setattr(wrong, "on_sync", {}.__getitem__)
    machine.install(NS, 2, Level())
    machine.install(ROOT, 3, wrong)


@pytest.fixture
def machine() -> Any:
    """A machine with a trace."""
    made = Machine(Board.load("fvp"), trace=Trace())
    yield made
    made.close()


class TestNet:
    """What falls into it, and what it lets through."""

    @pytest.mark.parametrize("call", ["smc", "start_call"])
    def test_internal(self, machine: Machine, monkeypatch: Any, call: str) -> None:
        """Any exception of the model: the machine stops for good, with a bundle that has all that a report needs."""
        fails(machine, monkeypatch)
        with pytest.raises(InternalError, match=r"internal error: TypeError: .*report it with its bundle") as found:
            getattr(machine.pes[0], call)(0x8400_0000)
        bundle = json.loads(found.value.bundle)
        assert bundle["error"].startswith("TypeError") and "levels.py" in "".join(bundle["traceback"])
        assert bundle["versions"].keys() >= {"realmlab", "python", "unicorn", "numba"}
        assert (bundle["board"], bundle["cpu"], bundle["seed"]) == ("fvp", "a72", "")
        assert bundle["registers"][0]["words"]["x0"] == 0x8400_0000
        assert len(bundle["registers"]) == len(machine.pes)
        assert bundle["inputs"]["inputs"] == []
        assert machine.stopped is not None and machine.stopped.startswith("internal error: TypeError")

    @pytest.mark.parametrize("error", [MachineError("user"), MachineStopped("off"), KeyboardInterrupt()])
    def test_meant(self, machine: Machine, error: BaseException) -> None:
        """What the machine raises on purpose, and Ctrl-C, passes as it is."""

        def action(pe: Any) -> None:
            raise error

        machine.install(ROOT, 3, Level(action))
        with pytest.raises(type(error)) as found:
            machine.pes[0].smc(0)
        assert found.value is error
        assert machine.stopped is None

    def test_outside(self, machine: Machine) -> None:
        """What a callback or a device of the user's raises is the user's to see."""
        machine.install(ROOT, 3, Level(lambda pe: operator.truediv(1, 0)))
        with pytest.raises(ZeroDivisionError):
            machine.pes[0].smc(0)
        assert machine.stopped is None

    @pytest.mark.pure("what looks at an instruction is patched")
    def test_run(self, bench: Any, monkeypatch: Any) -> None:
        """A run has the net too: code whose exception the model cannot deal with."""
        monkeypatch.setattr("cca_platform.pe.exceptions._not_executed", {}.__getitem__)
        with pytest.raises(InternalError, match="TypeError"):
            bench.run("nop; brk #0")
