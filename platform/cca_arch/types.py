"""The plain words that every layer shares: addresses, security states, physical address spaces and accesses."""

from enum import IntEnum
from typing import NewType

__all__ = [
    "GRANULE_SIZE",
    "IPA",
    "JEP106_ARM",
    "PA",
    "VA",
    "Access",
    "Gpi",
    "Instructions",
    "Pas",
    "SecurityState",
    "Ticks",
]

GRANULE_SIZE = 0x1000
JEP106_ARM = 0x43B
"""Arm's identification code, as the IIDR registers of its components have it."""
PA = NewType("PA", int)
IPA = NewType("IPA", int)
VA = NewType("VA", int)
Ticks = NewType("Ticks", int)
"""A value of the system counter, or a difference of two."""
Instructions = NewType("Instructions", int)
"""A number of instructions that were retired: what runs, budgets and limits are counted in."""


class SecurityState(IntEnum):
    """The four security states; the value is {NSE, NS} of SCR_EL3, and Root is EL3 itself."""

    SECURE = 0
    NON_SECURE = 1
    ROOT = 2
    REALM = 3


class Pas(IntEnum):
    """The four physical address spaces, numbered as the security state that owns each."""

    SECURE = 0
    NON_SECURE = 1
    ROOT = 2
    REALM = 3


class Gpi(IntEnum):
    """Granule protection information: the 4-bit entry of a level 1 granule protection table (DDI 0487, RME)."""

    NO_ACCESS = 0b0000
    SECURE = 0b1000
    NON_SECURE = 0b1001
    ROOT = 0b1010
    REALM = 0b1011
    ANY = 0b1111


class Access(IntEnum):
    """What an access does; the values are Unicorn's memory types, so that a hook needs no table."""

    READ = 16
    WRITE = 17
    FETCH = 18
