"""Files that are written whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["replace", "special"]


def special(path: str | os.PathLike[str]) -> bool:
    """True for a pipe, a terminal, /dev/null ..."""
    return os.path.exists(path) and not os.path.isfile(path)


def replace(path: Path, data: bytes) -> None:
    """Replace the contents of a file in one step: what was there before stays until then. Raises OSError.

    Its permissions stay, and a link stays a link. What is no file is written to as it is.
    """
    if special(path):
        path.write_bytes(data)
        return
    target = Path(os.path.realpath(path))
    new = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with open(new, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(new, target.stat().st_mode & 0o7777)
        os.replace(new, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(new)
        raise
