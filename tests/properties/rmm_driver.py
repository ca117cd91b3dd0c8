"""Steps of several hosts on a machine, each compared with the model and followed by the invariants."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from rmm_host import Host
from rmm_model import ALL
from rmm_model.facts import ONES, Answer
from rmm_model.guest import foreseen, run
from rmm_model.records import SIZE, wrong
from rmm_model.rules import Call, Verdict, judge
from rmm_model.services import Exit
from rmm_steps import FID, Step
from rmm_watched import Broken, Watched

from cca_platform.trace.trace import Record

__all__ = ["Driver"]

EVERY = 256
"""Calls between two looks at everything."""
REGISTERS = 18


class _Meanwhile:
    """A sink that acts at the first SMC of a Realm that runs."""

    def __init__(self, action: Any) -> None:
        self.action = action

    def write(self, record: Record) -> None:
        """Act once."""
        if record["event"] in ("rsi.call", "psci.call") and self.action is not None:
            action, self.action = self.action, None
            action()

    def close(self) -> None:
        """Nothing to close."""


class Driver(Watched):
    """Who makes the calls."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.calls = 0
        self.seen: Counter[tuple[str, str]] = Counter()
        """(command, condition that decided, or "success") -> calls."""
        self.done: list[Step] = []
        self.exits: dict[int, Exit] = {}
        """The last exit of each REC."""

    # -- a step ---------------------------------------------------------------------------------------------------
    def play(self, step: Step) -> bool:
        """Make a call and compare; False if nobody can foretell what it would do, and it was not made."""
        for page in step.pages:
            self.host.memory.write(page.pa, page.content())
        if step.name == FID:
            self.done.append(step)
            return self.undefined(step)
        verdict = judge(Call(self.model, ALL[step.name], step.args))
        entered = step.name == "REC_ENTER" and verdict.failed is None
        if entered and not self.foreseen(verdict.call):
            return False
        self.done.append(step)
        self.checkpoint()
        self.model.touched.clear()
        self.model.changed.clear()
        self.model.host_written.clear()
        if entered:
            self.enter(step, verdict)
        else:
            self.compare(step, verdict)
        self.calls += 1
        self.invariants(step.name, verdict.failed is not None, verdict.call.run_ptr if entered else 0)
        if self.calls % EVERY == 0:
            self.everything()
        return True

    def smc(self, step: Step) -> list[int]:
        """X0..X17 after the call; registers that are no argument hold marks."""
        pe = self.machine.pes[step.pe]
        fid = () if step.name == FID else (ALL[step.name].fid,)
        given = [*fid, *step.args]
        marks = [0xA5A5_0000 + number for number in range(len(given), REGISTERS)]
        self.host.call(*given, *marks, pe=pe)
        return [int(value) for value in pe.x[:REGISTERS]]

    def compare(self, step: Step, verdict: Verdict) -> None:
        """A command that runs no Realm."""
        got = self.smc(step)
        failed = verdict.failures[0][1] if verdict.failures else None
        if got[0] not in verdict.allowed:
            raise Broken(f"{step.name} gave {got[0]:#x}, not {say(verdict)}")
        if got[0] != (failed.x0 if failed is not None else 0):
            raise Broken(
                f"{step.name} gave {got[0]:#x} for {verdict.allowed[got[0]]}; the specification leaves that open, "
                f"the fact book has {say(verdict)}"
            )
        x = failed.x if failed is not None else ALL[step.name].effect(verdict.call)
        self.outputs(step, got, Answer(failed.status, failed.index, x) if failed is not None else Answer(0, 0, x))
        self.seen[step.name, verdict.failed or "success"] += 1

    def outputs(self, step: Step, got: list[int], answer: Answer) -> None:
        """X1..X17: outputs, zero where X1..X3 are none, and everything else as it was."""
        given = [0, *(value & ONES for value in step.args)]
        given += [0xA5A5_0000 + number for number in range(len(given), REGISTERS)]
        want = [answer.x0, *answer.x, *(0,) * (3 - len(answer.x))]
        want += given[len(want) :]
        if got != want:
            at = next(number for number in range(REGISTERS) if got[number] != want[number])
            raise Broken(f"{step.name} with X0 {got[0]:#x} left {got[at]:#x} in X{at}, not {want[at]:#x}")

    def undefined(self, step: Step) -> bool:
        """A function identifier that is no command's."""
        self.checkpoint()
        got = self.smc(step)
        if got[0] != ONES:
            raise Broken(f"function {step.args[0]:#x} gave {got[0]:#x}")
        if self.changed():
            raise Broken(f"function {step.args[0]:#x} has changed memory")
        self.calls += 1
        self.seen[FID, "undefined"] += 1
        return True

    # -- runs
    def foreseen(self, call: Call) -> bool:
        """The Realm does what the model knows."""
        model, rec = self.model, call.owner
        return foreseen(model, model.realms[rec.rd], rec, call.params)

    def enter(self, step: Step, verdict: Verdict) -> None:
        """A REC runs; a host on another PE may act meanwhile."""
        model, call = self.model, verdict.call
        rec, enter = call.owner, call.params
        running = run(model, model.realms[rec.rd], rec, enter)
        rec.running = True
        if step.meanwhile:
            sink = _Meanwhile(lambda: self.meanwhile(step, running))
            self.machine.trace.add(sink)
            try:
                got = self.smc(step)
            finally:
                self.machine.trace.close()
        else:
            got = self.smc(step)
        exit = _last(running)
        rec.running = False
        self.outputs(step, got, Answer(0))
        page = self.host.peek.read(call.run_ptr + SIZE, SIZE)
        differences = wrong(page, exit, enter, model.platform.features)
        if differences:
            raise Broken(f"the exit is not {exit}: {'; '.join(differences)}")
        self.exits[call.args["rec"]] = exit
        self.seen[step.name, "success"] += 1
        self.seen[step.name, f"exit {exit.reason} {exit.esr >> 26:x} {exit.esr >> 2 & 0xF:x}"] += 1

    def meanwhile(self, step: Step, running: Iterator[Exit | None]) -> None:
        """The Realm has come to an SMC."""
        assert next(running) is None, "the Realm makes a call that the model does not foresee"
        for other in step.meanwhile:
            self.compare(other, judge(Call(self.model, ALL[other.name], other.args)))


def _last(running: Iterator[Exit | None]) -> Exit:
    """The exit of a run."""
    for exit in running:
        if exit is not None:
            return exit
    raise AssertionError("a run ends in an exit")


def say(verdict: Verdict) -> str:
    """What is expected, in words."""
    if verdict.failed is None:
        return "success"
    return " or ".join(f"{x0:#x} ({name})" for x0, name in verdict.allowed.items())
