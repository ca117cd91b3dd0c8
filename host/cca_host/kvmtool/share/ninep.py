"""A 9P2000.L server for a shared folder: a request in bytes, its answer in bytes."""

import stat
import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from cca_arch.errno import Errno
from cca_arch.ninep import NINEP_VERSION, GetattrMask, NinepType, QidType, SetattrValid
from cca_host.kvmtool.share.folder import Attributes
from cca_host.kvmtool.share.fuse import MOST, Told
from cca_host.kvmtool.share.share import ROOT, Found, FsError, Share, ShareState
from cca_platform.state import State

__all__ = ["LARGEST", "Ninep", "NinepState"]

LARGEST: Final = MOST + 24
"""Bytes of a message."""
_LEAST: Final = 4096
_FIDS: Final = 1 << 16
_STEPS: Final = 16  # names of one walk
_HEAD = struct.Struct("<IBH")
_QID = struct.Struct("<BIQ")
_ATTRIBUTES = struct.Struct("<Q13s3I15Q")
_SPACE = struct.Struct("<II6QI")
_SECOND: Final = 1_000_000_000
_MAGIC: Final = 0x0102_1997  # of the file system, in STATFS
_REMOVE_DIRECTORY: Final = 0x200
_UNLOCKED: Final = 2
_LIMIT: Final = (1 << 63) - 1


class FidState(State, frozen=True, tag="host.fid/1"):
    """What a fid is for: a node, and the file as which it is open."""

    node: int
    file: int | None


class NinepState(State, frozen=True, tag="host.9p/1"):
    """All fids by number, the largest message, and what the guest knows of the folder."""

    largest: int
    fids: dict[int, FidState]
    share: ShareState


class _Fid(NamedTuple):
    node: int
    file: int | None = None


class _Body:
    """The rest of a request; struct.error where it ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, form: str) -> tuple[int, ...]:
        """Integers in this form."""
        found = struct.unpack_from(f"<{form}", self._data, self._at)
        self._at += struct.calcsize(f"<{form}")
        return found

    def number(self) -> int:
        """A number of four bytes."""
        return self.take("I")[0]

    def text(self) -> bytes:
        """A string."""
        return self.data(self.take("H")[0])

    def data(self, size: int) -> bytes:
        """So many bytes."""
        found = self._data[self._at : self._at + size]
        if len(found) < size:
            raise struct.error
        self._at += size
        return found


class Ninep:
    """The server of a ``share``. Whatever a guest sends is answered, with an error if need be."""

    def __init__(self, share: Share, told: Told | None = None) -> None:
        self._share = share
        self._told = told
        self._named: bytes | None = None
        self._about = ROOT
        self._largest = LARGEST
        self._fids: dict[int, _Fid] = {}

    def reset(self) -> None:
        """Forget everything."""
        self._share.reset()
        self._largest = LARGEST
        self._fids.clear()

    def answer(self, request: bytes, room: int) -> bytes:
        """The answer to a request, of at most ``room`` bytes; empty if it gets none."""
        if len(request) < _HEAD.size:
            return b""
        size, kind, tag = _HEAD.unpack_from(request)
        method = _METHODS.get(kind)
        self._named, self._about = None, ROOT
        body, error = b"", Errno.EOPNOTSUPP if method is None else None
        if not _HEAD.size <= size <= len(request):
            error = Errno.EINVAL
        elif method is not None:
            try:
                body = method(self, _Body(request[_HEAD.size : size]))
            except FsError as failed:
                error = failed.error
            except struct.error:
                error = Errno.EINVAL
        if error is None and _HEAD.size + len(body) > room:
            error = Errno.EIO
        if self._told is not None:
            path = self._share.text(self._about, self._named)
            count = max(len(body), size - _HEAD.size) if kind in _WITH_DATA else 0
            self._told(_TITLES.get(kind, str(kind)), path, "ok" if error is None else error.name, count)
        if error is not None:
            kind, body = NinepType.LERROR, struct.pack("<I", error)
        found = _HEAD.pack(_HEAD.size + len(body), (kind + 1) & 0xFF, tag) + body
        return found if len(found) <= room else b""

    # -- fids --------------------------------------------------------------------------------------------------------
    def _fid(self, number: int) -> _Fid:
        found = self._fids.get(number)
        if found is None:
            raise FsError(Errno.EBADF)
        self._about = found.node
        return found

    def _set(self, number: int, node: int) -> None:
        """A fid is for a node, which the guest knows once more."""
        if number not in self._fids and len(self._fids) >= _FIDS:
            self._share.forget(node, 1)
            raise FsError(Errno.ENFILE)
        self._drop(number)
        self._fids[number] = _Fid(node)

    def _drop(self, number: int) -> None:
        gone = self._fids.pop(number, None)
        if gone is not None:
            if gone.file is not None:
                self._share.release(gone.file)
            self._share.forget(gone.node, 1)

    def _name(self, body: _Body) -> bytes:
        self._named = name = body.text()
        return name

    def _file(self, number: int) -> int:
        """The open file of a fid."""
        file = self._fid(number).file
        if file is None:
            raise FsError(Errno.EBADF)
        return file

    def _made(self, found: Found) -> bytes:
        """The qid of something that was made, which has no fid."""
        self._share.forget(found.node, 1)
        return _qid(found.attributes)

    # -- the connection ----------------------------------------------------------------------------------------------
    def _version(self, body: _Body) -> bytes:
        asked, version = body.number(), body.text()
        if asked < _LEAST:
            raise FsError(Errno.EINVAL)
        self.reset()
        self._largest = min(asked, LARGEST)
        version = NINEP_VERSION if version == NINEP_VERSION else b"unknown"
        return struct.pack("<I", self._largest) + _text(version)

    def _attach(self, body: _Body) -> bytes:
        fid, _ = body.take("II")
        if fid in self._fids:
            raise FsError(Errno.EINVAL)
        found = self._share.attributes(ROOT)
        self._set(fid, ROOT)
        return _qid(found)

    def _walk(self, body: _Body) -> bytes:
        fid, new, count = body.take("IIH")
        node = self._fid(fid).node
        if count > _STEPS or (new != fid and new in self._fids):
            raise FsError(Errno.EINVAL)
        names = [body.text() for _ in range(count)]
        self._named = b"/".join(names) if names else None
        share, qids = self._share, list[bytes]()
        share.hold(node)
        for name in names:
            try:
                found = share.up(node) if name == b".." else share.lookup(node, name)
            except FsError:
                share.forget(node, 1)
                if not qids:
                    raise
                break
            share.forget(node, 1)
            node = found.node
            qids.append(_qid(found.attributes))
        else:
            self._set(new, node)
        return struct.pack("<H", len(qids)) + b"".join(qids)

    def _clunk(self, body: _Body) -> bytes:
        number = body.number()
        self._fid(number)
        self._drop(number)
        return b""

    def _flush(self, body: _Body) -> bytes:
        return b""

    def _statfs(self, body: _Body) -> bytes:
        self._fid(body.number())
        found = self._share.space()
        return _SPACE.pack(
            _MAGIC, found.block_size, found.blocks, found.free, found.available, found.files, found.free_files, 0,
            found.name_max,
        )  # fmt: skip

    # -- files -------------------------------------------------------------------------------------------------------
    def _lopen(self, body: _Body) -> bytes:
        number, flags = body.take("II")
        fid = self._fid(number)
        if fid.file is not None:
            raise FsError(Errno.EINVAL)
        found = self._share.attributes(fid.node)
        is_directory = stat.S_ISDIR(found.mode)
        file = self._share.open_directory(fid.node) if is_directory else self._share.open(fid.node, flags)
        self._fids[number] = fid._replace(file=file)
        return _qid(found) + struct.pack("<I", 0)

    def _lcreate(self, body: _Body) -> bytes:
        number = body.number()
        fid, name = self._fid(number), self._name(body)
        flags, mode, _ = body.take("III")
        if fid.file is not None:
            raise FsError(Errno.EINVAL)
        found, file = self._share.create(fid.node, name, flags, mode)
        self._share.forget(fid.node, 1)
        self._fids[number] = _Fid(found.node, file)
        return _qid(found.attributes) + struct.pack("<I", 0)

    def _read(self, body: _Body) -> bytes:
        number, offset, count = body.take("IQI")
        data = self._share.read(self._file(number), offset & _LIMIT, min(count, self._largest - _HEAD.size - 4))
        return struct.pack("<I", len(data)) + data

    def _write(self, body: _Body) -> bytes:
        number, offset, count = body.take("IQI")
        return struct.pack("<I", self._share.write(self._file(number), offset & _LIMIT, body.data(count)))

    def _fsync(self, body: _Body) -> bytes:
        file = self._file(body.number())
        self._share.sync(file)
        return b""

    def _lock(self, body: _Body) -> bytes:
        """A lock is the guest's own matter: nobody else has one."""
        self._fid(body.number())
        return b"\0"

    def _getlock(self, body: _Body) -> bytes:
        number, _, start, length, process = body.take("IBQQI")
        self._fid(number)
        return struct.pack("<BQQI", _UNLOCKED, start, length, process) + _text(body.text())

    # -- attributes --------------------------------------------------------------------------------------------------
    def _getattr(self, body: _Body) -> bytes:
        fid = self._fid(body.number())
        found = self._share.attributes(fid.node, fid.file)
        times = [part for one in (found.accessed, found.modified, found.changed) for part in divmod(one, _SECOND)]
        return _ATTRIBUTES.pack(
            GetattrMask.BASIC, _qid(found), found.mode, found.uid, found.gid, found.links, 0, found.size,
            found.block_size, found.blocks, *(one & (1 << 64) - 1 for one in times), 0, 0, 0, 0,
        )  # fmt: skip

    def _setattr(self, body: _Body) -> bytes:
        number, valid, mode, uid, gid, size, *times = body.take("5IQ4Q")
        fid, asked = self._fid(number), SetattrValid(valid & _KNOWN)

        def when(changes: SetattrValid, given: SetattrValid, seconds: int, rest: int) -> int | None:
            if not asked & changes:
                return None
            return seconds * _SECOND + rest & _LIMIT if asked & given else -1

        both = (
            when(SetattrValid.ATIME, SetattrValid.ATIME_SET, *times[:2]),
            when(SetattrValid.MTIME, SetattrValid.MTIME_SET, *times[2:]),
        )
        self._share.set(
            fid.node,
            fid.file,
            mode=stat.S_IMODE(mode) if asked & SetattrValid.MODE else None,
            uid=uid if asked & SetattrValid.UID else None,
            gid=gid if asked & SetattrValid.GID else None,
            size=size & _LIMIT if asked & SetattrValid.SIZE else None,
            times=None if both == (None, None) else both,
        )
        return b""

    # -- directories -------------------------------------------------------------------------------------------------
    def _readdir(self, body: _Body) -> bytes:
        """The entries from an offset on, as many as fit; offset n is behind n of them, the directory and its parent."""
        number, offset, count = body.take("IQI")
        rows = self._share.entries(self._file(number))
        found, limit = bytearray(), min(count, self._largest - _HEAD.size - 4)
        for at in range(min(offset, len(rows) + 2), len(rows) + 2):
            name, ino, mode = rows[at - 2] if at > 1 else ((b".", b"..")[at], ROOT, stat.S_IFDIR)
            row = _QID.pack(_qid_type(mode), 0, ino) + struct.pack("<QB", at + 1, mode >> 12) + _text(name)
            if len(found) + len(row) > limit:
                break
            found += row
        return struct.pack("<I", len(found)) + found

    def _readlink(self, body: _Body) -> bytes:
        return _text(self._share.read_link(self._fid(body.number()).node))

    def _mkdir(self, body: _Body) -> bytes:
        fid, name = self._fid(body.number()), self._name(body)
        return self._made(self._share.make_directory(fid.node, name, body.number()))

    def _mknod(self, body: _Body) -> bytes:
        fid, name = self._fid(body.number()), self._name(body)
        return self._made(self._share.make_file(fid.node, name, body.number()))

    def _symlink(self, body: _Body) -> bytes:
        fid, name = self._fid(body.number()), self._name(body)
        return self._made(self._share.make_symlink(fid.node, name, body.text()))

    def _link(self, body: _Body) -> bytes:
        directory, number = body.take("II")
        node, parent = self._fid(number).node, self._fid(directory).node
        self._made(self._share.link(node, parent, self._name(body)))
        return b""

    def _rename(self, body: _Body) -> bytes:
        number, directory = body.take("II")
        fid, target = self._fid(number), self._fid(directory)
        if fid.node == ROOT:
            raise FsError(Errno.EINVAL)
        *_, name = self._share.path(fid.node)
        self._share.rename(self._share.parent(fid.node), name, target.node, self._name(body))
        return b""

    def _renameat(self, body: _Body) -> bytes:
        source, name = self._fid(body.number()), self._name(body)
        target = self._fid(body.number())
        self._share.rename(source.node, name, target.node, body.text())
        return b""

    def _unlinkat(self, body: _Body) -> bytes:
        fid, name = self._fid(body.number()), self._name(body)
        self._unlink(fid.node, name, bool(body.number() & _REMOVE_DIRECTORY))
        return b""

    def _remove(self, body: _Body) -> bytes:
        """Remove a file by its fid, which is gone in any case."""
        number = body.number()
        fid = self._fid(number)
        try:
            if fid.node == ROOT:
                raise FsError(Errno.EPERM)
            *_, name = self._share.path(fid.node)
            self._unlink(self._share.parent(fid.node), name, self._share.kind(fid.node) == stat.S_IFDIR)
        finally:
            self._drop(number)
        return b""

    def _unlink(self, parent: int, name: bytes, is_directory: bool) -> None:
        if is_directory:
            self._share.remove_directory(parent, name)
        else:
            self._share.unlink(parent, name)

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> NinepState:
        """State for a snapshot."""
        fids = {number: FidState(one.node, one.file) for number, one in self._fids.items()}
        return NinepState(self._largest, fids, self._share.save())

    def restore(self, state: NinepState) -> None:
        """Restore what :meth:`save` returned."""
        self._share.restore(state.share)
        self._largest = state.largest
        self._fids = {number: _Fid(one.node, one.file) for number, one in state.fids.items()}


_T: Final = NinepType
_METHODS: Final[dict[int, Callable[[Ninep, _Body], bytes]]] = {
    _T.STATFS: Ninep._statfs,
    _T.LOPEN: Ninep._lopen,
    _T.LCREATE: Ninep._lcreate,
    _T.SYMLINK: Ninep._symlink,
    _T.MKNOD: Ninep._mknod,
    _T.RENAME: Ninep._rename,
    _T.READLINK: Ninep._readlink,
    _T.GETATTR: Ninep._getattr,
    _T.SETATTR: Ninep._setattr,
    _T.READDIR: Ninep._readdir,
    _T.FSYNC: Ninep._fsync,
    _T.LOCK: Ninep._lock,
    _T.GETLOCK: Ninep._getlock,
    _T.LINK: Ninep._link,
    _T.MKDIR: Ninep._mkdir,
    _T.RENAMEAT: Ninep._renameat,
    _T.UNLINKAT: Ninep._unlinkat,
    _T.VERSION: Ninep._version,
    _T.ATTACH: Ninep._attach,
    _T.FLUSH: Ninep._flush,
    _T.WALK: Ninep._walk,
    _T.READ: Ninep._read,
    _T.WRITE: Ninep._write,
    _T.CLUNK: Ninep._clunk,
    _T.REMOVE: Ninep._remove,
}
"""What is answered; anything else is EOPNOTSUPP, extended attributes among it."""
_TITLES: Final = {int(one): one.name for one in NinepType}
_WITH_DATA: Final = (_T.READ, _T.WRITE)
_KNOWN: Final = int(~SetattrValid(0))


def _text(data: bytes) -> bytes:
    return struct.pack("<H", len(data)) + data


def _qid_type(mode: int) -> QidType:
    if stat.S_ISDIR(mode):
        return QidType.DIRECTORY
    return QidType.SYMLINK if stat.S_ISLNK(mode) else QidType.FILE


def _qid(found: Attributes) -> bytes:
    """How a client tells files apart."""
    return _QID.pack(_qid_type(found.mode), 0, found.ino)
