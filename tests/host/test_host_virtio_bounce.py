"""A Linux Realm sets a thousandth of its RAM aside for what devices read and write: that must be enough for them."""

from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from virtio_driver import Bench

from cca_arch.types import GRANULE_SIZE
from cca_arch.virtio.block import VirtioBlkConfig
from cca_host.kvmtool.virtio.block import Block
from cca_host.kvmtool.virtio.console import VirtioConsole
from cca_host.kvmtool.virtio.disk import open_image
from cca_host.kvmtool.virtio.net import VirtioNet
from cca_host.kvmtool.virtio.vsock import VirtioVsock

POOL: Final = 256 << 10
"""What a Realm with 256 MiB has."""


@pytest.mark.parametrize(("device", "buffer"), [(VirtioConsole, 4096), (VirtioNet, 2048), (VirtioVsock, 4096)])
def test_receive(device: type[Any], buffer: int) -> None:
    """A receive queue that is full of Linux's buffers leaves at least half of it to the others."""
    assert device.sizes[0] * buffer <= POOL // 2


def test_disk(tmp_path: Path) -> None:
    """The largest request that a disk asks for takes half of it, in pieces of a page: any room will do for them."""
    image = tmp_path / "disk"
    image.write_bytes(bytes(1 << 20))
    with closing(Bench()) as bench:
        config = VirtioBlkConfig.unpack(Block("disk0", bench.wiring(), bench.memory, open_image(str(image))).config)
    assert config.size_max == GRANULE_SIZE
    assert config.size_max * config.seg_max <= POOL // 2
