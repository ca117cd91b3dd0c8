"""Runs that are saved half-way and go on in a machine of their own, in this process or in another one.

As a program: ``fresh.py KIND PAYLOAD FILE`` adopts the checkpoint in FILE, and prints the digest of what comes then.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from cca_arch.sysregs import PMU_COUNTERS
from cca_firmware.boot import boot
from cca_host.kvm import System
from cca_host.kvmtool import Pause, RunOptions, Vmm
from cca_platform.board import Board
from cca_platform.devices.pl011 import Pl011
from cca_platform.errors import InstructionLimit
from cca_platform.machine.machine import Machine
from cca_platform.machine.saved import Checkpoint
from cca_platform.state import decode
from cca_platform.trace.sinks import Listing
from cca_platform.trace.trace import Trace
from cca_rmm.rmm import Rmm
from realmlab import find_payload

__all__ = ["NsRun", "RealmRun", "digest", "make"]

_LIMIT = 1_000_000_000


class NsRun:
    """``payload`` at Non-secure EL2 of the virt board, with four PEs, and all that it puts out.

    ``secure`` is whether the Secure payload is there, too.
    """

    def __init__(self, payload: str, secure: bool = False) -> None:
        self.events, self.output = Listing(), bytearray()
        self.machine = Machine(Board.load("virt"), trace=Trace(self.events))
        uart = self.machine.bus.devices["uart0"]
        assert isinstance(uart, Pl011)
        uart.on_output = self.output.extend
        secure_image = find_payload("secure_virt").read_bytes() if secure else None
        ns_image = find_payload(payload).read_bytes()
        boot(self.machine, rmm=Rmm(self.machine), ns_image=ns_image, secure_image=secure_image)

    def go(self, instructions: int) -> bool:
        """Run on; whether it goes on after that."""
        try:
            self.machine.run(max_insns=instructions)
        except InstructionLimit:
            return True
        return False

    def finish(self) -> tuple[Any, ...]:
        """Run to the end: how it ended, and when."""
        return self.machine.run(max_insns=_LIMIT), self.machine.clock.now, [pe.retired for pe in self.machine.pes]

    def adopt(self, checkpoint: Checkpoint) -> None:
        self.machine.adopt(checkpoint)


class RealmRun:
    """``payload`` as a Realm of two vCPUs under the host in Python; ``built`` is whether it is there from the start."""

    def __init__(self, payload: str, built: bool = False) -> None:
        self.events, self.output = Listing(), bytearray()
        self.machine = Machine(Board.load("fvp"), trace=Trace(self.events))
        self.system = System(self.machine)
        boot(self.machine, rmm=Rmm(self.machine), ns_program=self.system)
        if built:
            counters = PMU_COUNTERS if payload == "pmu" else None
            file, tell = find_payload(payload), self.output.extend
            options = RunOptions(payload=file, vcpus=2, pmu_counters=counters, on_console=tell)
            self.vmm = Vmm(self.system, options)
            self.vmm.build()

    def go(self, instructions: int) -> bool:
        return self.vmm.advance(max_insns=instructions) is not Pause.ENDED

    def finish(self) -> tuple[Any, ...]:
        assert self.vmm.advance() is Pause.ENDED
        self.vmm.destroy()
        result = self.vmm.result()
        names = ("status", "reason", "message", "calls", "exits", "instructions", "ticks", "granules_left")
        return tuple(getattr(result, name) for name in names)

    def adopt(self, checkpoint: Checkpoint) -> None:
        self.machine.adopt(checkpoint, self._resume)

    def _resume(self, name: str, state: Any) -> Vmm:
        self.vmm = Vmm.resumed(self.system, state, self.output.extend)
        return self.vmm


def make(kind: str, payload: str, built: bool = False) -> NsRun | RealmRun:
    """A machine for a run of this kind: "ns", "secure" or "realm"."""
    return RealmRun(payload, built) if kind == "realm" else NsRun(payload, kind == "secure")


def digest(run: NsRun | RealmRun, end: tuple[Any, ...], events: int, output: int) -> str:
    """The digest of what came after ``events`` records of the trace and ``output`` bytes."""
    rest = [end, run.events[events:], bytes(run.output[output:]).decode()]
    return hashlib.sha256(json.dumps(rest, default=str, sort_keys=True).encode()).hexdigest()


def main(kind: str, payload: str, file: str) -> None:
    """Go on with the run in ``file``."""
    run = make(kind, payload)
    events = len(run.events)
    run.adopt(decode(Path(file).read_bytes(), Checkpoint))
    output = len(run.output)
    print(digest(run, run.finish(), events, output))


if __name__ == "__main__":
    main(*sys.argv[1:])
