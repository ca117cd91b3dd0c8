"""Virtio devices: one queue, one base of all devices, two transports (MMIO and PCI)."""
