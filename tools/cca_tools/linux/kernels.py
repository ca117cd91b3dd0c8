"""Which of Debian's packages a kernel is made of, and what of them a guest needs.

From Linux 6.19 on, a kernel is two packages: ``linux-binary-VERSION`` has the image
(``usr/lib/modules/VERSION/vmlinuz``), ``linux-modules-VERSION`` the modules; ``linux-image-VERSION`` only depends on
them. Before, it had everything, with the image in ``boot``.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from cca_platform.errors import MachineError
from cca_tools.linux import deb
from cca_tools.linux.apt import ARCHITECTURE, Apt, Package
from cca_tools.linux.cache import Cache, digest
from cca_tools.linux.mirrors import Source

__all__ = ["BUSYBOX", "FLAVOURS", "SUITE", "busybox", "choose", "fetch", "image", "open_apt", "version", "with_modules"]

SUITE: Final = "trixie-backports"
"""Where Debian's newest kernel is that its archive has signed for a release."""
FLAVOURS: Final = {"cloud": f"-cloud-{ARCHITECTURE}", "generic": f"-{ARCHITECTURE}"}
"""How the names of kernels of each flavour end."""
BUSYBOX: Final = "busybox-static"
_OTHERS: Final = re.compile(rf"-(cloud|rt|16k|64k)-{ARCHITECTURE}$")
_KERNEL: Final = re.compile(r"linux-(?:image|binary)-([0-9]+)\.([0-9]+)")
_IMAGE: Final = re.compile(r"(?:usr/lib/modules/[^/]+/vmlinuz|boot/vmlinuz-[^/]+(?<!\.sig))$")


def open_apt(cache: Cache, source: Source, suite: str) -> Apt:
    """The private apt root for a suite: with backports, the release itself is there, too."""
    base = suite.removesuffix("-backports")
    suites = [suite] if base == suite else [base, suite]
    with cache.writing():
        return Apt(cache.place("apt") / suite, source, suites)


def choose(apt: Apt, flavour: str, version: str = "") -> list[str]:
    """The packages of the newest kernel of a flavour, or of the newest whose version begins with ``version``.

    Raises MachineError if the suite has none.
    """
    ending = FLAVOURS[flavour]
    if version:
        names = [name for name in apt.names(f"linux-image-{version}") if _of_flavour(name, flavour)]
        names = [name for name in names if re.match(r"[.+-]|$", name[len(f"linux-image-{version}") :])]
        found = max(names, key=_numbers, default="")
    else:
        found = next(iter(_named(apt.record(f"linux-image{ending}").get("Depends", ""), "linux-image-")), "")
    if not found:
        what = f"version {version}" if version else "kernel"
        raise MachineError(
            f"the suite must have a {flavour} {what} for {ARCHITECTURE}, and has none: give another --suite"
        )
    record = apt.record(found)
    needs = record.get("Depends", "")
    parts = [*_named(needs, "linux-binary-"), *_named(needs, "linux-modules-")]
    return [f"{name}={record['Version']}" for name in (parts or [found])]


def _of_flavour(name: str, flavour: str) -> bool:
    if not name.endswith(FLAVOURS[flavour]) or "-unsigned-" in name:
        return False
    return flavour == "cloud" or not _OTHERS.search(name)


def _named(depends: str, prefix: str) -> list[str]:
    """The names in a field of dependencies that begin with ``prefix`` and a version."""
    names = [alternatives.split()[0] for alternatives in depends.split(",") if alternatives.strip()]
    return [name for name in names if name.startswith(prefix) and name[len(prefix) :][:1].isdigit()]


def _numbers(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]


def version(package: str) -> tuple[int, ...]:
    """The version of the kernel that a package is of: of ``linux-image-6.1.0-50-arm64`` (6, 1); () if it is of none."""
    match = _KERNEL.match(package)
    return () if match is None else (int(match[1]), int(match[2]))


def fetch(apt: Apt, cache: Cache, names: Sequence[str], tell: Callable[[str], object]) -> list[Package]:
    """The packages, each in the cache's folder ``debs`` as the signed lists say; what is missing is fetched."""
    packages = apt.located(names)
    missing = [one for one in packages if not present(cache, one)]
    if missing:
        total = sum(one.size for one in missing)
        what = missing[0].name if len(missing) == 1 else f"{len(missing)} packages"
        with cache.workshop() as folder:
            apt.download(missing, folder, lambda percent: tell(f"fetching {what}, {total / 1e6:.1f} MB: {percent} %"))
            debs = cache.place("debs")
            for one in missing:
                path = folder / one.file
                if not path.is_file() or digest(path) != one.sha256:
                    raise MachineError(f"package {one.name} must be what the archive has signed, and is not: try again")
                with cache.writing():
                    path.replace(debs / one.file)
    return packages


def present(cache: Cache, package: Package) -> bool:
    """True if the cache has the package whole and as it was signed."""
    path = cache.root / "debs" / package.file
    return path.is_file() and path.stat().st_size == package.size and digest(path) == package.sha256


def image(paths: Iterable[Path]) -> bytes:
    """The kernel's image in its packages."""
    for path in paths:
        for name, data in deb.files(path):
            if _IMAGE.search(name):
                return data
    raise MachineError("the packages of the kernel must have an image, and have none: give another --suite")


def busybox(path: Path) -> bytes:
    """The program busybox in its package."""
    for name, data in deb.files(path):
        if name in ("bin/busybox", "usr/bin/busybox"):
            return data
    raise MachineError(f"package {path.name} must have busybox, and has none: give another --suite")


def with_modules(paths: Iterable[Path]) -> Path:
    """The package of a kernel that has its modules."""
    found = list(paths)
    return next((path for path in found if path.name.startswith("linux-modules-")), found[0])
