"""A run that is saved half-way goes on in a fresh machine, here or in another process, as if nothing had been."""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import fresh
import pytest

from cca_platform.board import Board
from cca_platform.errors import StateError
from cca_platform.machine.machine import Machine
from cca_platform.machine.saved import Checkpoint
from cca_platform.state import decode, diff, encode

_NS, _REALM = ("ns", "board_virt"), ("realm", "smp")
_SECURE = ("secure", "secure_call_virt")
_PLACES = [
    *((*_NS, line) for line in ("PASS gic 40: ", "PASS pes ", "PASS realms 20: ")),
    *((*_REALM, share) for share in (0.3, 0.7)),
    *(("realm", "pmu", share) for share in (0.5, 0.97)),
    *((*_SECURE, share) for share in (0.2, 0.6)),
]


@pytest.fixture
def machines() -> Iterator[list[Machine]]:
    """What is closed in the end."""
    made: list[Machine] = []
    yield made
    for machine in made:
        machine.close()


@cache
def _length(kind: str, payload: str) -> int:
    run = fresh.make(kind, payload, built=True)
    start = run.machine.clock.retired
    run.finish()
    run.machine.close()
    return run.machine.clock.retired - start


def _half(kind: str, payload: str, place: Any) -> Any:
    """A run as far as ``place``: a line of its output, or a share of its instructions."""
    run = fresh.make(kind, payload, built=True)
    if isinstance(place, float):
        assert run.go(int(_length(kind, payload) * place))
        return run
    while place.encode() not in run.output:
        assert run.go(20_011)
    return run


@pytest.mark.parametrize(("kind", "payload", "place"), _PLACES)
def test_rest(kind: str, payload: str, place: Any, machines: list[Machine], tmp_path: Path) -> None:
    """The same events, output and end follow: in the machine itself, in another one, and in another process."""
    run = _half(kind, payload, place)
    machines.append(run.machine)
    written = encode(run.machine.checkpoint())
    file = tmp_path / "half"
    file.write_bytes(written)
    events, output = len(run.events), len(run.output)
    expected = fresh.digest(run, run.finish(), events, output)
    assert len(run.output) > output
    other = fresh.make(kind, payload)
    machines.append(other.machine)
    before = len(other.events)
    other.adopt(decode(written, Checkpoint))
    assert encode(other.machine.checkpoint()) == written
    output = len(other.output)
    assert fresh.digest(other, other.finish(), before, output) == expected
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, fresh.__file__, kind, payload, str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


class TestRefused:
    """A state that does not fit changes nothing."""

    def test_board(self, machines: list[Machine]) -> None:
        """Another board, and other software in Python, are refused with both sides in the message."""
        one, other = Machine(Board.load("virt")), Machine(Board.load("fvp"))
        booted = fresh.NsRun("board_virt")
        machines += one, other, booted.machine
        checkpoint = one.checkpoint()
        with pytest.raises(StateError, match=r"must have the board of this machine, fvp a72 \w+, not virt a72"):
            other.adopt(checkpoint)
        before = booted.machine.checkpoint()
        with pytest.raises(StateError, match=r"must have the software in Python of this machine, .*Rmm.*, not \(\)"):
            booted.machine.adopt(checkpoint)
        assert list(diff(before, booted.machine.checkpoint())) == []

    def test_parts(self, machines: list[Machine]) -> None:
        """A half-run Realm needs somebody who makes its VMM."""
        run, other = fresh.RealmRun("smp", built=True), fresh.RealmRun("smp")
        machines += run.machine, other.machine
        run.go(1_000)
        with pytest.raises(StateError, match=r"must have the parts of this machine, \[.*\], not \[.*'vmm\.\d+'\]"):
            other.machine.adopt(run.machine.checkpoint())

    def test_difference(self, machines: list[Machine]) -> None:
        """What an instruction changes is told by the paths of what it changes."""
        run = fresh.NsRun("board_virt")
        machines.append(run.machine)
        before = run.machine.save()
        run.go(1)
        changed = {one.path for one in diff(before, run.machine.save())}
        assert {"clock.retired", "pes[0].words.retired", "pes[0].words.pc"} <= changed
        assert not any(path.startswith(("gic", "bus", "memory", "pes[1]")) for path in changed)
