"""The payloads that come with Realmlab, by name."""

import difflib
import os
from pathlib import Path

from cca_platform.errors import MachineError

__all__ = ["find_payload", "payload_names"]

_HERE = Path(__file__).resolve().parent
_FOLDERS = (_HERE / "elf", _HERE.parents[1] / "realm_payloads" / "bin")


def _folder() -> Path:
    """Where the committed ELF files are: beside this module when installed, else in the source tree."""
    return next((folder for folder in _FOLDERS if folder.is_dir()), _FOLDERS[0])


def payload_names() -> list[str]:
    """The names that ``find_payload`` knows, such as ``hello``."""
    return sorted(path.stem for path in _folder().glob("*.elf"))


def find_payload(payload: str | os.PathLike[str]) -> Path:
    """The file of a payload: a path, or the name of one that comes with Realmlab, with ``.elf`` or without.

    A file of that name goes first. MachineError for a name that nothing has.
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
