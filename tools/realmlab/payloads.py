"""The bundled payloads by name."""

import os
from pathlib import Path

from cca_platform.errors import MachineError
from cca_platform.userfiles import shown

from .bundled import BUNDLED, PLACES, World
from .checks import name_or_path

__all__ = ["find_payload", "payload_names"]

_HERE = Path(__file__).resolve().parent
_FOLDERS = (_HERE / "elf", _HERE.parents[1] / "realm_payloads" / "bin")


def _folder() -> Path:
    """Where the committed ELF files are: next to this module if installed, else in the source tree."""
    return next((folder for folder in _FOLDERS if folder.is_dir()), _FOLDERS[0])


def payload_names() -> list[str]:
    """The names of the bundled payloads, such as ``hello``."""
    return sorted(path.stem for path in _folder().glob("*.elf"))


def find_payload(payload: str | os.PathLike[str], world: World | None = None) -> Path:
    """Find the file of a payload: a path, or the name of a bundled payload, with or without ``.elf``.

    A file of that name takes precedence. Raises MachineError for an unknown name, and for a bundled payload that is not
    for ``world``.
    """
    path = Path(name_or_path("payload", payload))
    if os.path.isfile(path) or not isinstance(payload, str):
        return path
    names = payload_names()
    name = payload.removesuffix(".elf")
    if name in names:
        if world is not None:
            _check_world(name, world)
        return _folder() / f"{name}.elf"
    if os.path.exists(path) or path.name != payload or path.suffix:
        return path
    import difflib  # slow, and rarely needed

    near = difflib.get_close_matches(payload, names, 1)
    guess = f"did you mean {near[0]!r}?" if near else f"the names are {', '.join(names)}"
    raise MachineError(f"payload must be a file or the name of a payload, not {shown(payload)!r}; {guess}")


def _check_world(name: str, world: World) -> None:
    known = BUNDLED.get(name)
    if known is not None and known.world != world:
        raise MachineError(
            f"payload {name!r} must run {PLACES[known.world]}, not {PLACES[world]}: {known.command(name)}"
        )
