"""Rows of whole processes: the start, and the memory that it takes."""

import os
import subprocess
import sys
from time import perf_counter
from typing import Final

from cca_tools.bench.rig import PAYLOAD, Bench
from cca_tools.bench.rows import Row
from cca_tools.bench.took import Took

__all__ = ["ROWS"]

_CHILD: Final = """
import resource, sys
from cca_tools.cli import main
status = main(["run", {payload!r}, "--quiet"])
used = resource.getrusage(resource.RUSAGE_SELF)
peak = used.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1024)
try:  # Linux adds what the parent had when it made this process
    with open("/proc/self/status") as file:
        peak = next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
except (OSError, StopIteration):
    pass
print(used.ru_utime + used.ru_stime, peak, file=sys.stderr)
sys.exit(status)
"""


def _child() -> tuple[Took, float]:
    """What a process that runs the payload takes, and its peak memory in MiB: the best of three."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    found = []
    for _ in range(3):
        command = [sys.executable, "-c", _CHILD.format(payload=PAYLOAD)]
        start = perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        seconds, peak = map(float, done.stderr.split()[-2:])
        found.append((Took(seconds, perf_counter() - start), peak))
    return min(found)


def _start(bench: Bench) -> Took:
    return _child()[0]


def _memory(bench: Bench) -> float:
    return _child()[1]


ROWS = (
    Row("start", f"a whole run of `{PAYLOAD}`, from the start of the process", "s", 0.6, 0.35, _start),
    Row("memory", "its peak memory", "MiB", 110, 80, _memory),
)
