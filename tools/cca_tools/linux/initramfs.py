"""The initramfs: busybox, the modules of devices that a guest can have, ``init.sh``, and what it is to do.

It is two archives, one behind the other: the first is the same for every command and is kept in the cache, the second
has the command. Equal inputs make equal bytes, so a Realm has the same initial measurement in every run.
"""

import hashlib
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Final

from msgspec import Struct

from cca_tools.linux import cpio
from cca_tools.linux.cpio import Entry
from cca_tools.linux.guest import nonce_of
from cca_tools.linux.modules import Modules, tables, unsigned

__all__ = ["DEVICES", "Task", "base", "init_script", "recipe", "task"]

DEVICES: Final = (
    "virtio_mmio", "virtio_pci", "virtio_blk", "virtio_net", "virtio_rng", "virtio_balloon", "virtio_console",
    "virtiofs", "9pnet_virtio", "9p", "vmw_vsock_virtio_transport", "ext4", "arm_cca_guest", "rtc_pl031",
)  # fmt: skip
"""The modules of what a guest can meet here; a kernel has some of them built in, and some not at all."""
_FOLDERS: Final = ("bin", "dev", "etc", "lib", "mnt", "newroot", "proc", "realmlab", "root", "run", "sys", "tmp")
_LEASE: Final = b"""#!/bin/busybox sh
# What udhcpc calls with an address.
[ "$1" = bound ] || exit 0
ip address add "$ip/${mask:-24}" dev "$interface"
[ -n "$router" ] && ip route add default via "${router%% *}"
for server in $dns; do echo "nameserver $server"; done > /etc/resolv.conf
"""
_REPORT: Final = b"""#!/bin/busybox sh
# Write a CCA token with the challenge HEX (32 to 64 bytes) to stdout: cca-report HEX
report=/sys/kernel/config/tsm/report/realmlab
[ -d /sys/kernel/config/tsm ] || { echo "cca-report: this is no Realm, or its kernel makes no reports" >&2; exit 1; }
mkdir -p $report && printf %s "$1" | xxd -r -p > $report/inblob && cat $report/outblob
"""


class Task(Struct, frozen=True, kw_only=True):
    """What the guest is to do: a ``command`` for a shell, or None: then a shell that one talks to.

    ``modules`` are loaded whatever devices there are.
    """

    command: str | None = None
    modules: Sequence[str] = ()
    network: bool = False
    shares: Sequence[tuple[str, str]] = ()
    """File system (``virtiofs``, ``9p``) and tag of each folder of the host, which is mounted at /mnt/TAG."""


def init_script() -> bytes:
    """The program that Linux starts."""
    return resources.files("cca_tools.linux").joinpath("init.sh").read_bytes()


def recipe() -> str:
    """What decides, besides busybox and modules, about the bytes of the first archive."""
    return hashlib.sha256(repr((init_script(), _LEASE, _REPORT, _FOLDERS, DEVICES)).encode()).hexdigest()


def base(
    busybox: bytes, version: str, modules: Modules | None, wanted: Iterable[str] = (), *, signed: bool = False
) -> bytes:
    """The first archive: everything but what the guest is to do. ``wanted`` are modules besides those of devices;
    ``signed`` ones keep their signatures.

    Raises MachineError for a module of ``wanted`` that the kernel does not have.
    """
    entries = [cpio.folder(name) for name in _FOLDERS]
    entries += [
        cpio.device("dev/console", 5, 1),
        cpio.file("bin/busybox", busybox, 0o755),
        cpio.link("bin/sh", "busybox"),
        cpio.link("sbin", "bin"),  # where the kernel looks for modprobe
        cpio.file("realmlab/init", init_script(), 0o755),
        cpio.file("realmlab/lease", _LEASE, 0o755),
        cpio.file("bin/cca-report", _REPORT, 0o755),
        cpio.link("init", "realmlab/init"),
    ]
    if modules is not None:
        entries += _modules(version, modules, wanted, signed)
    return cpio.archive(entries)


def _modules(version: str, modules: Modules, wanted: Iterable[str], signed: bool) -> list[Entry]:
    chosen = modules.resolve([*(name for name in DEVICES if name in modules), *wanted])
    loaded = {one.name: one for one in chosen}
    files = {one.place: one.data if signed else unsigned(one.data) for one in chosen} | dict(tables(chosen, loaded))
    root = f"lib/modules/{version}"
    folders = {"lib/modules", root}
    for place in files:
        parts = place.split("/")[:-1]
        folders |= {"/".join([root, *parts[: length + 1]]) for length in range(len(parts))}
    return [
        *(cpio.folder(name) for name in sorted(folders)),
        *(cpio.file(f"{root}/{place}", data) for place, data in sorted(files.items())),
    ]


def task(first: bytes, what: Task) -> tuple[bytes, str]:
    """The second archive, behind the archive ``first``, and the nonce with which the guest reports."""
    told = "" if what.command is None else what.command
    nonce = nonce_of(
        hashlib.sha256(first).digest(), told.encode(errors="surrogateescape"), repr(what.command is None).encode()
    )
    entries = [
        cpio.file("realmlab/nonce", nonce.encode(), 0o600),
        cpio.file("realmlab/shares", "".join(f"{kind} {tag}\n" for kind, tag in what.shares).encode()),
        cpio.file("realmlab/modules", "".join(f"{name}\n" for name in what.modules).encode()),
    ]
    if what.command is not None:
        entries.append(cpio.file("realmlab/command", what.command.encode(errors="surrogateescape")))
    if what.network:
        entries.append(cpio.file("realmlab/network", b""))
    return cpio.archive(entries), nonce
