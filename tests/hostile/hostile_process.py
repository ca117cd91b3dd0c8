"""Runs cases, each in a process of its own that starts with everything loaded, and tells how each ended.

A process is forked from one that has run a Realm and an image before, so a case takes hundredths of a second, and
nothing that it does (a crash, a signal, memory, a hang) reaches another one. Works on Linux.
"""

import faulthandler
import gc
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hostile_case import FOLDER, Case, places, write

__all__ = ["CPU_SECONDS", "MEGABYTES", "Ended", "play", "ready", "run"]

MEGABYTES = 500
"""The most memory that a command may take, as resident pages."""
CPU_SECONDS = 40  # native code that is compiled anew takes half of it
"""The most time of a processor."""
_KILL_MEGABYTES, _WALL_SECONDS = 2 * MEGABYTES, 240  # a case that goes beyond is ended
_LOOK_SECONDS = 0.05
_MOST_WRITTEN = 64 << 20
_ADDRESSES = 64 << 30  # of sparse mappings; what is resident is measured
_KEPT = 1 << 20  # bytes of an output that are looked at


class Ended(NamedTuple):
    """How a case ended. ``status`` is negative for a signal; ``megabytes`` the peak of resident memory.

    ``made`` are the files that were not there before, ``altered`` those that have other contents.
    """

    status: int
    stdout: bytes
    stderr: bytes
    seconds: float
    megabytes: int
    made: frozenset[str]
    altered: frozenset[str]
    killed: str = ""


class _Running(NamedTuple):
    case: Case
    folder: Path
    pid: int
    file: int
    since: float
    before: dict[str, Any]


def ready() -> None:
    """Load everything that commands load, native code too, so that each case begins with it."""
    if sys.platform != "linux":
        raise SystemExit("hostile inputs are run on Linux: what a process takes is measured there")
    from cca_tools.cli import main

    with tempfile.TemporaryDirectory() as folder:
        trace, token = f"{folder}/trace.jsonl", f"{folder}/token"
        commands = [
            ["run", "hello", "--trace", trace], ["run", "--world", "ns-el2", "ns_rmi"], ["run", "attest", "-q"],
            ["trace", "show", trace], ["attest", "show", token], ["attest", "verify", token], ["inspect", "hello"],
            ["run", "--world", "ns-el2", "secure_call", "--secure", "secure", "--dtb", "auto"], ["run", "--help"],
        ]  # fmt: skip
        kept = os.dup(1), os.dup(2)
        for command in commands:
            with open(token if "attest" in command[:2] and "run" in command else os.devnull, "wb") as out:
                os.dup2(out.fileno(), 1)
                os.dup2(out.fileno(), 2)
            try:
                main(command)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                for number, one in enumerate(kept, 1):
                    os.dup2(one, number)
        for one in kept:
            os.close(one)
    gc.unfreeze()
    gc.collect()


def _enter(case: Case, folder: Path) -> None:
    """Become the process of a case: its folder, streams, environment and limits."""
    os.chdir(folder / FOLDER)
    for number, name, flags in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_RDWR), (2, "stderr", os.O_RDWR)):
        file = os.open(folder / name, flags | os.O_CREAT, 0o600)
        os.dup2(file, number)
        os.close(file)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (2 * CPU_SECONDS, 2 * CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_WRITTEN, _MOST_WRITTEN))
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))


def _environment(case: Case, folder: Path) -> dict[str, str]:
    own = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "COLUMNS": "100"}
    found = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "_REALMLAB"))} | own
    for name, value in case.environment.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = value.replace("{folder}", str(folder / FOLDER))
    return found


def _command(case: Case) -> int:
    """The command in this process, as the script ``realmlab`` has it."""
    from cca_tools import start

    sys.argv = ["realmlab", *map(os.fsdecode, case.argv)]
    try:
        return start.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        return 1


def _become(case: Case, folder: Path) -> None:
    """The life of the forked process."""
    status = 99
    faulthandler.disable()  # what a test run has set up
    try:
        _enter(case, folder)
        environment = _environment(case, folder)
        if case.spawn:
            code = "import sys; from cca_tools.start import main; sys.exit(main())"
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, map(os.path.abspath, sys.path)))
            os.execve(sys.executable, [sys.executable, "-c", code, *case.argv], environment)
        os.environ.clear()
        os.environ.update(environment)
        tempfile.tempdir = None
        sys.stdin, sys.stdout = os.fdopen(0, encoding="utf-8"), os.fdopen(1, "w", encoding="utf-8")
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace")
        status = _command(case)
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status & 0xFF)


def _contents(folder: Path) -> dict[str, Any]:
    """What each file of a case is: its contents, or what there is of a large one."""
    found: dict[str, Any] = {}
    for name in places(folder):
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        if os.path.islink(path):
            found[name] = os.readlink(path)
        elif os.path.isfile(path):
            with open(path, "rb") as file:
                found[name] = (os.path.getsize(path), file.read(_KEPT))
        else:
            found[name] = None
    return found


def _start(case: Case, base: Path) -> _Running:
    folder = Path(tempfile.mkdtemp(dir=base))
    for name in (FOLDER, "home", "tmp"):
        (folder / name).mkdir()
    write(folder / FOLDER, case.files)
    (folder / "stdin").write_bytes(case.stdin)
    before = _contents(folder)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        _become(case, folder)
    return _Running(case, folder, pid, os.pidfd_open(pid), time.monotonic(), before)


def _resident(pid: int) -> int:
    """Resident memory of a process now, in MB."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize() >> 20
    except (OSError, IndexError):
        return 0


def _finish(running: _Running, killed: str) -> Ended:
    _, status, usage = os.wait4(running.pid, 0)
    os.close(running.file)
    outputs = []
    for name in ("stdout", "stderr"):
        with open(running.folder / name, "rb") as file:
            outputs.append(file.read(_KEPT))
        (running.folder / name).unlink()
    after = _contents(running.folder)
    shutil.rmtree(running.folder, ignore_errors=True)
    return Ended(
        os.waitstatus_to_exitcode(status), *outputs, usage.ru_utime + usage.ru_stime, usage.ru_maxrss >> 10,
        frozenset(name.removeprefix(f"{FOLDER}/") for name in after.keys() - running.before.keys()),
        frozenset(
            name.removeprefix(f"{FOLDER}/") for name, was in running.before.items() if after.get(name, "none") != was
        ),
        killed,
    )  # fmt: skip


def _watch(running: _Running) -> str:
    """End a process that takes too much; returns why."""
    why = ""
    if time.monotonic() - running.since > _WALL_SECONDS:
        why = f"it did not end within {_WALL_SECONDS} s"
    elif (now := _resident(running.pid)) > _KILL_MEGABYTES:
        why = f"it took {now} MB"
    if why:
        os.kill(running.pid, signal.SIGKILL)
    return why


def run(cases: Iterable[Case], width: int = 1) -> Iterator[tuple[Case, Ended]]:
    """Run cases, ``width`` at a time; yields each as it ends. ``ready`` comes first."""
    waiting = iter(cases)
    active: list[_Running] = []
    with tempfile.TemporaryDirectory(prefix="hostile-") as base:
        try:
            while True:
                while len(active) < width and (case := next(waiting, None)) is not None:
                    active.append(_start(case, Path(base)))
                if not active:
                    return
                done, _, _ = select.select([one.file for one in active], [], [], _LOOK_SECONDS)
                for one in list(active):
                    killed = "" if one.file in done else _watch(one)
                    if one.file in done or killed:
                        active.remove(one)
                        yield one.case, _finish(one, killed)
        finally:
            for one in active:
                os.kill(one.pid, signal.SIGKILL)
                _finish(one, "")


def play(case: Case) -> Ended:
    """Run one case."""
    return next(run([case]))[1]
