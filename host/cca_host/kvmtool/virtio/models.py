"""The virtio devices that the options of a run ask for."""

from typing import Final

from cca_host.kvmtool.mmio import Devices
from cca_host.kvmtool.net.options import read_network
from cca_host.kvmtool.options import RunOptions
from cca_host.kvmtool.share.folder import open_folder
from cca_host.kvmtool.virtio.balloon import Balloon
from cca_host.kvmtool.virtio.block import Block
from cca_host.kvmtool.virtio.console import VirtioConsole
from cca_host.kvmtool.virtio.device import VirtioDevice
from cca_host.kvmtool.virtio.disk import open_image
from cca_host.kvmtool.virtio.fs import VirtioFs
from cca_host.kvmtool.virtio.net import VirtioNet
from cca_host.kvmtool.virtio.ninep import Virtio9p
from cca_host.kvmtool.virtio.rng import Rng
from cca_host.kvmtool.virtio.vsock import VirtioVsock
from cca_platform.errors import MachineError

__all__ = ["make_models"]

_LABEL: Final = b"realmlab virtio-rng"


def _entropy(options: RunOptions, devices: Devices) -> bytes | None:
    """What the entropy device gives is fixed by the seed of the run; with the host's clock it is the host's."""
    return None if devices.wiring("rng").clock.mode == "host" else _LABEL + options.seed.to_bytes(8, "little")


def _shares(options: RunOptions, devices: Devices) -> list[VirtioDevice]:
    """The folders that the guest mounts."""
    found: list[VirtioDevice] = []
    asked = [(share, VirtioFs) for share in options.shares] + [(share, Virtio9p) for share in options.shares_9p]
    tags = [share.tag for share, _ in asked]
    for number, (share, kind) in enumerate(asked):
        if tags.count(share.tag) > 1:
            raise MachineError(f"`shares` must have tags of their own, not {share.tag!r} twice: give another tag")
        name, folder = f"share{number}", open_folder(share.path, share.read_only)
        found.append(kind(name, devices.wiring(name), devices.memory, folder, share.tag))
    return found


def make_models(options: RunOptions, devices: Devices) -> list[VirtioDevice]:
    """The models, in the order of their places; raises MachineError for a disk that cannot be opened."""
    wiring, memory = devices.wiring, devices.memory
    models: list[VirtioDevice] = []
    try:
        if options.console == "virtio":
            models.append(VirtioConsole("console", wiring("console"), memory))
        for number, disk in enumerate(options.disks):
            name = f"disk{number}"
            image = open_image(
                disk.path, read_only=disk.read_only, snapshot=disk.snapshot, overlay=disk.overlay
            )  # fmt: skip
            models.append(Block(name, wiring(name), memory, image))
        if options.rng:
            models.append(Rng("rng", wiring("rng"), memory, _entropy(options, devices)))
        if options.balloon is not None:
            models.append(Balloon("balloon", wiring("balloon"), memory, options.balloon, options.realm))
        network = read_network(options.network)
        if network is not None:
            models.append(VirtioNet("net", wiring("net"), memory, network))
        models += _shares(options, devices)
        if options.vsock is not None:
            models.append(VirtioVsock("vsock", wiring("vsock"), memory, str(options.vsock)))
    except BaseException:
        for model in models:
            model.close()
        raise
    return models
