"""Puts the virtio devices of a guest into its device table, behind the transport that its options name."""

from collections.abc import Sequence

from cca_host.kvmtool.devicetree import GIC
from cca_host.kvmtool.layout import PCI_ECAM_BASE, PCI_MEMORY_BASE, PCI_MEMORY_SIZE, VIRTIO_BASE
from cca_host.kvmtool.mmio import Devices, spi_cells
from cca_host.kvmtool.pci import ECAM_SIZE, Ecam, Window, bridge_node
from cca_host.kvmtool.virtio.device import VirtioDevice
from cca_host.kvmtool.virtio.mmio import FRAME_SIZE, VirtioMmio, mmio_node
from cca_host.kvmtool.virtio.pci import VirtioPci

__all__ = ["plug"]


def plug(devices: Devices, models: Sequence[VirtioDevice], transport: str) -> None:
    """Attach ``models`` in their order: as frames of their own, or as functions of a PCI bus."""
    if not models:
        return
    if transport == "mmio":
        for number, model in enumerate(models):
            base = VIRTIO_BASE + number * FRAME_SIZE
            frame = VirtioMmio(base, model)
            devices.attach(frame, base, FRAME_SIZE, intid=devices.next_intid(), node=mmio_node())
        return
    functions = [VirtioPci(model, devices.message) for model in models]
    intids = [devices.next_intid() for _ in functions]
    for function, intid in zip(functions, intids, strict=True):
        devices.join(function, intid=intid)
    ecam = Ecam("pci", PCI_ECAM_BASE, devices.wiring("pci"), functions)
    window = Window("pci-memory", PCI_MEMORY_BASE, PCI_MEMORY_SIZE, devices.wiring("pci-memory"), functions)
    node = bridge_node(PCI_MEMORY_BASE, PCI_MEMORY_SIZE, [spi_cells(intid) for intid in intids], GIC)
    devices.attach(ecam, PCI_ECAM_BASE, ECAM_SIZE, node=node)
    devices.attach(window, PCI_MEMORY_BASE, PCI_MEMORY_SIZE)
