"""When an event is in the trace file, however the run goes on or ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from realm_code import load
from rmm_host import to_code

import realmlab
from cca_arch.rmi.v1_0 import ABI_VERSION, Rmi
from cca_arch.types import Ticks

UART = 0x1_0100_0000


def environment() -> dict[str, str]:
    """That of a process with these sources."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def events(path: Path) -> list[dict[str, Any]]:
    """What the file has now: whole lines, whose numbers have no hole."""
    data = path.read_bytes()
    assert data[-1:] == b"\n"
    head, *records = map(json.loads, data.splitlines())
    assert head["event"] == "trace.start"
    assert [record["seq"] for record in records] == list(range(len(records)))
    return records


class TestCalls:
    """The events of a call are in the file when the call is over; nobody has to close anything."""

    def test_each(self, tmp_path: Path) -> None:
        """After each call of the host, the file has its events, from the SMC to the return from it."""
        path = tmp_path / "t.jsonl"
        with realmlab.Machine(trace=path) as machine:
            for _ in range(3):
                before = len(events(path))
                machine.host.rmi(Rmi.VERSION, ABI_VERSION)
                added = events(path)[before:]
                assert (added[0]["event"], added[-1]["event"]) == ("smc.call", "smc.return")
                assert len(events(path)) == machine.trace.seq

    def test_together(self, tmp_path: Path) -> None:
        """While a call is under way, its events wait; a sink of records gets each as it happens."""
        path, seen = tmp_path / "t.jsonl", []
        with realmlab.Machine(trace=path) as machine:
            before = len(events(path))
            machine.on("rmi", lambda record: seen.append((record["seq"] - before, len(events(path)) - before)))
            machine.host.rmi(Rmi.VERSION, ABI_VERSION)
        assert seen == [(2, 0), (3, 0)]

    def test_many(self, tmp_path: Path) -> None:
        """Where many calls wait for each other, some hundred events are written meanwhile."""
        path, waits = tmp_path / "t.jsonl", []
        with realmlab.Machine(trace=path) as machine:
            with machine.trace.together():
                for _ in range(100):
                    machine.host.rmi(Rmi.VERSION, ABI_VERSION)
                    waits.append(machine.trace.seq - len(events(path)))
            assert 200 < max(waits) < 300 and waits[-1]
            assert len(events(path)) == machine.trace.seq

    def test_others(self, tmp_path: Path) -> None:
        """An event outside of any call is in the file at once."""
        path = tmp_path / "t.jsonl"
        with realmlab.Machine(trace=path) as machine:
            before = len(events(path))
            machine.platform.reset("test")
            assert [record["event"] for record in events(path)[before:]] == ["system.reset"]


class TestCode:
    """While code runs, the file is never far behind; wherever somebody can look, it is complete."""

    def test_first_instruction(self, tmp_path: Path) -> None:
        """At the first instruction of a Realm, the last event of the file is the entry of its REC."""
        path, last = tmp_path / "t.jsonl", []
        with realmlab.Machine(trace=path) as machine, machine.realm("hello") as realm:
            realm.hook("_start", lambda cpu: last.append(events(path)[-1]["event"]))
            realm.run(max_insns=100)
        assert last == ["rec.enter"]

    def test_long(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before code runs, what waits is written if it has waited for 20 ms."""
        path, now = tmp_path / "t.jsonl", [1000.0]
        monkeypatch.setattr("cca_platform.trace.trace.monotonic", lambda: now[0])
        with realmlab.Machine(trace=path) as machine, machine.trace.together():
            trace, behind = machine.trace, []
            for _ in range(6):
                machine.host.rmi(Rmi.VERSION, ABI_VERSION)
                trace.before_code()
                behind.append((trace.seq - len(events(path))) // 7)
                now[0] += 0.006
        assert behind == [1, 2, 3, 4, 0, 1]

    def test_nothing_waits(self, tmp_path: Path) -> None:
        """Wherever a run pauses, the file is complete."""
        path = tmp_path / "t.jsonl"
        with realmlab.Machine(trace=path) as machine, machine.realm("hello") as realm:
            for _ in range(5):
                realm.run(max_insns=97)
                assert len(events(path)) == machine.trace.seq

    def test_callbacks(self, tmp_path: Path) -> None:
        """A callback of a console or of an instruction finds everything up to there."""
        path, behind = tmp_path / "t.jsonl", []

        def look(what: object) -> None:
            behind.append(machine.trace.seq - len(events(path)))

        with realmlab.Machine(trace=path) as machine:
            machine.hook(0x8000_0000, look)
            machine.run_realm("hello", on_console=look)
        assert len(behind) > 5 and not any(behind)

    def test_time(self, tmp_path: Path) -> None:
        """Before wall time is waited for, the file is complete."""
        path = tmp_path / "t.jsonl"
        with realmlab.Machine(trace=path, clock="host") as machine, machine.trace.together():
            machine.host.rmi(Rmi.VERSION, ABI_VERSION)
            assert len(events(path)) < machine.trace.seq
            machine.platform.inputs.idle(Ticks(machine.platform.clock.now + 1000))
            assert len(events(path)) == machine.trace.seq


class TestEnds:
    """Whatever ends a process, the file has whole lines, and everything before the call under way."""

    @pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
    def test_signal(self, tmp_path: Path, how: signal.Signals) -> None:
        """A Realm that has said something and then spins: the file becomes complete, and stays so."""
        payload, path = tmp_path / "payload.bin", tmp_path / "t.jsonl"
        say = "".join(f"mov w2, #{byte}; strb w2, [x1]; " for byte in b".\n")
        payload.write_bytes(to_code(f"{load('x1', UART)}; {say} b ."))
        command = [sys.executable, "-m", "cca_tools", "run", str(payload), "--trace", str(path)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment()) as process:
            assert process.stdout is not None
            assert process.stdout.read(2) == b".\n"
            deadline = time.monotonic() + 60
            while b'"event":"rec.enter"' not in path.read_bytes().splitlines()[-1]:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.send_signal(how)
            process.communicate()
        found = events(path)
        assert "".join(record["text"] for record in found if record["event"] == "console.write") == ".\n"
        assert how == signal.SIGKILL or found[-1]["reason"] == "interrupted"

    def test_exit(self, tmp_path: Path) -> None:
        """A process that ends at once, without closing anything, has lost nothing."""
        path = tmp_path / "t.jsonl"
        code = (
            "import os, sys, realmlab\nmachine = realmlab.Machine(trace=sys.argv[1])\n"
            "machine.run_realm('hello')\nprint(machine.trace.seq, flush=True)\nos._exit(0)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], env=environment(), capture_output=True, text=True, check=True
        )
        assert len(events(path)) == int(done.stdout)

    def test_exception(self, tmp_path: Path) -> None:
        """A call that an exception ends leaves its events in the file."""
        path = tmp_path / "t.jsonl"

        def fail(record: object) -> None:
            raise KeyboardInterrupt

        with realmlab.Machine(trace=path) as machine:
            before = len(events(path))
            machine.on("rmi.call", fail)
            with pytest.raises(KeyboardInterrupt):
                machine.host.rmi(Rmi.VERSION, ABI_VERSION)
            assert [record["event"] for record in events(path)[before:]] == ["smc.call", "world.switch", "rmi.call"]


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="needs /dev/stdout")
class TestOrder:
    def test_output(self) -> None:
        """With the trace on stdout, what a console shows comes right after the event that tells of it."""
        command = [sys.executable, "-m", "cca_tools", "run", "hello", "--quiet", "--trace", "/dev/stdout"]
        mixed = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout
        lines = mixed.splitlines(keepends=True)
        told = [at for at, line in enumerate(lines) if '"event":"console.write"' in line]
        assert len(told) >= 5 and [lines[at + 1] for at in told] == [json.loads(lines[at])["text"] for at in told]
        assert sum(not line.startswith('{"seq":') for line in lines) == len(told)
