"""How long a Linux kernel takes to its first line of user space: in a Realm, in a plain VM, and on QEMU."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final, NamedTuple

from cca_platform.child import environment
from cca_platform.errors import MachineError
from cca_tools.bench.rows import STOCK, Tier
from cca_tools.bench.took import Took, least, most_held, reported

__all__ = ["Boot", "boot_cells", "measure_linux"]

_MAIN: Final = "import sys; from cca_tools.cli import main; sys.exit(main(sys.argv[1:]))"
_USER: Final = re.compile(rb"^[^\[\r\n][^\n]*\n", re.MULTILINE)  # the kernel's own lines begin with "[    0.000000]"
_MEMORY: Final = "512M"
_MEBIBYTE: Final = 1 << 20
_QEMU: Final = "QEMU"
_QUIET, _WHOLE = "quiet", "whole log"
_PLACES: Final = ("Realm", "plain VM", _QEMU)
_MUST: Final = {"Realm": (2.2, 1.5), "plain VM": (1.8, 1.2)}
"""Times QEMU at most with a quiet console, stock and built."""
_LOG: Final = 1.3
"""Times a quiet console at most with the whole log."""


class Boot(NamedTuple):
    """Boots in one place: from the start of the process to the first line of user space, peak memory in MiB."""

    place: str
    console: str
    took: Took
    spread: float
    peak: float

    def as_json(self) -> dict[str, object]:
        """All of it."""
        seconds = {"cpu": self.took.cpu, "wall": self.took.wall, "spread": self.spread}
        return {"place": self.place, "console": self.console, **seconds, "peak": self.peak}


def measure_linux(
    kernel: str, initrd: str | None, rounds: int, qemu: str | None, tell: Callable[[str], object]
) -> list[Boot]:
    """Boot a kernel in each place, in turn; ``qemu`` is QEMU's program, or None. MachineError if one shows nothing."""
    cases = [(place, log) for place in _PLACES[: 3 if qemu else 2] for log in (_QUIET, _WHOLE)]
    found: dict[tuple[str, str], list[tuple[Took, float]]] = {case: [] for case in cases}
    for number in range(rounds):
        for place, log in cases:
            tell(f"round {number + 1} of {rounds}: {place}, {log}")
            if place == _QEMU:
                assert qemu is not None
                command = _on_qemu(qemu, kernel, initrd, log)
            else:
                command = _here(kernel, initrd, log, place == "Realm")
            found[place, log].append(_first_line(command, place))
    return [_boot(place, log, found[place, log]) for place, log in cases]


def _boot(place: str, log: str, found: Sequence[tuple[Took, float]]) -> Boot:
    seconds = [took.cpu for took, _ in found]
    took = least(took for took, _ in found)
    return Boot(place, log, took, max(seconds) / min(seconds) - 1, max(peak for _, peak in found))


def _here(kernel: str, initrd: str | None, log: str, realm: bool) -> list[str]:
    options = ["--initrd", initrd] if initrd else []
    options += ["--memory", _MEMORY, "--quiet", *([] if realm else ["--no-realm"])]
    return [sys.executable, "-c", _MAIN, "run", kernel, *options, "--", *_arguments("ttyS0", log)]


def _on_qemu(qemu: str, kernel: str, initrd: str | None, log: str) -> list[str]:
    machine = ["-machine", "virt,gic-version=3", "-cpu", "cortex-a72", "-m", _MEMORY, "-nic", "none", "-nographic"]
    image = ["-kernel", kernel, *(["-initrd", initrd] if initrd else [])]
    return [qemu, *machine, *image, "-append", " ".join(_arguments("ttyAMA0", log))]


def _arguments(console: str, log: str) -> list[str]:
    return [f"console={console}", *(["quiet"] if log == _QUIET else [])]


def _first_line(command: Sequence[str], place: str) -> tuple[Took, float]:
    """What a process takes up to its first line of user space, where it is ended, and its peak memory in MiB."""
    seen, peak, start = bytearray(), 0.0, perf_counter()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        )
        assert process.stdout is not None
        with process.stdout as output:
            while not _USER.search(seen):
                data = os.read(output.fileno(), 1 << 16)
                peak = most_held(process.pid) or peak
                if not data:
                    break
                seen += data
            wall = perf_counter() - start
            os.kill(process.pid, signal.SIGKILL)  # kill() of Popen would collect one that has ended
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if not _USER.search(seen):
            errors.seek(0)
            told = (errors.read() + bytes(seen)).decode(errors="replace").split("\n")
            last = next((line.strip() for line in reversed(told) if line.strip()), "it says nothing")
            raise MachineError(f"`linux` must come to user space, but in the place {place!r} it ended before: {last}")
    return Took(used.ru_utime + used.ru_stime, wall), (peak or reported(used)) / _MEBIBYTE


def boot_cells(boots: Sequence[Boot], tier: Tier) -> list[list[str]]:
    """The table: its head, then a row for each place and console."""
    head = ["To the first line of user space", "CPU", "Spread", "Wall", "Peak memory", "Times QEMU", "Must"]
    known = {(boot.place, boot.console): boot for boot in boots}
    rows = []
    for boot in boots:
        other = known.get((_QEMU, boot.console))
        ratio = f"{boot.took.cpu / other.took.cpu:.2f}" if other and boot is not other else "-"
        must = "-"
        if boot.console == _WHOLE and boot.place != _QEMU:
            must = f"{boot.took.cpu / known[boot.place, _QUIET].took.cpu:.2f} times quiet (must {_LOG})"
        elif boot.place in _MUST:
            must = str(_MUST[boot.place][tier != STOCK])
        cpu, wall = (f"{value:.2f} s" for value in boot.took)
        name = f"{boot.place}, {boot.console}"
        rows.append([name, cpu, f"+{boot.spread:.0%}".replace("%", " %"), wall, f"{boot.peak:.0f} MiB", ratio, must])
    return [head, *rows]
