"""PCI Express: enhanced configuration access, the header of a function (type 0), capabilities, MSI-X."""

from enum import IntEnum
from typing import Final

from cca_arch.fields import Bits, Field

__all__ = [
    "BARS",
    "CONFIG_SIZE",
    "FUNCTION_SIZE",
    "INTX_PINS",
    "MSIX_ENTRY_SIZE",
    "Capability",
    "Command",
    "Config",
    "EcamOffset",
    "MsixControl",
    "MsixEntry",
    "Status",
    "UnitAddress",
]

FUNCTION_SIZE: Final = 0x1000
"""Bytes of configuration space of a function in ECAM."""
CONFIG_SIZE: Final = 0x100
"""The part of it that conventional PCI has."""
BARS: Final = 6
INTX_PINS: Final = 4
MSIX_ENTRY_SIZE: Final = 16


class EcamOffset(Bits):
    """Where in ECAM a register of a function is."""

    register = Field(11, 0)
    function = Field(14, 12)
    device = Field(19, 15)
    bus = Field(27, 20)


class UnitAddress(Bits):
    """The first cell of an address of PCI in a device tree (IEEE 1275)."""

    register = Field(7, 0)
    function = Field(10, 8)
    device = Field(15, 11)
    bus = Field(23, 16)
    space = Field(25, 24)


class Config(IntEnum):
    """Offsets in the header of a function."""

    VENDOR_ID = 0x00
    DEVICE_ID = 0x02
    COMMAND = 0x04
    STATUS = 0x06
    REVISION = 0x08
    CLASS = 0x09
    HEADER_TYPE = 0x0E
    BAR0 = 0x10
    SUBSYSTEM_VENDOR_ID = 0x2C
    SUBSYSTEM_ID = 0x2E
    CAPABILITIES = 0x34
    INTERRUPT_LINE = 0x3C
    INTERRUPT_PIN = 0x3D
    FIRST_FREE = 0x40


class Command(Bits):
    """The command register."""

    io = Field(0)
    memory = Field(1)
    bus_master = Field(2)
    intx_disable = Field(10)


class Status(Bits):
    """The status register."""

    interrupt = Field(3)
    capabilities = Field(4)


class Capability(IntEnum):
    """Identifiers of capabilities."""

    VENDOR = 0x09
    MSIX = 0x11


class MsixControl(Bits):
    """Message Control of MSI-X."""

    last = Field(10, 0)
    mask = Field(14)
    enable = Field(15)


class MsixEntry(IntEnum):
    """Offsets in an entry of the MSI-X table."""

    ADDRESS_LOW = 0
    ADDRESS_HIGH = 4
    DATA = 8
    CONTROL = 12
