"""A folder of the host, from which no path leads out: what a guest asks for is done by names, one after another.

A path is a tuple of names from the folder on. Each name is looked up in the directory before it, and a symbolic link is
never followed: it is the guest's to follow. All methods raise OSError as the host has it; results are plain data.
"""

import os
import resource
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EEXIST, EINVAL, EMFILE, ENAMETOOLONG, ENOENT, ENOTSUP, ENXIO, EPERM, EROFS
from pathlib import Path
from typing import Final, NamedTuple

from cca_arch.openflags import OpenFlag
from cca_platform.errors import MachineError
from cca_platform.userfiles import shown

__all__ = ["MAX_NAME", "Attributes", "Entry", "Folder", "Names", "open_folder"]

Names = tuple[bytes, ...]
Times = tuple[int | None, int | None]
"""When a file was accessed and modified, in nanoseconds; None: as it is, -1: now."""

MAX_NAME: Final = 255
"""Bytes of a name."""
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_ACCESS: Final = {OpenFlag.RDONLY: os.O_RDONLY, OpenFlag.WRONLY: os.O_WRONLY}
_MODE: Final = 0o1777
"""The bits of a mode that a guest may set: a program of the host's user must not get that user's rights for others."""
_KEPT: Final = 128
"""Descriptors that a guest leaves to this process, of those that the host lets it have."""
_OWN: Final = 0
"""How files of the user that runs this, and of its group, look: a guest works as root."""


class Attributes(NamedTuple):
    """What a file is; times in nanoseconds."""

    ino: int
    size: int
    blocks: int
    accessed: int
    modified: int
    changed: int
    mode: int
    links: int
    uid: int
    gid: int
    block_size: int


class Entry(NamedTuple):
    """A name in a directory."""

    name: bytes
    ino: int
    mode: int


class Space(NamedTuple):
    """What there is of a file system, in blocks and files."""

    block_size: int
    blocks: int
    free: int
    available: int
    files: int
    free_files: int
    name_max: int


def open_folder(path: str | Path, read_only: bool = False) -> "Folder":
    """The folder at ``path``; raises MachineError if there is none that can be opened."""
    try:
        return Folder(path, read_only)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise MachineError(f"`shares` must name a folder that can be opened, not {shown(path)}: {why}") from None


class Folder:
    """The folder at ``root``. ``read_only`` refuses every change.

    An open file has a number that its user chooses; its descriptor can be lost (``forget_all``) and is opened again.
    """

    def __init__(self, root: str | Path, read_only: bool = False) -> None:
        self.read_only = read_only
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._files: dict[int, int] = {}

    def close(self) -> None:
        """Close everything."""
        self.forget_all()
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def forget_all(self) -> None:
        """Close all files: an access opens its file again."""
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    # -- the way to a name -------------------------------------------------------------------------------------------
    @contextmanager
    def _parent(self, path: Names) -> Iterator[tuple[int, bytes]]:
        """The directory that a path's last name is in, and that name."""
        with self._directory(path[:-1]) as found:
            yield found, path[-1] if path else b"."

    @contextmanager
    def _directory(self, path: Names) -> Iterator[int]:
        found = os.dup(self._root)
        try:
            for name in path:
                _check(name)
                after = os.open(name, _DIRECTORY, dir_fd=found)
                os.close(found)
                found = after
            yield found
        finally:
            os.close(found)

    @contextmanager
    def _change(self, path: Names) -> Iterator[tuple[int, bytes]]:
        """As ``_parent``, for something that changes the directory."""
        self._writes()
        if not path:
            raise OSError(EPERM, "the folder itself")
        _check(path[-1])
        with self._parent(path) as found:
            yield found

    def _writes(self) -> None:
        if self.read_only:
            raise OSError(EROFS, "read-only")

    # -- looking -----------------------------------------------------------------------------------------------------
    def look(self, path: Names, number: int | None = None) -> Attributes:
        """The attributes of a name, or of an open file if ``number`` is one."""
        if number in self._files:
            return _attributes(os.fstat(self._files[number]))
        with self._parent(path) as (parent, name):
            if path:
                _check(name)
            return _attributes(os.stat(name, dir_fd=parent, follow_symlinks=False))

    def read_link(self, path: Names) -> bytes:
        """The target of a symbolic link."""
        with self._parent(path) as (parent, name):
            return os.fsencode(os.readlink(os.fsdecode(name), dir_fd=parent))

    def list(self, path: Names) -> list[Entry]:
        """The names in a directory, sorted, for the host's order is no one's."""
        with self._directory(path) as found, os.scandir(found) as entries:
            rows = [Entry(os.fsencode(one.name), one.inode(), _kind(one)) for one in entries]
        return sorted(rows)

    def space(self) -> Space:
        """The space of the file system."""
        found = os.fstatvfs(self._root)
        return Space(
            found.f_frsize, found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree, found.f_namemax
        )

    # -- files -------------------------------------------------------------------------------------------------------
    def open(self, path: Names, flags: int, number: int, mode: int | None = None) -> Attributes:
        """Open a file under ``number``, with access, TRUNC and EXCL of ``flags`` (OpenFlag); create it with ``mode``.

        Only a regular file: others are the guest's own, or could block.
        """
        access = _ACCESS.get(flags & OpenFlag.ACCMODE, os.O_RDWR)
        if access != os.O_RDONLY or flags & OpenFlag.TRUNC or mode is not None:
            self._writes()
        with self._parent(path) as (parent, name):
            _check(name)
            if mode is None and not stat.S_ISREG(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise OSError(ENXIO, "no regular file")
            if flags & OpenFlag.TRUNC:
                access |= os.O_TRUNC
            if mode is not None:
                access |= os.O_CREAT | (os.O_EXCL if flags & OpenFlag.EXCL else 0)
            descriptor = os.open(name, access | _FILE, 0o600 if mode is None else mode & _MODE, dir_fd=parent)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise OSError(ENXIO, "no regular file")
        if descriptor >= _descriptors():
            os.close(descriptor)
            raise OSError(EMFILE, "too many open files")
        if mode is not None:  # what the host's umask has taken away
            with suppress(OSError):
                os.fchmod(descriptor, mode & _MODE)
                found = os.fstat(descriptor)
        self.release(number)
        self._files[number] = descriptor
        return _attributes(found)

    def _file(self, path: Names, flags: int, number: int) -> int:
        """The descriptor of an open file; a lost one is opened again."""
        if number not in self._files:
            self.open(path, flags & OpenFlag.ACCMODE, number)
        return self._files[number]

    def read(self, path: Names, flags: int, number: int, offset: int, size: int) -> bytes:
        """Read from an open file."""
        return os.pread(self._file(path, flags, number), size, offset)

    def write(self, path: Names, flags: int, number: int, offset: int, data: bytes) -> int:
        """Write to an open file; returns how many bytes."""
        self._writes()
        return os.pwrite(self._file(path, flags, number), data, offset)

    def sync(self, path: Names, flags: int, number: int, data_only: bool) -> None:
        """Let the host write a file to its disk."""
        descriptor = self._file(path, flags, number)
        if data_only and hasattr(os, "fdatasync"):
            os.fdatasync(descriptor)
        else:
            os.fsync(descriptor)

    def allocate(self, path: Names, flags: int, number: int, offset: int, size: int) -> None:
        """Make sure that there is space."""
        self._writes()
        if not hasattr(os, "posix_fallocate"):
            raise OSError(ENOTSUP, "not on this host")
        os.posix_fallocate(self._file(path, flags, number), offset, size)

    def release(self, number: int) -> None:
        """Close a file."""
        descriptor = self._files.pop(number, None)
        if descriptor is not None:
            os.close(descriptor)

    # -- changing ----------------------------------------------------------------------------------------------------
    def set(
        self,
        path: Names,
        number: int | None,
        mode: int | None,
        owner: tuple[int | None, int | None],
        size: int | None,
        times: Times | None,
    ) -> Attributes:
        """Change what is given of a file's mode, owner, size and times."""
        self._writes()
        if any(one not in (None, _OWN) for one in owner):
            raise OSError(EPERM, "only the user that runs this")
        if number in self._files:
            self._set_open(self._files[number], mode, size, times)
        else:
            self._set_named(path, mode, size, times)
        return self.look(path, number)

    @staticmethod
    def _set_open(descriptor: int, mode: int | None, size: int | None, times: Times | None) -> None:
        if size is not None:
            os.ftruncate(descriptor, size)
        if mode is not None:
            os.chmod(descriptor, mode & _MODE)
        if times is not None:
            os.utime(descriptor, ns=_both(times, os.fstat(descriptor)))

    def _set_named(self, path: Names, mode: int | None, size: int | None, times: Times | None) -> None:
        with self._parent(path) as (parent, name):
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if size is not None:
                if not stat.S_ISREG(found.st_mode):
                    raise OSError(EINVAL, "no regular file")
                opened = os.open(name, os.O_WRONLY | _FILE, dir_fd=parent)
                try:
                    os.ftruncate(opened, size)
                finally:
                    os.close(opened)
                found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if mode is not None:
                if stat.S_ISLNK(found.st_mode):
                    raise OSError(ENOTSUP, "a symbolic link has no mode")
                _set_mode(parent, name, mode)
            if times is not None:
                os.utime(name, ns=_both(times, found), dir_fd=parent, follow_symlinks=False)

    def make_directory(self, path: Names, mode: int) -> Attributes:
        """Make a directory."""
        with self._change(path) as (parent, name):
            os.mkdir(name, mode & _MODE, dir_fd=parent)
            with suppress(OSError):
                _set_mode(parent, name, mode)
        return self.look(path)

    def make_file(self, path: Names, mode: int) -> Attributes:
        """Make a file; nothing else, no device and no pipe."""
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise OSError(EPERM, "only regular files")
        with self._change(path) as (parent, name):
            made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, mode & _MODE, dir_fd=parent)
            try:
                os.fchmod(made, mode & _MODE)
            finally:
                os.close(made)
        return self.look(path)

    def make_symlink(self, path: Names, target: bytes) -> Attributes:
        """Make a symbolic link; what it says is the guest's matter."""
        if b"\0" in target:
            raise OSError(EINVAL, "no target")
        with self._change(path) as (parent, name):
            os.symlink(target, name, dir_fd=parent)
        return self.look(path)

    def link(self, path: Names, other: Names) -> Attributes:
        """Give a file another name."""
        with self._change(other) as (parent, name), self._parent(path) as (source, old):
            os.link(old, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        return self.look(other)

    def unlink(self, path: Names) -> None:
        """Remove a name of a file."""
        with self._change(path) as (parent, name):
            os.unlink(name, dir_fd=parent)

    def remove_directory(self, path: Names) -> None:
        """Remove an empty directory."""
        with self._change(path) as (parent, name):
            os.rmdir(name, dir_fd=parent)

    def rename(self, path: Names, other: Names, replace: bool = True) -> None:
        """Give a file or directory another name, in the place of what has that name."""
        with self._change(path) as (source, old), self._change(other) as (parent, name):
            if not replace:
                with suppress(FileNotFoundError):
                    os.stat(name, dir_fd=parent, follow_symlinks=False)
                    raise FileExistsError(EEXIST, "the name is taken")
            os.rename(old, name, src_dir_fd=source, dst_dir_fd=parent)


def _check(name: bytes) -> None:
    """A name must be one, not a path and not a way up."""
    if not name:
        raise OSError(ENOENT, "no name")
    if name in (b".", b"..") or b"/" in name or b"\0" in name:
        raise OSError(EINVAL, "no name")
    if len(name) > MAX_NAME:
        raise OSError(ENAMETOOLONG, "too long")


def _descriptors() -> int:
    """The number that the descriptor of a guest's file must be below: descriptors are given out from the lowest on."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (1 << 31 if most == resource.RLIM_INFINITY else most) - _KEPT


def _set_mode(parent: int, name: bytes, mode: int) -> None:
    """Change a mode: never that of what a symbolic link names, should one have taken the name just now."""
    if not hasattr(os, "O_PATH"):
        os.chmod(name, mode & _MODE, dir_fd=parent)
        return
    found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{found}", mode & _MODE)
    finally:
        os.close(found)


def _both(times: Times, found: os.stat_result) -> tuple[int, int]:
    """Both times of a file."""
    now = time.time_ns()
    accessed, modified = (now if one == -1 else one for one in times)
    return (
        found.st_atime_ns if accessed is None else accessed,
        found.st_mtime_ns if modified is None else modified,
    )


def _kind(entry: "os.DirEntry[str]") -> int:
    """The kind of a file in a directory, as the bits of its mode."""
    if entry.is_symlink():
        return stat.S_IFLNK
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    if entry.is_file(follow_symlinks=False):
        return stat.S_IFREG
    return stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)


def _attributes(found: os.stat_result) -> Attributes:
    return Attributes(
        ino=found.st_ino,
        size=found.st_size,
        blocks=found.st_blocks,
        accessed=found.st_atime_ns,
        modified=found.st_mtime_ns,
        changed=found.st_ctime_ns,
        mode=found.st_mode,
        links=found.st_nlink,
        uid=_OWN if found.st_uid == os.geteuid() else found.st_uid,
        gid=_OWN if found.st_gid == os.getegid() else found.st_gid,
        block_size=found.st_blksize,
    )
