"""Debian's Linux with disks, as a Realm and as a plain VM, on both transports; ``--linux`` boots it."""

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

START = [sys.executable, "-c", "import sys; from cca_tools.start import main; sys.exit(main())", "linux", "-q"]
SIZE = 64 << 20


@pytest.fixture(scope="module", autouse=True)
def _asked(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--linux"):
        pytest.skip("--linux boots Debian's Linux")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 64 MiB in a file."""
    found = tmp_path_factory.mktemp("files")
    (found / "data").write_bytes(random.Random(9).randbytes(SIZE))
    return found


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A disk with an empty file system."""
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.truncate(160 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", str(path)], check=True)
    return path


def linux(*options: str) -> str:
    """What a command prints in a guest, which must end well."""
    done = subprocess.run([*START, *options], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def contents(disk: Path, name: str, tmp_path: Path) -> bytes:
    """A file of the file system on a disk, as the host reads it."""
    dumped = tmp_path / "dumped"
    subprocess.run(["debugfs", "-R", f"dump {name} {dumped}", str(disk)], check=True, capture_output=True)
    return dumped.read_bytes()


def is_clean(disk: Path) -> bool:
    """Whether the file system on a disk has no mistake, and was unmounted."""
    return subprocess.run(["e2fsck", "-f", "-n", str(disk)], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    "options",
    [("--memory", "256M"), ("--transport", "mmio", "--vcpus", "2"), ("--no-realm",)],
    ids=["Realm, PCI", "Realm, MMIO, 2 vCPUs", "plain VM, PCI"],
)
def test_file_system(tmp_path: Path, folder: Path, disk: Path, options: tuple[str, ...]) -> None:
    """64 MiB are written, synced and read back; the next boot and the host find the same; no mistake is left."""
    digest = hashlib.sha256((folder / "data").read_bytes()).hexdigest()
    given = ["-d", str(disk), "--rng", *options]
    printed = linux(
        *given, "--share", f"{folder},ro", "--",
        "mkdir /d; mount -t ext4 /dev/vda /d; cp /mnt/share/data /d/data; sync; echo 3 > /proc/sys/vm/drop_caches;"
        " sha256sum < /d/data; umount /d; head -c 8 /dev/hwrng | wc -c;"
        " dmesg | grep -v verification | grep -i -E 'virtio.*(fail|error)|swiotlb.*full|I/O error' || echo clean",
    )  # fmt: skip
    assert printed.split() == [digest, "-", "8", "clean"]
    assert is_clean(disk) and hashlib.sha256(contents(disk, "data", tmp_path)).hexdigest() == digest
    again = "mkdir /d; mount -t ext4 /dev/vda /d; sha256sum < /d/data; rm /d/data; sync; umount /d"
    printed = linux(*given, "--", again)
    assert printed.split() == [digest, "-"]
    assert is_clean(disk)


def test_layers(tmp_path: Path, disk: Path) -> None:
    """Several disks: one is read-only, one forgets, one has an overlay, which another boot finds."""
    before = disk.read_bytes()
    modes = (f"{disk},ro", f"{disk},snapshot", f"{disk},overlay={tmp_path / 'over'}")
    given = [word for mode in modes for word in ("-d", mode)]
    script = """
        mkdir /a /b /c; mount -t ext4 -o ro /dev/vda /a; mount -t ext4 /dev/vdb /b; mount -t ext4 /dev/vdc /c
        ls /b /c | grep new; touch /a/new 2>/dev/null || echo refused; touch /b/new /c/new
        umount /a /b /c
    """
    assert linux(*given, "--", script).split() == ["refused"]
    assert linux(*given, "--", script).split() == ["new", "refused"]
    assert disk.read_bytes() == before


def test_console() -> None:
    """hvc0 takes what is typed, and a line of 70 characters takes a few exits, not one a character."""
    lines = [f"line {number} {'x' * 60}" for number in range(500)]
    exits = []
    for count in (1, 500):
        typed = "".join(f"echo {line}\n" for line in lines[:count])
        done = subprocess.run([*START[:-1], "--json"], input=typed, capture_output=True, text=True, check=True)
        facts = json.loads(done.stdout)
        assert all(f"{line}\n" in facts["console"] for line in lines[:count])
        exits.append(facts["exits"]["SYNC"])
    assert exits[1] - exits[0] < 500 * 20
