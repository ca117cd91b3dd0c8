"""Files of compiled code: written whole, checked before anything in them is believed.

An entry is its SHA-256 digest and its bytes. What is missing or damaged is ``None`` to the reader, who compiles again.
Only a folder that belongs to the user and that nobody else may write is used, because what is loaded is run. No
trouble with files ends a run: there is one warning, and the code is compiled at each start.
"""

import fcntl
import hashlib
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from cca_platform.errors import CacheWarning

__all__ = ["Store", "places"]

_DIGEST: Final = hashlib.sha256().digest_size
_ADVICE: Final = "give NUMBA_CACHE_DIR a folder of your own with some free space"


def places(package: Path) -> Iterator[Path]:
    """Where entries may be kept, best first: beside ``package``, with the user's caches, with temporary files."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        yield Path(given)
        return
    if os.access(package, os.W_OK):
        yield package / "__pycache__"
    caches = os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):  # a user without a name and without HOME
        yield (Path(caches) if caches else Path.home() / ".cache") / "realmlab"
    import tempfile  # slow, and rarely needed

    with suppress(FileNotFoundError):  # there is none that takes files
        temporary = Path(tempfile.gettempdir()) / f"realmlab-{os.geteuid()}"
        if _own(temporary):
            yield temporary


def _own(folder: Path) -> bool:
    """Make ``folder`` unless it is there; whether it is this user's alone and takes new files."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
    return private and os.access(folder, os.R_OK | os.W_OK | os.X_OK)


class Store:
    """Entries by name, in the first of ``folders`` that is the user's own."""

    def __init__(self, folders: Iterator[Path]) -> None:
        self.folder = next(filter(_own, folders), None)
        """The folder in use, or None: nothing is kept."""
        self._warned = False
        if self.folder is None:
            self._warn("there is no folder to keep compiled code in")

    def load(self, name: str) -> bytes | None:
        """The bytes of an entry, or None if it is missing or damaged."""
        if self.folder is None:
            return None
        path = self.folder / name
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn(f"{path} cannot be read ({error.strerror})")
            return None
        data = content[_DIGEST:]
        if hashlib.sha256(data).digest() != content[:_DIGEST]:
            self._warn(f"{path} is damaged and is made again", "")
            return None
        return data

    def save(self, name: str, data: bytes) -> None:
        """Keep ``data`` under ``name``, whole or not at all; readers see the old entry until then."""
        if self.folder is None:
            return
        part = self.folder / f"{name}.{os.getpid()}"
        try:
            part.write_bytes(hashlib.sha256(data).digest() + data)
            part.replace(self.folder / name)
        except OSError as error:
            self._warn(f"{self.folder} takes no more compiled code ({error.strerror})")
        finally:
            with suppress(OSError):
                part.unlink()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While this lasts, no other process that asks for the same is in here; without a lock, others may be."""
        if self.folder is None:
            yield
            return
        with ExitStack() as stack:
            try:
                file = stack.enter_context(open(self.folder / "lock", "wb"))
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                self._warn(f"{self.folder} cannot be locked ({error.strerror})")
            yield

    def _warn(self, what: str, advice: str = _ADVICE) -> None:
        """Warn once: what else fails has the same cause."""
        if not self._warned:
            self._warned = True
            warnings.warn(f"{what}{': ' if advice else ''}{advice}", CacheWarning, stacklevel=2)
