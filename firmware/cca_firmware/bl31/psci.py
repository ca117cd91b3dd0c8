"""PSCI for the Non-secure world, at EL3 (DEN0022, PSCI 1.1)."""

from typing import TYPE_CHECKING, Final

from cca_arch.psci import PSCI_VERSION, AffinityInfo, Psci, PsciStatus, mpidr_affinity
from cca_arch.smccc import Fid, Smccc
from cca_arch.types import SecurityState
from cca_firmware.bl31 import gic
from cca_firmware.bl31.functions import Handler
from cca_platform.errors import GranuleProtectionFault
from cca_platform.halt import Halt
from cca_platform.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["PsciService", "PsciState"]

_NO_MIGRATION: Final = 2
"""MIGRATE_INFO_TYPE: no Trusted OS requires migration."""


class PsciState(State, frozen=True, tag="firmware.psci/1"):
    """The AffinityInfo of each PE."""

    power: tuple[int, ...]


class PsciService:
    """The power states of the PEs, and the ``handlers`` of the functions.

    ``start(pe, entry, context_id)`` is the monitor's warm boot: it takes a PE that is off through the RMM to the entry
    point at Non-secure EL2. It is None if NS is a Python program, which has every PE from the start.
    """

    def __init__(self, machine: "Machine", start: "Callable[[Pe, int, int], None] | None" = None) -> None:
        self._machine = machine
        self._start = start
        self._index_of = {mpidr_affinity(pe.mpidr): pe.index for pe in machine.pes}
        self.power = [AffinityInfo.ON] + [AffinityInfo.ON if start is None else AffinityInfo.OFF] * (
            len(machine.pes) - 1
        )
        self.handlers: dict[int, Handler] = {
            Psci.VERSION: self._version,
            Psci.CPU_SUSPEND: self._cpu_suspend,
            Psci.CPU_SUSPEND_64: self._cpu_suspend,
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
            Psci.FEATURES: self._features,
        }
        self._available = frozenset({*self.handlers, Smccc.VERSION})

    def save(self) -> PsciState:
        """The power states, for a snapshot."""
        return PsciState(tuple(int(state) for state in self.power))

    def restore(self, state: PsciState) -> None:
        """Restore what :meth:`save` returned."""
        self.power[:] = [AffinityInfo(power) for power in state.power]

    def _version(self, pe: "Pe", x: memoryview) -> None:
        x[0] = PSCI_VERSION

    def _features(self, pe: "Pe", x: memoryview) -> None:
        known = x[1] & 0xFFFF_FFFF in self._available
        x[0] = PsciStatus.SUCCESS if known else PsciStatus.NOT_SUPPORTED

    def _migrate_info_type(self, pe: "Pe", x: memoryview) -> None:
        x[0] = _NO_MIGRATION

    def _system_off(self, pe: "Pe", x: memoryview) -> None:
        self._machine.stop("system off", Halt.OFF)

    def _system_reset(self, pe: "Pe", x: memoryview) -> None:
        self._machine.stop("system reset: PSCI", Halt.RESET)

    def _system_reset2(self, pe: "Pe", x: memoryview) -> None:
        """SYSTEM_WARM_RESET (type 0) acts as SYSTEM_RESET; vendor-specific types do not exist."""
        if x[1] & 0xFFFF_FFFF:
            x[0] = PsciStatus.INVALID_PARAMETERS
        else:
            self._system_reset(pe, x)

    def _affinity_info(self, pe: "Pe", x: memoryview) -> None:
        affinity, level, _ = _arguments(x)
        target = self._target(affinity)
        x[0] = PsciStatus.INVALID_PARAMETERS if target is None or level else self.power[target]

    def _cpu_on(self, pe: "Pe", x: memoryview) -> None:
        affinity, entry, context_id = _arguments(x)
        target = self._target(affinity)
        if target is None:
            x[0] = PsciStatus.INVALID_PARAMETERS
        elif entry & 3 or not self._is_ns(entry):
            x[0] = PsciStatus.INVALID_ADDRESS
        elif self.power[target] is not AffinityInfo.OFF:
            x[0] = PsciStatus.ALREADY_ON
        elif self._start is None:
            x[0] = PsciStatus.INTERNAL_FAILURE
        else:
            self.power[target] = AffinityInfo.ON
            x[0] = PsciStatus.SUCCESS
            gic.pe_on(self._machine.gic, target)
            self._start(self._machine.pes[target], entry, context_id)

    def _target(self, target_cpu: int) -> int | None:
        """The index of the PE that ``target_cpu`` names: an affinity, with or without MT and RES1 of its MPIDR_EL1."""
        index = self._index_of.get(mpidr_affinity(target_cpu))
        if index is None or (target_cpu ^ mpidr_affinity(target_cpu)) & ~self._machine.pes[index].mpidr:
            return None
        return index

    def _is_ns(self, entry: int) -> bool:
        """True if NS software can fetch from ``entry``: DRAM in the Non-secure PAS."""
        memory = self._machine.memory
        if memory.offset(entry) < 0:
            return False
        try:
            memory.port(SecurityState.NON_SECURE).view(entry, 4)
        except GranuleProtectionFault:
            return False
        return True

    def _cpu_suspend(self, pe: "Pe", x: memoryview) -> None:
        """Enter standby (power_state 0, the only state), as WFI does."""
        if self._start is None:
            x[0] = PsciStatus.DENIED
        elif x[1] & 0xFFFF_FFFF:
            x[0] = PsciStatus.INVALID_PARAMETERS
        else:
            x[0] = PsciStatus.SUCCESS
            pe.waiting = True

    def _cpu_off(self, pe: "Pe", x: memoryview) -> None:
        """Turn the PE off; does not return. A Python program cannot leave its PE and gets DENIED."""
        if self._start is None:
            x[0] = PsciStatus.DENIED
            return
        self.power[pe.index] = AffinityInfo.OFF
        pe.eret(SecurityState.NON_SECURE, 2)
        pe.power_off()
        gic.pe_off(self._machine.gic, pe.index)


def _arguments(x: memoryview) -> tuple[int, int, int]:
    """The three arguments of a call: 32 bits of each register for SMC32, 64 bits for SMC64."""
    width = 64 if x[0] & Fid.smc64.mask else 32
    ones = (1 << width) - 1
    return x[1] & ones, x[2] & ones, x[3] & ones
