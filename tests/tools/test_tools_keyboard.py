"""stdin of a Realm: a terminal that is raw while the Realm listens and restored whatever happens; pipes and files."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from ns_code import OFF, assemble, constant, say

from cca_host.kvmtool.layout import DISTRIBUTOR_BASE, RAM_BASE, UART_BASE

SHARED: Final = 1 << 32
UART: Final = UART_BASE | SHARED
READY: Final = say("ready\n> ", UART)
LISTENS: Final = f"""
    {constant("x9", DISTRIBUTOR_BASE | SHARED)} mov w0, #2; str w0, [x9]; mov w0, #1; str w0, [x9, #0x104];
    mov x0, #0xff; msr S3_0_C4_C6_0, x0; mov x0, #1; msr S3_0_C12_C12_7, x0;
    {constant("x9", UART)} mov w0, #1; strb w0, [x9, #1]; {READY}
    wait: wfi; mrs x3, S3_0_C12_C12_0; cmp w3, #32; b.ne wait;
    more: ldrb w11, [x9, #5]; tbz w11, #0, done; ldrb w10, [x9]; strb w10, [x9]; cmp w10, #113; b.eq off;
    cmp w10, #4; b.eq off; cmp w10, #10; b.ne more; mov w10, #62; strb w10, [x9]; b more;
    done: msr S3_0_C12_C12_1, x3; b wait; off: {OFF}
"""
"""It echoes what the UART's interrupt brings, prompts after each line, and ends with q or Ctrl-D."""
POLLS: Final = f"""
    {constant("x9", UART)} {say("ready", UART)}
    loop: ldrb w11, [x9, #5]; tbz w11, #0, loop; ldrb w10, [x9]; strb w10, [x9]; cmp w10, #113; b.ne loop; {OFF}
"""
"""It looks for input, echoes it, and ends with q."""
COMMAND: Final = [sys.executable, "-c", "import sys; from cca_tools.start import main; sys.exit(main())"]
FOREGROUND: Final = [
    *COMMAND[:2], f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); {COMMAND[2]}"
]  # fmt: skip
"""The same, which takes the terminal first."""


@pytest.fixture
def payload(tmp_path: Path) -> Callable[[str], str]:
    """The path of a payload."""

    def make(source: str) -> str:
        path = tmp_path / "payload"
        path.write_bytes(assemble(source, RAM_BASE))
        return str(path)

    return make


class Session:
    """``realmlab run`` of a payload as the foreground job of a terminal."""

    def __init__(self, path: str, *options: str) -> None:
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        self.shown = b""
        self.process = subprocess.Popen(
            [*FOREGROUND, "run", path, "--memory", "4M", "-q", *options], stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True,
        )  # fmt: skip
        self.slave = slave

    def until(self, text: bytes) -> None:
        """Wait for an output."""
        while text not in self.shown:
            assert select.select([self.master], [], [], 60)[0], self.shown
            self.shown += os.read(self.master, 4096)

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def flag(self, flag: int) -> bool:
        """Whether a local mode of the terminal is on."""
        return bool(termios.tcgetattr(self.slave)[3] & flag)

    def until_raw(self) -> None:
        """Wait for the guest to look for input."""
        while self.flag(termios.ICANON):
            time.sleep(0.05)

    def end(self) -> int:
        """The exit status; the terminal is as it was."""
        status = self.process.wait(60)
        assert termios.tcgetattr(self.slave) == self.before
        return status


@pytest.fixture
def session(payload: Any) -> Iterator[Callable[..., Session]]:
    made: list[Session] = []

    def start(source: str, *options: str) -> Session:
        made.append(Session(payload(source), *options))
        made[-1].until(b"ready")
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.wait()
        os.close(one.master)
        os.close(one.slave)


class TestTerminal:
    """A Realm at a terminal."""

    def test_keys(self, session: Any) -> None:
        """Raw: every key is the guest's, Ctrl-C too, and comes at once; but what follows Ctrl-A is a command."""
        run = session(LISTENS)
        assert not any(map(run.flag, (termios.ICANON, termios.ECHO, termios.ISIG)))
        run.type(b"a\x03b")
        run.until(b"a\x03b")
        run.type(b"\x01hc\x01\x01d")
        run.until(b"c\x01d")
        run.until(b"Ctrl-A x ends the run")
        run.type(b"q")
        assert run.end() == 0

    def test_escape(self, session: Any) -> None:
        """Ctrl-A x ends the run, as Ctrl-C does without a terminal."""
        run = session(LISTENS)
        run.type(b"\x01x")
        assert run.end() == 130
        run.until(b"interrupted by the user")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
    def test_signals(self, session: Any, number: signal.Signals) -> None:
        """A signal ends the run in order: its status is 128 and the number of the signal."""
        run = session(LISTENS)
        run.process.send_signal(number)
        assert run.end() == 128 + number

    def test_stopped(self, session: Any) -> None:
        """While the process is stopped, the terminal is as it was."""
        run = session(LISTENS)
        for stop in (lambda: run.process.send_signal(signal.SIGTSTP), lambda: run.type(b"\x01z")):
            stop()
            assert os.WIFSTOPPED(os.waitpid(run.process.pid, os.WUNTRACED)[1])
            assert termios.tcgetattr(run.slave) == run.before
            run.process.send_signal(signal.SIGCONT)
            run.until_raw()
            run.shown = b""
            run.type(b"x")
            run.until(b"x")
        run.type(b"q")
        assert run.end() == 0

    def test_polled(self, session: Any) -> None:
        """A guest without interrupts of input gets keys as well; there, Ctrl-C still ends the run."""
        run = session(POLLS)
        run.until_raw()
        run.type(b"k")
        run.until(b"readyk")
        assert run.flag(termios.ISIG)
        run.type(b"\x03")
        assert run.end() == 130

    def test_quiet(self, session: Any) -> None:
        """A guest that never looks for input leaves the terminal alone."""
        run = session(f"{say('ready', UART)} loop: b loop")
        assert run.flag(termios.ICANON)
        run.type(b"\x03")
        assert run.end() == 130


def piped(path: str, given: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    words = [*COMMAND, "run", path, "--memory", "4M", "-q", *options]
    return subprocess.run(words, input=given, capture_output=True, timeout=100, check=False)


class TestPipe:
    """A Realm behind a pipe."""

    def test_lines(self, payload: Any) -> None:
        """A line comes after each prompt, and Ctrl-D at the end."""
        done = piped(payload(LISTENS), b"one\ntwo\nthree")
        assert (done.stdout, done.returncode) == (b"ready\n> one\n>two\n>three\x04", 0)

    def test_polled(self, payload: Any) -> None:
        """A guest that looks for input gets all that there is."""
        done = piped(payload(POLLS), b"some text, q and more")
        assert (done.stdout, done.returncode) == (b"readysome text, q", 0)

    def test_slow(self, payload: Any) -> None:
        """Somebody who answers what he sees: a guest without a timer waits for him."""
        words = [*COMMAND, "run", payload(LISTENS), "--memory", "4M", "-q"]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None and process.stdout is not None
            assert process.stdout.read(8) == b"ready\n> "
            for line in (b"first\n", b"second\n"):
                process.stdin.write(line)
                process.stdin.flush()
                assert process.stdout.read(len(line) + 1) == line + b">"
            process.stdin.close()
            assert process.stdout.read() == b"\x04"
        assert process.returncode == 0

    def test_same(self, payload: Any, tmp_path: Path) -> None:
        """With a file, every run is the same."""
        path, given = payload(LISTENS), tmp_path / "given"
        given.write_bytes(b"a line\nand another\n")
        traces = []
        for number in range(2):
            trace = tmp_path / f"trace{number}"
            with given.open("rb") as file:
                subprocess.run(
                    [*COMMAND, "run", path, "--memory", "4M", "-q", "--trace", str(trace)], stdin=file, check=True,
                    stdout=subprocess.DEVNULL,
                )  # fmt: skip
            traces.append([json.loads(line) for line in trace.read_text().splitlines()])
        assert traces[0] == traces[1]

    def test_left(self, payload: Any) -> None:
        """What a guest does not look for is left for the next process."""
        words = [*COMMAND, "run", payload(OFF), "--memory", "4M", "-q"]
        script = '"$@"; cat'
        done = subprocess.run(
            ["sh", "-c", script, "sh", *words], input=b"for cat", capture_output=True, timeout=100, check=False
        )
        assert done.stdout == b"for cat"

    def test_given(self, payload: Any, tmp_path: Path) -> None:
        """With --console-input, stdin is not read."""
        given = tmp_path / "given"
        given.write_bytes(b"xq")
        done = piped(payload(POLLS), b"no", "--console-input", str(given))
        assert done.stdout == b"readyxq"
