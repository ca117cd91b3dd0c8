"""The options of machines and runs, declared once: the API and the command line are both generated from this.

A message names a parameter between backquotes; the command line replaces it by its own spelling (:func:`spelled`).
"""

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final, TypedDict

from cca_arch.extensions import EXTENSIONS
from cca_arch.sysregs import PMU_COUNTERS
from cca_firmware.limits import SECURE_INSNS
from cca_platform.models import DEFAULT, MODELS

from .checks import (
    address,
    argument,
    at_least,
    bytes_or_file,
    date,
    disks,
    each,
    function,
    hex_bytes,
    image,
    key,
    keyboard,
    mapping,
    name_or_path,
    network,
    one_of,
    optional,
    paths,
    patterns,
    ranges,
    seconds,
    shares,
    shares_9p,
    size,
    text,
    trace_or_path,
    truth,
    whole,
)
from .declare import Option, declared, read, takes

if TYPE_CHECKING:
    from cca_firmware.package.nsimage import NsImage
    from cca_host.kvmtool.keyboard import Keyboard
    from cca_host.kvmtool.options import DiskOption, ShareOption
    from cca_platform.devices.kinds import Factory
    from cca_platform.trace.trace import Trace

__all__ = [
    "BOARD",
    "MachineOptions",
    "NsMachineOptions",
    "NsRunOptions",
    "Option",
    "RealmJobOptions",
    "RealmOptions",
    "RealmRunOptions",
    "RunOptions",
    "TogetherOptions",
    "WallOptions",
    "declared",
    "payload_completion",
    "read",
    "spelled",
    "takes",
]

_PARAMETER: Final = re.compile(r"`(\w+)`")


# -- completions ----------------------------------------------------------------------------------------------------
def _boards(incomplete: str) -> list[str]:
    from cca_platform.board import names

    return [name for name in names() if name.startswith(incomplete)]


def _extensions(incomplete: str) -> list[str]:
    return [name for name in EXTENSIONS if name.startswith(incomplete)]


def payload_completion(incomplete: str) -> list[str]:
    """The names of payloads with this prefix."""
    from .payloads import payload_names

    return [name for name in payload_names() if name.startswith(incomplete)]


# -- the tables -----------------------------------------------------------------------------------------------------
BOARD: Final = Option(
    default="fvp", help="The board: fvp, virt, or a board's TOML file.", metavar="NAME|FILE", complete=_boards,
    check=name_or_path,
)  # fmt: skip
"""The board of every machine, which is its first argument."""

_CLOCKS: Final = ("virtual", "host")
_CONSOLES: Final = ("serial", "virtio")
_TRANSPORTS: Final = ("pci", "mmio")
_HASHES: Final = ("sha256", "sha512")


class MachineOptions(TypedDict, total=False):
    """What every machine takes besides its board."""

    trace: Annotated[
        "str | os.PathLike[str] | Trace | None",
        Option(
            default=None,
            help="Write every event to this file as JSON Lines; -: print them.",
            metavar="FILE",
            check=optional(trace_or_path),
        ),
    ]
    clock: Annotated[
        str,
        Option(
            default="virtual",
            help="Source of time: retired instructions (repeatable) or the host's clock.",
            check=one_of(*_CLOCKS),
            choices=_CLOCKS,
        ),
    ]
    cpu: Annotated[
        str,
        Option(
            default=DEFAULT,
            help="The CPU model of every PE: a72 boots Linux fastest; max has PAuth, DIT, LSE, PAN and more.",
            check=one_of(*MODELS),
            choices=tuple(MODELS),
        ),
    ]
    extensions: Annotated[
        Collection[str],
        Option(
            default=(),
            help="Give the RMM an extension of ours: paging for the Host, or sealing keys for Realms.",
            metavar="|".join(EXTENSIONS),
            flags=("--extension",),
            many=True,
            check=each(one_of(*EXTENSIONS)),
            complete=_extensions,
        ),
    ]
    platform_key: Annotated[
        bytes | os.PathLike[str] | None,
        Option(
            default=None,
            help="The platform's root key of sealing keys: 32 bytes. By default a published one, for tests.",
            metavar="FILE",
            kind=Path,
            check=optional(key),
        ),
    ]
    device_modules: Annotated[
        Iterable[str | os.PathLike[str]],
        Option(
            default=(),
            help="Load this Python file; its DEVICES are device kinds that the board may name.",
            metavar="FILE",
            flags=("--device-module",),
            many=True,
            check=paths,
        ),
    ]
    devices: Annotated[
        "Mapping[str, Factory]",
        Option(
            default=MappingProxyType({}),
            help="Device kinds that the board may name, each with its class.",
            check=mapping,
            python_only="the command loads them from files: --device-module",
        ),
    ]


class RunOptions(TypedDict, total=False):
    """What every run takes."""

    max_insns: Annotated[
        int | None,
        Option(
            default=None,
            help="End the run (exit status 4) after this many instructions; the boot does not count.",
            metavar="N",
            flags=("--max-insns", "--timeout-insns"),
            kind=int,
            check=optional(at_least(1)),
        ),
    ]


class WallOptions(TypedDict, total=False):
    """What anything takes that lasts until something ends it: a run, and the boot, each with these limits to itself."""

    timeout: Annotated[
        float | None,
        Option(
            default=None,
            help="End the run (exit status 4) after this many seconds of wall time. The boot has as many of its own.",
            metavar="SECONDS",
            kind=float,
            check=optional(seconds),
        ),
    ]
    silence: Annotated[
        float | None,
        Option(
            default=None,
            help="End the run, or the boot, (exit status 4) when no console sends anything for this many seconds.",
            metavar="SECONDS",
            kind=float,
            check=optional(seconds),
        ),
    ]


class WatchOptions(TypedDict, total=False):
    """What a run that is to end looks for on its consoles."""

    until: Annotated[
        str | None,
        Option(
            default=None,
            help="Stop with status 0 when a console shows this.",
            metavar="TEXT",
            check=optional(text),
        ),
    ]
    expect: Annotated[
        Sequence[str],
        Option(
            default=(),
            help="A console line must match, else the status is 1.",
            metavar="REGEX",
            many=True,
            check=patterns,
        ),
    ]
    reject: Annotated[
        Sequence[str],
        Option(
            default=(),
            help="Stop with status 1 when a console line matches.",
            metavar="REGEX",
            many=True,
            check=patterns,
        ),
    ]


class RealmRunOptions(RunOptions, WallOptions, total=False):
    """What a run of a live Realm takes."""

    until: Annotated[
        str | None,
        Option(
            default=None,
            help="Pause when the console shows this.",
            check=optional(text),
            python_only="the command runs a Realm to its end",
        ),
    ]


class TogetherOptions(RunOptions, WallOptions, total=False):
    """What a run of several live Realms and plain VMs takes."""


class RealmOptions(RunOptions, total=False):
    """What a Realm takes."""

    realm: Annotated[
        bool,
        Option(
            default=True,
            help="Run it in a Realm, which is the default.",
            kind=bool,
            check=truth,
            constants={"--no-realm": (False, "Run it as a plain VM at Non-secure EL1, whose memory the host sees.")},
        ),
    ]
    vcpus: Annotated[int, Option(default=1, help="Number of vCPUs (RECs).", metavar="N", kind=int, check=whole)]
    memory: Annotated[
        str | int, Option(default="64M", help="RAM of the Realm: 64M, 1G ...", metavar="SIZE", check=size)
    ]
    memory_limit: Annotated[
        str | int | None,
        Option(
            default=None,
            help="Let the Realm have this much memory at a time, tables and all: what is more goes to the swap file.",
            metavar="SIZE",
            check=optional(size),
        ),
    ]
    swap: Annotated[
        str | os.PathLike[str] | None,
        Option(
            default=None,
            help="The file for what is over the memory limit, sealed; overwritten. Needs --extension paging.",
            metavar="FILE",
            check=optional(name_or_path),
        ),
    ]
    args: Annotated[
        Sequence[str],
        Option(
            default=(),
            help="The Realm's boot arguments.",
            metavar="[-- ARGS...]",
            check=each(argument),
            many=True,
            positional=True,
        ),
    ]
    initrd: Annotated[
        str | os.PathLike[str] | None,
        Option(
            default=None,
            help="Give a Linux kernel this initial RAM disk: an archive (cpio), compressed or not.",
            metavar="FILE",
            kind=Path,
            check=optional(name_or_path),
        ),
    ]
    seed: Annotated[
        int,
        Option(
            default=0,
            help="Make kaslr-seed and rng-seed in the device tree, which is measured, of this number.",
            metavar="N",
            kind=int,
            check=at_least(0, (1 << 64) - 1),
        ),
    ]
    rtc: Annotated[
        int | str | None,
        Option(
            default=None,
            help="The date at its start: the host's, or as in 2026-07-01T12:00; 2026-01-01 with virtual time.",
            metavar="host|DATE",
            check=optional(date),
        ),
    ]
    hash_algo: Annotated[
        str,
        Option(
            default="sha256",
            help="Hash algorithm for the Realm's measurements.",
            check=one_of(*_HASHES),
            choices=_HASHES,
        ),
    ]
    rpv: Annotated[
        bytes | str,
        Option(
            default=b"", help="Realm Personalization Value, at most 64 bytes, in hex.", metavar="HEX", check=hex_bytes
        ),
    ]
    ipa_width: Annotated[
        int,
        Option(
            default=33,
            help="Bits of the Realm's IPA space. The upper half is unprotected.",
            metavar="BITS",
            kind=int,
            check=whole,
        ),
    ]
    pmu_counters: Annotated[
        int | None,
        Option(
            default=None,
            help="Give the Realm a PMU with this many event counters, 1 to 6.",
            metavar="N",
            kind=int,
            check=optional(at_least(0)),
            constants={"--pmu": (PMU_COUNTERS, "Give the Realm a PMU with all event counters.")},
        ),
    ]
    deny_cpu_on: Annotated[
        Collection[int],
        Option(
            default=(),
            help="Do not let the Realm turn on this vCPU: PSCI CPU_ON returns DENIED.",
            metavar="N",
            kind=int,
            many=True,
            check=each(whole),
        ),
    ]
    console_input: Annotated[
        bytes | os.PathLike[str],
        Option(
            default=b"",
            help="Send the contents of this file to the Realm's console; -: stdin.",
            metavar="FILE",
            kind=Path,
            check=bytes_or_file,
        ),
    ]
    keyboard: Annotated[
        "Keyboard | None",
        Option(
            default=None,
            help="Who types at its console while it runs.",
            check=optional(keyboard),
            python_only="the command types what comes from stdin",
        ),
    ]
    console: Annotated[
        str,
        Option(
            default="serial",
            help="The console that has the input: the UART (ttyS0), or a virtio console (hvc0), which is much faster.",
            check=one_of(*_CONSOLES),
            choices=_CONSOLES,
        ),
    ]
    disks: Annotated[
        "Iterable[DiskOption | str | os.PathLike[str]]",
        Option(
            default=(),
            help="A virtio disk: a raw image; ro: read-only; snapshot: writes stay in memory; overlay: they go there.",
            metavar="FILE[,ro|,snapshot|,overlay=FILE]",
            flags=("--disk", "-d"),
            many=True,
            check=disks,
        ),
    ]
    balloon: Annotated[
        str | int | None,
        Option(
            default=None,
            help="Give the guest a virtio balloon, and ask for this much of its memory; Linux has none in a Realm.",
            metavar="SIZE",
            check=optional(size),
        ),
    ]
    rng: Annotated[
        bool,
        Option(
            default=False,
            help="Give the Realm a virtio entropy device: by the seed, or of the host with the host's clock.",
            kind=bool,
            check=truth,
        ),
    ]
    network: Annotated[
        str,
        Option(
            default="none",
            help="The Realm's network: none, or user, a NAT; restrict: nobody outside; hostfwd: ports of this host.",
            metavar="none|user[,restrict=on][,hostfwd=tcp::PORT-:PORT]",
            check=network,
        ),
    ]
    shares: Annotated[
        "Iterable[ShareOption | str | os.PathLike[str]]",
        Option(
            default=(),
            help="Share this folder by virtiofs: the Realm mounts it as TAG (share); ro: it can only read.",
            metavar="DIR[:TAG][,ro]",
            flags=("--share",),
            many=True,
            check=shares,
        ),
    ]
    shares_9p: Annotated[
        Iterable[str],
        Option(
            default=(),
            help="Share this folder by 9P: the Realm mounts it as TAG.",
            metavar="DIR,TAG",
            flags=("--9p",),
            many=True,
            check=shares_9p,
        ),
    ]
    vsock: Annotated[
        str | os.PathLike[str] | None,
        Option(
            default=None,
            help="Stream sockets: port P of the Realm's host is PATH_P; CONNECT P at PATH is port P of the Realm.",
            metavar="PATH",
            kind=Path,
            check=optional(name_or_path),
        ),
    ]
    transport: Annotated[
        str,
        Option(
            default="pci",
            help="Where virtio devices are: on a PCI bus, or at addresses of their own (virtio-mmio).",
            check=one_of(*_TRANSPORTS),
            choices=_TRANSPORTS,
        ),
    ]
    on_console: Annotated[
        Callable[[bytes], object] | None,
        Option(
            default=None,
            help="Called with the Realm's output as it is sent.",
            check=optional(function),
            python_only="the command sends the output to stdout",
        ),
    ]


class RealmJobOptions(RealmOptions, WatchOptions, WallOptions, total=False):
    """What a Realm takes that is built, run to its end and destroyed."""


class NsMachineOptions(MachineOptions, WallOptions, total=False):
    """What a machine with Non-secure images takes."""

    el: Annotated[
        int,
        Option(
            default=2, help="Enter the images at this exception level.", metavar="1|2", kind=int, check=one_of(1, 2)
        ),
    ]
    entry: Annotated[
        int | str | None,
        Option(
            default=None,
            help="Start here instead of at the entry point of the first ELF file, else of the first raw image.",
            metavar="ADDRESS",
            check=optional(address),
        ),
    ]
    secure: Annotated[
        "str | os.PathLike[str] | NsImage | None",
        Option(
            default=None,
            help="Run this at Secure EL1.",
            metavar="IMAGE",
            check=optional(image),
            complete=payload_completion,
        ),
    ]
    secure_insns: Annotated[
        int,
        Option(
            default=SECURE_INSNS,
            help="Fail when the Secure payload is not ready after this many instructions on a PE.",
            metavar="N",
            kind=int,
            check=at_least(1),
        ),
    ]
    nonvolatile: Annotated[
        Iterable[tuple[int, int] | tuple[int, int, str | os.PathLike[str]] | str],
        Option(
            default=(),
            help="DRAM that survives a system reset; with a file, also from one run to the next.",
            metavar="BASE:SIZE[=FILE]",
            many=True,
            check=ranges,
        ),
    ]
    dtb: Annotated[
        str | os.PathLike[str] | None,
        Option(
            default=None,
            help="Give the images a device tree, by X0: this file, or with auto one of the board.",
            metavar="FILE|auto",
            check=optional(name_or_path),
        ),
    ]
    on_output: Annotated[
        Callable[[str, bytes], object] | None,
        Option(
            default=None,
            help="Called with the name of a UART and what it sends, as it sends it, from the boot on.",
            check=optional(function),
            python_only="the command sends the first UART to stdout, and --uart any to a file",
        ),
    ]


class NsRunOptions(RunOptions, WatchOptions, WallOptions, total=False):
    """What a run of Non-secure images takes."""

    max_resets: Annotated[
        int,
        Option(
            default=16,
            help="End the run (exit status 4) at one reset more than this.",
            metavar="N",
            kind=int,
            check=at_least(0),
            constants={"--no-reset": (0, "A system reset ends the run.")},
        ),
    ]
    on_output: Annotated[
        Callable[[str, bytes], object] | None,
        Option(
            default=None,
            help="Called with the name of a UART and what it sends, as it sends it.",
            check=optional(function),
            python_only="the command sends the first UART to stdout, and --uart any to a file",
        ),
    ]


# -- messages --------------------------------------------------------------------------------------------------------
_TABLES: Final = (MachineOptions, RealmJobOptions, NsMachineOptions, NsRunOptions)


def spelled(message: str) -> str:
    """The message with each parameter between backquotes in the command line's spelling."""
    known = {"board": BOARD} | {name: option for table in _TABLES for name, option in declared(table).items()}

    def spell(match: re.Match[str]) -> str:
        name = match[1]
        return known[name].spelling(name) if name in known else match[0]

    return _PARAMETER.sub(spell, message)
