"""PSCI for the Non-secure world, at EL3 (DEN0022, PSCI 1.1)."""

from typing import TYPE_CHECKING, Final

from cca_arch.psci import PSCI_VERSION, AffinityInfo, HwState, Psci, PsciStatus, SuspendFeatures, mpidr_affinity
from cca_arch.smccc import Smccc
from cca_arch.types import SecurityState
from cca_firmware.bl31 import gic
from cca_firmware.bl31.functions import Handler
from cca_firmware.bl31.memory_protection import MemoryProtection
from cca_firmware.bl31.power_states import decode
from cca_firmware.bl31.statistics import Statistics, StatisticsState
from cca_firmware.bl31.suspend import SUSPEND_FIDS, SYSTEM_SUSPEND_FIDS, Sleep, Suspend, arguments
from cca_platform.errors import GranuleProtectionFault
from cca_platform.halt import Halt
from cca_platform.power import Level, Wake
from cca_platform.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from cca_firmware.bl31.power_states import LocalState
    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["PsciService", "PsciState"]

_NO_MIGRATION: Final = 2
"""MIGRATE_INFO_TYPE: no Trusted OS requires migration."""
_POWER: Final = {int(power): power for power in AffinityInfo}


class PsciState(State, frozen=True, tag="firmware.psci/3"):
    """The AffinityInfo of each PE, why it sleeps, the statistics, and whether memory is protected."""

    power: tuple[int, ...]
    sleeps: tuple[Sleep | None, ...]
    statistics: StatisticsState
    protected: bool


class PsciService:
    """The power states of the PEs, and the ``handlers`` of the functions.

    ``start(pe, entry, context_id)`` is the monitor's warm boot: it takes a PE that is off through the RMM to the entry
    point at Non-secure EL2; ``enter`` takes one there that has been powered down by CPU_SUSPEND. Both are None if NS is
    a Python program, which has every PE from the start. ``suspend`` is CPU_SUSPEND.
    """

    def __init__(
        self,
        machine: "Machine",
        start: "Callable[[Pe, int, int], None] | None" = None,
        enter: "Callable[[Pe, int, int], None] | None" = None,
    ) -> None:
        self._machine = machine
        self._start = start
        self._statistics = Statistics(machine)
        self.suspend = Suspend(machine, self._statistics, self._is_entry, self._is_alone, enter)
        self._protection = MemoryProtection(machine)
        self._index_of = {mpidr_affinity(pe.mpidr): pe.index for pe in machine.pes}
        self.power = [AffinityInfo.ON] + [AffinityInfo.ON if start is None else AffinityInfo.OFF] * (
            len(machine.pes) - 1
        )
        for index, state in enumerate(self.power):
            if state is AffinityInfo.ON:
                machine.power.up(index)
        self.handlers: dict[int, Handler] = {
            Psci.VERSION: self._version,
            **self.suspend.handlers,
            **self._protection.handlers,
            Psci.CPU_OFF: self._cpu_off,
            Psci.CPU_ON: self._cpu_on,
            Psci.CPU_ON_64: self._cpu_on,
            Psci.AFFINITY_INFO: self._affinity_info,
            Psci.AFFINITY_INFO_64: self._affinity_info,
            Psci.MIGRATE_INFO_TYPE: self._migrate_info_type,
            Psci.SYSTEM_OFF: self._system_off,
            Psci.SYSTEM_RESET: self._system_reset,
            Psci.SYSTEM_RESET2: self._system_reset2,
            Psci.SYSTEM_RESET2_64: self._system_reset2,
            Psci.NODE_HW_STATE: self._node_hw_state,
            Psci.NODE_HW_STATE_64: self._node_hw_state,
            Psci.STAT_RESIDENCY: self._stat_residency,
            Psci.STAT_RESIDENCY_64: self._stat_residency,
            Psci.STAT_COUNT: self._stat_count,
            Psci.STAT_COUNT_64: self._stat_count,
            Psci.FEATURES: self._features,
        }
        self._available = frozenset({*self.handlers, Smccc.VERSION})

    def save(self) -> PsciState:
        """The power states, for a snapshot."""
        return PsciState(
            tuple(int(state) for state in self.power),
            self.suspend.save(),
            self._statistics.save(),
            self._protection.save(),
        )

    def restore(self, state: PsciState) -> None:
        """Restore what :meth:`save` returned."""
        self.power[:] = [_POWER[power] for power in state.power]
        self.suspend.restore(state.sleeps)
        self._statistics.restore(state.statistics)
        self._protection.restore(state.protected)

    def _version(self, pe: "Pe", x: memoryview) -> None:
        x[0] = PSCI_VERSION

    def _features(self, pe: "Pe", x: memoryview) -> None:
        fid = x[1] & 0xFFFF_FFFF
        if fid not in self._available:
            x[0] = PsciStatus.NOT_SUPPORTED
        elif fid in SUSPEND_FIDS - SYSTEM_SUSPEND_FIDS:
            x[0] = SuspendFeatures.make(extended=self._machine.board.extended_state_id)
        else:
            x[0] = PsciStatus.SUCCESS

    def _migrate_info_type(self, pe: "Pe", x: memoryview) -> None:
        x[0] = _NO_MIGRATION

    def _system_off(self, pe: "Pe", x: memoryview) -> None:
        self._machine.stop("system off", Halt.OFF)

    def _system_reset(self, pe: "Pe", x: memoryview) -> None:
        self._machine.stop("system reset: PSCI", Halt.RESET)

    def _system_reset2(self, pe: "Pe", x: memoryview) -> None:
        """SYSTEM_WARM_RESET (type 0) is SYSTEM_RESET without MEM_PROTECT; vendor-specific types do not exist."""
        if x[1] & 0xFFFF_FFFF:
            x[0] = PsciStatus.INVALID_PARAMETERS
        else:
            self._protection.disable()
            self._system_reset(pe, x)

    def _affinity_info(self, pe: "Pe", x: memoryview) -> None:
        affinity, level, _ = arguments(x)
        target = self._target(affinity)
        x[0] = PsciStatus.INVALID_PARAMETERS if target is None or level else self.power[target]

    def _cpu_on(self, pe: "Pe", x: memoryview) -> None:
        affinity, entry, context_id = arguments(x)
        target = self._target(affinity)
        if target is None:
            x[0] = PsciStatus.INVALID_PARAMETERS
        elif not self._is_entry(entry):
            x[0] = PsciStatus.INVALID_ADDRESS
        elif self.power[target] is not AffinityInfo.OFF:
            x[0] = PsciStatus.ALREADY_ON
        elif self._start is None:
            x[0] = PsciStatus.INTERNAL_FAILURE
        else:
            self.power[target] = AffinityInfo.ON
            x[0] = PsciStatus.SUCCESS
            self._statistics.up(target, Wake.REQUEST)
            gic.pe_on(self._machine.gic, target)
            self._start(self._machine.pes[target], entry, context_id)

    def _target(self, target_cpu: int) -> int | None:
        """The index of the PE that ``target_cpu`` names: an affinity, with or without MT and RES1 of its MPIDR_EL1."""
        index = self._index_of.get(mpidr_affinity(target_cpu))
        if index is None or (target_cpu ^ mpidr_affinity(target_cpu)) & ~self._machine.pes[index].mpidr:
            return None
        return index

    def _is_entry(self, entry: int) -> bool:
        """True if NS software can start at ``entry``: an instruction in DRAM in the Non-secure PAS."""
        memory = self._machine.memory
        if entry & 3 or memory.offset(entry) < 0:
            return False
        try:
            memory.port(SecurityState.NON_SECURE).view(entry, 4)
        except GranuleProtectionFault:
            return False
        return True

    def _cpu_off(self, pe: "Pe", x: memoryview) -> None:
        """Turn the PE off; does not return. A Python program cannot leave its PE and gets DENIED."""
        if self._start is None:
            x[0] = PsciStatus.DENIED
            return
        self.power[pe.index] = AffinityInfo.OFF
        pe.eret(SecurityState.NON_SECURE, 2)
        pe.power_off()
        self._statistics.down(pe.index, Level.SYSTEM)
        gic.pe_off(self._machine.gic, pe.index)

    def _is_alone(self, index: int) -> bool:
        """True if all PEs but the one with this index are off."""
        return all(state is AffinityInfo.OFF for other, state in enumerate(self.power) if other != index)

    def _node_hw_state(self, pe: "Pe", x: memoryview) -> None:
        """Whether a PE, or its cluster, has power."""
        affinity, level, _ = arguments(x)
        target = self._target(affinity)
        if target is None or level & 0xFFFF_FFFF > Level.CLUSTER:
            x[0] = PsciStatus.INVALID_PARAMETERS
        else:
            x[0] = HwState.OFF if self._machine.power.off(target, level & 0xFFFF_FFFF) else HwState.ON

    def _stat_residency(self, pe: "Pe", x: memoryview) -> None:
        """The microseconds that a PE or its domain was in a state; 0 for a PE or a state that there is not."""
        asked = self._stat(x)
        x[0] = 0 if asked is None else self._statistics.residency(*asked)

    def _stat_count(self, pe: "Pe", x: memoryview) -> None:
        """How often a PE or its domain was in a state."""
        asked = self._stat(x)
        x[0] = 0 if asked is None else self._statistics.count(*asked)

    def _stat(self, x: memoryview) -> "tuple[int, LocalState] | None":
        """The PE and the power state that a call asks about."""
        affinity, power_state, _ = arguments(x)
        target, state = self._target(affinity), decode(power_state, self._machine.board.extended_state_id)
        return None if target is None or state is None else (target, state)
