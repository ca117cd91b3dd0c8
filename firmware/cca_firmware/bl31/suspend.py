"""CPU_SUSPEND and SYSTEM_SUSPEND at EL3: standby and power-down of a PE, and what wakes it.

A PE sleeps at EL3, to which every interrupt is routed meanwhile, so that one wakes it whatever its PSTATE masks. From
standby it returns to its caller. From power-down it comes back at the entry point that its caller gave, in the state in
which CPU_ON starts a PE; GIC CPU interface and EL1 and EL2 registers are lost. Its timers stay on: they can wake it.
"""

from typing import TYPE_CHECKING, Final

from cca_arch.psci import Psci, PsciStatus
from cca_arch.smccc import FUNCTION, Fid
from cca_arch.sysregs import EL2H_MASKED, Scr
from cca_arch.types import SecurityState
from cca_firmware.bl31 import gic
from cca_firmware.bl31.functions import Handler
from cca_firmware.bl31.power_states import LocalState, decode
from cca_firmware.bl31.statistics import Statistics
from cca_platform.power import Level, Wake
from cca_platform.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["SUSPEND_FIDS", "SYSTEM_SUSPEND_FIDS", "Sleep", "Suspend", "arguments"]

SYSTEM_SUSPEND_FIDS: Final = frozenset({Psci.SYSTEM_SUSPEND, Psci.SYSTEM_SUSPEND_64})
SUSPEND_FIDS: Final = frozenset({Psci.CPU_SUSPEND, Psci.CPU_SUSPEND_64, *SYSTEM_SUSPEND_FIDS})
"""The calls after which a PE may sleep."""
_WHOLE_SYSTEM: Final = LocalState(Level.SYSTEM, True)
_NS: Final = SecurityState.NON_SECURE


class Sleep(State, frozen=True, tag="firmware.sleep/1"):
    """Why a PE sleeps: in standby, or powered down, to start at ``entry`` with ``context_id``."""

    power_down: bool
    entry: int = 0
    context_id: int = 0


class Suspend:
    """The PEs that sleep, and the ``handlers`` of CPU_SUSPEND and SYSTEM_SUSPEND.

    ``is_entry`` says whether Non-secure software can start at an address, ``is_alone`` whether all PEs but the one with
    an index are off. ``enter(pe, entry, context_id)`` starts it
    there; None if Non-secure software is a Python program, which cannot leave its PE. A Secure payload may set
    ``resumed(pe, level, entry, context_id)``: it returns True if the payload gets the PE first, and starts Non-secure
    software itself.
    """

    def __init__(
        self,
        machine: "Machine",
        statistics: Statistics,
        is_entry: "Callable[[int], bool]",
        is_alone: "Callable[[int], bool]",
        enter: "Callable[[Pe, int, int], None] | None",
    ) -> None:
        self._machine = machine
        self._statistics = statistics
        self._is_entry = is_entry
        self._is_alone = is_alone
        self._enter = enter
        self.resumed: Callable[[Pe, int, int, int], bool] | None = None
        self._extended = machine.board.extended_state_id
        self._sleeps: list[Sleep | None] = [None] * len(machine.pes)
        self.handlers: dict[int, Handler] = dict.fromkeys(SUSPEND_FIDS, self._suspend)

    def powered_down(self, index: int) -> bool:
        """True while the PE with this index is powered down."""
        sleep = self._sleeps[index]
        return sleep is not None and sleep.power_down

    # -- going down ---------------------------------------------------------------------------------------------------
    def _suspend(self, pe: "Pe", x: memoryview) -> None:
        asked = self._asked(pe, x)
        if isinstance(asked, PsciStatus):
            x[0] = asked
        elif not asked.power_down:
            x[0] = PsciStatus.SUCCESS
            self._statistics.begin_standby(pe.index)
            self._sleep(pe, Sleep(power_down=False))
        elif pe.interrupted():
            x[0] = PsciStatus.SUCCESS  # what would wake it is there already
        else:
            self.power_down(pe, x)

    def powers_down(self, pe: "Pe", x: memoryview) -> bool:
        """True if the call in ``x`` is about to power ``pe`` down."""
        asked = self._asked(pe, x)
        return not isinstance(asked, PsciStatus) and asked.power_down and not pe.interrupted()

    def power_down(self, pe: "Pe", x: memoryview) -> None:
        """Power ``pe`` down by the call in ``x``, which is not refused. Does not return to the caller."""
        asked = self._asked(pe, x)
        if isinstance(asked, PsciStatus):
            raise AssertionError(f"the call must not be refused, with {asked.name}, after it has begun")
        entry, context_id = _start(x)
        self._statistics.down(pe.index, asked.level)
        gic.pe_asleep(self._machine.gic, pe.index)
        pe.spsr = EL2H_MASKED  # no virtual interrupt wakes it
        self._sleep(pe, Sleep(power_down=True, entry=entry, context_id=context_id))

    def _asked(self, pe: "Pe", x: memoryview) -> LocalState | PsciStatus:
        """The state that a call asks for, or why it is refused. CPU_SUSPEND leaves the system to SYSTEM_SUSPEND."""
        if x[0] & FUNCTION in SYSTEM_SUSPEND_FIDS:
            if self._enter is None or not self._is_alone(pe.index):
                return PsciStatus.DENIED
            return _WHOLE_SYSTEM if self._is_entry(_start(x)[0]) else PsciStatus.INVALID_ADDRESS
        state = decode(x[1], self._extended)
        if self._enter is None:
            return PsciStatus.DENIED
        if state is None:
            return PsciStatus.INVALID_PARAMETERS
        if state.power_down and not self._is_entry(_start(x)[0]):
            return PsciStatus.INVALID_ADDRESS
        return state._replace(level=min(state.level, int(Level.CLUSTER)))

    def _sleep(self, pe: "Pe", sleep: Sleep) -> None:
        """WFI at EL3."""
        self._sleeps[pe.index] = sleep
        pe.run_under(Scr(self._machine.scr[_NS]).replace(fiq=1, irq=1, ea=1))
        pe.waiting = True

    # -- coming back --------------------------------------------------------------------------------------------------
    def wake(self, pe: "Pe") -> bool:
        """Handle an interrupt to EL3: wake ``pe``, if it sleeps."""
        sleep = self._sleeps[pe.index]
        if sleep is None:
            return False
        self._sleeps[pe.index] = None
        pe.run_under(self._machine.scr[_NS])
        if not sleep.power_down:
            self._statistics.end_standby(pe.index)
            return True
        level = self._statistics.up(pe.index, Wake.INTERRUPT)
        gic.pe_awake(self._machine.gic, pe.index)
        if self.resumed is None or not self.resumed(pe, level, sleep.entry, sleep.context_id):
            self.start(pe, sleep.entry, sleep.context_id)
        return True

    def start(self, pe: "Pe", entry: int, context_id: int) -> None:
        """Start Non-secure software on a PE that was powered down."""
        if self._enter is None:
            raise AssertionError("Non-secure software must be code to start at an address")
        self._enter(pe, entry, context_id)

    # -- snapshots ----------------------------------------------------------------------------------------------------
    def save(self) -> tuple[Sleep | None, ...]:
        """By PE, why it sleeps."""
        return tuple(self._sleeps)

    def restore(self, sleeps: tuple[Sleep | None, ...]) -> None:
        """Restore what ``save`` returned."""
        self._sleeps[:] = sleeps


def _start(x: memoryview) -> tuple[int, int]:
    """The entry point and the context ID of a call."""
    first, second, third = arguments(x)
    return (first, second) if x[0] & FUNCTION in SYSTEM_SUSPEND_FIDS else (second, third)


def arguments(x: memoryview) -> tuple[int, int, int]:
    """The three arguments of a call: 32 bits of each register for SMC32, 64 bits for SMC64."""
    width = 64 if x[0] & Fid.smc64.mask else 32
    ones = (1 << width) - 1
    return x[1] & ones, x[2] & ones, x[3] & ones
