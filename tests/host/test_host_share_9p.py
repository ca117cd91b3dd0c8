"""A folder of the host by 9P2000.L: the same folder as by FUSE, with fids in the place of nodes."""

import os
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtio_driver import BASE, Bench, Driver

from cca_arch.errno import Errno
from cca_arch.ninep import NO_FID, SetattrValid
from cca_arch.ninep import NinepType as T
from cca_arch.openflags import OpenFlag
from cca_host.kvmtool.share.folder import Folder
from cca_host.kvmtool.share.ninep import LARGEST, Ninep, NinepState
from cca_host.kvmtool.share.share import Share
from cca_host.kvmtool.virtio.ninep import Virtio9p
from cca_platform.state import decode, encode

HEAD = 7


def text(name: bytes) -> bytes:
    return struct.pack("<H", len(name)) + name


class Client:
    """A guest's side of 9P; fid 0 is the folder. ``journal`` is taken in the place of the host's answers."""

    def __init__(self, root: Path, journal: list[bytes] | None = None) -> None:
        self.journal: list[bytes] = []
        self.left = journal
        self.folder = Folder(root)
        self.server = Ninep(Share(self.folder, self._fetch))
        self.answers: list[bytes] = []

    def _fetch(self, answer: Callable[[], bytes]) -> bytes:
        self.journal.append(answer() if self.left is None else self.left.pop(0))
        return self.journal[-1]

    def raw(self, kind: int, body: bytes, room: int = LARGEST) -> bytes:
        """The whole answer to a request."""
        self.answers.append(self.server.answer(struct.pack("<IBH", HEAD + len(body), kind, 9) + body, room))
        return self.answers[-1]

    def ask(self, kind: int, form: str = "", *values: int, rest: bytes = b"", error: int = 0) -> bytes:
        """The body of an answer, which must have this error."""
        answer = self.raw(kind, struct.pack(f"<{form}", *values) + rest)
        size, found, tag = struct.unpack_from("<IBH", answer)
        assert (size, tag) == (len(answer), 9)
        if found == T.LERROR + 1:
            (number,) = struct.unpack("<I", answer[HEAD:])
            assert number == error, Errno(number).name
            return b""
        assert not error and found == kind + 1
        return answer[HEAD:]

    def attach(self) -> "Client":
        assert self.ask(T.VERSION, "I", 1 << 20, rest=text(b"9P2000.L")) == struct.pack("<I", LARGEST) + text(
            b"9P2000.L"
        )
        self.ask(T.ATTACH, "II", 0, NO_FID, rest=text(b"root") + text(b"") + bytes(4))
        return self

    def walk(self, fid: int, new: int, *names: bytes, error: int = 0) -> int:
        """Walk; returns how many names were found."""
        body = struct.pack("<IIH", fid, new, len(names)) + b"".join(map(text, names))
        answer = self.ask(T.WALK, rest=body, error=error)
        return 0 if error else int(struct.unpack_from("<H", answer)[0])

    def read(self, fid: int, offset: int = 0, size: int = 1000, error: int = 0) -> bytes:
        return self.ask(T.READ, "IQI", fid, offset, size, error=error)[4:]

    def write(self, fid: int, data: bytes, offset: int = 0, error: int = 0) -> None:
        self.ask(T.WRITE, "IQI", fid, offset, len(data), rest=data, error=error)

    def names(self, fid: int, size: int = 200) -> list[bytes]:
        """The names in a directory that is open, read in several goes."""
        found, offset = list[bytes](), 0
        while True:
            answer = self.ask(T.READDIR, "IQI", fid, offset, size)[4:]
            if not answer:
                return found
            while answer:
                offset, _, length = struct.unpack_from("<QBH", answer, 13)
                found.append(answer[24 : 24 + length])
                answer = answer[24 + length :]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "shared"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "hello").write_bytes(b"hello, guest\n")
    (root / "up").symlink_to("..")
    return root


@pytest.fixture
def client(root: Path) -> Iterator[Client]:
    one = Client(root).attach()
    yield one
    one.folder.close()


class TestConnection:
    def test_version(self, client: Client) -> None:
        """A message has at most what both can; another dialect is not known."""
        assert client.ask(T.VERSION, "I", 8192, rest=text(b"9P2000.L"))[:4] == struct.pack("<I", 8192)
        assert client.ask(T.VERSION, "I", 8192, rest=text(b"9P2000.u"))[4:] == text(b"unknown")
        client.ask(T.VERSION, "I", 100, rest=text(b"9P2000.L"), error=Errno.EINVAL)

    def test_walk(self, client: Client) -> None:
        """A walk of several names; one that ends too early gives no fid, unless it is the first that is missing."""
        assert client.walk(0, 1, b"sub", b"deep") == 2
        assert client.walk(0, 2, b"sub", b"none", b"x") == 1
        client.ask(T.CLUNK, "I", 2, error=Errno.EBADF)
        client.walk(0, 2, b"none", error=Errno.ENOENT)
        assert client.walk(1, 2, b"..", b"..", b"hello") == 3
        client.walk(0, 2, error=Errno.EINVAL)
        client.walk(77, 3, error=Errno.EBADF)
        assert client.walk(0, 3) == 0
        client.walk(0, 4, *[b"sub"] * 17, error=Errno.EINVAL)

    def test_inside(self, client: Client, root: Path) -> None:
        """The way up ends at the folder, a symbolic link is not followed, and a name is no path."""
        assert client.walk(0, 1, b"..", b"..", b"hello") == 3
        client.walk(0, 2, b"secret", error=Errno.ENOENT)
        assert client.walk(0, 3, b"up") == 1
        client.walk(3, 4, b"secret", error=Errno.ENOTDIR)
        client.ask(T.LOPEN, "II", 3, 0, error=Errno.ENXIO)
        client.walk(0, 5, b"../secret", error=Errno.EINVAL)
        client.walk(0, 6)
        client.ask(T.LCREATE, "I", 6, rest=text(b"../x") + struct.pack("<3I", 2, 0o644, 0), error=Errno.EINVAL)
        assert sorted(path.name for path in root.parent.iterdir()) == ["secret", "shared"]


class TestFiles:
    def test_read_and_write(self, client: Client, root: Path) -> None:
        """Files are opened and created, read and written, and closed with their fid."""
        client.walk(0, 1, b"hello")
        client.read(1, error=Errno.EBADF)
        client.ask(T.LOPEN, "II", 1, OpenFlag.RDONLY)
        assert client.read(1) == b"hello, guest\n"
        client.write(1, b"x", error=Errno.EBADF)
        client.walk(0, 2)
        client.ask(T.LCREATE, "I", 2, rest=text(b"new") + struct.pack("<3I", OpenFlag.RDWR, 0o640, 0))
        client.write(2, b"data")
        client.write(2, b"more", 4)
        client.ask(T.FSYNC, "I", 2)
        assert (root / "new").read_bytes() == b"datamore"
        assert stat.S_IMODE((root / "new").stat().st_mode) == 0o640
        client.ask(T.CLUNK, "I", 2)
        client.read(2, error=Errno.EBADF)

    def test_attributes(self, client: Client, root: Path) -> None:
        """What a file is, and how that is changed."""
        client.walk(0, 1, b"hello")
        times = (0, 0, 1000, 5)
        what = SetattrValid.MODE | SetattrValid.SIZE | SetattrValid.MTIME | SetattrValid.MTIME_SET | SetattrValid.UID
        client.ask(T.SETATTR, "5IQ4Q", 1, what, 0o600, 0, 0, 5, *times)
        found = struct.unpack_from("<Q13s3I15Q", client.ask(T.GETATTR, "IQ", 1, 0x7FF))
        assert (found[2] & 0o777, found[3], found[7]) == (0o600, 0, 5)
        assert found[12:14] == (1000, 5)
        assert (root / "hello").stat().st_mtime_ns == 1_000_000_000_005
        client.ask(T.SETATTR, "5IQ4Q", 1, SetattrValid.GID, 0, 0, 4321, 0, 0, 0, 0, 0, error=Errno.EPERM)
        client.ask(T.SETATTR, "5IQ4Q", 1, SetattrValid.ATIME, *[0] * 8)
        assert (root / "hello").stat().st_atime_ns > 2_000_000_000_000

    def test_locks(self, client: Client) -> None:
        """Locks are granted: nobody else has any."""
        client.walk(0, 1, b"hello")
        assert client.ask(T.LOCK, "IBIQQI", 1, 1, 0, 0, 0, 5, rest=text(b"guest")) == b"\0"
        answer = client.ask(T.GETLOCK, "IBQQI", 1, 1, 0, 9, 5, rest=text(b"guest"))
        assert answer == struct.pack("<BQQI", 2, 0, 9, 5) + text(b"guest")


class TestDirectories:
    def test_names(self, client: Client, root: Path) -> None:
        """All names come, sorted, in however small pieces."""
        for number in range(30):
            (root / "sub" / f"file{number:02}").touch()
        client.walk(0, 1, b"sub")
        client.ask(T.LOPEN, "II", 1, 0)
        assert client.names(1) == [b".", b"..", b"deep", *(b"file%02d" % n for n in range(30))]

    def test_changed(self, client: Client, root: Path) -> None:
        """Directories, links, names and their removal."""
        client.ask(T.MKDIR, "I", 0, rest=text(b"made") + struct.pack("<II", 0o700, 0))
        client.ask(T.SYMLINK, "I", 0, rest=text(b"link") + text(b"/etc/passwd") + bytes(4))
        client.ask(T.SYMLINK, "I", 0, rest=text(b"odd") + text(b"a\0b") + bytes(4), error=Errno.EINVAL)
        client.ask(T.MKNOD, "I", 0, rest=text(b"file") + struct.pack("<4I", stat.S_IFREG | 0o600, 0, 0, 0))
        client.ask(T.MKNOD, "I", 0, rest=text(b"pipe") + struct.pack("<4I", stat.S_IFIFO, 0, 0, 0), error=Errno.EPERM)
        client.walk(0, 1, b"link")
        assert client.ask(T.READLINK, "I", 1) == text(b"/etc/passwd")
        client.walk(0, 2, b"file")
        client.ask(T.LINK, "II", 0, 2, rest=text(b"again"))
        client.walk(0, 3, b"made")
        client.ask(T.RENAMEAT, "I", 0, rest=text(b"again") + struct.pack("<I", 3) + text(b"inside"))
        client.ask(T.RENAME, "II", 2, 3, rest=text(b"other"))
        assert sorted(os.listdir(root / "made")) == ["inside", "other"]
        client.ask(T.UNLINKAT, "I", 0, rest=text(b"made") + struct.pack("<I", 0x200), error=Errno.ENOTEMPTY)
        client.ask(T.UNLINKAT, "I", 3, rest=text(b"inside") + bytes(4))
        client.ask(T.REMOVE, "I", 2)
        client.ask(T.REMOVE, "I", 3)
        client.ask(T.CLUNK, "I", 3, error=Errno.EBADF)
        client.walk(0, 4)
        client.ask(T.REMOVE, "I", 4, error=Errno.EPERM)
        client.ask(T.RENAME, "II", 0, 0, rest=text(b"x"), error=Errno.EINVAL)
        assert sorted(os.listdir(root)) == ["hello", "link", "sub", "up"]

    def test_space(self, client: Client, root: Path) -> None:
        """The space of the host's file system."""
        found, host = struct.unpack("<II6QI", client.ask(T.STATFS, "I", 0)), os.statvfs(root)
        assert found[1:3] == (host.f_frsize, host.f_blocks) and found[-1] == host.f_namemax


class TestHostile:
    @pytest.mark.parametrize("kind", [T.XATTRWALK, T.XATTRCREATE, T.AUTH, 0, 99, 255])
    def test_not_there(self, client: Client, kind: int) -> None:
        """What there is not is EOPNOTSUPP."""
        client.ask(kind, "QQQ", 0, 0, 0, error=Errno.EOPNOTSUPP)

    def test_not_whole(self, client: Client) -> None:
        """A request that is cut off gets EINVAL, or nothing if it has no header; an answer without room is EIO."""
        assert client.server.answer(b"", 100) == client.server.answer(bytes(6), 100) == b""
        assert client.server.answer(struct.pack("<IBH", 3, T.CLUNK, 1), 100)[HEAD:] == struct.pack("<I", Errno.EINVAL)
        for kind in T:
            if kind not in (T.FLUSH, T.LERROR):
                answer = client.raw(kind, b"")
                assert answer[4] == T.LERROR + 1, kind.name
        assert client.raw(T.STATFS, bytes(4), room=20)[HEAD:] == struct.pack("<I", Errno.EIO)
        assert client.raw(T.STATFS, bytes(4), room=8) == b""
        client.walk(0, 1, b"hello")
        client.ask(T.LOPEN, "II", 1, OpenFlag.RDWR)
        client.ask(T.WRITE, "IQI", 1, 0, 100, rest=b"short", error=Errno.EINVAL)
        client.ask(T.LOPEN, "II", 1, 0, error=Errno.EINVAL)

    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def test_anything(self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
        """Any requests are answered, change nothing outside, and a replay of the host's answers answers the same."""
        top = tmp_path_factory.mktemp("any")
        (top / "secret").write_text("secret")
        (top / "root").mkdir()
        (top / "root" / "up").symlink_to("..")
        one = Client(top / "root").attach()
        number = st.integers(0, 4) | st.sampled_from([0o100644, 0o40755, 0xFFFF_FFFF])
        name = st.sampled_from([b"a", b"b", b"up", b"secret", b"..", b"", b"a/b"])
        body = st.builds(
            lambda first, name, numbers: struct.pack("<I", first) + name + struct.pack(f"<{len(numbers)}I", *numbers),
            number, name.map(text) | st.just(b""), st.lists(number, max_size=12),
        )  # fmt: skip
        walks = st.builds(
            lambda fid, new, names: struct.pack("<IIH", fid, new, len(names)) + b"".join(map(text, names)),
            st.integers(0, 4), st.integers(0, 4), st.lists(name, max_size=3),
        )  # fmt: skip
        request = st.tuples(st.sampled_from(T), body) | st.tuples(st.just(T.WALK), walks)
        requests = data.draw(st.lists(request, max_size=25))
        for kind, rest in requests:
            one.raw(kind, rest)
        assert sorted(path.name for path in top.iterdir()) == ["root", "secret"]
        assert (top / "secret").read_text() == "secret"
        again = Client(top / "root", one.journal.copy()).attach()
        for kind, rest in requests:
            again.raw(kind, rest)
        assert again.answers == one.answers
        saved = one.server.save()
        assert again.server.save() == saved == decode(encode(saved), NinepState)
        for client in (one, again):
            client.folder.close()


class TestState:
    def test_saved(self, client: Client, root: Path) -> None:
        """In another process the fids and open files go on."""
        client.walk(0, 1)
        client.ask(T.LCREATE, "I", 1, rest=text(b"kept") + struct.pack("<3I", OpenFlag.RDWR, 0o644, 0))
        client.write(1, b"one")
        other = Client(root)
        other.server.restore(decode(encode(client.server.save()), NinepState))
        assert other.read(1) == b"one"
        other.write(1, b"two", 3)
        assert (root / "kept").read_bytes() == b"onetwo"
        other.folder.close()

    def test_nodes_go(self, client: Client) -> None:
        """No node is left when all fids but that of the folder are."""
        client.walk(0, 1, b"sub", b"deep")
        client.walk(1, 1, b"..", b"..", b"hello")
        client.ask(T.CLUNK, "I", 1)
        assert set(client.server.save().share.nodes) == {1}


class TestDevice:
    @pytest.fixture
    def driver(self, root: Path) -> Iterator[Driver]:
        bench = Bench(256)
        device = Virtio9p("9p", bench.wiring(), bench.memory, Folder(root), "host")
        yield Driver(bench, device, size=16, features=1)
        device.close()
        bench.close()

    def test_request(self, driver: Driver) -> None:
        """A request comes in pieces, and so does its answer; the trace tells of it, and the state has it."""
        body = struct.pack("<I", 8192) + text(b"9P2000.L")
        request = struct.pack("<IBH", HEAD + len(body), T.VERSION, 1) + body
        answer = driver.call(0, request[:5], request[5:], writable=(3, 100))
        assert answer == struct.pack("<IBH", len(request), T.VERSION + 1, 1) + body
        record = driver.bench.events[-1]
        assert (record["event"], record["operation"], record["path"]) == ("fs.request", "VERSION", "/")
        saved = driver.frame.save()
        assert saved.device.more.largest == 8192
        driver.start()
        driver.frame.restore(saved)
        assert driver.frame.save() == saved

    def test_config(self, driver: Driver) -> None:
        """The tag behind its length."""
        assert driver.config(0, 2) == 4 and bytes(driver.config(at, 1) for at in range(2, 6)) == b"host"

    def test_too_much(self, driver: Driver) -> None:
        """A request that names the same memory again and again is dropped and not held."""
        head = driver.chain(0, [(BASE + 0x20_000, 1 << 17)] * 12, [(BASE + 0x40_000, 100)])
        driver.offer(0, head)
        driver.kick(0)
        assert driver.collect(0)[0][1] == 0 and driver.device.live
