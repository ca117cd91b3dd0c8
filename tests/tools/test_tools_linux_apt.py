"""Fetching from an archive of Debian packages: a tiny one on this machine, signed by a key of the test, by real apt."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from debian_archive import Archive, deb, module
from msgspec.structs import replace

from cca_platform.errors import MachineError
from cca_tools.linux import apt, job
from cca_tools.linux.job import Request

pytestmark = pytest.mark.skipif(not Archive.possible(), reason="apt or gpg is not installed")

NEW, OLD = "7.3.4+deb13", "6.1.0-50"


def fill(archive: Archive) -> None:
    """Two kernels of the flavour cloud, one generic, and busybox."""
    archive.add("busybox-static", "1:1.37.0-6", deb({"usr/bin/busybox": b"busybox"}))
    for flavour in ("cloud-arm64", "arm64"):
        name, version = f"{NEW}-{flavour}", "7.3.4-1"
        root = f"usr/lib/modules/{name}"
        parts = {
            f"linux-binary-{name}": {f"{root}/vmlinuz": f"image {name}".encode()},
            f"linux-modules-{name}": {f"{root}/kernel/drivers/virtio_blk.ko": module("virtio_blk")},
        }
        for part, files in parts.items():
            archive.add(part, version, deb(files))
        needs = ", ".join(f"{part} (= {version})" for part in parts)
        archive.add(f"linux-image-{name}", version, deb({}), Depends=f"linux-initramfs-tool, {needs}")
        meta = f"linux-base-{flavour} (= {version}), linux-image-{name} (= {version})"
        archive.add(f"linux-image-{flavour}", version, deb({}), Depends=meta)
    files = {f"boot/vmlinuz-{OLD}-cloud-arm64": b"old", f"lib/modules/{OLD}-cloud-arm64/kernel/x.ko": module("x")}
    archive.add(f"linux-image-{OLD}-cloud-arm64", "6.1.176-1", deb(files), Depends="kmod")
    archive.publish()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """An archive that tests do not change."""
    archive = Archive(tmp_path_factory.mktemp("archive"))
    fill(archive)
    yield archive
    archive.close()


def request(archive: Archive, folder: Path) -> Request:
    """A request to an archive, with a cache in a folder."""
    return Request(suite="trixie", mirror=archive.uri, keyring=archive.keyring, cache=folder / "cache")


def prepared(wanted: Request) -> job.Job:
    """What is booted."""
    return job.prepare(wanted, lambda what: None)


class TestFetch:
    """A request finds its kernel, and finds it again without the archive."""

    def test_newest(self, shared: Archive, tmp_path: Path) -> None:
        """The newest kernel of the suite, of either flavour, or of a version; each with its modules."""
        wanted = request(shared, tmp_path)
        found = prepared(wanted)
        assert found.kernel.read_bytes() == f"image {NEW}-cloud-arm64".encode()
        assert b"virtio_blk.ko\0" in found.initrd.read_bytes()
        assert prepared(replace(wanted, flavour="generic")).kernel.read_bytes() == f"image {NEW}-arm64".encode()
        assert prepared(replace(wanted, kernel_version="6.1")).kernel.read_bytes() == b"old"
        with pytest.raises(MachineError, match=r"must have a generic version .* for arm64, and has none"):
            prepared(replace(wanted, kernel_version="6.1", flavour="generic"))

    def test_offline(self, tmp_path: Path) -> None:
        """What has been fetched is found again, whole, when the archive is gone, with the same bytes."""
        archive = Archive(tmp_path / "archive")
        fill(archive)
        archive.close()
        wanted = request(archive, tmp_path)
        first = prepared(wanted)
        bytes_of_it = first.initrd.read_bytes()
        (tmp_path / "archive" / "dists").rename(tmp_path / "gone")
        again = prepared(wanted)
        assert (again, again.initrd.read_bytes()) == (first, bytes_of_it)
        with pytest.raises(MachineError, match="cannot be fetched"):
            prepared(replace(wanted, update=True))
        damaged = next((tmp_path / "cache" / "debs").glob("busybox*"))
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
        with pytest.raises(MachineError, match="cannot be fetched"):
            prepared(wanted)

    def test_system_untouched(self, shared: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hooks of the machine's apt do not run: nothing outside the cache changes."""
        mark = tmp_path / "mark"
        own = tmp_path / "apt.conf"
        own.write_text(
            f'APT::Update::Post-Invoke {{ "touch {mark}"; }};\nAPT::Update::Pre-Invoke {{ "touch {mark}"; }};\n'
        )
        monkeypatch.setenv("APT_CONFIG", str(own))
        prepared(request(shared, tmp_path))
        assert not mark.exists()

    def test_told(self, shared: Archive, tmp_path: Path) -> None:
        """Progress is told, and the line is cleared at the end."""
        told: list[str] = []
        job.prepare(request(shared, tmp_path), told.append)
        assert told[-1] == "" and any("fetching the lists" in one for one in told)
        assert any(one.startswith("fetching 3 packages, ") for one in told)


class TestRefused:
    """What is wrong with an archive is a line that says what to do, and the cache stays whole."""

    @pytest.mark.parametrize(
        ("case", "words"),
        [
            ("expired", "Release file has expired: the mirror is old, or the clock"),
            ("unsigned", "is not signed: give another --mirror"),
            ("stranger", "no key here has signed the archive: give --keyring"),
            ("no suite", "has no such suite, or cannot be reached: check --suite, --mirror and the network"),
            ("changed", "is not what the archive has signed"),
            ("no kernel", "the suite must have a cloud kernel for arm64, and has none"),
        ],
    )
    def test_archive(self, tmp_path: Path, case: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """An archive that must not be trusted, or does not have what is asked for."""
        archive = Archive(tmp_path / "archive")
        fill(archive)
        wanted = request(archive, tmp_path)
        if case == "expired":
            archive.publish(timedelta(days=-1))
            strict = 'Acquire::Check-Date "true";\nAcquire::Check-Valid-Until "true";\n'  # this machine may not ask
            monkeypatch.setattr(apt, "_CONFIGURATION", apt._CONFIGURATION + strict)
        elif case == "unsigned":
            archive.publish(signed=False)
        elif case == "stranger":
            other = Archive(tmp_path / "other")
            other.close()
            wanted = replace(wanted, keyring=other.keyring)
        elif case == "no suite":
            wanted = replace(wanted, suite="forky")
        elif case == "changed":
            path = next((tmp_path / "archive/pool").glob("busybox*"))
            path.write_bytes(path.read_bytes()[:-1] + b"!")
        elif case == "no kernel":
            archive.records = [one for one in archive.records if "Package: linux-" not in one]
            archive.publish()
        archive.close()
        with pytest.raises(MachineError, match=words):
            prepared(wanted)
        assert not list((tmp_path / "cache").glob("work.*")) and not list((tmp_path / "cache").glob("*/*.cpio"))

    def test_no_network(self, tmp_path: Path) -> None:
        """A host that cannot be reached."""
        wanted = Request(suite="trixie", mirror="http://127.0.0.1:9/debian", cache=tmp_path)
        with pytest.raises(MachineError, match=r"cannot be reached: check .*the network"):
            prepared(wanted)

    def test_init_of_others(self, tmp_path: Path) -> None:
        """A command needs our init; modules go into our initramfs."""
        for more in ({"command": "ls"}, {"load": ("x",)}, {"modules": tmp_path}):
            with pytest.raises(MachineError, match="--initrd"):
                prepared(Request(kernel=tmp_path / "k", initrd=tmp_path / "i", **more))  # type: ignore[arg-type]


class TestInterrupted:
    """A fetch that is stopped in the middle."""

    def test_killed(self, shared: Archive, tmp_path: Path) -> None:
        """SIGINT while packages come: the next request starts from a whole cache."""
        slow = (
            "import sys, signal, os\nfrom pathlib import Path\nfrom cca_tools.linux import job\n"
            "def tell(what):\n    if what.startswith('fetching 3'): os.kill(os.getpid(), signal.SIGINT)\n"
            f"job.prepare(job.Request(suite='trixie', mirror={shared.uri!r}, keyring=Path({str(shared.keyring)!r}),"
            f" cache=Path({str(tmp_path / 'cache')!r})), tell)\n"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run([sys.executable, "-c", slow], capture_output=True, check=False, env=environment)
        assert done.returncode in (-signal.SIGINT, 130, 1) and b"KeyboardInterrupt" in done.stderr
        assert not list((tmp_path / "cache").glob("work.*"))
        assert prepared(request(shared, tmp_path)).kernel.is_file()
