"""The bundled payloads by name."""

import difflib
import os
from pathlib import Path

from cca_platform.errors import MachineError

__all__ = ["find_payload", "payload_names"]

_HERE = Path(__file__).resolve().parent
_FOLDERS = (_HERE / "elf", _HERE.parents[1] / "realm_payloads" / "bin")


def _folder() -> Path:
    """Where the committed ELF files are: next to this module if installed, else in the source tree."""
    return next((folder for folder in _FOLDERS if folder.is_dir()), _FOLDERS[0])


def payload_names() -> list[str]:
    """The names of the bundled payloads, such as ``hello``."""
    return sorted(path.stem for path in _folder().glob("*.elf"))


def find_payload(payload: str | os.PathLike[str]) -> Path:
    """Find the file of a payload: a path, or the name of a bundled payload, with or without ``.elf``.

    A file of that name takes precedence. Raises MachineError for an unknown name.
    """
    path = Path(payload)
    if path.is_file() or not isinstance(payload, str):
        return path
    names = payload_names()
    if payload.removesuffix(".elf") in names:
        return _folder() / f"{payload.removesuffix('.elf')}.elf"
    if path.exists() or path.name != payload or path.suffix:
        return path
    near = difflib.get_close_matches(payload, names, 1)
    guess = f"did you mean {near[0]!r}?" if near else f"the names are {', '.join(names)}"
    raise MachineError(f"payload must be a file or the name of a payload, not {payload!r}; {guess}")
