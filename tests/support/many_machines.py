"""A process that makes many machines, one after the other, and tells what that costs it.

As a program: ``many_machines.py COUNT`` makes machines of each kind in turn. It prints, after a third of them and at
the end, the resident kilobytes, and what else a process has of an operating system.
"""

import gc
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from ns_code import OFF, assemble, say

from realmlab import Machine, NsImage, NsMachine

__all__: list[str] = []

_NS = NsImage(assemble(say("hello") + OFF))


def _realm() -> None:
    with Machine() as machine:
        assert machine.run_realm("hello").status == 0


def _ns() -> None:
    with NsMachine(_NS, trace=os.devnull) as machine:
        assert machine.run(max_insns=100_000).status == 0


def _live() -> None:
    """All that can be held when a machine is closed: two Realms, snapshots, hooks, and listeners."""
    with Machine() as machine:
        first, second = machine.realm("hello"), machine.realm("smp", vcpus=2)
        first.run(max_insns=400)
        saved = machine.snapshot()
        hook = first.break_on("main")
        first.run()
        second.run(max_insns=2_000)
        kept = machine.snapshot(), machine.on("rmi.call", lambda record: None), hook, machine.cpus, first.rtt
        machine.restore(saved)
        first.run()
    assert len(kept) == 5 and machine.realms == ()


def _fails() -> None:
    """A machine that is left by an exception."""
    try:
        with Machine() as machine, machine.realm("hello") as realm:
            realm.run(max_insns=300)
            raise ZeroDivisionError
    except ZeroDivisionError:
        return


def _lost() -> None:
    """A machine that nobody closes, in the middle of a run; its trace is a file."""
    machine = Machine(trace=os.devnull)
    machine.realm("hello").run(max_insns=300)
    del machine
    gc.collect()


_KINDS: tuple[Callable[[], None], ...] = (_realm, _ns, _live, _fails, _lost)


def _costs() -> tuple[int, ...]:
    """Resident and virtual KiB, mappings, open files, threads, Python objects."""
    virtual, resident, *_ = (int(pages) * 4 for pages in Path("/proc/self/statm").read_text().split())
    maps, files = Path("/proc/self/maps").read_text().count("\n"), len(os.listdir("/proc/self/fd"))
    gc.collect()
    return resident, virtual, maps, files, threading.active_count(), len(gc.get_objects())


if __name__ == "__main__":
    count = int(sys.argv[1])
    for number in range(1, count + 1):
        _KINDS[number % len(_KINDS)]()
        if number in (count // 3, count):
            print(*_costs(), flush=True)
