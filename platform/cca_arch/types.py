"""The basic types that all layers share: addresses, security states, physical address spaces and accesses."""

from enum import IntEnum
from typing import NewType

__all__ = [
    "GRANULE_SIZE",
    "INSTRUCTION_SIZE",
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
INSTRUCTION_SIZE = 4
JEP106_ARM = 0x43B
"""Arm's identification code in the IIDR registers of its components."""
PA = NewType("PA", int)
IPA = NewType("IPA", int)
VA = NewType("VA", int)
Ticks = NewType("Ticks", int)
"""A value of the system counter, or the difference of two."""
Instructions = NewType("Instructions", int)
"""A number of retired instructions, the unit of runs, budgets and limits."""


class SecurityState(IntEnum):
    """The four security states. The value is {NSE, NS} of SCR_EL3; Root is EL3 itself."""

    SECURE = 0
    NON_SECURE = 1
    ROOT = 2
    REALM = 3


class Pas(IntEnum):
    """The four physical address spaces, numbered like the security states that own them."""

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
    """The type of an access. The values are Unicorn's memory types, so that hooks need no table."""

    READ = 16
    WRITE = 17
    FETCH = 18
