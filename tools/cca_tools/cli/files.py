"""The files of a command: what it writes is never what it reads, and two outputs are never one file."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from stat import S_ISREG
from typing import Any

from cca_platform.errors import MachineError
from cca_platform.userfiles import KINDS, read
from realmlab.files import special
from realmlab.payloads import find_payload

__all__ = ["named", "part", "require", "written"]


def named(values: Iterable[Any]) -> list[str]:
    """The files among values of arguments and options: ``FILE``, ``IMAGE@ADDRESS``, ``NAME=FILE``, bundled payloads."""
    found: list[str] = []
    for value in values:
        if isinstance(value, list | tuple):
            found += named(value)
        elif isinstance(value, str | os.PathLike):
            text = str(value)
            found += filter(_identity, (text, text.rpartition("@")[0], text.partition("=")[2], _bundled(text)))
    return found


def require(programs: Iterable[str], options: Mapping[str, Any], kind: str) -> None:
    """Find the programs and the files of options before an output is begun: a typing error costs no older output.

    Raises MachineError if one is not there, as its reader would.
    """
    for text in programs:
        name = text if os.path.exists(text) else text.rpartition("@")[0] or text
        _require(find_payload(name), kind)
    for option, value in options.items():
        if isinstance(value, str | os.PathLike) and Path(value).suffix:
            _require(value, {"secure": "image"}.get(option, option))


def _require(path: str | os.PathLike[str], kind: str) -> None:
    if kind in KINDS and not os.path.exists(path):
        read(path, KINDS[kind])


def _bundled(name: str) -> str:
    try:
        return str(find_payload(name))
    except MachineError:
        return ""


def part(inputs: Iterable[str], outputs: Mapping[str, Iterable[str]]) -> None:
    """Keep the files apart before any is opened; ``outputs`` are the files of each option.

    Raises MachineError if an output is an input or another output, under whatever name. Devices may be shared.
    """
    taken: dict[object, str] = {_identity(path): f"which is the input {path}" for path in inputs}
    for option, paths in outputs.items():
        for path in paths:
            here = _identity(path) or Path(path).resolve()
            if special(path):
                continue
            if here in taken:
                raise MachineError(f"{option} must not be {path}, {taken[here]}: name another file")
            taken[here] = f"which {option} already writes"


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """What makes a file the same under all its names; None if there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if S_ISREG(found.st_mode) else None


def written(option: str, path: str, data: bytes) -> None:
    """Write an output at once and whole; MachineError, which names its option, if that cannot be."""
    from realmlab.files import replace

    try:
        replace(Path(path), data)
    except OSError as error:
        raise MachineError(f"`{option}` {path} cannot be written ({error.strerror}): write elsewhere") from None
