"""The plain words every layer shares: addresses, security states, physical address spaces, accesses and faults."""

from enum import IntEnum
from typing import NewType

__all__ = [
    "GRANULE_SIZE",
    "IPA",
    "MPIDR_AFFINITY",
    "PA",
    "VA",
    "Access",
    "BusError",
    "Gpi",
    "GranuleProtectionFault",
    "MachineError",
    "Pas",
    "SecurityState",
]

GRANULE_SIZE = 0x1000
MPIDR_AFFINITY = 0xFF_00FF_FFFF
"""Aff3 to Aff0 of an MPIDR_EL1."""

PA = NewType("PA", int)
IPA = NewType("IPA", int)
VA = NewType("VA", int)


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


class MachineError(Exception):
    """The user asked the machine for something impossible; the message says how to mend it."""


class GranuleProtectionFault(Exception):
    """An access whose physical address space is not the one that the granule is assigned to.

    ``pa`` is the address, ``pas`` the space of the access, ``level`` the level of the GPT entry that refused it.
    """

    def __init__(self, pa: int, pas: Pas, level: int, access: Access) -> None:
        super().__init__(f"granule protection fault: {access.name} of PA {pa:#x} in the {pas.name} PAS, level {level}")
        self.pa = pa
        self.pas = pas
        self.level = level
        self.access = access


class BusError(Exception):
    """A physical address where neither memory nor a device answers: a synchronous external abort."""

    def __init__(self, pa: int, access: Access) -> None:
        super().__init__(f"external abort: nothing answers a {access.name} at PA {pa:#x}")
        self.pa = pa
        self.access = access
