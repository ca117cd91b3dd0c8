"""What a user asks of a run and what comes back; both are plain data."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["EXIT_FAILED", "EXIT_INTERRUPTED", "EXIT_LIMIT", "EXIT_USAGE", "RunOptions", "RunResult"]

EXIT_USAGE = 2
EXIT_FAILED = 3
EXIT_LIMIT = 4
EXIT_INTERRUPTED = 130


@dataclass(slots=True, kw_only=True)
class RunOptions:
    """One run of one payload in one Realm; sizes in bytes.

    ``payload`` is an ELF, an arm64 Linux ``Image`` or a raw binary; ``args`` become the device tree's bootargs,
    joined by blanks. ``ipa_width`` is the Realm's IPA width in bits, its upper half being unprotected. ``max_insns``
    limits the instructions that the Realm retires on all its vCPUs. ``rpv`` is the Realm Personalization Value, at most
    64 bytes.
    ``deny_cpu_on`` are the numbers of vCPUs that the host does not let the Realm turn on (PSCI CPU_ON gives DENIED).
    ``on_console`` gets the Realm's output as it comes; ``console_input`` is what its UART receives.
    """

    payload: str | Path
    vcpus: int = 1
    memory: int = 64 << 20
    args: Sequence[str] = ()
    hash_algo: str = "sha256"
    rpv: bytes = b""
    ipa_width: int = 33
    max_insns: int | None = None
    deny_cpu_on: Collection[int] = ()
    on_console: Callable[[bytes], object] | None = None
    console_input: bytes = b""


@dataclass(slots=True, kw_only=True)
class RunResult:
    """How a run ended, and what it took.

    ``status`` is the exit status that a command should have: the payload's own (0..255), or 3 failed, 4 instruction
    limit, 130 interrupted. ``reason`` is ``exit``, ``system_off``, ``system_reset``, ``failed``, ``stuck`` (aborts
    without end), ``idle``, ``limit`` or ``interrupted``; ``message`` explains all but a plain end in one line, else it
    is empty.
    """

    status: int
    reason: str
    message: str
    console: bytes
    calls: Mapping[str, int] = field(default_factory=dict)
    """RMI calls by specification name, e.g. ``RMI_DATA_CREATE``."""
    exits: Mapping[str, int] = field(default_factory=dict)
    """REC exits by reason: ``IRQ``, ``PSCI``, ``HOST_CALL``, ``RIPAS_CHANGE``, ``SYNC`` ..."""
    world_switches: int = 0
    """Changes of the security state at EL2, Non-secure to Realm and back."""
    granules_peak: int = 0
    """Most granules that were delegated at one time."""
    granules_left: int = 0
    """Granules still delegated after the Realm was destroyed: 0, or the host leaked them."""
    granules_dirty: int = 0
    """Granules that came back to the host with something in them: 0, or the RMM leaked data."""
    instructions: int = 0
    """Instructions retired by the Realm's vCPUs."""
    ticks: int = 0
    """Virtual time between the first entry and the end, in ticks of the system counter."""
    counter_hz: int = 0
    """Ticks in a second of virtual time."""
    build_seconds: float = 0.0
    run_seconds: float = 0.0
    destroy_seconds: float = 0.0

    @property
    def wall_seconds(self) -> float:
        """Wall time of build, run and destruction."""
        return self.build_seconds + self.run_seconds + self.destroy_seconds

    @property
    def virtual_seconds(self) -> float:
        """Virtual time of the run."""
        return self.ticks / self.counter_hz if self.counter_hz else 0.0
