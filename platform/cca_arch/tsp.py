"""The interface between EL3 and a Secure payload: that of TF-A's dispatcher for its test payload (TSPD).

A Secure payload is bare-metal code at S-EL1. EL3 enters it at the start of its image with X0 = index of the PE, X1 and
X2 = base and size of Secure memory, MMU off, PSTATE = EL1h with DAIF masked. It says that it is ready by ENTRY_DONE
with its vectors, or, as an FF-A partition, by FFA_MSG_WAIT.
"""

from enum import IntEnum
from typing import Final

from cca_arch.smccc import REGISTER_MASK, Fid

__all__ = [
    "ABORT",
    "HANDLE_SEL1_INTR",
    "PREEMPTED",
    "RESUME",
    "SMC64",
    "TOS_OWNERS",
    "Tsp",
    "TspVector",
]

SMC64: Final = Fid.smc64.mask
TOS_OWNERS: Final = range(50, 64)
"""The owners of a Trusted OS's calls (DEN0028): what Non-secure software asks of the Secure payload."""
RESUME: Final = 0x3200_3000
"""Non-secure software lets a preempted yielding call go on; its results come as those of this call."""
ABORT: Final = 0xB200_3001
"""Non-secure software gives a preempted yielding call up."""
PREEMPTED: Final = -2 & REGISTER_MASK
"""X0 of a yielding call that a Non-secure interrupt has preempted."""
HANDLE_SEL1_INTR: Final = 0x2004
"""X0 at the vector SEL1_INTR; X1 is the address at which the other world was interrupted."""


class Tsp(IntEnum):
    """What the Secure payload tells EL3. A call is answered with X0 = its function identifier, X1..X4 = results."""

    ENTRY_DONE = 0xF200_0000
    """The primary PE is ready. X1: address of the vectors, 0 when the payload could not start."""
    ON_DONE = 0xF200_0001
    """A PE that was turned on is ready."""
    OFF_DONE = 0xF200_0002
    """The PE may be turned off."""
    PREEMPTED = 0xF200_0005
    """The payload itself gives a yielding call or a message up for the time being; SMC returns when it goes on."""
    HANDLED_S_EL1_INTR = 0xF200_0006
    """A Secure interrupt has been handled: the world that it interrupted goes on."""
    ABORT_DONE = 0xF200_0007
    """The preempted call has been given up."""
    SYSTEM_OFF_DONE = 0xF200_0008
    SYSTEM_RESET_DONE = 0xF200_0009
    GET_ARGS = 0xF200_1000
    """X0, X1: the first two arguments of the call in progress."""


class TspVector(IntEnum):
    """The vectors of a Secure payload: instruction ``n`` of the table, a branch, is where EL3 enters it."""

    YIELD_SMC = 0
    FAST_SMC = 1
    CPU_ON = 2
    CPU_OFF = 3
    CPU_RESUME = 4
    CPU_SUSPEND = 5
    SEL1_INTR = 6
    SYSTEM_OFF = 7
    SYSTEM_RESET = 8
    ABORT_YIELD_SMC = 9
