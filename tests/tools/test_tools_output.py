"""Streams that take no more: a closed pipe is a quiet end for every command, a full disk an error of one line."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from cca_tools.cli.commands import app

TOKEN = Path(__file__).parents[1] / "attestation" / "vectors" / "generated-rel0-token.cbor"
COMMANDS: Final[dict[str, list[str]]] = {
    "run": ["hello"],
    "run --json": ["hello", "--json"],
    "run --trace": ["hello", "--trace", "-"],
    "run --world": ["ns-el2", "ns_rmi", "--max-insns", "1000"],
    "run --help": [],
    "bench": ["--rows", "no such row"],
    "version": [],
    "payloads": [],
    "inspect": ["hello"],
    "trace show": ["TRACE"],
    "attest verify": [str(TOKEN)],
    "attest show": [str(TOKEN)],
    "attest cpak": [],
    "new": ["realm", str(TOKEN.parent)],  # which is not empty
    "build": [str(TOKEN.parent)],  # no project
    "sdk": [],
    "linux": ["--mirror", "file:///none", "--cache", os.devnull],
    "lkvm run": ["-k", "no such kernel"],
    "measure run": ["hello"],
    "measure linux": ["--mirror", "file:///none", "--cache", os.devnull],
}
"""A command line of each command: the words of its name, then its arguments."""


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A trace that no pipe holds."""
    path = tmp_path_factory.mktemp("trace") / "run.jsonl"
    record = '{"seq":%d,"time":0,"pe":null,"world":null,"el":null,"event":"system.reset","reason":"watchdog"}\n'
    path.write_text("".join(record % number for number in range(20_000)))
    return str(path)


def start(name: str, trace: str, *before: str, **streams: Any) -> "subprocess.CompletedProcess[bytes]":
    """Run a command in a process of its own, with these streams; ``before`` are words in front of it."""
    arguments = [*name.split(), *(trace if word == "TRACE" else word for word in COMMANDS[name])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment.pop("PYTHONUNBUFFERED", None)
    return subprocess.run(
        [*before, sys.executable, "-m", "cca_tools", *arguments],
        check=False, env=environment, timeout=60, **streams,
    )  # fmt: skip


def closed_pipe() -> int:
    """The end of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def names(group: Any, prefix: str = "") -> set[str]:
    """The names of all commands of a command line."""
    found = {prefix + (one.name or one.callback.__name__.removeprefix("trace_")) for one in group.registered_commands}
    return found.union(*(names(one.typer_instance, f"{one.name} ") for one in group.registered_groups))


class TestClosedPipe:
    def test_every_command(self) -> None:
        """No command is without a case here."""
        assert names(app) <= set(COMMANDS)

    @pytest.mark.parametrize("name", COMMANDS)
    def test_stdout(self, name: str, trace: str) -> None:
        """The status is that of a run whose output is read, and stderr does not speak of the pipe."""
        status = start(name, trace, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
        pipe = closed_pipe()
        done = start(name, trace, stdout=pipe, stderr=subprocess.PIPE)
        os.close(pipe)
        assert done.returncode == status, done.stderr
        assert not any(word in done.stderr for word in (b"Traceback", b"roken", b"Exception"))

    @pytest.mark.parametrize("name", ["run", "run --trace", "run --world", "bench"])
    def test_stderr(self, name: str, trace: str) -> None:
        """Nobody reads the messages, or the trace on stderr: the run goes on, and its output is whole."""
        whole = start(name, trace, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        pipe = closed_pipe()
        done = start(name, trace, stdout=subprocess.PIPE, stderr=pipe)
        os.close(pipe)
        assert (done.returncode, done.stdout) == (whole.returncode, whole.stdout)

    def test_a_trace_ends_with_its_reader(self, trace: str, tmp_path: Path) -> None:
        """`| head` shows the first lines, and the rest of the file is not read: what is wrong there is not said."""
        path = tmp_path / "run.jsonl"
        path.write_text(Path(trace).read_text() + "no event\n")
        reader, writer = os.pipe()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with subprocess.Popen(
            [sys.executable, "-m", "cca_tools", "trace", "show", str(path)], stdout=writer, stderr=subprocess.PIPE,
            env=environment,
        ) as process:  # fmt: skip
            os.close(writer)
            assert b"system.reset" in os.read(reader, 200)
            os.close(reader)
            _, error = process.communicate(timeout=60)
        assert (process.returncode, error) == (0, b"")


class TestOtherStreams:
    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    @pytest.mark.parametrize("name", ["run", "run --json", "payloads", "trace show", "attest show"])
    def test_full_disk(self, name: str, trace: str) -> None:
        """Output that is lost is status 2 and one line, also after a run that went well."""
        with open("/dev/full", "wb") as full:
            done = start(name, trace, stdout=full, stderr=subprocess.PIPE)
        lines = [line for line in done.stderr.splitlines() if line.startswith(b"realmlab: ")]
        assert (done.returncode, len(lines)) == (2, 1), done.stderr
        assert b"No space left on device" in lines[0]
        assert b"Traceback" not in done.stderr

    @pytest.mark.parametrize("name", ["run", "payloads"])
    def test_no_stdout(self, name: str, trace: str) -> None:
        """A stdout that was closed before the start is one that nobody reads."""
        done = start(name, trace, "sh", "-c", 'exec "$@" >&-', "sh", stderr=subprocess.PIPE)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr

    @pytest.mark.parametrize("name", ["run", "run --trace", "run --world", "inspect", "trace show"])
    def test_no_stderr(self, name: str, trace: str) -> None:
        """So is a stderr; stdout and the status are what they are else."""
        done, other = (
            start(name, trace, "sh", "-c", f'exec "$@" 2>{where}', "sh", stdout=subprocess.PIPE)
            for where in ("&-", "/dev/null")
        )
        assert (done.returncode, done.stdout) == (other.returncode, other.stdout)

    def test_no_streams(self, trace: str, tmp_path: Path) -> None:
        """Without any stream at all, nothing of a run ends up in a file that it opens."""
        uart = tmp_path / "uart"
        uart.write_bytes(b"")
        done = start(
            "run --world", trace, "sh", "-c", f'exec "$@" --uart uart0={uart} --timeout 60 <&- >&- 2>&-', "sh"
        )
        assert (done.returncode, uart.read_bytes()) == (4, b"")
