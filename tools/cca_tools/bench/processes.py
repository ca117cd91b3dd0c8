"""Rows of whole processes: their start, and the memory that they take; rows that one process can give share it."""

import subprocess
import sys
from time import perf_counter
from typing import Final

from cca_platform.child import environment
from cca_tools.bench.rig import PAYLOAD, Bench
from cca_tools.bench.rows import Row
from cca_tools.bench.took import Took

__all__ = ["ROWS"]

_CHILD: Final = """
import resource, sys
from cca_tools.cli import main
status = main({arguments!r})
from cca_tools.bench.took import most_held, reported
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, (most_held() or reported(used)) / (1 << 20), file=sys.stderr)
sys.exit(status)
"""


_PARTS: Final = """
import gc, sys
from cca_tools.bench.took import held
from realmlab.machine import Machine

def resident():
    gc.collect()
    return held() / (1 << 20)

first = Machine()
before = resident()
second = Machine()
booted = resident()
pes = second.platform.pes
for pe in pes:
    pe.engine
print(booted - before, (resident() - booted) / len(pes), file=sys.stderr)
first.close()
second.close()
"""


def _run(code: str) -> tuple[list[float], float]:
    """The numbers on the last line of stderr of a process that runs ``code``, and its seconds on the wall."""
    start = perf_counter()
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    return [float(word) for word in done.stderr.splitlines()[-1].split()], perf_counter() - start


def _child() -> tuple[Took, float]:
    """What a process that runs the payload takes, and its peak memory in MiB: the best of three."""
    found = []
    for _ in range(3):
        (seconds, peak), wall = _run(_CHILD.format(arguments=["run", PAYLOAD, "--quiet"]))
        found.append((Took(seconds, wall), peak))
    return min(found)


def _start(bench: Bench) -> Took:
    took, bench.found["memory"] = _child()
    return took


def _memory(bench: Bench) -> float:
    return bench.found.pop("memory") if "memory" in bench.found else _child()[1]


def _help(bench: Bench) -> Took:
    (seconds, _), wall = _run(_CHILD.format(arguments=["--help"]))
    return Took(seconds, wall)


def _machine(bench: Bench) -> float:
    (machine, bench.found["memory-pe"]), _ = _run(_PARTS)
    return machine


def _pe(bench: Bench) -> float:
    return bench.found.pop("memory-pe") if "memory-pe" in bench.found else _run(_PARTS)[0][1]


ROWS = (
    Row("start", f"a whole run of `{PAYLOAD}`, from the start of the process", "s", 0.6, 0.35, _start),
    Row("memory", "its peak memory", "MiB", 110, 80, _memory),
    Row("start-help", "`realmlab --help`, from the start of the process", "s", 0.4, 0.2, _help),
    Row("memory-machine", "a booted machine whose 8 PEs run no code", "MiB", 8, 4, _machine),
    Row("memory-pe", "a PE that runs code", "MiB", 6, 5, _pe),
)
