"""A hostile input: a command line with its files, environment and stdin, and the ends that are documented for it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "ENDS", "FOLDER", "Case", "Content", "Device", "Folder", "Link", "Program", "Sparse", "ends", "line", "places",
    "secure_line", "write",
]  # fmt: skip


class Sparse(NamedTuple):
    """A file of ``size`` bytes that takes no room: ``data``, then zeros."""

    size: int
    data: bytes = b""


class Folder(NamedTuple):
    """A folder where a file is expected."""


class Link(NamedTuple):
    """A symbolic link."""

    target: str


class Program(NamedTuple):
    """A file that may be executed."""

    data: bytes


class Device(NamedTuple):
    """Nothing is made: the name is that of a device of the host."""


Content = bytes | Sparse | Folder | Link | Program | Device
FOLDER = "here"
"""The working folder of a case; ``home`` and ``tmp`` are beside it."""

_RUN = frozenset({0, 1, 2, 3, 4})
_ANY = frozenset(range(256))
ENDS: dict[str, frozenset[int]] = {
    "run": _RUN,
    "attest verify": frozenset({0, 1, 2}),
    "bench": frozenset({0, 1, 2}),
    "help": frozenset({0, 2}),
    "build": frozenset({0, 1, 2}),
}
"""The documented statuses by command; others have 0 and 2."""


class Case(NamedTuple):
    """An input. ``outputs`` are files that it may write; ``ends`` the statuses that are documented for it.

    A name with a slash at its end is a folder of them. ``raw`` is set if stdout has the console of a guest,
    which may send anything. ``spawn`` asks for a process of its
    own, because what is hostile is read while Python or the command starts.
    """

    kind: str
    number: int
    argv: tuple[bytes, ...]
    files: Mapping[str, Content]
    ends: frozenset[int]
    stdin: bytes = b""
    outputs: frozenset[str] = frozenset()
    environment: Mapping[str, str | None] = {}
    raw: bool = False
    spawn: bool = False

    @property
    def name(self) -> str:
        """What selects this input on the command line."""
        return f"{self.kind}:{self.number}"


def line(*words: str | bytes) -> tuple[bytes, ...]:
    """Words of a command line as bytes."""
    return tuple(os.fsencode(word) for word in words)


def secure_line(place: str, start: str, run: str, *more: str) -> tuple[bytes, ...]:
    """The command line that runs a Secure payload under ``secure_call``, with limits for its start and for the run."""
    limits = ("--secure-insns", start, "--max-insns", run)
    return line("run", "--world", "ns-el2", "secure_call", "--secure", place, *limits, *more)


def ends(argv: Sequence[bytes]) -> tuple[frozenset[int], bool]:
    """The documented statuses of a command line, and whether its stdout has the console of a guest."""
    words = [os.fsdecode(word) for word in argv]
    if "--help" in words:
        return ENDS["help"], False
    name = " ".join(words[:2]) if words[:1] in (["attest"], ["trace"]) else "".join(words[:1])
    if name not in ("run", "linux", "lkvm"):
        return ENDS.get(name, frozenset({0, 2})), False
    realm = not any(word in ("ns-el2", "--world=ns-el2") for word in words)  # a Realm's payload has a status of its own
    return _ANY if realm else _RUN, not {"--json", "--console-escape"} & set(words)


def write(folder: Path, files: Mapping[str, Content]) -> None:
    """Make the files of a case."""
    for name, content in files.items():
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        if isinstance(content, Folder):
            os.makedirs(path)
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if isinstance(content, Link):
            os.symlink(content.target, path)
        elif isinstance(content, Sparse):
            with open(path, "wb") as file:
                file.write(content.data)
                file.truncate(content.size)
        elif isinstance(content, bytes | Program):
            with open(path, "wb") as file:
                file.write(content if isinstance(content, bytes) else content.data)
            if isinstance(content, Program):
                os.chmod(path, 0o755)


def places(folder: Path) -> set[str]:
    """Everything below a folder, by its path from there."""
    root = os.fsencode(folder)
    found = set()
    for here, folders, names in os.walk(root):
        found |= {os.fsdecode(os.path.relpath(os.path.join(here, name), root)) for name in (*folders, *names)}
    return found
