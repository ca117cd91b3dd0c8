"""The virtio devices that the options of a run ask for."""

from typing import Final

from cca_host.kvmtool.mmio import Devices
from cca_host.kvmtool.options import RunOptions
from cca_host.kvmtool.virtio.block import Block
from cca_host.kvmtool.virtio.console import VirtioConsole
from cca_host.kvmtool.virtio.device import VirtioDevice
from cca_host.kvmtool.virtio.disk import open_image
from cca_host.kvmtool.virtio.rng import Rng

_LABEL: Final = b"realmlab virtio-rng"

__all__ = ["make_models"]


def _entropy(options: RunOptions, devices: Devices) -> bytes | None:
    """What the entropy device gives is fixed by the seed of the run; with the host's clock it is the host's."""
    return None if devices.wiring("rng").clock.mode == "host" else _LABEL + options.seed.to_bytes(8, "little")


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
    except BaseException:
        for model in models:
            model.close()
        raise
    return models
