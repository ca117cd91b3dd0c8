"""The options and the result of a run, both as plain data."""

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from msgspec import Struct, field

from cca_host.kvmtool.keyboard import Keyboard
from cca_platform.failure import Failure
from cca_platform.printable import printable
from cca_platform.state import State

__all__ = [
    "EXIT_FAILED",
    "EXIT_INTERRUPTED",
    "EXIT_LIMIT",
    "EXIT_RESET",
    "DiskOption",
    "Pause",
    "RunOptions",
    "RunReason",
    "RunResult",
    "ShareOption",
]

EXIT_FAILED = 3
EXIT_LIMIT = 4
EXIT_RESET = 5
EXIT_INTERRUPTED = 130


class RunReason(StrEnum):
    """Why a run ended."""

    EXIT = "exit"
    """The payload returned its exit status."""
    SYSTEM_OFF = "system_off"
    SYSTEM_RESET = "system_reset"
    """It asked for a reset, which ends it, as it cannot be started again in its place."""
    UNTIL = "until"
    """Its console showed what the run was to last until."""
    REJECTED = "rejected"
    """Its console showed what it must not show."""
    FAILED = "failed"
    """The host cannot continue to run the Realm."""
    STUCK = "stuck"
    """A vCPU takes aborts endlessly."""
    IDLE = "idle"
    """Nothing can wake any vCPU."""
    LIMIT = "limit"
    """The limit of instructions is reached."""
    INTERRUPTED = "interrupted"
    """The user pressed Ctrl-C."""
    DESTROYED = "destroyed"
    """The Realm was destroyed before its end."""


class Pause(StrEnum):
    """Why a run paused, or that it ended."""

    TIME = "time"
    """The clock has reached the limit, or passed it: time advances in steps while every vCPU waits."""
    INSTRUCTIONS = "instructions"
    """The Realm has retired the given number of instructions, or up to a block of code more."""
    ASKED = "asked"
    """A pause was requested."""
    BREAKPOINT = "breakpoint"
    """A vCPU is at an instruction that has a breakpoint."""
    ENDED = "ended"


class DiskOption(State, frozen=True, kw_only=True, tag="host.disk-option/1"):
    """A disk image; writes go to it, nowhere (``read_only``), to memory (``snapshot``), or to the file ``overlay``."""

    path: str
    read_only: bool = False
    snapshot: bool = False
    overlay: str | None = None


class ShareOption(State, frozen=True, kw_only=True, tag="host.share-option/1"):
    """A folder of the host that the guest mounts by its ``tag``."""

    path: str
    tag: str = "share"
    read_only: bool = False


class RunOptions(Struct, kw_only=True):
    """One run of one payload in one Realm, or without ``realm`` in a plain VM; sizes in bytes.

    ``payload`` is an ELF, an arm64 Linux ``Image`` or a raw binary; ``args`` become the device tree's bootargs,
    joined by blanks. ``initrd`` is its initial RAM disk; ``seed`` the number that the seeds in its device tree are made
    of; ``rtc`` the date at its start, in seconds since 1970, or "host" for the host's.
    ``ipa_width`` is the Realm's IPA width in bits; the upper half is unprotected. ``max_insns``
    limits the instructions that the Realm retires on all its vCPUs. ``rpv`` is the Realm Personalization Value, at most
    64 bytes.
    ``pmu_counters`` are the event counters of the Realm's PMU; None gives it no PMU.
    ``deny_cpu_on`` are the vCPUs that the Realm may not turn on (PSCI CPU_ON returns DENIED).
    ``on_console`` gets the Realm's output as it is sent; ``console_input`` is the input of its console, to which
    ``keyboard`` adds what somebody types.
    ``disks`` are virtio block devices, ``rng`` gives it an entropy device, ``balloon`` a balloon, by
    which it is asked for so many bytes of its memory, ``console`` is "serial" or "virtio": which
    device has the input. ``network`` is "none", or "user" with its options (:mod:`cca_host.kvmtool.net.options`),
    ``shares`` are folders of the host by virtiofs, ``shares_9p`` by 9P. ``vsock`` is
    where the sockets of its streams are, such as PATH and PATH_PORT. Virtio devices are behind ``transport``, "pci" or
    "mmio".
    ``memory_limit`` are the bytes of granules that the Realm may have at a time; more goes to the file ``swap``.
    """

    payload: str | Path
    realm: bool = True
    vcpus: int = 1
    memory: int = 64 << 20
    args: Sequence[str] = ()
    initrd: str | Path | None = None
    seed: int = 0
    rtc: int | str | None = None
    hash_algo: str = "sha256"
    rpv: bytes = b""
    ipa_width: int = 33
    max_insns: int | None = None
    pmu_counters: int | None = None
    deny_cpu_on: Collection[int] = ()
    on_console: Callable[[bytes], object] | None = None
    console_input: bytes = b""
    keyboard: Keyboard | None = None
    console: str = "serial"
    disks: Sequence[DiskOption] = ()
    rng: bool = False
    balloon: int | None = None
    network: str = "none"
    shares: Sequence[ShareOption] = ()
    shares_9p: Sequence[ShareOption] = ()
    vsock: str | Path | None = None
    transport: str = "pci"
    memory_limit: int | None = None
    swap: str | Path | None = None


class RunResult(Struct, kw_only=True):
    """The result of a run.

    ``status`` is the exit status for a command: the payload's own (0..255), or 1 its console showed a rejected pattern
    or not an expected one, 3 failed, 4 a limit, 5 it asked for a reset, 130 interrupted. ``message`` explains any other
    than a normal end in one line, else it is empty.
    """

    status: int
    reason: StrEnum
    """The VMM's is a ``RunReason``, the API's a ``Reason`` with the same text."""
    message: str
    failure: Failure | None = None
    """How it began to go wrong, why, and the registers at the end; None for a run that did not fail."""
    realm: bool = True
    """False for a plain VM, which has no granules, RMI calls or world switches."""
    console: bytes
    """What the Realm sent: the last 8 MiB of it. ``on_console`` gets all of it."""
    console_dropped: int = 0
    """The bytes that it sent before those in ``console``."""
    calls: Mapping[str, int] = field(default_factory=dict)
    """RMI calls by specification name, e.g. ``RMI_DATA_CREATE``."""
    exits: Mapping[str, int] = field(default_factory=dict)
    """Exits of its vCPUs by reason: ``IRQ``, ``PSCI``, ``HOST_CALL``, ``RIPAS_CHANGE``, ``SYNC`` ..."""
    world_switches: int = 0
    """Switches between Non-secure and Realm state at EL2, in either direction."""
    lacks: str = ""
    """The last instruction of a feature that its PE lacks, and the CPU model that has it; empty if there was none."""
    granules_peak: int = 0
    """The maximum number of granules delegated at one time."""
    granules_left: int = 0
    """Granules still delegated after the Realm was destroyed. Not 0 if the host leaked them."""
    granules_dirty: int = 0
    """Granules that returned to the host without being zero. Not 0 if the RMM leaked data."""
    instructions: int = 0
    """Instructions retired by the Realm's vCPUs."""
    ticks: int = 0
    """Virtual time between the first entry and the end, in ticks of the system counter."""
    counter_hz: int = 0
    """Ticks per second of virtual time."""
    build_seconds: float = 0.0
    run_seconds: float = 0.0
    destroy_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.message = printable(self.message)

    @property
    def wall_seconds(self) -> float:
        """Wall time of build, run and destruction."""
        return self.build_seconds + self.run_seconds + self.destroy_seconds

    @property
    def virtual_seconds(self) -> float:
        """Virtual time of the run."""
        return self.ticks / self.counter_hz if self.counter_hz else 0.0
