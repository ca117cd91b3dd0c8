"""From options to what is booted: a kernel, an initramfs, boot arguments; fetched, made, or taken from files.

What a request chose is remembered in the cache: the same request finds the same packages again, without a network,
until ``update`` asks the archive anew.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from cca_platform.errors import MachineError
from cca_tools.linux import initramfs, kernels, mirrors, modules, rootfs
from cca_tools.linux.apt import Apt, Package
from cca_tools.linux.cache import Cache, default_folder
from cca_tools.linux.initramfs import Task
from cca_tools.linux.modules import Modules

__all__ = ["Job", "Request", "fetched", "prepare"]

_KEPT: Final = 32
"""How many initramfs the cache keeps."""
_CONSOLES: Final = {"serial": "console=ttyS0", "virtio": "console=hvc0"}
_BUILTIN: Final = (6, 12)
"""The first of Debian's cloud kernels with virtio-console built in, and all that it stands on."""
_ROOT: Final = "root=/dev/vda"
_BOUNCE: Final = "swiotlb=8192"
"""16 MiB of shared memory through which the data of disks, cards and folders pass; Linux makes half a MiB."""


class Request(Struct, frozen=True, kw_only=True):
    """What is to be booted. ``command`` is a line for the guest's shell, or None for a shell that one can talk to."""

    suite: str = kernels.SUITE
    kernel_version: str = ""
    flavour: str = "cloud"
    mirror: str | None = None
    keyring: Path | None = None
    cache: Path | None = None
    update: bool = False
    kernel: Path | None = None
    initrd: Path | None = None
    modules: Path | None = None
    load: Sequence[str] = ()
    """Modules to load whatever devices there are."""
    command: str | None = None
    append: Sequence[str] = ()
    console: str | None = "serial"
    """``serial``, ``virtio``, or None: the fast one, if Debian's kernel has it from the start."""
    earlycon: int | None = None
    """Where the UART is while Linux does not know yet that it is in a Realm."""
    rootfs: Path | None = None
    """A disk to boot from, which is made if it is not there; it is the first one."""
    packages: Sequence[str] = ()
    """Debian packages for it, besides the essential ones."""
    bounce: bool = False
    """Much data passes through devices."""
    kernel_log: bool = False
    signatures: bool = False
    """Modules keep their signatures."""
    network: bool = False
    shares: Sequence[tuple[str, str]] = ()


class Job(Struct, frozen=True, kw_only=True):
    """What is booted: files, and the boot arguments. ``nonce`` is that of our own init, else empty."""

    kernel: Path
    initrd: Path
    console: str
    args: tuple[str, ...]
    nonce: str = ""


def prepare(request: Request, tell: Callable[[str], object]) -> Job:
    """Fetch and make what ``request`` needs; ``tell`` gets what is being done, and "" at the end.

    Raises MachineError for what cannot be fetched, written, or found.
    """
    cache = Cache(request.cache or default_folder())
    try:
        if request.initrd is not None:
            _refuse_for_initrd(request)
            kernel = request.kernel or _kernel(cache, fetched(request, cache, tell))
            console = request.console or "serial"
            return Job(kernel=kernel, initrd=request.initrd, console=console, args=_arguments(request, console))
        own = None if request.modules is None else modules.of_folder(request.modules)
        packages = fetched(request, cache, tell)
        kernel = request.kernel or _kernel(cache, packages)
        if request.rootfs is not None and not request.rootfs.exists():
            _make_disk(request, request.rootfs, cache, tell)
        tell("making the initramfs")
        first = _base(request, cache, packages, own)
        what = Task(command=request.command, modules=request.load, network=request.network, shares=request.shares)
        second, nonce = initramfs.task(first, what)
        whole = first + second
        path = cache.made("initramfs", f"{hashlib.sha256(whole).hexdigest()[:24]}.cpio", lambda: whole)
        _forget(path)
        console = request.console or _console(request, packages)
        args = _arguments(request, console)
        return Job(kernel=kernel, initrd=path, console=console, args=args, nonce=nonce)
    finally:
        tell("")


def _console(request: Request, packages: Sequence[Package]) -> str:
    """The fast console, if the kernel has it built in."""
    fast = request.flavour == "cloud" and any(kernels.version(one.name) >= _BUILTIN for one in packages)
    return "virtio" if fast else "serial"


def _arguments(request: Request, console: str) -> tuple[str, ...]:
    return tuple(_words(request, console))


def _words(request: Request, console: str) -> Iterator[str]:
    yield "loglevel=7" if request.kernel_log else "quiet"  # before the console that it is for
    if request.earlycon is not None:  # until there is another one
        yield f"earlycon=uart,mmio,{request.earlycon:#x}"
    yield _CONSOLES[console]
    yield "panic=-1"
    if request.bounce:
        yield _BOUNCE
    if request.rootfs is not None:
        yield _ROOT
    yield from request.append


def _make_disk(request: Request, target: Path, cache: Cache, tell: Callable[[str], object]) -> None:
    asked = {"suite": request.suite, "disk": [*rootfs.PACKAGES, *request.packages]}
    packages = chosen(request, cache, asked, tell, lambda apt: apt.closure([*rootfs.PACKAGES, *request.packages]))
    rootfs.make(target, cache, packages, tell)


def _refuse_for_initrd(request: Request) -> None:
    if request.command is not None:
        raise MachineError(
            "a command must be run by the init of Realmlab, and --initrd has another: leave one of them out"
        )
    if request.rootfs is not None:
        raise MachineError("--rootfs must be mounted by the init of Realmlab, and --initrd has another: leave one out")
    if request.modules is not None or request.load:
        raise MachineError(
            "--modules and --module must go into an initramfs of Realmlab, not into --initrd: leave one out"
        )


def fetched(request: Request, cache: Cache, tell: Callable[[str], object]) -> list[Package]:
    """The packages that the request needs, in the cache: those of the kernel, unless it is given, and busybox."""
    names = [] if request.initrd is not None else [kernels.BUSYBOX]
    asked = {"suite": request.suite, "packages": names}
    if request.kernel is None:
        asked |= {"flavour": request.flavour, "version": request.kernel_version}
    elif not names:
        return []
    return chosen(request, cache, asked, tell, lambda apt: [*_of_kernel(request, apt), *names])


def _of_kernel(request: Request, apt: Apt) -> list[str]:
    if request.kernel is not None:
        return []
    return kernels.choose(apt, request.flavour, request.kernel_version)


def chosen(
    request: Request,
    cache: Cache,
    asked: dict[str, Any],
    tell: Callable[[str], object],
    choose: Callable[[Apt], Sequence[str]],
) -> list[Package]:
    """The packages that ``choose`` names, or those that it named when the same was ``asked`` before."""
    key = hashlib.sha256(json.dumps([asked, request.mirror], sort_keys=True).encode()).hexdigest()[:24]
    with cache.locked(lambda: tell("waiting for another realmlab that fetches")):
        if not request.update and (known := _known(cache, key)) is not None:
            return known
        apt = kernels.open_apt(cache, mirrors.archive(request.mirror, request.keyring), request.suite)
        tell("fetching the lists of packages")
        apt.update(lambda percent: tell(f"fetching the lists of packages: {percent} %"))
        tell("choosing packages")
        packages = kernels.fetch(apt, cache, choose(apt), tell)
        cache.remember("chosen", key, msgspec.to_builtins(packages))
    return packages


def _known(cache: Cache, key: str) -> list[Package] | None:
    """What was chosen before, if all of it is still there as it was."""
    try:
        packages = msgspec.convert(cache.known("chosen", key), list[Package])
    except msgspec.ValidationError:
        return None
    return packages if packages and all(kernels.present(cache, one) for one in packages) else None


def _debs(cache: Cache, packages: Sequence[Package], busybox: bool) -> list[Path]:
    """The files of the packages of busybox, or of those of the kernel."""
    return [cache.root / "debs" / one.file for one in packages if (one.name == kernels.BUSYBOX) == busybox]


def _kernel(cache: Cache, packages: Sequence[Package]) -> Path:
    debs = _debs(cache, packages, False)
    name = "+".join(sorted(one.sha256[:24] for one in packages if one.name.startswith("linux-")))
    return cache.made("kernels", f"{name}.Image", lambda: kernels.image(debs))


def _base(request: Request, cache: Cache, packages: Sequence[Package], own: tuple[str, Modules] | None) -> bytes:
    """The first archive of the initramfs: modules are one's ``own``, or of packages; with these it is kept."""
    (busybox,) = _debs(cache, packages, True)
    if own is not None:
        version, found = own
        return initramfs.base(kernels.busybox(busybox), version, found, request.load, signed=request.signatures)
    if request.kernel is not None:
        if request.load:
            raise MachineError("--module must name modules of --modules, which is not given: give that, too")
        return initramfs.base(kernels.busybox(busybox), "", None)

    def make() -> bytes:
        version, found = modules.of_package(kernels.with_modules(_debs(cache, packages, False)))
        return initramfs.base(kernels.busybox(busybox), version, found, request.load, signed=request.signatures)

    told = [initramfs.recipe(), *sorted(one.sha256 for one in packages), str(request.signatures), *request.load]
    name = hashlib.sha256("\n".join(told).encode()).hexdigest()[:24]
    return cache.made("initramfs", f"base-{name}.cpio", make).read_bytes()


def _forget(used: Path) -> None:
    """Remove the initramfs that nobody has used for the longest time."""
    used.touch()
    found = sorted(used.parent.glob("*.cpio"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in found[_KEPT:]:
        path.unlink(missing_ok=True)
