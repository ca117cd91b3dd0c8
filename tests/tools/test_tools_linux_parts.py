"""What a guest's Linux is made of: packages, modules, initramfs, and what its init reports."""

import io
import lzma
import os
import subprocess
import tarfile
from itertools import pairwise
from pathlib import Path

import pytest
from debian_archive import deb, module
from hypothesis import given
from hypothesis import strategies as st

from cca_platform.errors import MachineError
from cca_tools.linux import cpio, initramfs, kernels, modules
from cca_tools.linux import deb as packages
from cca_tools.linux.cache import Cache, default_folder
from cca_tools.linux.guest import Report, nonce_of
from cca_tools.linux.initramfs import Task
from cca_tools.linux.mirrors import Source, archive, sources

ROOT = "usr/lib/modules/7.0-test/"
NEEDS = {"a": ("b", "c"), "b": ("c",), "c": (), "d-e": ("a",)}


def kernel_package(packing: str = ".xz") -> bytes:
    """A package with four modules that need each other."""
    made = {name: module(name, needs, [f"of:{name}*"]) for name, needs in NEEDS.items()}
    pack = {".xz": lzma.compress, "": bytes}[packing]
    files = {f"{ROOT}kernel/x/{name}.ko{packing}": pack(data) for name, data in made.items()}
    return deb(files | {f"{ROOT}modules.builtin": b"kernel/fs/ext4.ko\n"})


class TestDeb:
    """Packages, read by the standard library."""

    @pytest.mark.parametrize("packing", ["", "xz", "gz", "zst"])
    def test_files(self, tmp_path: Path, packing: str) -> None:
        """The files of a package are found, however its tar archive is packed; links are no files."""
        if packing == "zst":
            pytest.importorskip("zstandard")
        path = tmp_path / "x.deb"
        path.write_bytes(deb({"usr/bin/x": b"one", "y": b""}, packing, {"z": "y"}))
        assert list(packages.files(path)) == [("usr/bin/x", b"one"), ("y", b"")]

    @pytest.mark.parametrize("cut", [0, 4, 60, 100, 250, -1, -40])
    def test_damaged(self, tmp_path: Path, cut: int) -> None:
        """A package that is cut off anywhere is a line that says what to do."""
        whole = deb({"x": bytes(range(256)) * 8})
        path = tmp_path / "x.deb"
        path.write_bytes(whole[:cut])
        with pytest.raises(MachineError, match=r"^package x.deb is damaged \(.+\): remove it"):
            list(packages.files(path))


class TestModules:
    """Kernel modules say themselves what they need."""

    @pytest.mark.parametrize("packing", [".xz", ""])
    def test_order(self, tmp_path: Path, packing: str) -> None:
        """Each module comes behind what it needs; dashes are underscores; what is built in is left out."""
        path = tmp_path / "linux-modules-7.0-test.deb"
        path.write_bytes(kernel_package(packing))
        version, found = modules.of_package(path)
        assert version == "7.0-test"
        assert [one.name for one in found.resolve(["d_e", "ext4"])] == ["c", "b", "a", "d_e"]

    def test_unknown(self, tmp_path: Path) -> None:
        """A module that is not there is an error, with a guess."""
        path = tmp_path / "x.deb"
        path.write_bytes(kernel_package())
        with pytest.raises(MachineError, match="--module must name a module of the kernel, not d_f: there is d_e"):
            modules.of_package(path)[1].resolve(["d_f"])

    def test_tables(self, tmp_path: Path) -> None:
        """What modprobe reads: each module with all that it needs, nearest first, and its aliases."""
        path = tmp_path / "x.deb"
        path.write_bytes(kernel_package())
        chosen = modules.of_package(path)[1].resolve(["a"])
        made = dict(modules.tables(chosen, {one.name: one for one in chosen}))
        assert made["modules.dep"] == (
            b"kernel/x/c.ko:\nkernel/x/b.ko: kernel/x/c.ko\nkernel/x/a.ko: kernel/x/b.ko kernel/x/c.ko\n"
        )
        assert b"alias of:a* a\n" in made["modules.alias"]

    def test_soft(self) -> None:
        """A module that should be there first is loaded first, if there is one; a circle is none."""
        made = {
            "kernel/x.ko": module("x", ["y"], extra=["softdep=pre: z nowhere post: w"]),
            "kernel/y.ko": module("y", ["x"]), "kernel/z.ko": module("z"), "kernel/w.ko": module("w"),
        }  # fmt: skip
        assert [one.name for one in modules.Modules(made).resolve(["x"])] == ["y", "z", "x"]

    def test_folder(self, tmp_path: Path) -> None:
        """A folder of modules is as good as a package; its version is that of a module."""
        place = tmp_path / "lib/modules/7.0-test/kernel/x"
        place.mkdir(parents=True)
        (place / "one.ko.xz").write_bytes(lzma.compress(module("one", ["two"])))
        (place / "two.ko").write_bytes(module("two"))
        version, found = modules.of_folder(tmp_path)
        assert version == "7.0-test" and [one.name for one in found.resolve(["one"])] == ["two", "one"]

    @pytest.mark.parametrize(("data", "words"), [(b"", "must be an ELF file"), (lzma.compress(b"x" * 99)[:-9], "xz")])
    def test_garbage(self, data: bytes, words: str) -> None:
        """What is no module, or a damaged one, is named."""
        with pytest.raises(MachineError, match=f"module kernel/x.ko .*{words}"):
            modules.Modules({"kernel/x.ko": data}).resolve(["x"])

    def test_signature(self) -> None:
        """A signature at the end is left out; a module without one stays as it is."""
        plain = module("x")
        trailer = bytes(8) + (5).to_bytes(4, "big") + b"~Module signature appended~\n"
        assert modules.unsigned(plain + b"12345" + trailer) == modules.unsigned(plain) == plain

    def test_no_folder(self, tmp_path: Path) -> None:
        """A folder without modules is an error."""
        with pytest.raises(MachineError, match="--modules must be a folder with modules"):
            modules.of_folder(tmp_path)


class TestCpio:
    """Archives in the format of an initramfs."""

    def test_read_by_others(self, tmp_path: Path) -> None:
        """cpio lists files, folders, links and devices as they were given; the archive is a multiple of 4 bytes."""
        made = cpio.archive(
            [cpio.folder("dev"), cpio.device("dev/console", 5, 1), cpio.file("x", b"12345", 0o755), cpio.link("y", "x")]
        )
        assert len(made) % 4 == 0
        try:
            said = subprocess.run(["cpio", "-itvn"], input=made, capture_output=True, check=True).stdout.decode()
        except FileNotFoundError:
            pytest.skip("cpio is not installed")
        rows = [line.split() for line in said.splitlines()]
        assert [row[0] for row in rows] == ["drwxr-xr-x", "crw-------", "-rwxr-xr-x", "lrwxrwxrwx"]
        assert rows[1][4:6] == ["5,", "1"] and rows[2][4] == "5" and rows[3][-2:] == ["->", "x"]

    def test_bytes(self) -> None:
        """The header of an entry is thirteen numbers behind the magic: owner, time and links do not differ."""
        made = cpio.archive([cpio.file("x", b"1")])
        assert made.startswith(b"070701" + b"00000001" + b"000081a4" + b"00000000" * 2 + b"00000001" + b"00000000")
        assert made.endswith(b"TRAILER!!!\0" + bytes(3)) or b"TRAILER!!!" in made[-20:]


class TestInitramfs:
    """The initramfs of a guest."""

    def made(self, tmp_path: Path, *wanted: str) -> bytes:
        """The first archive of a kernel with four modules."""
        path = tmp_path / "linux-modules-x.deb"
        path.write_bytes(kernel_package())
        version, found = modules.of_package(path)
        return initramfs.base(b"busybox", version, found, wanted)

    def test_same(self, tmp_path: Path) -> None:
        """Equal inputs make equal bytes, and another command another nonce."""
        first = self.made(tmp_path, "a")
        assert first == self.made(tmp_path, "a") != self.made(tmp_path)
        one, other = (initramfs.task(first, Task(command=command)) for command in ("ls", "ls /"))
        assert one == initramfs.task(first, Task(command="ls")) and one[1] != other[1]
        assert initramfs.task(first, Task())[1] != initramfs.task(first, Task(command=""))[1]

    def test_console(self, tmp_path: Path) -> None:
        """There is a console before any device is found, and a folder for each file."""
        made = self.made(tmp_path, "a")
        assert b"dev/console\0" in made
        for name in (b"lib/modules/7.0-test\0", b"lib/modules/7.0-test/kernel/x\0", b"modules.dep\0"):
            assert name in made

    def test_script(self) -> None:
        """The first program is a script that a shell takes."""
        subprocess.run(["sh", "-n"], input=initramfs.init_script(), check=True)


class TestReport:
    """What the init tells over the console."""

    CONSOLE = b"boot\n\x1eN+\x1eout \x1eN put\x1eN=42\x1etail"

    def whole(self, parts: list[bytes], nonce: str = "N") -> tuple[bytes, bytes, int | None]:
        """What a report makes of the parts of a console."""
        report = Report(nonce)
        heard = [*(report.hear(part) for part in parts), report.finish()]
        return b"".join(one for one, _ in heard), b"".join(one for _, one in heard), report.status

    @given(st.lists(st.integers(0, 60), max_size=6))
    def test_split(self, cuts: list[int]) -> None:
        """However the console's bytes are cut, nothing is lost, and the status is found."""
        edges = sorted({0, *cuts, len(self.CONSOLE)})
        parts = [self.CONSOLE[low:high] for low, high in pairwise(edges)]
        assert self.whole(parts) == (b"boot\n", b"out \x1eN put", 42)

    @pytest.mark.parametrize("end", [b"", b"\x1eN=", b"\x1eN=4", b"\x1eN=x\x1e", b"\x1eM=0\x1e", b"STATUS 0\n"])
    def test_none(self, end: bytes) -> None:
        """A status that is not told whole, or by another nonce, is none."""
        assert self.whole([b"\x1eN+\x1eout" + end])[2] is None

    def test_never_begun(self) -> None:
        """Of a guest that panics, everything is of the boot."""
        assert self.whole([b"Kernel panic\x1e"]) == (b"Kernel panic\x1e", b"", None)

    def test_nonce(self) -> None:
        """It depends on each input, and on where one ends."""
        assert len({nonce_of(b"ab", b"c"), nonce_of(b"a", b"bc"), nonce_of(b"abc")}) == 3


ONE_LINE = """\
# deb http://commented.example/debian trixie main
deb [arch=amd64 signed-by=/k/docker.gpg] https://docker.example/linux/debian trixie stable
deb http://security.example/debian-security trixie-security main
deb [ signed-by=/k/other.gpg ] http://mirror.example/debian trixie main contrib
deb-src http://mirror.example/debian trixie main
"""
PARAGRAPHS = """\
Types: deb
URIs: https://node.example/x
Suites: nodistro
Components: main

# a comment
Types: deb deb-src
URIs: http://one.example/debian/
Suites: trixie
 trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: trixie
Components: main
"""


class TestMirrors:
    """Where apt of this machine finds Debian's archive."""

    def lists(self, tmp_path: Path, **files: str) -> list[Path]:
        """Source lists with these contents."""
        paths = []
        for name, text in files.items():
            paths.append(tmp_path / name.replace("_", "."))
            paths[-1].write_text(text)
        return paths

    def test_one_line(self, tmp_path: Path) -> None:
        """Lists of one line: comments, sources and other archives are not taken."""
        lists = self.lists(tmp_path, x_list=ONE_LINE)
        assert [one.uri for one in sources(lists)][1:] == [
            "http://security.example/debian-security", "http://mirror.example/debian",
        ]  # fmt: skip
        assert archive(lists=lists) == Source("http://mirror.example/debian", (), ("main",), "/k/other.gpg")

    def test_paragraphs(self, tmp_path: Path) -> None:
        """Lists in paragraphs: what is turned off is not taken; Debian's own keyring tells its archive."""
        lists = self.lists(tmp_path, x_list=ONE_LINE, y_sources=PARAGRAPHS)
        assert archive(lists=lists).uri == "http://one.example/debian/"

    def test_none(self, tmp_path: Path) -> None:
        """A machine without Debian's archive: what to give instead."""
        with pytest.raises(MachineError, match="give --mirror, or --kernel and --initrd"):
            archive(lists=self.lists(tmp_path, x_list="deb http://x.example/ubuntu noble main\n"))

    def test_given(self, tmp_path: Path) -> None:
        """A mirror and a keyring that are given count."""
        found = archive("http://given.example/debian", tmp_path / "k.gpg", lists=[])
        assert (found.uri, found.keyring) == ("http://given.example/debian", str(tmp_path / "k.gpg"))

    def test_no_apt(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A machine without apt: what to give instead."""
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(MachineError, match=r"apt must be installed.*give --kernel and --initrd instead"):
            archive()


class TestCache:
    """The folder of what has been fetched."""

    def test_place(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """It is where the user's caches are."""
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert default_folder() == tmp_path / "realmlab"
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert default_folder() == tmp_path / ".cache/realmlab"

    def test_not_writable(self, tmp_path: Path) -> None:
        """A folder that cannot be made is a line, with the option that helps."""
        (tmp_path / "file").touch()
        with pytest.raises(MachineError, match=r"--cache \S+ must be writable \(Not a directory\): give another"):
            Cache(tmp_path / "file" / "x").keep("debs", "x", b"")

    def test_full(self, tmp_path: Path) -> None:
        """A full disk leaves nothing half, and says so."""
        cache = Cache(tmp_path)
        cache.keep("x", "full", b"old")
        new = tmp_path / "x" / f".full.{os.getpid()}"
        new.symlink_to("/dev/full")
        with pytest.raises(MachineError, match=r"\(No space left on device\): free some space"):
            cache.keep("x", "full", b"new")
        assert (tmp_path / "x/full").read_bytes() == b"old" and not new.is_symlink()

    def test_made_once(self, tmp_path: Path) -> None:
        """What is there is not made again."""
        cache = Cache(tmp_path)
        assert cache.made("x", "y", lambda: b"1").read_bytes() == b"1"
        assert cache.made("x", "y", lambda: b"2").read_bytes() == b"1"

    def test_broken_notes(self, tmp_path: Path) -> None:
        """A note that cannot be read is none."""
        cache = Cache(tmp_path)
        cache.keep("x", "y.json", b"{")
        assert cache.known("x", "y") is None is cache.known("x", "z")

    def test_left_behind(self, tmp_path: Path) -> None:
        """What a killed process has left of its work goes with the next fetch."""
        cache = Cache(tmp_path)
        with cache.workshop() as folder:
            (folder / "half.deb").touch()
            (tmp_path / "work.killed").mkdir()
            with cache.locked(lambda: None):
                pass
            assert not (tmp_path / "work.killed").exists()


class TestPackages:
    """What of a package is needed."""

    def test_image(self, tmp_path: Path) -> None:
        """The image is where Linux 6.19 and later, and where earlier ones have it."""
        for name in ("usr/lib/modules/7.0-test/vmlinuz", "boot/vmlinuz-6.1-test"):
            path = tmp_path / "x.deb"
            path.write_bytes(deb({f"{name}.sig": b"no", name: b"image"}))
            assert kernels.image([path]) == b"image"

    def test_missing(self, tmp_path: Path) -> None:
        """Packages without an image or busybox are an error."""
        path = tmp_path / "x.deb"
        path.write_bytes(deb({"x": b""}))
        for function, value in ((kernels.image, [path]), (kernels.busybox, path)):
            with pytest.raises(MachineError, match="give another --suite"):
                function(value)  # type: ignore[operator]


def test_tar_is_not_extracted(tmp_path: Path) -> None:
    """Names that lead out of a package are only names: nothing is written."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../../outside"))
    path = tmp_path / "x.deb"
    path.write_bytes(deb({"../../outside": b"x"}))
    assert [name for name, _ in packages.files(path)] == ["../../outside"]
    assert not (tmp_path.parent.parent / "outside").exists()
