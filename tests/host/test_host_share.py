"""A folder of the host by FUSE: files and directories, nothing outside the folder, errors as the host has them."""

import os
import resource
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtio_driver import BASE, Bench, Driver

from cca_arch.errno import Errno
from cca_arch.fuse import (
    FATTR,
    FuseAttrOut,
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
    FuseReadIn,
    FuseReleaseIn,
    FuseRename2In,
    FuseSetattrIn,
    FuseWriteIn,
)
from cca_arch.openflags import OpenFlag
from cca_host.kvmtool.share.folder import Folder, open_folder
from cca_host.kvmtool.share.fuse import MOST, Fuse
from cca_host.kvmtool.share.share import Share, ShareState
from cca_host.kvmtool.virtio.fs import VirtioFs
from cca_platform.errors import MachineError
from cca_platform.state import decode, encode

O = FuseOpcode  # noqa: E741 -- as short as it is frequent
ROOM = MOST + 0x1000


class Client:
    """A guest's side of FUSE; ``journal`` has what the host has answered, and is taken instead of it if ``replays``."""

    def __init__(self, root: Path, read_only: bool = False, journal: list[bytes] | None = None) -> None:
        self.journal: list[bytes] = []
        self.left = journal
        self.share = Share(Folder(root, read_only), self._fetch)
        self.fuse = Fuse(self.share)
        self.unique = 0
        self.answers: list[bytes] = []

    def _fetch(self, answer: Callable[[], bytes]) -> bytes:
        self.journal.append(answer() if self.left is None else self.left.pop(0))
        return self.journal[-1]

    def raw(self, opcode: int, node: int = 1, body: bytes = b"", room: int = ROOM) -> bytes:
        """The whole answer to a request."""
        self.unique += 1
        size = FuseInHeader.size + len(body)
        head = FuseInHeader.pack(len=size, opcode=opcode, unique=self.unique, nodeid=node)
        self.answers.append(self.fuse.answer(head + body, room))
        return self.answers[-1]

    def ask(self, opcode: int, node: int = 1, body: bytes = b"", error: int = 0) -> bytes:
        """The body of an answer, which must have this error."""
        size, found, unique = struct.unpack_from("<IiQ", answer := self.raw(opcode, node, body))
        assert (size, unique) == (len(answer), self.unique)
        assert -found == error, f"{Errno(-found).name if found else 'no error'}"
        return answer[16:]

    def entry(self, opcode: int, node: int, body: bytes) -> Any:
        """The entry in an answer."""
        return FuseEntryOut.unpack(self.ask(opcode, node, body))

    def lookup(self, name: bytes, node: int = 1) -> Any:
        return self.entry(O.LOOKUP, node, name + b"\0")

    def missing(self, name: bytes, node: int = 1, error: int = Errno.ENOENT) -> None:
        self.ask(O.LOOKUP, node, name + b"\0", error)

    def create(self, name: bytes, node: int = 1, flags: int = OpenFlag.RDWR, mode: int = 0o644) -> tuple[Any, int]:
        answer = self.ask(O.CREATE, node, FuseCreateIn.pack(flags=flags, mode=mode) + name + b"\0")
        return FuseEntryOut.unpack(answer), FuseOpenOut.unpack(answer[FuseEntryOut.size :]).fh

    def open(self, node: int, flags: int = 0, error: int = 0) -> int:
        answer = self.ask(O.OPEN, node, struct.pack("<II", flags, 0), error)
        return 0 if error else int(FuseOpenOut.unpack(answer).fh)

    def write(self, file: int, data: bytes, offset: int = 0, error: int = 0) -> None:
        body = FuseWriteIn.pack(fh=file, offset=offset, size=len(data)) + data
        answer = self.ask(O.WRITE, 1, body, error)
        assert error or struct.unpack("<II", answer) == (len(data), 0)

    def read(self, file: int, size: int = MOST, offset: int = 0, error: int = 0) -> bytes:
        return self.ask(O.READ, 1, FuseReadIn.pack(fh=file, offset=offset, size=size), error)

    def set(self, node: int, error: int = 0, **fields: int) -> Any:
        answer = self.ask(O.SETATTR, node, FuseSetattrIn.pack(**fields), error)
        return None if error else FuseAttrOut.unpack(answer)

    def names(self, node: int = 1, plus: bool = False, size: int = 4096) -> list[bytes]:
        """The names in a directory, read in several goes."""
        file, found, offset = FuseOpenOut.unpack(self.ask(O.OPENDIR, node, bytes(8))).fh, list[bytes](), 0
        while True:
            opcode = O.READDIRPLUS if plus else O.READDIR
            answer = self.ask(opcode, node, FuseReadIn.pack(fh=file, offset=offset, size=size))
            if not answer:
                self.ask(O.RELEASEDIR, node, FuseReleaseIn.pack(fh=file))
                return found
            while answer:
                if plus:
                    answer = answer[FuseEntryOut.size :]
                row = FuseDirent.unpack(answer)
                found.append(answer[FuseDirent.size : FuseDirent.size + row.namelen])
                answer = answer[FuseDirent.size + row.namelen + 7 & -8 :]
                offset = row.off


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with something in it, beside something that is not."""
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "shared"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "hello").write_bytes(b"hello, guest\n")
    (root / "out").symlink_to("../secret")
    (root / "up").symlink_to("..")
    return root


@pytest.fixture
def client(root: Path) -> Iterator[Client]:
    one = Client(root)
    yield one
    one.share.folder.close()


class TestMount:
    def test_init(self, client: Client) -> None:
        """The version is the older one, and of the flags those that both know."""
        answer = FuseInitOut.unpack(
            client.ask(O.INIT, 0, FuseInitIn.pack(major=7, minor=44, max_readahead=1 << 20, flags=0xFFFF_FFFF))
        )
        assert (answer.major, answer.minor, answer.max_write, answer.max_readahead) == (7, 31, MOST, MOST)
        assert answer.flags & FuseInit.BIG_WRITES and not answer.flags & 1 << 22
        assert FuseInitOut.unpack(client.ask(O.INIT, 0, FuseInitIn.pack(major=8, minor=0))).major == 7
        client.ask(O.INIT, 0, FuseInitIn.pack(major=6, minor=0), Errno.EPROTO)

    def test_statfs(self, client: Client, root: Path) -> None:
        """The space of the host's file system."""
        found, host = FuseKstatfs.unpack(client.ask(O.STATFS)), os.statvfs(root)
        assert (found.blocks, found.frsize, found.namelen) == (host.f_blocks, host.f_frsize, host.f_namemax)


class TestFiles:
    def test_read(self, client: Client, root: Path) -> None:
        """A file is found, and read in parts; its owner looks like root."""
        found = client.lookup(b"hello")
        assert (found.size, found.mode, found.uid) == (13, (root / "hello").stat().st_mode, 0)
        assert found.ino == (root / "hello").stat().st_ino
        file = client.open(found.nodeid)
        assert client.read(file) == b"hello, guest\n"
        assert client.read(file, 5, 7) == b"guest"
        assert client.read(file, 5, 100) == b""
        client.write(file, b"x", error=Errno.EBADF)
        client.ask(O.RELEASE, found.nodeid, FuseReleaseIn.pack(fh=file))
        client.read(file, error=Errno.EBADF)

    def test_write(self, client: Client, root: Path) -> None:
        """A file is created, written, truncated, synced; it has the mode that was asked for, but never set-user-ID."""
        found, file = client.create(b"new", mode=stat.S_IFREG | 0o6777)
        client.write(file, b"x" * MOST)
        client.write(file, b"end", MOST)
        assert (root / "new").read_bytes() == b"x" * MOST + b"end"
        assert stat.S_IMODE((root / "new").stat().st_mode) == 0o777
        assert client.set(found.nodeid, valid=FATTR.SIZE, size=7).size == 7
        assert client.set(found.nodeid, valid=FATTR.SIZE | FATTR.FH, fh=file, size=9).size == 9
        for opcode in (O.FSYNC, O.FLUSH, O.FSYNCDIR):
            client.ask(opcode, found.nodeid, FuseFsyncIn.pack(fh=file, fsync_flags=1).ljust(24, b"\0"))
        client.ask(O.FALLOCATE, found.nodeid, FuseFallocateIn.pack(fh=file, length=100))
        assert (root / "new").stat().st_size == 100
        again = client.open(found.nodeid, OpenFlag.WRONLY | OpenFlag.TRUNC)
        assert (root / "new").stat().st_size == 0 and again != file
        client.ask(O.CREATE, 1, FuseCreateIn.pack(flags=OpenFlag.EXCL, mode=0o644) + b"new\0", Errno.EEXIST)

    def test_attributes(self, client: Client, root: Path) -> None:
        """Mode and times are set; owners only to what they are."""
        node = client.lookup(b"hello").nodeid
        found = client.set(node, valid=FATTR.MODE | FATTR.MTIME, mode=0o640, mtime=1_000, mtimensec=5)
        assert (stat.S_IMODE(found.mode), found.mtime, found.mtimensec) == (0o640, 1_000, 5)
        assert (root / "hello").stat().st_mtime_ns == 1_000_000_000_005
        assert client.set(node, valid=FATTR.ATIME_NOW | FATTR.MTIME_NOW).mtime > 1_000
        assert client.set(node, valid=FATTR.UID | FATTR.GID).uid == 0
        client.set(node, Errno.EPERM, valid=FATTR.UID, uid=1234)
        client.set(client.lookup(b"out").nodeid, Errno.EOPNOTSUPP, valid=FATTR.MODE, mode=0o777)
        assert client.set(1, valid=FATTR.MODE, mode=0o755).mode & 0o777 == 0o755

    def test_open_and_removed(self, client: Client, root: Path) -> None:
        """A file that is removed while it is open can be read and written; its name is gone."""
        found, file = client.create(b"brief")
        client.ask(O.UNLINK, 1, b"brief\0")
        client.write(file, b"still here")
        assert client.read(file) == b"still here"
        answer = client.ask(O.GETATTR, found.nodeid, FuseGetattrIn.pack())
        assert FuseAttrOut.unpack(answer).size == 10
        assert client.set(found.nodeid, valid=FATTR.SIZE, size=3).size == 3
        client.missing(b"brief")
        client.ask(O.RELEASE, found.nodeid, FuseReleaseIn.pack(fh=file))
        client.ask(O.GETATTR, found.nodeid, FuseGetattrIn.pack(), Errno.ENOENT)

    def test_no_files(self, client: Client, root: Path) -> None:
        """Pipes are not opened, which could block; devices and pipes are not made."""
        os.mkfifo(root / "pipe")
        client.open(client.lookup(b"pipe").nodeid, error=Errno.ENXIO)
        client.open(client.lookup(b"sub").nodeid, error=Errno.ENXIO)
        client.ask(O.MKNOD, 1, FuseMknodIn.pack(mode=stat.S_IFCHR | 0o666) + b"null\0", Errno.EPERM)
        assert client.entry(O.MKNOD, 1, FuseMknodIn.pack(mode=stat.S_IFREG | 0o604) + b"made\0").mode & 0o777 == 0o604


class TestDirectories:
    @pytest.mark.parametrize("plus", [False, True])
    def test_names(self, client: Client, root: Path, plus: bool) -> None:
        """All names come, sorted, in however small pieces."""
        for number in range(40):
            (root / "sub" / f"file{number:02}").touch()
        sub = client.lookup(b"sub").nodeid
        assert client.names(sub, plus, size=400) == [b".", b"..", b"deep", *(b"file%02d" % n for n in range(40))]
        assert client.names(1, plus) == [b".", b"..", b"hello", b"out", b"sub", b"up"]

    def test_made_and_removed(self, client: Client, root: Path) -> None:
        """Directories are made, and removed when they are empty."""
        made = client.entry(O.MKDIR, 1, FuseMkdirIn.pack(mode=0o700) + b"made\0")
        assert (root / "made").is_dir() and made.mode == stat.S_IFDIR | 0o700
        client.create(b"file", made.nodeid)
        client.ask(O.RMDIR, 1, b"made\0", Errno.ENOTEMPTY)
        client.ask(O.UNLINK, made.nodeid, b"file\0")
        client.ask(O.RMDIR, 1, b"made\0")
        assert not (root / "made").exists()
        client.ask(O.MKDIR, 1, FuseMkdirIn.pack(mode=0o700) + b"sub\0", Errno.EEXIST)

    def test_renamed(self, client: Client, root: Path) -> None:
        """What is renamed keeps its node, with everything below it; what it replaces is gone."""
        sub = client.lookup(b"sub").nodeid
        deep = client.lookup(b"deep", sub).nodeid
        client.create(b"file", deep)
        (root / "other").touch()
        other = client.lookup(b"other").nodeid
        client.ask(O.RENAME, sub, struct.pack("<Q", 1) + b"deep\0moved\0")
        assert client.lookup(b"moved").nodeid == deep
        assert client.lookup(b"file", deep).nodeid
        client.ask(O.RENAME2, deep, FuseRename2In.pack(newdir=1, flags=1) + b"file\0other\0", Errno.EEXIST)
        client.ask(O.RENAME2, deep, FuseRename2In.pack(newdir=1, flags=2) + b"file\0other\0", Errno.EINVAL)
        client.ask(O.RENAME2, deep, FuseRename2In.pack(newdir=1) + b"file\0other\0")
        client.ask(O.GETATTR, other, FuseGetattrIn.pack(), Errno.ENOENT)
        client.ask(O.RENAME, 1, struct.pack("<Q", deep) + b"moved\0inside\0", Errno.EINVAL)

    def test_links(self, client: Client, root: Path) -> None:
        """Links of both kinds; what a symbolic one says is the guest's to follow."""
        made = client.entry(O.SYMLINK, 1, b"link\0/etc/passwd\0")
        assert client.ask(O.READLINK, made.nodeid) == b"/etc/passwd"
        assert os.readlink(root / "link") == "/etc/passwd"
        hello = client.lookup(b"hello").nodeid
        again = client.entry(O.LINK, 1, struct.pack("<Q", hello) + b"again\0")
        assert again.nlink == 2 and again.ino == client.lookup(b"hello").ino

    def test_changed_by_the_host(self, client: Client, root: Path) -> None:
        """Another file of the host under the same name is another node."""
        first = client.lookup(b"hello").nodeid
        (root / "other").write_text("other")
        (root / "other").rename(root / "hello")
        second = client.lookup(b"hello")
        assert second.nodeid != first and second.size == 5
        client.ask(O.GETATTR, first, FuseGetattrIn.pack(), Errno.ENOENT)


class TestInside:
    """No request reaches anything outside the folder."""

    @pytest.mark.parametrize("name", [b"..", b".", b"../secret", b"sub/deep", b"/etc", b"a\xff/b"])
    def test_names(self, client: Client, name: bytes) -> None:
        """A name is one name, not a path."""
        client.missing(name, error=Errno.EINVAL)
        body = FuseCreateIn.pack(flags=OpenFlag.RDWR, mode=0o644) + name + b"\0"
        client.ask(O.CREATE, 1, body, Errno.EINVAL)
        client.ask(O.UNLINK, 1, name + b"\0", Errno.EINVAL)
        client.ask(O.RENAME, 1, struct.pack("<Q", 1) + b"hello\0" + name + b"\0", Errno.EINVAL)

    def test_symlinks(self, client: Client, root: Path) -> None:
        """A symbolic link is never followed, as a file or on the way to one."""
        out, up = client.lookup(b"out").nodeid, client.lookup(b"up").nodeid
        client.open(out, error=Errno.ENXIO)
        client.ask(O.CREATE, 1, FuseCreateIn.pack(flags=OpenFlag.RDWR, mode=0o644) + b"out\0", Errno.ELOOP)
        client.missing(b"secret", up, Errno.ENOTDIR)
        client.ask(O.OPENDIR, up, bytes(8), Errno.ENOTDIR)
        client.set(out, Errno.EINVAL, valid=FATTR.SIZE, size=0)
        client.set(out, valid=FATTR.MTIME, mtime=5)
        assert (root.parent / "secret").read_text() == "secret" and (root.parent / "secret").stat().st_mtime != 5

    def test_symlink_put_on_the_way(self, client: Client, root: Path) -> None:
        """Nor one that the host, or the guest, puts in the place of a directory that the guest knows."""
        sub = client.lookup(b"sub").nodeid
        (root / "sub" / "deep").rmdir()
        (root / "sub").rmdir()
        (root / "sub").symlink_to("..")
        client.missing(b"secret", sub, Errno.ENOTDIR)

    @pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="the host has no O_PATH")
    def test_symlink_put_there(self, client: Client, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nor one that takes the place of a file whose mode the guest is changing."""
        secret, before, look = root.parent / "secret", (root.parent / "secret").stat().st_mode, os.stat

        def stat_then_swap(path: Any, **options: Any) -> os.stat_result:
            found = look(path, **options)
            if path == b"hello":
                (root / "hello").unlink()
                (root / "hello").symlink_to(secret)
            return found

        node = client.lookup(b"hello").nodeid
        monkeypatch.setattr(os, "stat", stat_then_swap)
        client.set(node, Errno.EOPNOTSUPP, valid=FATTR.MODE, mode=0o1777)
        monkeypatch.undo()
        assert secret.stat().st_mode == before

    def test_read_only(self, root: Path) -> None:
        """A folder that is shared read-only can be read, and every change is refused."""
        client = Client(root, read_only=True)
        node = client.lookup(b"hello").nodeid
        assert client.read(client.open(node)) == b"hello, guest\n"
        before = sorted(root.rglob("*"))
        for opcode, body in (
            (O.CREATE, FuseCreateIn.pack(flags=OpenFlag.RDWR, mode=0o644) + b"new\0"),
            (O.MKNOD, FuseMknodIn.pack(mode=0o644) + b"new\0"),
            (O.MKDIR, FuseMkdirIn.pack(mode=0o755) + b"new\0"),
            (O.SYMLINK, b"new\0x\0"),
            (O.LINK, struct.pack("<Q", node) + b"new\0"),
            (O.UNLINK, b"hello\0"),
            (O.RMDIR, b"sub\0"),
            (O.RENAME, struct.pack("<Q", 1) + b"hello\0new\0"),
            (O.SETATTR, FuseSetattrIn.pack(valid=FATTR.MODE, mode=0o777)),
        ):
            client.ask(opcode, 1, body, Errno.EROFS)
        client.open(node, OpenFlag.WRONLY, error=Errno.EROFS)
        client.open(node, OpenFlag.TRUNC, error=Errno.EROFS)
        assert sorted(root.rglob("*")) == before
        client.share.folder.close()


class TestOpen:
    @pytest.mark.parametrize("name", ["", "none", "hello", "a\0b", "x" * 300], ids=str.__len__)
    def test_no_folder(self, root: Path, name: str) -> None:
        """What is no folder is refused before the guest starts."""
        with pytest.raises(MachineError, match=r"^`shares` must name a folder that can be opened, not "):
            open_folder(f"{root}/{name}" if name else "")


class TestErrors:
    def test_host_errors(self, client: Client, root: Path) -> None:
        """An error of the host is that of the guest."""
        client.missing(b"nothing")
        client.missing(b"x" * 256, error=Errno.ENAMETOOLONG)
        client.missing(b"", error=Errno.ENOENT)
        client.missing(b"x", client.lookup(b"hello").nodeid, Errno.ENOTDIR)
        client.ask(O.RMDIR, 1, b"hello\0", Errno.ENOTDIR)
        client.ask(O.UNLINK, 1, b"sub\0", Errno.EISDIR)

    @pytest.mark.parametrize("opcode", [O.GETXATTR, O.SETXATTR, O.LISTXATTR, O.ACCESS, O.LSEEK, 0, 7, 999, 0xFFFF_FFFF])
    def test_not_there(self, client: Client, opcode: int) -> None:
        """What there is not is ENOSYS, which a guest remembers."""
        client.ask(opcode, 1, bytes(40), Errno.ENOSYS)

    def test_not_whole(self, client: Client) -> None:
        """A request that is cut off gets EINVAL, or nothing if it has no header; an answer without room is EIO."""
        assert client.fuse.answer(b"", ROOM) == client.fuse.answer(bytes(39), ROOM) == b""
        for opcode in set(O) - {O.STATFS, O.OPENDIR}:  # whose bodies say nothing
            answer = client.raw(opcode, 1, b"x")
            assert answer == b"" or len(answer) == 16
        assert struct.unpack_from("<Ii", client.raw(O.STATFS, room=20)) == (16, -Errno.EIO)
        assert client.raw(O.STATFS, room=8) == b""
        client.write(client.create(b"f")[1], b"x" * 10)
        body = FuseWriteIn.pack(fh=1, size=100) + b"short"
        client.ask(O.WRITE, 1, body, Errno.EINVAL)

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_anything(self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
        """Any requests are answered, change nothing outside, and a replay of the host's answers answers the same."""
        top = tmp_path_factory.mktemp("any")
        (top / "secret").write_text("secret")
        (top / "root").mkdir()
        (top / "root" / "up").symlink_to("..")
        one = Client(top / "root")
        requests = data.draw(st.lists(st.tuples(st.sampled_from(O), st.integers(0, 5), _bodies()), max_size=25))
        for opcode, node, body in requests:
            one.raw(opcode, node, body)
        assert sorted(path.name for path in top.iterdir()) == ["root", "secret"]
        assert (top / "secret").read_text() == "secret"
        again = Client(top / "root", journal=one.journal.copy())
        for opcode, node, body in requests:
            again.raw(opcode, node, body)
        assert again.answers == one.answers
        assert again.share.save() == one.share.save()
        for client in (one, again):
            client.share.folder.close()


def _bodies() -> st.SearchStrategy[bytes]:
    """Bodies of requests: numbers, then names."""
    number = st.integers(0, 5) | st.sampled_from([0o100644, 0o40755, 1 << 31, 0xFFFF_FFFF])
    name = st.sampled_from([b"a", b"b", b"up", b"secret", b"..", b"", b"a/b"])
    return st.builds(
        lambda numbers, names: struct.pack(f"<{len(numbers)}I", *numbers) + b"".join(one + b"\0" for one in names),
        st.lists(number, max_size=22), st.lists(name, max_size=3),
    )  # fmt: skip


class TestNodes:
    def test_forgotten(self, client: Client) -> None:
        """A node lives as long as the guest knows it, or something below it."""
        sub = client.lookup(b"sub").nodeid
        deep = client.lookup(b"deep", sub).nodeid
        client.lookup(b"sub")
        client.raw(O.FORGET, sub, struct.pack("<Q", 2))
        assert set(client.share.save().nodes) == {1, sub, deep}
        client.raw(O.BATCH_FORGET, 0, struct.pack("<II", 2, 0) + FuseForgetOne.pack(nodeid=deep, nlookup=1) * 2)
        assert set(client.share.save().nodes) == {1}
        client.ask(O.GETATTR, deep, FuseGetattrIn.pack(), Errno.ENOENT)
        client.raw(O.FORGET, 1, struct.pack("<Q", 99))
        assert client.names()

    def test_saved(self, client: Client, root: Path) -> None:
        """In another process the nodes and open files go on."""
        found, file = client.create(b"kept")
        client.write(file, b"one")
        directory = FuseOpenOut.unpack(client.ask(O.OPENDIR, 1, bytes(8))).fh
        other = Client(root)
        other.share.restore(decode(encode(client.share.save()), ShareState))
        assert other.read(file) == b"one"
        other.write(file, b"two", 3)
        assert (root / "kept").read_bytes() == b"onetwo"
        assert other.lookup(b"kept").nodeid == found.nodeid
        assert other.ask(O.READDIR, 1, FuseReadIn.pack(fh=directory, size=4096))
        (root / "kept").unlink()
        other.share.restore(client.share.save())
        other.read(file, error=Errno.ENOENT)
        other.share.folder.close()

    def test_too_many_files(self, client: Client) -> None:
        """Files that are open are limited."""
        node = client.lookup(b"sub").nodeid
        for _ in range(4096):
            client.ask(O.OPENDIR, node, bytes(8))
        client.ask(O.OPENDIR, node, bytes(8), Errno.ENFILE)

    def test_too_many_names(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """The names in directories that are open are limited, too; one that is closed makes room."""
        monkeypatch.setattr("cca_host.kvmtool.share.share._LISTED", 10)
        files = [FuseOpenOut.unpack(client.ask(O.OPENDIR, 1, bytes(8))).fh for _ in range(2)]
        client.ask(O.OPENDIR, 1, bytes(8), Errno.ENOMEM)
        client.ask(O.RELEASEDIR, 1, FuseReleaseIn.pack(fh=files[0]))
        assert len(client.names()) == 4 + 2

    def test_descriptors(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """A guest that opens files leaves descriptors to the host's process, and one that it cannot use is closed."""
        node = client.lookup(b"hello").nodeid
        before = len(os.listdir("/dev/fd"))
        most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (before + 140, most[1]))
        try:
            files = [client.open(node)]
            while not (answer := client.raw(O.OPEN, node, struct.pack("<II", 0, 0)))[4:8].strip(b"\0"):
                files.append(FuseOpenOut.unpack(answer[16:]).fh)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, most)
        assert -struct.unpack_from("<i", answer, 4)[0] == Errno.EMFILE and len(files) < 40
        for file in files:
            client.ask(O.RELEASE, 1, FuseReleaseIn.pack(fh=file))
        monkeypatch.setattr("cca_host.kvmtool.share.share._NODES", 0)
        for _ in range(3):
            client.ask(O.CREATE, 1, FuseCreateIn.pack(flags=OpenFlag.RDWR, mode=0o644) + b"new\0", Errno.ENOMEM)
        assert len(os.listdir("/dev/fd")) == before


class TestDevice:
    """The virtio device in front of it."""

    @pytest.fixture
    def driver(self, root: Path) -> Iterator[Driver]:
        bench = Bench(256)
        device = VirtioFs("fs", bench.wiring(), bench.memory, Folder(root), "host")
        yield Driver(bench, device, size=16)
        device.close()
        bench.close()

    def test_request(self, driver: Driver, root: Path) -> None:
        """A request comes in pieces, and so does its answer; the trace tells of it."""
        request = FuseInHeader.pack(len=46, opcode=O.LOOKUP, unique=9, nodeid=1) + b"hello\0"
        answer = driver.call(1, request[:40], request[40:], writable=(16, FuseEntryOut.size))
        assert struct.unpack_from("<IiQ", answer) == (16 + FuseEntryOut.size, 0, 9)
        assert FuseEntryOut.unpack(answer[16:]).size == 13
        record = driver.bench.events[-1]
        assert (record["event"], record["operation"], record["path"]) == ("fs.request", "LOOKUP", "/hello")

    def test_config(self, driver: Driver) -> None:
        """The tag, and one queue for requests."""
        assert bytes(driver.config(at, 1) for at in range(36)) == b"host".ljust(36, b"\0")
        assert driver.config(36, 4) == 1

    def test_too_much(self, driver: Driver) -> None:
        """A request that names the same memory again and again, for gigabytes, is dropped and not held."""
        place = (BASE + 0x20_000, 1 << 17)
        head = driver.chain(1, [place] * 12, [(BASE + 0x40_000, 100)])
        driver.offer(1, head)
        driver.kick(1)
        assert driver.collect(1)[0][1] == 0
        assert driver.device.live

    def test_reset(self, driver: Driver) -> None:
        """With the driver goes all that the guest knew."""
        driver.call(1, FuseInHeader.pack(len=46, opcode=O.LOOKUP, nodeid=1) + b"hello\0", writable=(500,))
        assert len(driver.frame.save().device.more.nodes) == 2
        driver.start()
        assert len(driver.frame.save().device.more.nodes) == 1
