"""The saved state of a run, from which it resumes in the same machine or in another."""

from cca_host.kvmtool.console import ConsoleState
from cca_host.kvmtool.mmio import DevicesState
from cca_host.kvmtool.options import RunOptions, RunReason
from cca_host.kvmtool.schedule import ScheduleState
from cca_platform.state import State

__all__ = ["EndState", "OptionsState", "VmmState"]


class OptionsState(State, frozen=True, tag="host.options/3"):
    """The options of a run: :class:`RunOptions` without its callback."""

    payload: str
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

    @classmethod
    def of(cls, options: RunOptions) -> "OptionsState":
        """The options as plain data."""
        return cls(
            payload=str(options.payload),
            vcpus=options.vcpus,
            memory=options.memory,
            args=tuple(options.args),
            initrd=None if options.initrd is None else str(options.initrd),
            seed=options.seed,
            hash_algo=options.hash_algo,
            rpv=options.rpv,
            ipa_width=options.ipa_width,
            max_insns=options.max_insns,
            pmu_counters=options.pmu_counters,
            deny_cpu_on=tuple(sorted(options.deny_cpu_on)),
            console_input=options.console_input,
        )

    def options(self) -> RunOptions:
        """The options as :class:`RunOptions`, without a callback."""
        return RunOptions(
            payload=self.payload,
            vcpus=self.vcpus,
            memory=self.memory,
            args=self.args,
            initrd=self.initrd,
            seed=self.seed,
            hash_algo=self.hash_algo,
            rpv=self.rpv,
            ipa_width=self.ipa_width,
            max_insns=self.max_insns,
            pmu_counters=self.pmu_counters,
            deny_cpu_on=self.deny_cpu_on,
            console_input=self.console_input,
        )


class EndState(State, frozen=True, tag="host.end/1"):
    """How a run ended."""

    status: int
    reason: RunReason
    message: str


class VmmState(State, frozen=True, tag="host.vmm/3"):
    """Saved state of a run between two calls of ``advance``; ``rd`` names its VM.

    ``calls``, ``delegated``, ``dirty`` and ``began`` are the host's counts and the clock value when it was built.
    """

    options: OptionsState
    notes: tuple[str, ...]
    rd: int
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
