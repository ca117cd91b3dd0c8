"""The folder of what has been fetched and made: packages, choices, kernels, initramfs, disks.

A file there is whole or not there: it is written under another name and renamed. One process at a time fetches. The
folder may be removed at any time.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cca_platform.errors import MachineError

__all__ = ["Cache", "default_folder", "digest"]


def default_folder() -> Path:
    """The user's cache: XDG_CACHE_HOME/realmlab, or .cache/realmlab in the home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "realmlab"


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Cache:
    """The folder ``root``, made when it is used; raises MachineError where it cannot be written."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def place(self, kind: str) -> Path:
        """The folder for one kind of files."""
        folder = self.root / kind
        with self.writing():
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A block that writes here: what the operating system says against it is a MachineError."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                what = "free some space, or give another --cache"
            else:
                what = "give another --cache"
            raise MachineError(f"--cache {self.root} must be writable ({error.strerror}): {what}") from None

    @contextmanager
    def locked(self, wait: Callable[[], object]) -> Iterator[None]:
        """A block that one process at a time is in; ``wait`` is called if another one is."""
        with self.writing():
            self.root.mkdir(parents=True, exist_ok=True)
            file = os.open(self.root / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                wait()
                fcntl.flock(file, fcntl.LOCK_EX)
            for left in self.root.glob("work.*"):  # of one that was killed
                shutil.rmtree(left, ignore_errors=True)
            yield
        finally:
            os.close(file)

    @contextmanager
    def workshop(self) -> Iterator[Path]:
        """A folder for a block that has the lock, on the same file system, gone after it."""
        with self.writing():
            self.root.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="work.", dir=self.root))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def keep(self, kind: str, name: str, data: bytes) -> Path:
        """Write a file at once and whole; returns it."""
        path = self.place(kind) / name
        new = path.with_name(f".{path.name}.{os.getpid()}")
        with self.writing():
            try:
                new.write_bytes(data)
                os.replace(new, path)
            except BaseException:
                with suppress(OSError):
                    new.unlink()
                raise
        return path

    def made(self, kind: str, name: str, make: Callable[[], bytes]) -> Path:
        """A file that is made if it is not there; its name says what of."""
        path = self.root / kind / name
        return path if path.is_file() else self.keep(kind, name, make())

    def known(self, kind: str, name: str) -> Any:
        """What ``remember`` wrote, or None."""
        try:
            return json.loads((self.root / kind / f"{name}.json").read_text())
        except (OSError, ValueError):
            return None

    def remember(self, kind: str, name: str, data: Any) -> None:
        """Write plain data for ``known``."""
        self.keep(kind, f"{name}.json", json.dumps(data, indent=1, sort_keys=True).encode())
