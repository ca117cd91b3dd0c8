"""``realmlab linux``: a Linux of Debian in a Realm, with a shell or a command."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from msgspec.structs import replace

from cca_tools.cli.measure import app as measure_app
from cca_tools.cli.measure import measure, show
from cca_tools.cli.output import progress, terminal
from cca_tools.cli.parameters import Rows, from_line, with_options
from cca_tools.cli.run import COMMON, ONLY, OUTPUT, Line, World, chosen
from realmlab.options import Option, RealmOptions, declared

if TYPE_CHECKING:
    from cca_tools.linux.job import Job, Request

__all__ = ["linux"]


class Flavour(StrEnum):
    """Debian's kernels for arm64."""

    CLOUD = "cloud"
    GENERIC = "generic"


_SUITE: Final = "trixie-backports"  # as kernels.SUITE, which a --help does not import
_MEMORY: Final = "512M"
_WHAT: Final = "What is booted"
_ARCHIVE: Final = "Debian's archive"


def _suites(incomplete: str) -> list[str]:
    from cca_tools.linux.mirrors import RELEASES

    return [name for release in RELEASES for name in (release, f"{release}-backports") if name.startswith(incomplete)]


OWN: Final[Mapping[str, tuple[Option, str]]] = {
    "kernel": (Option(default=None, help="Boot this kernel instead of Debian's.", metavar="FILE", kind=Path), _WHAT),
    "initrd": (
        Option(default=None, help="Boot this initramfs as it is, with its init.", metavar="FILE", kind=Path), _WHAT,
    ),
    "modules": (
        Option(default=None, help="A folder with the modules of --kernel.", metavar="DIR", kind=Path), _WHAT,
    ),
    "module": (
        Option(default=(), help="Load this module, too, and what it needs.", metavar="NAME", many=True),
        _WHAT,
    ),
    "signatures": (
        Option(default=False, help="Modules keep their signatures, and each takes a second longer to load.", kind=bool),
        _WHAT,
    ),
    "rootfs": (
        Option(default=None, help="Boot from this disk; it is made of Debian packages if it is not there.",
               metavar="FILE", kind=Path),
        _WHAT,
    ),
    "package": (
        Option(default=(), help="One more package for a disk that is made.", metavar="NAME", many=True), _WHAT,
    ),
    "append": (
        Option(default=(), help="Give the kernel one more boot argument.", metavar="ARG", many=True), _WHAT,
    ),
    "kernel_log": (Option(default=False, help="Show what the kernel says while it boots.", kind=bool), _WHAT),
    "suite": (
        Option(default=_SUITE, help="The suite: trixie-backports has the newest kernel.", metavar="NAME",
               complete=_suites),
        _ARCHIVE,
    ),
    "flavour": (
        Option(default=Flavour.CLOUD, help="Debian's kernel: the small one, or with all drivers.", kind=Flavour),
        _ARCHIVE,
    ),
    "kernel_version": (
        Option(default="", help="The newest kernel whose version begins so: 6.12.", metavar="VERSION"), _ARCHIVE,
    ),
    "mirror": (
        Option(default=None, help="The archive, instead of the one of this machine's apt.", metavar="URL"), _ARCHIVE,
    ),
    "keyring": (
        Option(default=None, help="The keys that may have signed it.", metavar="FILE", kind=Path), _ARCHIVE,
    ),
    "cache": (
        Option(default=None, help="Where what is fetched is kept: .cache/realmlab in the home folder, unless given.",
               metavar="DIR", kind=Path),
        _ARCHIVE,
    ),
    "update": (
        Option(default=False, help="Ask the archive for a newer kernel; else the cache counts.", kind=bool), _ARCHIVE,
    ),
}  # fmt: skip
"""The options that `realmlab run` does not have."""


_OTHER: Final[Mapping[str, Callable[[Option], Option]]] = {
    "memory": lambda one: replace(one, default=_MEMORY),
    "console": lambda one: replace(
        one, default=None,
        help="The console: serial, or virtio, which is faster and the default for Debian's cloud kernels on PCI.",
    ),
}  # fmt: skip
"""Options of `realmlab run` with other defaults."""
_DATA: Final = ("disks", "network", "rootfs", "shares", "shares_9p")
"""Options for devices through which much data passes."""


_NONE: Final = "none"


def _rows() -> Rows:
    yield from ((name, one, None) for name, one in OUTPUT.items() if name != "world")
    for name, (one, panel) in OWN.items():
        yield name, one, panel
    for name, one in (*ONLY[World.REALM].items(), *COMMON.items()):
        if name not in OWN:
            yield name, _OTHER[name](one) if name in _OTHER else one, "The guest"


def _console(given: Mapping[str, Any]) -> str | None:
    """The console, if it is given or cannot be the fast one: kernels have virtio-mmio as a module."""
    own = "kernel" in given or "initrd" in given or given.get("transport", "pci") != "pci"
    found: str | None = given.get("console", "serial" if own else None)
    return found


def _shares(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """File system and tag of each folder that is shared."""
    from realmlab.checks import shares, shares_9p

    found = [("virtiofs", one.tag) for one in shares("shares", given.get("shares", ()))]
    return found + [("9p", one.tag) for one in shares_9p("shares_9p", given.get("shares_9p", ()))]


def request_of(given: Mapping[str, Any], words: Sequence[str]) -> "Request":
    """What is to be booted, for the options of a command line and the words of a command."""
    from cca_host.kvmtool.layout import UART_BASE
    from cca_tools.linux.job import Request

    own = {name: value for name, value in given.items() if name in OWN}
    modules, packages = own.pop("module", ()), own.pop("package", ())
    command = words[0] if len(words) == 1 else shlex.join(words) if words else None
    realm = not given.get("no_realm")
    width = given.get("ipa_width", declared(RealmOptions)["ipa_width"].default)
    return Request(
        **own, load=tuple(modules), packages=tuple(packages), command=command, console=_console(given),
        earlycon=UART_BASE | (1 << (width - 1) if realm else 0), bounce=realm and any(name in given for name in _DATA),
        network=given.get("network", _NONE) != _NONE, shares=_shares(given),
    )  # fmt: skip


def prepared(given: Mapping[str, Any], words: Sequence[str]) -> tuple["Job", dict[str, Any], str | None]:
    """The job of a command line, the options of the run, and the command; fetches what is missing."""
    from cca_host.kvmtool.options import DiskOption
    from cca_tools.linux.job import prepare

    request = request_of(given, words)
    job = prepare(request, progress())
    options = {"memory": _MEMORY} | {name: value for name, value in given.items() if name not in OWN}
    options |= {"initrd": job.initrd, "console": job.console}
    if request.rootfs is not None:
        options["disks"] = [DiskOption(path=str(request.rootfs)), *given.get("disks", ())]
    return job, options, request.command


_COMMAND: Final = "A command for the guest: one word is a line for its shell. Without one: a shell."
_UNSAID: Final[Mapping[bool | None, Sequence[str]]] = {True: (), False: ("cat | sh",), None: ("true",)}
"""The command if none is given: what a pipe gives is a script (a shell that reads from the console would prompt)."""


@with_options(_rows())
def linux(
    ctx: typer.Context,
    command: Annotated[list[str] | None, typer.Argument(metavar="[-- COMMAND...]", help=_COMMAND)] = None,
    **given: Any,
) -> int:
    """Boot Debian's Linux in a Realm: a shell, or one command, whose exit status is that of this one.

    Kernel, modules and busybox are Debian's packages for arm64, fetched by this machine's apt into a cache, and
    verified; the machine itself stays as it is. The second start needs no network.

    [bold]realmlab linux[/bold]

    [bold]realmlab linux --vcpus 2 -- cat /proc/cpuinfo[/bold]

    [bold]echo 'dmesg | grep RSI' | realmlab linux -q[/bold]

    [bold]realmlab linux --kernel arch/arm64/boot/Image --initrd initramfs.cpio[/bold]
    """
    from cca_tools.cli.guests import Guest
    from cca_tools.cli.run import run

    output = {name: given.pop(name) for name in OUTPUT if name in given}
    named = from_line(ctx, given)
    words = command or (() if "initrd" in named else _UNSAID[terminal()])
    job, options, told = prepared(named, words)
    guest = Guest(job.nonce, told) if job.nonce else None
    return run(Line(payload=str(job.kernel), args=job.args, given=options, **output), guest)


@measure_app.command("linux")
@with_options(_rows())
def measure_linux(
    ctx: typer.Context,
    command: Annotated[list[str] | None, typer.Argument(metavar="[-- COMMAND...]", help=_COMMAND)] = None,
    **given: Any,
) -> int:
    """Compute the measurement of what `realmlab linux` with these words boots, and print a policy that expects it.

    [bold]realmlab measure linux -- cat /etc/hostname > policy.toml[/bold]
    """
    output = {name: given.pop(name) for name in OUTPUT if name in given}
    job, options, _ = prepared(from_line(ctx, given), command or ())
    facts = measure(str(job.kernel), chosen(World.REALM, options) | {"args": job.args})
    show(facts, output["as_json"])
    return 0
