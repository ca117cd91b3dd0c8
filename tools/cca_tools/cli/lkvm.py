"""``realmlab lkvm run``: kvmtool's command line for the same run, with its options where they exist.

What there is no counterpart for is refused by its name. As with kvmtool, a virtual machine is a Realm with ``--realm``
only, boot arguments begin with those of the console, and a disk without ``root=`` is the root file system.
"""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from msgspec import structs

from cca_arch.sysregs import PMU_COUNTERS
from cca_platform.errors import MachineError
from cca_tools.cli.as_json import Json
from cca_tools.cli.measure import app as measure_app
from cca_tools.cli.measure import measure, show
from cca_tools.cli.parameters import Rows, with_options
from cca_tools.cli.run import Line
from realmlab.options import Option

__all__ = ["app"]

app: Final = typer.Typer(help="kvmtool's command line.", no_args_is_help=True)
_measured: Final = typer.Typer(help="The measurement of a line of kvmtool's.", no_args_is_help=True)
measure_app.add_typer(_measured, name="lkvm")

_PASSING: Final = {"ignore_unknown_options": True, "allow_extra_args": True}
_SIZE: Final = re.compile(r"([0-9]+)([BKMGTbkmgt]?)")
_IRQCHIPS: Final = ("gicv3",)
_ALGORITHMS: Final = ("sha256", "sha512")
_NETWORKS: Final = ("user", "none")
_RPV: Final = 64
_CONSOLES: Final = {"serial": "ttyS0", "virtio": "hvc0"}
_WHY: Final[Mapping[str, str]] = {
    "--vnc": "there is no screen", "--sdl": "there is no screen", "--gtk": "there is no screen",
    "--vidmode": "there is no screen", "--dev": "there is no /dev/kvm of the machine",
    "--tty": "the console is this terminal", "--aarch32": "a Realm is 64-bit",
    "--firmware": "a kernel is started directly", "--flash": "a kernel is started directly",
    "--hugetlbfs": "guest memory is the board's", "--shmem": "a Realm shares its own pages alone",
    "--vfio-pci": "RMM 1.0 assigns no devices", "--sandbox": "realmlab linux -- COMMAND runs one in a guest",
    "--vsock": "a socket of this machine is a file: realmlab run --vsock PATH",
    "--no-dtb": "a guest finds its devices in the device tree",
}  # fmt: skip
"""Why options of kvmtool do not exist here."""


def _memory(text: str) -> int:
    """A size as kvmtool reads it: in MiB, unless a letter says otherwise. Its address, behind an @, is fixed."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise MachineError(f"--mem must be a number of MiB, or one with a letter (B, K, M, G, T), not {text!r}")
    return int(match[1]) << {"B": 0, "K": 10, "M": 20, "G": 30, "T": 40}[(match[2] or "M").upper()]


def _one_of(option: str, value: str, known: Collection[str]) -> str:
    """A value of an option that has few."""
    if value not in known:
        raise MachineError(f"{option} must be {' or '.join(known)}, not {value!r}")
    return value


def _network(text: str) -> str:
    """A network as we have it: ``mode=user``, or ``user``, and what follows it."""
    parts = text.split(",")
    modes = [part.removeprefix("mode=") for part in parts if "=" not in part or part.startswith("mode=")]
    others = [part for part in parts if "=" in part and not part.startswith("mode=")]
    mode = _one_of("--network", modes[0] if len(modes) == 1 else text, _NETWORKS)
    if wrong := next((part for part in others if not part.startswith(("hostfwd=", "restrict="))), ""):
        raise MachineError(f"--network must have mode= and perhaps restrict= and hostfwd=, not {wrong!r}: leave it out")
    return ",".join([mode, *others])


def _refuse(words: Sequence[str]) -> None:
    """Say which option of kvmtool, or which word, is none here."""
    for word in words:
        name = word.partition("=")[0]
        why = _WHY.get(name)
        if why is not None:
            raise MachineError(f"{name} of kvmtool has no counterpart here: {why}")
        if word.startswith("-"):
            raise MachineError(f"{name} is no option of `lkvm run` here: see realmlab lkvm run --help")
    if words:
        raise MachineError(
            f"`lkvm run` must have one kernel, not {words[0]!r} besides it: give boot arguments by --params"
        )


_OPTIONS: Final[Mapping[str, Option]] = {
    "cpus": Option(default=1, help="Number of vCPUs.", metavar="N", flags=("--cpus", "-c"), kind=int),
    "mem": Option(default="512M", help="RAM in MiB, or with a letter: 1G.", metavar="SIZE", flags=("--mem", "-m")),
    "kernel": Option(default=None, help="The kernel.", metavar="FILE", flags=("--kernel", "-k"), kind=Path),
    "initrd": Option(default=None, help="The initramfs.", metavar="FILE", flags=("--initrd", "-i"), kind=Path),
    "disk": Option(default=(), help="A disk.", metavar="FILE[,ro]", flags=("--disk", "-d"), many=True),
    "params": Option(default="", help="Boot arguments.", metavar="ARGS", flags=("--params", "-p")),
    "realm": Option(default=False, help="Run it in a Realm; else as a plain VM.", kind=bool),
    "measurement_algo": Option(default="sha256", help="Hash of the Realm's measurements.", choices=_ALGORITHMS),
    "realm_pv": Option(default="", help="Realm Personalization Value, as text.", metavar="TEXT"),
    "irqchip": Option(default="gicv3", help="The interrupt controller.", choices=_IRQCHIPS),
    "console": Option(default="serial", help="The console.", choices=tuple(_CONSOLES)),
    "network": Option(default="none", help="The network.", metavar="mode=user|none", flags=("--network", "-n")),
    "rng": Option(default=False, help="A virtio entropy device.", kind=bool),
    "balloon": Option(default=False, help="A virtio balloon.", kind=bool),
    "share": Option(default=(), help="Share a folder.", metavar="DIR,TAG", flags=("--9p",), many=True),
    "force_pci": Option(default=False, help="Devices are on PCI, not at addresses of their own.", kind=bool),
    "pmu": Option(default=False, help="A PMU, with all event counters.", kind=bool),
    "pmu_counters": Option(default=None, help="A PMU with so many event counters.", metavar="N", kind=int),
    "name": Option(default="", help="Taken, and not used: a guest here has no name.", metavar="NAME"),
}


def _rows() -> Rows:
    yield from ((name, option, None) for name, option in _OPTIONS.items())


_Words = Annotated[list[str] | None, typer.Argument(metavar="[KERNEL]", help="The kernel, without --kernel.")]


def _line(words: Sequence[str], given: Mapping[str, Any]) -> Line:
    """The line of `realmlab run` that one of kvmtool's stands for; ``words`` are what is no option of it."""
    kernel, words = given["kernel"], list(words)
    if kernel is None and words and not words[0].startswith("-"):
        kernel = Path(words.pop(0))
    _refuse(words)
    if kernel is None:
        raise MachineError("`lkvm run` must have a kernel: give --kernel FILE")
    for name, option in _OPTIONS.items():
        if option.choices:
            _one_of(option.spelling(name), given[name], option.choices)
    value = os.fsencode(given["realm_pv"])
    if len(value) > _RPV:
        raise MachineError(f"--realm-pv must have at most {_RPV} bytes, not {len(value)}: shorten it")
    options: dict[str, Any] = {
        "realm": given["realm"], "vcpus": given["cpus"], "memory": _memory(given["mem"]), "console": given["console"],
        "transport": "pci" if given["force_pci"] else "mmio", "network": _network(given["network"]),
        "rng": given["rng"], "disks": given["disk"] or (), "shares_9p": given["share"] or (),
        "hash_algo": given["measurement_algo"],
    }  # fmt: skip
    if given["balloon"]:
        options["balloon"] = 0
    if value:
        options["rpv"] = value
    if given["initrd"] is not None:
        options["initrd"] = given["initrd"]
    if given["pmu_counters"] is not None or given["pmu"]:
        options["pmu_counters"] = PMU_COUNTERS if given["pmu_counters"] is None else given["pmu_counters"]
    return Line(payload=str(kernel), args=_arguments(given), given=options)


def _arguments(given: Mapping[str, Any]) -> list[str]:
    """The boot arguments: the console's, those of --params, and the disk as root file system unless they name one."""
    params = given["params"].split()
    found = [f"console={_CONSOLES[given['console']]}", *params]
    if given["disk"] and not any(word.startswith("root=") for word in params):
        found += ["root=/dev/vda", "rw"]
    return found


@app.command("run", context_settings=_PASSING)
@with_options(_rows())
def run(
    ctx: typer.Context,
    words: _Words = None,
    *,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No summary.")] = False,
    **given: Any,
) -> int:
    """Run a kernel as kvmtool does, with its options.

    [bold]realmlab lkvm run --realm -c 2 -m 512 -k Image -i initramfs.cpio -p "quiet panic=-1"[/bold]

    [bold]realmlab lkvm run -m 1G -k Image -d disk.img --force-pci --console virtio[/bold]
    """
    from cca_tools.cli.run import run as run_line

    line = _line([*(words or ()), *ctx.args], given)
    return run_line(structs.replace(line, as_json=as_json, quiet=quiet))


@_measured.command("run", context_settings=_PASSING)
@with_options(_rows())
def measure_run(ctx: typer.Context, words: _Words = None, *, as_json: Json = False, **given: Any) -> int:
    """Compute the measurement of what `realmlab lkvm run` with these words runs, and print a policy that expects it.

    [bold]realmlab measure lkvm run --realm -k Image -i initramfs.cpio > policy.toml[/bold]
    """
    line = _line([*(words or ()), *ctx.args], given)
    show(measure(line.payload, {**line.given, "args": line.args}), as_json)
    return 0
