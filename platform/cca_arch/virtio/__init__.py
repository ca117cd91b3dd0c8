"""Virtio 1.2 (OASIS): what every device and every transport has. Device types and transports have a module each."""

from enum import IntEnum
from typing import Final

from cca_arch.fields import Bits, Field

__all__ = ["MAX_QUEUE_SIZE", "DeviceId", "DeviceStatus", "Feature", "InterruptStatus"]

MAX_QUEUE_SIZE: Final = 32768
"""The largest size of a split virtqueue (2.7)."""


class DeviceId(IntEnum):
    """Device types (5)."""

    NETWORK = 1
    BLOCK = 2
    CONSOLE = 3
    ENTROPY = 4
    BALLOON = 5
    NINE_P = 9
    SOCKET = 19
    FILE_SYSTEM = 26


class DeviceStatus(Bits):
    """The device status field (2.1): the driver sets all but ``needs_reset``, and writes 0 to reset the device."""

    acknowledge = Field(0)
    driver = Field(1)
    driver_ok = Field(2)
    features_ok = Field(3)
    needs_reset = Field(6)
    failed = Field(7)


class Feature(IntEnum):
    """Bit numbers of the features that no device type owns (6)."""

    NOTIFY_ON_EMPTY = 24
    ANY_LAYOUT = 27
    RING_INDIRECT_DESC = 28
    RING_EVENT_IDX = 29
    VERSION_1 = 32
    ACCESS_PLATFORM = 33
    RING_PACKED = 34
    IN_ORDER = 35
    ORDER_PLATFORM = 36
    SR_IOV = 37
    NOTIFICATION_DATA = 38
    NOTIF_CONFIG_DATA = 39
    RING_RESET = 40

    @property
    def mask(self) -> int:
        """The feature as a bit of a set."""
        return 1 << self


class InterruptStatus(Bits):
    """Why a device interrupts (4.2.2, 4.1.4.5): a buffer was used, or its configuration or status has changed."""

    used = Field(0)
    configuration = Field(1)
