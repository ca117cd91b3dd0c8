"""`realmlab run` and the Python API on the real machine: output, status, summary, trace."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from realm_code import load
from rmm_host import to_code

import realmlab
from cca_tools.bench import loops
from cca_tools.cli import main

GREETING = "Hello from Realm EL1"
UART = 0x1_0100_0000


def raw(folder: Path, words: list[int]) -> str:
    """A raw binary payload of these instructions."""
    path = folder / "payload.bin"
    path.write_bytes(loops.code(words))
    return str(path)


def spin(folder: Path) -> str:
    """A payload that never ends."""
    return raw(folder, [0x14000000])


class TestRun:
    """The Realm's output goes to stdout, everything else to stderr."""

    def test_hello(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        """The summary has calls by name, world switches, granules and time."""
        assert main(["run", "hello", "--", "colour=green"]) == 0
        out, err = capfdbinary.readouterr()
        assert GREETING.encode() in out and b"colour=green" in out
        for label in (b"RMI calls", b"REC_ENTER", b"world switches", b"granules", b"scrubbed", b"instructions"):
            assert label in err and label not in out

    def test_quiet(self, capfd: pytest.CaptureFixture[str]) -> None:
        """--quiet leaves the output alone."""
        assert main(["run", "hello", "--quiet"]) == 0
        assert capfd.readouterr().err == ""

    def test_json(self, capfd: pytest.CaptureFixture[str]) -> None:
        """--json is one object, with the output in it."""
        assert main(["run", "hello", "--json"]) == 0
        result = json.loads(capfd.readouterr().out)
        assert GREETING in result["console"] and result["status"] == 0 and result["granules"]["left"] == 0
        assert result["calls"]["RMI_REALM_CREATE"] == 1 and result["trace"] is None

    @pytest.mark.parametrize("board", ["fvp", "virt"])
    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    def test_options(self, board: str, algorithm: str, capfd: pytest.CaptureFixture[str]) -> None:
        """Every board and hash algorithm runs the same payload."""
        assert main(["run", "hello", "--board", board, "--hash-algo", algorithm, "-q"]) == 0
        assert GREETING in capfd.readouterr().out

    def test_host_clock(self, capfd: pytest.CaptureFixture[str]) -> None:
        """The host's clock runs the payload too."""
        assert main(["run", "hello", "--clock", "host", "-q"]) == 0
        assert GREETING in capfd.readouterr().out

    def test_limit(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """An endless payload ends at the limit with status 4, and gives its granules back."""
        assert main(["run", spin(tmp_path), "--max-insns", "100000"]) == 4
        err = capfd.readouterr().err
        assert "limit of 100000 instructions" in err and "all back with the host, scrubbed" in err

    def test_reader_leaves(self) -> None:
        """A reader that closes stdout does not disturb the run."""
        with running(command("hello")) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            assert b"exit status 0" in process.stderr.read()
            process.wait()
        assert process.returncode == 0

    def test_interrupt(self, tmp_path: Path) -> None:
        """Ctrl-C ends with status 130, the Realm destroyed."""
        payload, trace = tmp_path / "payload.bin", tmp_path / "t.jsonl"
        say = "".join(f"mov w2, #{byte}; strb w2, [x1]; " for byte in b".\n")
        payload.write_bytes(to_code(f"{load('x1', UART)}; {say} b ."))
        with running(command(str(payload), "--trace", str(trace))) as process:
            assert process.stdout is not None
            assert process.stdout.read(2) == b".\n"  # the Realm runs
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()
        assert (process.returncode, out) == (130, b"")
        assert json.loads(trace.read_text().splitlines()[-1])["reason"] == "interrupted"
        assert b"interrupted" in err and b"Traceback" not in err


class TestTrace:
    """The trace tells the same story each time, and does not change it."""

    def test_same_bytes(self, tmp_path: Path) -> None:
        """Two runs give byte-identical files."""
        files = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
        for file in files:
            assert main(["run", "hello", "--quiet", "--trace", str(file)]) == 0
        assert files[0].read_bytes() == files[1].read_bytes()

    def test_same_instructions(self) -> None:
        """With the trace on or off the Realm retires the same instructions, and the host makes the same calls."""
        listing = realmlab.Listing()
        with realmlab.Machine(trace=realmlab.Trace(listing)) as traced, realmlab.Machine() as silent:
            first, second = traced.run_realm("hello"), silent.run_realm("hello")
        assert (first.instructions, first.calls, first.console) == (second.instructions, second.calls, second.console)
        assert listing[-1]["event"] == "run.stop"

    def test_story(self) -> None:
        """Calls and returns are paired, and what the RMI answered is in the summary's numbers."""
        counts = realmlab.Counts()
        with realmlab.Machine(trace=realmlab.Trace(counts)) as machine:
            result = machine.run_realm("hello")
        events = counts.events
        assert events["rmi.call"] == events["rmi.return"] == sum(result.calls.values()) + 2  # VERSION, FEATURES
        assert events["rsi.call"] >= events["rsi.return"] >= 1  # a host call returns by the next REC entry
        assert events["rec.enter"] == events["rec.exit"] == result.calls["RMI_REC_ENTER"]
        assert events["granule.transition"] and events["gpt.change"] and events["rtt.edit"]
        assert events["measurement.extend"] and events["console.write"] and events["boot.image"]

    def test_people(self, capfd: pytest.CaptureFixture[str]) -> None:
        """--trace - shows events on stderr, in plain text when that is no terminal."""
        assert main(["run", "hello", "--quiet", "--trace", "-"]) == 0
        out, err = capfd.readouterr()
        assert "rec.enter" in err and "\x1b" not in err and "rec.enter" not in out

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_disk_full(self, capfd: pytest.CaptureFixture[str]) -> None:
        """A full disk is told after the payload's output, with status 2."""
        assert main(["run", "hello", "--trace", "/dev/full"]) == 2
        out, err = capfd.readouterr()
        assert GREETING in out and "No space left on device" in err


class TestMachine:
    """The API is what the command stands on."""

    def test_runs(self) -> None:
        """One machine runs Realm after Realm, each as the first."""
        heard: list[bytes] = []
        with realmlab.Machine() as machine:
            first = machine.run_realm("hello", on_console=heard.append)
            second = machine.run_realm("hello", memory=128 << 20)
        assert b"".join(heard) == first.console and first.status == second.status == 0

    def test_snapshot(self) -> None:
        """After a restore the machine does again what it did."""
        with realmlab.Machine() as machine:
            saved = machine.snapshot()
            first = machine.run_realm("hello")
            machine.restore(saved)
            second = machine.run_realm("hello")
        assert (first.console, first.instructions, first.ticks) == (second.console, second.instructions, second.ticks)

    def test_memory(self) -> None:
        """The machine's memory is seen through a port of a world: EL3's is not the host's."""
        with realmlab.Machine() as machine:
            port = machine.memory.port(realmlab.SecurityState.NON_SECURE)
            with pytest.raises(realmlab.GranuleProtectionFault):
                port.read(machine.platform.board.region("root").base, 8)

    def test_bad_clock(self) -> None:
        """A clock that does not exist is refused."""
        with pytest.raises(realmlab.MachineError, match="`clock` must be virtual or host, not 'sundial'"):
            realmlab.Machine(clock="sundial")

    def test_documented(self) -> None:
        """Every public name says what it is."""
        assert set(realmlab.__all__) == set(dir(realmlab))
        for name in realmlab.__all__:
            value = getattr(realmlab, name)
            assert name in ("__version__", "SPECIFICATIONS", "EVENTS") or value.__doc__, name
            for key, member in vars(value).items() if isinstance(value, type) else ():
                assert key.startswith("_") or not callable(member) or member.__doc__, f"{name}.{key}"

    def test_no_such_name(self) -> None:
        """A name that is not public is an ordinary AttributeError."""
        with pytest.raises(AttributeError, match="module 'realmlab' has no attribute 'Rmm'"):
            realmlab.Rmm  # noqa: B018 (the access is what raises)


@contextmanager
def running(arguments: list[str], seconds: float = 120) -> Iterator[subprocess.Popen[bytes]]:
    """A child process, which is killed when it takes too long: then its streams end."""
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=here()) as process:
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()


def command(*arguments: str) -> list[str]:
    """The command line of a child process."""
    return [sys.executable, "-m", "cca_tools", "run", *arguments]


def here() -> dict[str, str]:
    """The environment of a child process that finds these packages."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
