"""The one door for files that a user names: sizes before contents, at most the limit, one wording for each failure."""

import errno
import io
import os
import socket
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cca_platform import userfiles
from cca_platform.errors import MachineError
from cca_platform.userfiles import KINDS, Kind, lines, read, read_program, read_text

KIND = Kind("thing", 1 << 20, "things are small", "give a smaller thing")
LINES = Kind("list", 100, "of a line", "give a list", stdin=True)
MOST = 1 << 20
WAITING = {errno.EAGAIN, errno.EALREADY, errno.EINPROGRESS}


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A pipe to which nobody writes."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.fixture
def endless(pipe: Path) -> Iterator[Path]:
    """A pipe that never ends."""

    def write() -> None:
        with open(pipe, "wb", buffering=0) as out:
            try:
                while True:
                    out.write(bytes(1 << 16))
            except BrokenPipeError:
                pass

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    yield pipe
    writer.join(10)
    assert not writer.is_alive()


def refusal(path: Any, take: Callable[..., Any] = read, kind: Kind = KIND) -> str:
    """What is said of a file, without the name of the test's folder."""
    with pytest.raises(MachineError) as refused:
        found = take(path, kind)
        if take is lines:
            list(found)
    assert "\n" not in str(refused.value)
    return str(refused.value).replace(os.fspath(Path(path).parent) + "/", "")


class TestContents:
    """What is let in."""

    @pytest.mark.parametrize("size", [0, 1, MOST - 1, MOST])
    def test_file(self, size: int, tmp_path: Path) -> None:
        """A file up to the limit."""
        path = tmp_path / "file"
        path.write_bytes(os.urandom(size))
        assert read(path, KIND) == path.read_bytes()

    def test_pipe(self, pipe: Path) -> None:
        """A pipe to its end, whoever comes first, and however slowly it is written."""
        data = os.urandom(MOST)

        def write() -> None:
            with open(pipe, "wb", buffering=0) as out:
                for at in range(0, MOST, 1 << 16):
                    out.write(data[at : at + (1 << 16)])

        writer = threading.Timer(0.1, write)
        writer.start()
        assert read(pipe, KIND) == data
        writer.join()

    def test_end_of_a_pipe(self) -> None:
        """What a program wrote that has ended, as in `<(...)`."""
        out, into = os.pipe()
        os.write(into, b"data")
        os.close(into)
        assert read(f"/dev/fd/{out}", KIND) == b"data"
        os.close(out)

    def test_files_of_the_kernel(self) -> None:
        """A file without a size has contents, and a device may be empty."""
        assert b"MemTotal" in read("/proc/meminfo", KIND)
        assert read("/dev/null", KIND) == b""

    def test_stdin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A hyphen is stdin for the kinds that have it, and a file for others."""
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\n")))
        assert list(lines("-", LINES)) == [b"a\n", b"b\n"]
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"data" * 25)))
        assert read("-", LINES) == b"data" * 25
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"data" * 26)))
        assert refusal("-", kind=LINES) == "list from stdin goes on after 100 bytes, the limit (of a line): give a list"
        assert refusal("-") == "thing - does not exist: check the path"

    def test_lines(self, tmp_path: Path) -> None:
        """A file of any size, a line at a time."""
        path = tmp_path / "file"
        path.write_bytes((b"x" * 99 + b"\n") * 2 + b"end")
        assert list(lines(path, LINES)) == [b"x" * 99 + b"\n"] * 2 + [b"end"]


class TestLimits:
    """What is too large is told by its size, or where the limit is reached."""

    def test_size(self, tmp_path: Path) -> None:
        """The size, the limit, why, and what to do."""
        path = tmp_path / "file"
        path.write_bytes(bytes(MOST + 1))
        message = "thing file has 1,048,577 bytes, more than 1 MiB (things are small): give a smaller thing"
        assert refusal(path) == message

    def test_lower_limit(self, tmp_path: Path) -> None:
        """The caller may know better than the kind."""
        path = tmp_path / "file"
        path.write_bytes(bytes(9))
        with pytest.raises(MachineError, match="has 9 bytes, more than 8 bytes"):
            read(path, KIND, limit=8)

    @pytest.mark.parametrize("take", [read, read_text, read_program])
    @pytest.mark.parametrize("name", ["/dev/zero", "/dev/urandom", "/dev/full"])
    def test_device(self, take: Callable[..., Any], name: str) -> None:
        """A device without an end."""
        assert "goes on after 1 MiB, the limit (things are small): give a smaller thing" in refusal(name, take)

    def test_once(self) -> None:
        """What has no end is in memory once, not twice, when it is refused."""
        tracemalloc.start()
        try:
            with pytest.raises(MachineError, match="goes on after 64 MiB"):
                read("/dev/zero", KIND, limit=64 << 20)
            assert tracemalloc.get_traced_memory()[1] < 70 << 20
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("take", [read, read_text, read_program])
    def test_endless_pipe(self, take: Callable[..., Any], endless: Path) -> None:
        """A pipe without an end."""
        assert refusal(endless, take).startswith("thing pipe goes on after 1 MiB")

    @pytest.mark.parametrize("name", ["/dev/zero", "FOLDER/large"])
    def test_endless_line(self, name: str, tmp_path: Path) -> None:
        """A line without an end."""
        (tmp_path / "large").write_bytes(b"x" * 100 + b"\n" + bytes(200))
        message = refusal(name.replace("FOLDER", str(tmp_path)), lines, LINES)
        number = 1
        assert f"has more than 100 bytes in line {number}: give a list" in message

    def test_endless_lines(self, pipe: Path) -> None:
        """Lines without an end come one by one."""
        stop = threading.Event()

        def write() -> None:
            with open(pipe, "wb", buffering=0) as out:
                while not stop.is_set():
                    out.write(b"line\n" * 1000)

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        found = lines(pipe, LINES)
        assert {next(found) for _ in range(10_000)} == {b"line\n"}
        stop.set()
        assert set(found) == {b"line\n"}
        writer.join(10)

    def test_large_program(self, tmp_path: Path) -> None:
        """Of a large ELF file only what has to be loaded counts, and of it nothing that is too large is read."""
        path = tmp_path / "program"
        path.write_bytes(b"\x7fELF\x02\x01\x01".ljust(64, b"\0"))
        os.truncate(path, 20 << 30)
        assert refusal(path, read_program) == "thing program must be an AArch64 ELF, not type 0: build it for AArch64"


class TestFailures:
    """Each failure of the operating system in words, the same for every file."""

    @pytest.mark.parametrize("take", [read, read_text, read_program, lines])
    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("none", "thing none does not exist: check the path"),
            ("folder", "thing folder is a directory: give a file"),
            ("file/none", "thing none does not exist, because a part of its path is a file: check the path"),
            ("loop", "thing loop is a link that leads in a circle: check the path"),
            ("dangling", "thing dangling does not exist: check the path"),
            ("n" * 300, f"thing {'n' * 160}... has too long a name for a file: check the path"),
            ("a\0b", r"thing a\x00b has a name that no file can have: check the path"),
            ("\ud800", r"thing \ud800 has a name that no file can have: check the path"),
            ("\x1b[2J", r"thing \x1b[2J does not exist: check the path"),
        ],
    )
    def test_name(
        self, take: Callable[..., Any], name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is not there, or no file."""
        monkeypatch.chdir(tmp_path)
        Path("folder").mkdir()
        Path("file").touch()
        Path("loop").symlink_to("loop")
        Path("dangling").symlink_to("none")
        assert refusal(name, take).replace("file/none", "none") == message

    @pytest.mark.parametrize("number", sorted(set(errno.errorcode) - WAITING))
    def test_every_error(self, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever the operating system says, it is a sentence about the file."""
        path = tmp_path / "file"
        path.write_bytes(b"data")

        def fail(*_: object) -> bytes:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "pread", fail)
        assert refusal(path).startswith("thing file ") and ": " in refusal(path)

    def test_socket(self, tmp_path: Path) -> None:
        """A socket."""
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(tmp_path / "socket"))
            message = "thing socket is a socket, or a device that is not there: give a file"
            assert refusal(tmp_path / "socket") == message

    @pytest.mark.parametrize("take", [read, read_text, read_program, lines])
    @pytest.mark.parametrize("writer", [True, False])
    def test_silent_pipe(
        self, writer: bool, take: Callable[..., Any], pipe: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A pipe that gives nothing is not waited for without end, with and without somebody who could write."""
        monkeypatch.setattr(userfiles, "_PATIENCE", 0.05)
        end = os.open(pipe, os.O_RDWR) if writer else None
        assert refusal(pipe, take) == "thing pipe gives nothing for 0.05 seconds: write it to a file first"
        if end is not None:
            os.close(end)

    @pytest.mark.parametrize("change", [b"more", b""])
    def test_changes(self, change: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that grows or shrinks while it is read is no file to trust."""
        path = tmp_path / "file"
        path.write_bytes(b"data")
        plain = os.pread

        def meanwhile(fd: int, size: int, at: int) -> bytes:
            found = plain(fd, size, at)
            path.write_bytes(path.read_bytes() + change if change else b"")
            return found

        monkeypatch.setattr(os, "pread", meanwhile)
        assert refusal(path) == "thing file changed while it was read: give it again when nothing writes to it"

    def test_no_text(self, tmp_path: Path) -> None:
        """What is not UTF-8 is told by its place."""
        path = tmp_path / "file"
        path.write_bytes(b"one\ntwo\xff")
        assert refusal(path, read_text) == (
            "thing file must be UTF-8 text, not have the byte 0xff in line 2: give a smaller thing"
        )


class TestKinds:
    """The table."""

    @pytest.mark.parametrize("name", KINDS)
    def test_row(self, name: str) -> None:
        """Each kind says why it has its limit and what to do."""
        kind = KINDS[name]
        assert kind.name and kind.why and kind.mend.startswith(("give ", "load "))
        assert kind.limit or name == "nonvolatile"
