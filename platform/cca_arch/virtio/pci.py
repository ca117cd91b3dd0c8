"""The PCI transport of virtio (Virtio 1.2, 4.1): identity, capabilities, common configuration."""

from enum import IntEnum
from typing import Final

from cca_arch.fields import Member, Struct

__all__ = ["DEVICE_BASE", "NO_VECTOR", "VENDOR", "CfgType", "VirtioPciCap", "VirtioPciCommonCfg"]

VENDOR: Final = 0x1AF4
DEVICE_BASE: Final = 0x1040
"""The PCI device ID is this plus the device type."""
NO_VECTOR: Final = 0xFFFF


class CfgType(IntEnum):
    """What a vendor capability of a virtio function describes."""

    COMMON = 1
    NOTIFY = 2
    ISR = 3
    DEVICE = 4
    PCI = 5


VirtioPciCap: Final = Struct(
    "VirtioPciCap", 20,
    Member("cap_vndr", 0, 1), Member("cap_next", 1, 1), Member("cap_len", 2, 1), Member("cfg_type", 3, 1),
    Member("bar", 4, 1), Member("id", 5, 1), Member("offset", 8, 4), Member("length", 12, 4),
    Member("more", 16, 4),
)  # fmt: skip
"""A vendor capability. ``more`` is notify_off_multiplier of NOTIFY, pci_cfg_data of PCI; the others end before it."""

VirtioPciCommonCfg: Final = Struct(
    "VirtioPciCommonCfg", 64,
    Member("device_feature_select", 0, 4), Member("device_feature", 4, 4),
    Member("driver_feature_select", 8, 4), Member("driver_feature", 12, 4),
    Member("config_msix_vector", 16, 2), Member("num_queues", 18, 2),
    Member("device_status", 20, 1), Member("config_generation", 21, 1),
    Member("queue_select", 22, 2), Member("queue_size", 24, 2), Member("queue_msix_vector", 26, 2),
    Member("queue_enable", 28, 2), Member("queue_notify_off", 30, 2),
    Member("queue_desc", 32, 8), Member("queue_driver", 40, 8), Member("queue_device", 48, 8),
    Member("queue_notif_config_data", 56, 2), Member("queue_reset", 58, 2),
)  # fmt: skip
"""The common configuration (4.1.4.3)."""
