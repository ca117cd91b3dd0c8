"""A disk with Debian packages, made without root: what is in it, who owns it, and what is refused."""

import hashlib
import re
import subprocess
from pathlib import Path

import pytest
from debian_archive import deb

from cca_platform.errors import MachineError
from cca_tools.linux import rootfs
from cca_tools.linux.apt import Package
from cca_tools.linux.cache import Cache

pytestmark = pytest.mark.skipif(rootfs._find("mke2fs") is None, reason="e2fsprogs is not installed")

BASE = {"usr/bin/mawk": b"awk", "usr/share/base-passwd/passwd.master": b"root:*:0:0::/root:/bin/sh\n", "lib/x.so": b"x"}


def packages(cache: Cache, *contents: bytes) -> list[Package]:
    """Packages in the cache with these bytes."""
    found = []
    for number, data in enumerate(contents):
        cache.keep("debs", f"p{number}.deb", data)
        found.append(Package(f"p{number}", "1", f"p{number}.deb", len(data), hashlib.sha256(data).hexdigest()))
    return found


def made(folder: Path, *contents: bytes) -> Path:
    """The disk of packages with these bytes."""
    cache, target = Cache(folder / "cache"), folder / "disk.img"
    rootfs.make(target, cache, packages(cache, *contents), lambda what: None)
    return target


def ask(disk: Path, request: str) -> str:
    """What debugfs answers."""
    program = rootfs._find("debugfs")
    assert program is not None
    return subprocess.run([program, "-R", request, str(disk)], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk of two packages."""
    return made(tmp_path_factory.mktemp("disk"), deb(BASE, links={"bin": "usr/bin"}), deb({"bin/sh": b"shell"}))


class TestDisk:
    """A file system with what packages have."""

    @pytest.mark.parametrize(
        ("path", "contents"),
        [("/usr/bin/sh", "shell"), ("/usr/lib/x.so", "x"), ("/etc/hostname", "realm\n"),
         ("/etc/passwd", "root:*:0:0::/root:/bin/sh\n")],
    )  # fmt: skip
    def test_files(self, disk: Path, path: str, contents: str) -> None:
        """Files are below usr where folders are merged; accounts are those of base-passwd."""
        assert ask(disk, f"cat {path}") == contents

    def test_links(self, disk: Path) -> None:
        """Merged folders are links, and so are alternatives."""
        for name, target in (("/bin", "usr/bin"), ("/sbin", "usr/sbin"), ("/usr/bin/awk", "mawk")):
            assert f'Fast link dest: "{target}"' in ask(disk, f"stat {name}")

    def test_owner(self, disk: Path) -> None:
        """The superuser owns every file, whoever made the disk."""
        for name in ("/", "/usr/bin/sh", "/etc", "/bin"):
            assert re.search(r"User: +0 +Group: +0\b", ask(disk, f"stat {name}"))

    def test_sound(self, disk: Path) -> None:
        """The file system is sound, and has room."""
        checker = rootfs._find("e2fsck")
        assert checker is not None
        assert subprocess.run([checker, "-fn", str(disk)], capture_output=True, check=False).returncode == 0
        assert disk.stat().st_size >= 256 << 20 > disk.stat().st_blocks * 512


class TestRefused:
    """Packages that are not what they should be, and places that cannot be written."""

    @pytest.mark.parametrize("name", ["../outside", "usr/../../outside", "away/outside"])
    def test_outside(self, tmp_path: Path, name: str) -> None:
        """No package writes outside the disk: not by its names, and not behind its links."""
        with pytest.raises(MachineError, match=r"has a file \S+ (outside its folder|behind a link), which must not be"):
            made(tmp_path, deb({}, links={"away": str(tmp_path)}), deb({name: b"x"}))
        assert not (tmp_path / "outside").exists() and not (tmp_path / "disk.img").exists()

    def test_no_folder(self, tmp_path: Path) -> None:
        """A disk that cannot be written leaves nothing."""
        cache = Cache(tmp_path / "cache")
        with pytest.raises(MachineError, match=r"--rootfs .* cannot be written|the disk cannot be made"):
            rootfs.make(tmp_path / "none" / "disk.img", cache, packages(cache, deb(BASE)), lambda what: None)

    def test_no_program(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without e2fsprogs there is no disk."""
        monkeypatch.setattr(rootfs, "_find", lambda name: None)
        with pytest.raises(MachineError, match="mke2fs must be installed to make a disk, and is not"):
            made(tmp_path)
