"""A FUSE server for a shared folder: a request in bytes, its answer in bytes."""

import stat
import struct
from collections.abc import Callable
from typing import Any, Final

from cca_arch.errno import Errno
from cca_arch.fields import Struct
from cca_arch.fuse import (
    FATTR,
    FUSE_MAJOR,
    FUSE_MINOR,
    FUSE_ROOT,
    FuseAttrOut,
    FuseBatchForgetIn,
    FuseCreateIn,
    FuseDirent,
    FuseEntryOut,
    FuseFallocateIn,
    FuseForgetOne,
    FuseFsyncIn,
    FuseGetattrIn,
    FuseInHeader,
    FuseInit,
    FuseInitIn,
    FuseInitOut,
    FuseKstatfs,
    FuseMkdirIn,
    FuseMknodIn,
    FuseOpcode,
    FuseOpenOut,
    FuseOutHeader,
    FuseReadIn,
    FuseReleaseIn,
    FuseRename2In,
    FuseSetattrIn,
    FuseWriteIn,
)
from cca_host.kvmtool.share.folder import Attributes
from cca_host.kvmtool.share.share import Found, FsError, Share

__all__ = ["MOST", "Fuse", "Told"]

MOST: Final = 128 << 10
"""Bytes of data in one request or answer."""
_FLAGS: Final = (
    FuseInit.ASYNC_READ | FuseInit.ATOMIC_O_TRUNC | FuseInit.BIG_WRITES | FuseInit.DO_READDIRPLUS
    | FuseInit.READDIRPLUS_AUTO | FuseInit.PARALLEL_DIROPS
)  # fmt: skip
_SECOND: Final = 1_000_000_000
_VALID: Final = 1  # seconds for which a guest believes what it was told
_BACKGROUND: Final = 16  # requests that a guest has on their way without waiting
_NO_REPLACE: Final = 1  # flags of RENAME2, FSYNC and GETATTR
_DATA_ONLY: Final = 1
_BY_FILE: Final = 1
_IN, _OUT = FuseInHeader.size, FuseOutHeader.size
_HEAD = FuseInHeader.codec()
_REPLY = struct.Struct("<IiQ")
_ENTRY = FuseEntryOut.codec()
_ATTRIBUTES = FuseAttrOut.codec()
_DIRENT = FuseDirent.codec()
_U64: Final = struct.Struct("<Q")

Told = Callable[[str, str, str, int], None]
"""Hears of requests: operation, path, status, bytes of data."""


class Fuse:
    """The server of a ``share``. Whatever a guest sends is answered, with an error if need be."""

    def __init__(self, share: Share, told: Told | None = None) -> None:
        self._share = share
        self._told = told
        self._named: bytes | None = None  # the name in the present request

    def answer(self, request: bytes, room: int) -> bytes:
        """The answer to a request, of at most ``room`` bytes; empty if it gets none."""
        if len(request) < _IN:
            return b""
        size, opcode, unique, node, *_ = _HEAD.unpack_from(request)
        method = _METHODS.get(opcode)
        body, error, self._named = b"", Errno.ENOSYS if method is None else None, None
        if not _IN <= size <= len(request):
            error = Errno.EINVAL
        elif method is not None:
            try:
                body = method(self, node, request[_IN:size])
            except FsError as failed:
                error = failed.error
            except (struct.error, ValueError):
                error = Errno.EINVAL
        if error is None and _OUT + len(body) > room:
            body, error = b"", Errno.EIO
        if self._told is not None:
            name = _TITLES.get(opcode, str(opcode))
            count = max(len(body), size - _IN) if opcode in _WITH_DATA else 0
            path = self._share.text(node, self._named)
            self._told(name, path, "ok" if error is None else error.name, count)
        if opcode in _SILENT or room < _OUT:
            return b""
        if error is not None:
            body = b""
        return _REPLY.pack(_OUT + len(body), -(error or 0), unique) + body

    def _two(self, body: bytes) -> tuple[bytes, bytes]:
        """Two names in the rest of a request, each with a zero behind it."""
        first, *others = body.split(b"\0", 2)
        if len(others) < 2:
            raise FsError(Errno.EINVAL)
        self._named = first
        return first, others[0]

    def _name(self, body: bytes) -> bytes:
        """The name in the rest of a request, with a zero behind it."""
        name, zero, _ = body.partition(b"\0")
        if not zero:
            raise FsError(Errno.EINVAL)
        self._named = name
        return name

    # -- the mount ---------------------------------------------------------------------------------------------------
    def _init(self, node: int, body: bytes) -> bytes:
        asked = _take(FuseInitIn, body)
        if asked.major < FUSE_MAJOR:
            raise FsError(Errno.EPROTO)
        self._share.reset()
        if asked.major > FUSE_MAJOR:  # the guest asks again
            return FuseInitOut.pack(major=FUSE_MAJOR, minor=FUSE_MINOR)
        return FuseInitOut.pack(
            major=FUSE_MAJOR,
            minor=min(asked.minor, FUSE_MINOR),
            max_readahead=min(asked.max_readahead, MOST),
            flags=asked.flags & _FLAGS,
            max_background=_BACKGROUND,
            congestion_threshold=_BACKGROUND * 3 // 4,
            max_write=MOST,
            time_gran=1,
        )

    def _destroy(self, node: int, body: bytes) -> bytes:
        self._share.reset()
        return b""

    def _statfs(self, node: int, body: bytes) -> bytes:
        found = self._share.space()
        return FuseKstatfs.pack(
            blocks=found.blocks,
            bfree=found.free,
            bavail=found.available,
            files=found.files,
            ffree=found.free_files,
            bsize=found.block_size,
            frsize=found.block_size,
            namelen=found.name_max,
        )

    def _nothing(self, node: int, body: bytes) -> bytes:
        return b""

    # -- nodes -------------------------------------------------------------------------------------------------------
    def _lookup(self, node: int, body: bytes) -> bytes:
        return _entry(self._share.lookup(node, self._name(body)))

    def _forget(self, node: int, body: bytes) -> bytes:
        (count,) = _U64.unpack_from(body)
        self._share.forget(node, count)
        return b""

    def _batch_forget(self, node: int, body: bytes) -> bytes:
        count = _take(FuseBatchForgetIn, body).count
        for at in range(min(count, (len(body) - FuseBatchForgetIn.size) // FuseForgetOne.size)):
            one = _take(FuseForgetOne, body[FuseBatchForgetIn.size + at * FuseForgetOne.size :])
            self._share.forget(one.nodeid, one.nlookup)
        return b""

    def _getattr(self, node: int, body: bytes) -> bytes:
        asked = _take(FuseGetattrIn, body)
        return _valid(self._share.attributes(node, asked.fh if asked.getattr_flags & _BY_FILE else None))

    def _setattr(self, node: int, body: bytes) -> bytes:
        asked = _take(FuseSetattrIn, body)
        valid = FATTR(asked.valid & _KNOWN)

        def when(given: FATTR, now: FATTR, seconds: int, rest: int) -> int | None:
            if valid & now:
                return -1
            return (seconds * _SECOND + rest) & (1 << 63) - 1 if valid & given else None

        times = (
            when(FATTR.ATIME, FATTR.ATIME_NOW, asked.atime, asked.atimensec),
            when(FATTR.MTIME, FATTR.MTIME_NOW, asked.mtime, asked.mtimensec),
        )
        return _valid(
            self._share.set(
                node,
                asked.fh if valid & FATTR.FH else None,
                mode=stat.S_IMODE(asked.mode) if valid & FATTR.MODE else None,
                uid=asked.uid if valid & FATTR.UID else None,
                gid=asked.gid if valid & FATTR.GID else None,
                size=asked.size & (1 << 63) - 1 if valid & FATTR.SIZE else None,
                times=None if times == (None, None) else times,
            )
        )

    def _readlink(self, node: int, body: bytes) -> bytes:
        return self._share.read_link(node)

    def _symlink(self, node: int, body: bytes) -> bytes:
        name, target = self._two(body)
        return _entry(self._share.make_symlink(node, name, target))

    def _mknod(self, node: int, body: bytes) -> bytes:
        asked = _take(FuseMknodIn, body)
        return _entry(self._share.make_file(node, self._name(body[FuseMknodIn.size :]), asked.mode))

    def _mkdir(self, node: int, body: bytes) -> bytes:
        asked = _take(FuseMkdirIn, body)
        return _entry(self._share.make_directory(node, self._name(body[FuseMkdirIn.size :]), asked.mode))

    def _unlink(self, node: int, body: bytes) -> bytes:
        self._share.unlink(node, self._name(body))
        return b""

    def _rmdir(self, node: int, body: bytes) -> bytes:
        self._share.remove_directory(node, self._name(body))
        return b""

    def _rename(self, node: int, body: bytes) -> bytes:
        (other,) = _U64.unpack_from(body)
        name, new = self._two(body[_U64.size :])
        self._share.rename(node, name, other, new)
        return b""

    def _rename2(self, node: int, body: bytes) -> bytes:
        asked = _take(FuseRename2In, body)
        name, new = self._two(body[FuseRename2In.size :])
        if asked.flags & ~_NO_REPLACE:
            raise FsError(Errno.EINVAL)
        self._share.rename(node, name, asked.newdir, new, replace=not asked.flags & _NO_REPLACE)
        return b""

    def _link(self, node: int, body: bytes) -> bytes:
        (old,) = _U64.unpack_from(body)
        return _entry(self._share.link(old, node, self._name(body[_U64.size :])))

    # -- files -------------------------------------------------------------------------------------------------------
    def _open(self, node: int, body: bytes) -> bytes:
        (flags,) = struct.unpack_from("<I", body)
        return FuseOpenOut.pack(fh=self._share.open(node, flags))

    def _create(self, node: int, body: bytes) -> bytes:
        asked = _take(FuseCreateIn, body)
        found, file = self._share.create(node, self._name(body[FuseCreateIn.size :]), asked.flags, asked.mode)
        return _entry(found) + FuseOpenOut.pack(fh=file)

    def _read(self, node: int, body: bytes) -> bytes:
        asked = _take(FuseReadIn, body)
        return self._share.read(asked.fh, asked.offset & (1 << 63) - 1, min(asked.size, MOST))

    def _write(self, node: int, body: bytes) -> bytes:
        asked = _take(FuseWriteIn, body)
        data = body[FuseWriteIn.size : FuseWriteIn.size + asked.size]
        if len(data) < asked.size:
            raise FsError(Errno.EINVAL)
        return struct.pack("<II", self._share.write(asked.fh, asked.offset & (1 << 63) - 1, data), 0)

    def _release(self, node: int, body: bytes) -> bytes:
        self._share.release(_take(FuseReleaseIn, body).fh)
        return b""

    def _fsync(self, node: int, body: bytes) -> bytes:
        asked = _take(FuseFsyncIn, body)
        self._share.sync(asked.fh, bool(asked.fsync_flags & _DATA_ONLY))
        return b""

    def _fallocate(self, node: int, body: bytes) -> bytes:
        asked = _take(FuseFallocateIn, body)
        if asked.mode:
            raise FsError(Errno.EOPNOTSUPP)
        if (asked.offset | asked.length) >> 63:
            raise FsError(Errno.EFBIG)
        self._share.allocate(asked.fh, asked.offset, asked.length)
        return b""

    # -- directories -------------------------------------------------------------------------------------------------
    def _opendir(self, node: int, body: bytes) -> bytes:
        return FuseOpenOut.pack(fh=self._share.open_directory(node))

    def _readdir(self, node: int, body: bytes, plus: bool = False) -> bytes:
        """The entries from an offset on, as many as fit; offset n is behind n of them, the directory and its parent."""
        asked = _take(FuseReadIn, body)
        share, found = self._share, bytearray()
        entries, directory = share.entries(asked.fh), share.node_of(asked.fh)
        limit = min(asked.size, MOST)
        for at in range(min(asked.offset, len(entries) + 2), len(entries) + 2):
            if at < 2:
                name, ino, mode, known = (b".", b"..")[at], FUSE_ROOT, stat.S_IFDIR, bytes(_ENTRY.size)
            else:
                (name, ino, mode), known = entries[at - 2], bytes(_ENTRY.size)
            size = _DIRENT.size + len(name) + 7 & -8
            if len(found) + size + plus * _ENTRY.size > limit:
                break
            if plus and at >= 2:
                try:
                    known = _entry(share.lookup(directory, name))
                except FsError:  # it has gone since
                    continue
            if plus:
                found += known
            found += (_DIRENT.pack(ino, at + 1, len(name), mode >> 12) + name).ljust(size, b"\0")
        return bytes(found)

    def _readdirplus(self, node: int, body: bytes) -> bytes:
        return self._readdir(node, body, plus=True)


_O: Final = FuseOpcode
_METHODS: Final[dict[int, Callable[..., bytes]]] = {
    _O.LOOKUP: Fuse._lookup,
    _O.FORGET: Fuse._forget,
    _O.GETATTR: Fuse._getattr,
    _O.SETATTR: Fuse._setattr,
    _O.READLINK: Fuse._readlink,
    _O.SYMLINK: Fuse._symlink,
    _O.MKNOD: Fuse._mknod,
    _O.MKDIR: Fuse._mkdir,
    _O.UNLINK: Fuse._unlink,
    _O.RMDIR: Fuse._rmdir,
    _O.RENAME: Fuse._rename,
    _O.LINK: Fuse._link,
    _O.OPEN: Fuse._open,
    _O.READ: Fuse._read,
    _O.WRITE: Fuse._write,
    _O.STATFS: Fuse._statfs,
    _O.RELEASE: Fuse._release,
    _O.FSYNC: Fuse._fsync,
    _O.FLUSH: Fuse._nothing,
    _O.INIT: Fuse._init,
    _O.OPENDIR: Fuse._opendir,
    _O.READDIR: Fuse._readdir,
    _O.RELEASEDIR: Fuse._release,
    _O.FSYNCDIR: Fuse._nothing,
    _O.CREATE: Fuse._create,
    _O.INTERRUPT: Fuse._nothing,
    _O.DESTROY: Fuse._destroy,
    _O.BATCH_FORGET: Fuse._batch_forget,
    _O.FALLOCATE: Fuse._fallocate,
    _O.READDIRPLUS: Fuse._readdirplus,
    _O.RENAME2: Fuse._rename2,
    _O.SYNCFS: Fuse._nothing,
}
"""What is answered; anything else is ENOSYS, which Linux remembers."""
_TITLES: Final = {int(one): one.name for one in FuseOpcode}
_SILENT: Final = (_O.FORGET, _O.BATCH_FORGET, _O.INTERRUPT)
_WITH_DATA: Final = (_O.READ, _O.WRITE)
_KNOWN: Final = int(~FATTR(0))


def _take(kind: Struct, body: bytes) -> Any:
    """A structure at the start of a request's body."""
    return kind.unpack(body)


def _times(found: Attributes) -> tuple[int, ...]:
    """Seconds and nanoseconds of a file's times."""
    times = (found.accessed, found.modified, found.changed)
    return (*(one // _SECOND & (1 << 64) - 1 for one in times), *(one % _SECOND for one in times))


def _fields(found: Attributes) -> tuple[int, ...]:
    return (
        found.ino, found.size, found.blocks, *_times(found), found.mode, found.links, found.uid, found.gid, 0,
        found.block_size, 0,
    )  # fmt: skip


def _valid(found: Attributes) -> bytes:
    return _ATTRIBUTES.pack(_VALID, 0, 0, *_fields(found))


def _entry(found: Found) -> bytes:
    return _ENTRY.pack(found.node, 0, _VALID, _VALID, 0, 0, *_fields(found.attributes))
