"""The one door for files that a user names: payloads, images, boards, policies, keys, tokens, traces, device modules.

Nothing is read before it is checked. The size comes first, then at most the limit of the file's kind plus one byte, so
that no file takes more memory than its kind may. Pipes and devices, which have no size, are read up to that limit; what
is read line by line has a limit for a line. Every failure is one sentence with a way to mend it, raised as MachineError
or the class of it that the caller names.

The door is here because boards and device modules are read here, and host and tools, which are above, read the rest.
``cca_arch`` reads no files; which parts of an ELF file a loader needs is for :mod:`cca_arch.stripping` to say.
"""

import errno
import os
import select
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import BytesIO
from stat import S_ISBLK, S_ISDIR, S_ISREG
from time import monotonic
from typing import Final, NoReturn

from msgspec import Struct
from msgspec.structs import replace

from cca_arch.elf import MAGIC, ElfError
from cca_arch.extensions import PLATFORM_KEY_SIZE
from cca_arch.stripping import TooLarge, stripped
from cca_platform.errors import MachineError

__all__ = ["KINDS", "STDIN", "Kind", "amount", "lines", "open_disk", "read", "read_program", "read_text", "shown"]

STDIN: Final = "-"
"""The name of stdin, where a kind has it."""
_KIB, _MIB = 1 << 10, 1 << 20
_SMALL: Final = 8 * _MIB
"""An ELF file of this size is read whole, whatever is in it."""
_PART: Final = _MIB
_PATIENCE: Final = 30.0
"""How long a pipe may give nothing, in seconds."""
_LONG: Final = 160
"""As much of a name as a message shows."""


class Kind(Struct, frozen=True):
    """A kind of file: its name in messages, its limit in bytes and why, and what to do about a file beyond it."""

    name: str
    limit: int
    why: str
    mend: str
    stdin: bool = False


KINDS: Final[Mapping[str, Kind]] = {
    "payload": Kind(
        "payload", 256 * _MIB, "a Realm is built from a copy in memory", "give an ELF file, an Image or a raw binary"
    ),
    "initrd": Kind(
        "initrd", 512 * _MIB, "a Realm is built from a copy in memory", "give an archive (cpio), compressed or not"
    ),
    "image": Kind(
        "image", 256 * _MIB, "images are in memory while they boot", "load it in parts, each as FILE@ADDRESS"
    ),
    "dtb": Kind(
        "`dtb`", 2 * _MIB, "Linux's boot protocol takes no larger one", "give a flattened device tree (.dtb), or auto"
    ),
    "nonvolatile": Kind("`nonvolatile` file", 0, "it has the size of its range", "give the file of this range"),
    "console_input": Kind(
        "`console_input`", 16 * _MIB, "it is part of the machine's state", "give less of it", stdin=True
    ),
    "kernel_module": Kind(
        "kernel module", 64 * _MIB, "the guest has it in memory", "give a module that Linux's build made"
    ),
    "board": Kind("board file", _MIB, "people write it", "give a board's TOML file"),
    "device_module": Kind("device module", _MIB, "people write it", "give a Python file"),
    "project": Kind("project file", 64 * _KIB, "people write it", "give one that `realmlab new` writes"),
    "platform_key": Kind("`platform_key`", PLATFORM_KEY_SIZE, "it is one key", "give a file of 32 bytes"),
    "policy": Kind("policy", _MIB, "people write it", "give a policy in TOML or JSON"),
    "cpak": Kind("CPAK", 64 * _KIB, "it is one public key", "give a public key in PEM"),
    "token": Kind("token", _MIB, "tokens have a few KiB", "give one token", stdin=True),
    "figures": Kind("file of figures", _MIB, "a benchmark has a few hundred", "give a file of `realmlab bench --save`"),
    "page": Kind("page", _MIB, "people write it", "give a page in Markdown, or a new file"),
    "trace": Kind(
        "trace file", _MIB, "of a line; the file may have any size", "give a file that `trace` of a run wrote",
        stdin=True,
    ),
}  # fmt: skip
"""Every kind of file."""

_DISK: Final = Kind("disk", 0, "it is read in parts", "give a raw disk image")

_NOT_TO_WRITE: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ETXTBSY)
_WORDS: Final[Mapping[int, str]] = {
    errno.ENOENT: "does not exist: check the path",
    errno.ENOTDIR: "does not exist, because a part of its path is a file: check the path",
    errno.EISDIR: "is a directory: give a file",
    errno.EACCES: "may not be read: check its permissions",
    errno.EPERM: "may not be read: check its permissions",
    errno.ENAMETOOLONG: "has too long a name for a file: check the path",
    errno.ELOOP: "is a link that leads in a circle: check the path",
    errno.ENXIO: "is a socket, or a device that is not there: give a file",
    errno.ESTALE: "has vanished: give it again",
    errno.EMFILE: "cannot be opened, because too many files are open: raise `ulimit -n`",
}


def shown(path: str | os.PathLike[str]) -> str:
    """The name of a file for a message: not longer than a line."""
    name = os.fspath(path)
    return name if len(name) <= _LONG else name[:_LONG] + "..."


def read(
    path: str | os.PathLike[str], kind: Kind, *, limit: int | None = None, error: type[MachineError] = MachineError
) -> bytes:
    """The contents of a file, which has at most ``limit`` bytes instead of those of its kind.

    Raises ``error``.
    """
    kind = kind if limit is None else replace(kind, limit=limit)
    if kind.stdin and os.fspath(path) == STDIN:
        data = sys.stdin.buffer.read(kind.limit + 1)
        if len(data) > kind.limit:
            raise error(f"{_subject(path, kind)} {_too_large(kind, None)}")
        return data
    with _opened(path, kind, error) as file:
        return file.whole()


def read_text(path: str | os.PathLike[str], kind: Kind, *, error: type[MachineError] = MachineError) -> str:
    """The contents of a text file, in UTF-8; raises ``error``."""
    data = read(path, kind, error=error)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as wrong:
        line = data.count(b"\n", 0, wrong.start) + 1
        what = f"must be UTF-8 text, not have the byte {data[wrong.start]:#04x} in line {line}"
        raise error(f"{_subject(path, kind)} {what}: {kind.mend}") from None


def read_program(path: str | os.PathLike[str], kind: Kind, *, error: type[MachineError] = MachineError) -> bytes:
    """The contents of a program: of a large ELF file only what a loader needs, and its symbols.

    The limit of the kind is for those parts: a kernel may have any amount of debug information. Raises ``error``.
    """
    with _opened(path, kind, error) as file:
        return file.program()


def lines(path: str | os.PathLike[str], kind: Kind, *, error: type[MachineError] = MachineError) -> Iterator[bytes]:
    """The lines of a file of any size, or of a pipe, as they come; none is longer than the kind's limit.

    Raises ``error``.
    """
    with _worded(path, kind, error), ExitStack() as stack:
        if kind.stdin and os.fspath(path) == STDIN:
            file = sys.stdin.buffer
        else:
            file = stack.enter_context(open(_begun(path, kind, error), "rb"))
        number = 0
        while line := file.readline(kind.limit + 1):
            number += 1
            if len(line) > kind.limit:
                what = f"has more than {amount(kind.limit)} in line {number}"
                raise error(f"{_subject(path, kind)} {what}: {kind.mend}")
            yield line


def open_disk(
    path: str | os.PathLike[str], *, writable: bool, create: bool = False, error: type[MachineError] = MachineError
) -> tuple[int, bool]:
    """Open a disk image, or a block device, of any size, which is read in parts: its descriptor, and whether it is new.

    ``create``: make a file where there is none. Raises ``error``.
    """
    flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    new = False
    with _worded(path, _DISK, error):
        try:
            fd = os.open(path, flags)
        except FileNotFoundError:
            if not create:
                raise
            fd, new = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666), True
        except OSError as wrong:
            if not writable or wrong.errno not in _NOT_TO_WRITE:
                raise
            what = "may not be written: check its permissions, or open it read-only"
            raise error(f"{_subject(path, _DISK)} {what}") from None
        except ValueError:  # a NUL, or half a surrogate pair
            raise error(f"{_subject(path, _DISK)} has a name that no file can have: check the path") from None
        mode = os.fstat(fd).st_mode
        if S_ISREG(mode) or S_ISBLK(mode):
            return fd, new
        os.close(fd)
        if S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise error(f"{_subject(path, _DISK)} must be a file or a block device, not a pipe or another device")


@contextmanager
def _worded(path: str | os.PathLike[str], kind: Kind, error: type[MachineError]) -> Iterator[None]:
    """The failures of the operating system inside the block, in our words."""
    try:
        yield
    except OSError as wrong:
        what = _WORDS.get(wrong.errno or 0, f"cannot be read ({wrong.strerror}): check the path and the disk")
    else:
        return
    raise error(f"{_subject(path, kind)} {what}") from None


@contextmanager
def _opened(path: str | os.PathLike[str], kind: Kind, error: type[MachineError]) -> Iterator["_File"]:
    with _worded(path, kind, error):
        fd = _open(path, kind, error, os.O_NONBLOCK)  # else opening a pipe waits for somebody who writes to it
        try:
            yield _File(fd, path, kind, error)
        finally:
            os.close(fd)


def _open(path: str | os.PathLike[str], kind: Kind, error: type[MachineError], flags: int = 0) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | flags)
    except ValueError:  # a NUL, or half a surrogate pair
        raise error(f"{_subject(path, kind)} has a name that no file can have: check the path") from None


def _begun(path: str | os.PathLike[str], kind: Kind, error: type[MachineError]) -> int:
    """A file that is open, to be read as it grows: once there is something in it, it may take any time."""
    fd = _open(path, kind, error, os.O_NONBLOCK)
    try:
        if not S_ISREG(os.fstat(fd).st_mode):
            _wait(fd, path, kind, error, _PATIENCE)
        os.set_blocking(fd, True)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _wait(fd: int, path: str | os.PathLike[str], kind: Kind, error: type[MachineError], seconds: float) -> None:
    """Wait until there is something to read, so long at the most."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if seconds <= 0 or not poll.poll(seconds * 1000):
        raise error(f"{_subject(path, kind)} gives nothing for {_PATIENCE:g} seconds: write it to a file first")


class _File:
    """A file that is open."""

    def __init__(self, fd: int, path: str | os.PathLike[str], kind: Kind, error: type[MachineError]) -> None:
        self._fd = fd
        self._path = path
        self._kind = kind
        self._error = error
        self._found = os.fstat(fd)
        if S_ISDIR(self._found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        self._plain = S_ISREG(self._found.st_mode)

    def whole(self) -> bytes:
        """The whole contents."""
        if self._plain and self._found.st_size > self._kind.limit:
            self._refuse(_too_large(self._kind, self._found.st_size))
        size = self._found.st_size if self._plain else 0
        # Files of the kernel have no size. One read of a file that has is no second copy.
        data = self._at(0, size + 1) if size else self._stream(self._kind.limit + 1)
        self._check_same(len(data) > size > 0)
        if len(data) > self._kind.limit:
            self._refuse(_too_large(self._kind, None))
        return data

    def program(self) -> bytes:
        """The contents; of a large ELF file those parts that matter."""
        size = self._found.st_size
        if not self._plain or size <= _SMALL or self._at(0, len(MAGIC)) != MAGIC:
            return self.whole()
        try:
            data = stripped(self._at, size, self._kind.limit)
        except TooLarge as wrong:
            self._refuse(_too_large(self._kind, wrong.needed, " to load"))
        except ElfError as wrong:
            self._refuse(str(wrong))
        self._check_same()
        return data

    def _at(self, offset: int, size: int) -> bytes:
        """The bytes at a place of the file; fewer at its end."""
        parts = []
        while size and (part := os.pread(self._fd, size, offset)):
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)

    def _stream(self, size: int) -> bytes:
        """At most ``size`` bytes, from where the file is to its end."""
        found = BytesIO()  # which holds the bytes once
        until = monotonic() + _PATIENCE
        while size:
            try:
                part = os.read(self._fd, min(size, _PART))
            except BlockingIOError:
                part = None
            if part is None or (not part and not found.tell() and self._may_come()):
                _wait(self._fd, self._path, self._kind, self._error, until - monotonic())
                continue
            if not part:
                break
            found.write(part)
            size -= len(part)
            until = monotonic() + _PATIENCE
        return found.getvalue()

    def _may_come(self) -> bool:
        """True for a pipe to which nobody writes yet: it is not at its end."""
        if self._plain:
            return False
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return not poll.poll(0)

    def _check_same(self, longer: bool = False) -> None:
        """Check that nothing has written to the file since it was opened."""
        now, before = os.fstat(self._fd), self._found
        if longer or (self._plain and (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns)):
            self._refuse("changed while it was read: give it again when nothing writes to it")

    def _refuse(self, what: str) -> NoReturn:
        raise self._error(f"{_subject(self._path, self._kind)} {what}")


def _subject(path: str | os.PathLike[str], kind: Kind) -> str:
    """The file in a message."""
    return f"{kind.name} {'from stdin' if kind.stdin and os.fspath(path) == STDIN else shown(path)}"


def _too_large(kind: Kind, size: int | None, what: str = "") -> str:
    """What is said of a file of ``size`` bytes, if it is known."""
    has = f"goes on after {amount(kind.limit)}" if size is None else f"has {size:,} bytes{what}"
    more = "the limit" if size is None else f"more than {amount(kind.limit)}"
    return f"{has}, {more} ({kind.why}): {kind.mend}"


def amount(count: int) -> str:
    """A number of bytes in words."""
    for unit, name in ((_MIB, "MiB"), (_KIB, "KiB")):
        if count and count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count:,} bytes"
