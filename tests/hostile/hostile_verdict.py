"""The oracle: whether an end is one that the documents promise, whatever the input was."""

import re
import signal
from collections.abc import Iterator
from typing import Final

from hostile_case import Case
from hostile_process import CPU_SECONDS, MEGABYTES, Ended

__all__ = ["complaints"]

_FIRST: Final = "realmlab: "
_LEAKS: Final = re.compile(
    r"Traceback \(most|<class '|<\w[\w.]* object at 0x|\bNoneType\b|\[Errno|object is not |has no attribute|"
    r"\b(?:Assertion|Attribute|Type|Value|Key|Index|Name|OS|IO|EOF|Lookup|Import|ModuleNotFound|Runtime|Recursion|"
    r"Overflow|ZeroDivision|Memory|NotImplemented|Unicode\w*|Permission|IsADirectory|Unpickling|struct\.|LLVM\w*)[eE]rror\b|"
    r"unexpected keyword|positional argument|internal error|core dumped|terminate called"
)
"""What only somebody who knows Python, or its libraries, can make sense of."""
_USERS: Final = re.compile(r"^realmlab: (?:device module|the model of|device \S+ must be made by) .*$", re.MULTILINE)
"""What a user's own Python code did wrong is told in its own words."""
_STYLE: Final = re.compile(r"\x1b\[[0-9;]*m")
"""Colours of ours, where they are asked for."""
_LONGEST: Final = 4000  # characters of a message


def complaints(case: Case, end: Ended) -> list[str]:
    """What is wrong about an end; empty if nothing is. Each begins with the name of its rule."""
    return list(_found(case, end))


def _found(case: Case, end: Ended) -> Iterator[str]:
    encoding = (case.environment.get("PYTHONIOENCODING") or "utf-8").partition(":")[0]
    stdout, stderr = (data.decode(encoding, "surrogateescape") for data in (end.stdout, end.stderr))
    if end.killed:
        yield f"ended: {end.killed}"
    elif end.status < 0:
        yield f"signal: {signal.Signals(-end.status).name}"
    elif end.status not in case.ends:
        yield f"status: {end.status} must be one of {', '.join(map(str, sorted(case.ends)))}"
    if case.environment.get("FORCE_COLOR"):
        stdout, stderr = (_STYLE.sub("", output) for output in (stdout, stderr))
    for name, output in (("stderr", stderr), ("stdout", "" if case.raw else stdout)):
        if leak := _LEAKS.search(_USERS.sub("", output)):
            yield f"python: {leak[0]!r} on {name}"
        if raw := next((one for one in output if not one.isprintable() and one != "\n"), ""):
            yield f"raw: {raw!r} on {name}"
    yield from _message(case, end, stderr, stdout)
    yield from _files(case, end)
    if end.megabytes > MEGABYTES:
        yield f"memory: {end.megabytes} MB must be {MEGABYTES} at most"
    if end.seconds > CPU_SECONDS:
        yield f"time: {end.seconds:.0f} s of a processor must be {CPU_SECONDS} at most"


def _message(case: Case, end: Ended, stderr: str, stdout: str) -> Iterator[str]:
    """A failure has a first line, which says what it is; status 2 has nothing else."""
    ours = [line for line in stderr.splitlines() if line.startswith(_FIRST)]
    if end.status == 2 and not ours and "Usage: " in stdout:  # a group without a command shows its help
        return
    if end.status == 2 and len(ours) != 1 and case.ends != frozenset(range(256)):
        yield f"message: one line on stderr, not {len(ours)}"
    if end.status in (3, 4) and not ours and case.ends != frozenset(range(256)):
        yield "message: a line on stderr"
    if any(len(line) > _LONGEST for line in ours):
        yield f"message: a line of {max(map(len, ours))} characters"
    if end.status == 2 and len(ours) == 1 and ours[0].strip() == _FIRST.strip():
        yield "message: an empty line"


def _files(case: Case, end: Ended) -> Iterator[str]:
    folders = tuple(name for name in case.outputs if name.endswith("/"))

    def others(names: frozenset[str]) -> set[str]:
        return {name for name in names - case.outputs if not f"{name}/".startswith(folders)}

    if left := others(end.made):
        yield f"left: {', '.join(sorted(map(repr, left)))}"
    if altered := others(end.altered):
        yield f"altered: {', '.join(sorted(map(repr, altered)))}"
