"""A disk with Debian packages: an ext4 file system made without root, for a guest that boots from it.

The packages are unpacked, not installed: their scripts would have to run on the guest's processor. What those of the
base packages would leave behind and a shell misses is written here: accounts, and links of alternatives.
"""

import os
import shutil
import stat
import subprocess
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from cca_platform.errors import MachineError
from cca_tools.linux import deb
from cca_tools.linux.apt import Package
from cca_tools.linux.cache import Cache

__all__ = ["PACKAGES", "make"]

PACKAGES: Final = (
    "base-files", "base-passwd", "bash", "coreutils", "dash", "diffutils", "findutils", "grep", "gzip", "hostname",
    "iproute2", "kmod", "libc-bin", "mawk", "mount", "ncurses-base", "procps", "sed", "tar", "util-linux",
)  # fmt: skip
"""What every disk has: Debian's essential programs, without those that install others."""
_MERGED: Final = ("bin", "sbin", "lib")
"""Folders that are links to those below ``usr``."""
_ACCOUNTS: Final = {"passwd.master": "passwd", "group.master": "group"}
_LINKS: Final = {"usr/bin/awk": "mawk"}
_SPARE: Final = 256 << 20
"""Bytes for the guest's own files."""
_BLOCK: Final = 4096
_UUID: Final = uuid.uuid5(uuid.NAMESPACE_URL, "realmlab:rootfs")
_ROUND: Final = 64 << 20


def make(target: Path, cache: Cache, packages: Sequence[Package], tell: Callable[[str], object]) -> None:
    """Write a disk with the files of ``packages`` to ``target``, whole or not at all. Raises MachineError."""
    for program in ("mke2fs", "debugfs"):
        if _find(program) is None:
            raise MachineError(f"{program} must be installed to make a disk, and is not: install e2fsprogs")
    with cache.locked(lambda: tell("waiting for another realmlab that fetches")), cache.workshop() as folder:
        root = folder / "root"
        root.mkdir()
        with cache.writing():
            for number, package in enumerate(packages, 1):
                tell(f"unpacking {package.name}, {number} of {len(packages)}")
                _unpack(cache.root / "debs" / package.file, root)
            _finish(root)
            used = sum(_blocks(path.lstat()) for path in root.rglob("*"))
        tell("making the disk")
        size = -(-(used * 5 // 4 + _SPARE) // _ROUND) * _ROUND
        image = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            _format(root, image, size)
            if os.geteuid():
                _give_to_root(root, image, folder / "owners")
            os.replace(image, target)
        except OSError as error:
            raise MachineError(f"--rootfs {target} cannot be written ({error.strerror}): name another file") from None
        finally:
            image.unlink(missing_ok=True)


def _find(program: str) -> str | None:
    """A program of e2fsprogs, which is where an ordinary user does not look."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))


def _blocks(found: os.stat_result) -> int:
    return -(-found.st_size // _BLOCK) * _BLOCK + (_BLOCK if stat.S_ISDIR(found.st_mode) else 0)


def _unpack(path: Path, root: Path) -> None:
    """The files of a package below ``root``; a name that leads out of it is an error."""
    for member, data in deb.contents(path):
        place = _place(member.name, root, merged=not member.issym())
        if place == root:
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if member.isdir():
            if not place.is_dir():
                place.mkdir()
            place.chmod(member.mode | stat.S_IWUSR)
        elif member.issym():
            _clear(place)
            place.symlink_to(member.linkname)
        elif member.islnk():
            _clear(place)
            place.hardlink_to(_place(member.linkname, root))
        elif data is not None:
            _clear(place)
            with open(place, "wb") as file:
                shutil.copyfileobj(data, file)
            place.chmod(member.mode)
        if not member.issym():
            os.utime(place, (member.mtime, member.mtime))


def _clear(place: Path) -> None:
    """Make room for another file of this name; a folder stays, for a link that replaces it leads to its place."""
    if place.is_symlink() or place.is_file():
        place.unlink()


def _place(name: str, root: Path, merged: bool = True) -> Path:
    """Where a file of a package goes; a link of base-files to a merged folder stays where it is."""
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", ".")]
    if ".." in parts:
        raise MachineError(f"package has a file {name} outside its folder, which must not be: give another --mirror")
    if parts and parts[0] in _MERGED and (merged or len(parts) > 1):
        parts = ["usr", *parts]
    place = root.joinpath(*parts)
    if parts and not place.parent.resolve().is_relative_to(root.resolve()):  # a link of a package, to somewhere else
        raise MachineError(f"package has a file {name} behind a link, which must not be: give another --mirror")
    return place


def _finish(root: Path) -> None:
    """What the scripts of packages would have done."""
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    masters, etc = root / "usr/share/base-passwd", root / "etc"
    etc.mkdir(exist_ok=True)
    for master, name in _ACCOUNTS.items():
        if (masters / master).is_file() and not (etc / name).exists():
            shutil.copyfile(masters / master, etc / name)
    for link, target in _LINKS.items():
        place = root / link
        if (place.parent / target).exists() and not place.exists():
            place.symlink_to(target)
    (etc / "hostname").write_text("realm\n")


def _format(root: Path, image: Path, size: int) -> None:
    """A file system with the files below ``root``: the same for the same files."""
    with open(image, "wb") as file:
        file.truncate(size)
    _run(
        "mke2fs", "-q", "-F", "-t", "ext4", "-b", str(_BLOCK), "-L", "realmlab", "-U", str(_UUID), "-m", "0",
        "-E", f"hash_seed={_UUID},root_owner=0:0", "-d", str(root), str(image),
    )  # fmt: skip


def _give_to_root(root: Path, image: Path, script: Path) -> None:
    """Let the superuser own every file of the disk, as in the packages."""
    lines = "".join(f'sif "{name}" {field} 0\n' for name in _names(root) for field in ("uid", "gid"))
    script.write_text(lines)
    _run("debugfs", "-w", "-f", str(script), str(image))


def _names(root: Path) -> Iterator[str]:
    for path in sorted(root.rglob("*")):
        yield f"/{path.relative_to(root).as_posix()}"


def _run(program: str, *words: str) -> None:
    found = _find(program)
    assert found is not None
    environment = {**os.environ, "LC_ALL": "C", "E2FSPROGS_FAKE_TIME": "1"}
    done = subprocess.run(
        [found, *words], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        errors="replace",
    )  # fmt: skip
    if done.returncode:
        said = _first(done.stderr.splitlines())
        raise MachineError(
            f"the disk cannot be made: {program} says {said!r}; free some space, or give another --cache"
        )


def _first(lines: Iterable[str]) -> str:
    return next((line for line in lines if line and not line.startswith(("mke2fs ", "debugfs "))), "nothing")
