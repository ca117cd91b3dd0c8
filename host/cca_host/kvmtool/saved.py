"""The saved state of a run, from which it resumes in the same machine or in another."""

from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from cca_host.kvmtool.console import ConsoleState
from cca_host.kvmtool.door import DoorState
from cca_host.kvmtool.mmio import DevicesState
from cca_host.kvmtool.options import DiskOption, RunOptions, RunReason, ShareOption
from cca_host.kvmtool.schedule import ScheduleState
from cca_platform.state import State

__all__ = ["EndState", "OptionsState", "VmmState"]


class OptionsState(State, frozen=True, tag="host.options/5"):
    """The options of a run: :class:`RunOptions` without its callback, and without what is its state from the start."""

    payload: str
    realm: bool
    vcpus: int
    memory: int
    args: tuple[str, ...]
    initrd: str | None
    seed: int
    hash_algo: str
    rpv: bytes
    ipa_width: int
    max_insns: int | None
    pmu_counters: int | None
    deny_cpu_on: tuple[int, ...]
    console_input: bytes
    console: str
    disks: tuple[DiskOption, ...]
    rng: bool
    balloon: int | None
    network: str
    shares: tuple[ShareOption, ...]
    shares_9p: tuple[ShareOption, ...]
    vsock: str | None
    transport: str
    memory_limit: int | None
    swap: str | None

    @classmethod
    def of(cls, options: RunOptions) -> "OptionsState":
        """The options as plain data."""
        return cls(**{name: _plain(getattr(options, name)) for name in cls.__struct_fields__})

    def options(self) -> RunOptions:
        """The options as :class:`RunOptions`, without a callback."""
        return RunOptions(**{name: getattr(self, name) for name in self.__struct_fields__})


def _plain(value: Any) -> Any:
    """An option as saved state has it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Set):
        return tuple(sorted(value))
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else value


class EndState(State, frozen=True, tag="host.end/1"):
    """How a run ended."""

    status: int
    reason: RunReason
    message: str


class VmmState(State, frozen=True, tag="host.vmm/5"):
    """Saved state of a run between two calls of ``advance``; ``vmid`` names its VM.

    ``calls``, ``delegated``, ``dirty`` and ``began`` are the host's counts and the clock value when it was built.
    """

    options: OptionsState
    notes: tuple[str, ...]
    vmid: int
    door: DoorState
    schedule: ScheduleState
    console: ConsoleState
    devices: DevicesState
    end: EndState | None
    retired: int
    exceptions: int
    calls: dict[int, int]
    delegated: int
    dirty: int
    began: int
    ticks: int
