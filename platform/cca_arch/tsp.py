"""The interface between EL3 and a Secure payload: that of TF-A's dispatcher for its test payload (TSPD).

A Secure payload is bare-metal code at S-EL1. EL3 enters it at the start of its image with X0 = index of the PE, X1 and
X2 = base and size of Secure memory, MMU off, PSTATE = EL1h with DAIF masked. The payload reports that it is ready with
ENTRY_DONE and its vectors or, as an FF-A partition, with FFA_MSG_WAIT.
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
"""The SMC owners of a Trusted OS (DEN0028): calls from Non-secure software to the Secure payload."""
RESUME: Final = 0x3200_3000
"""Non-secure software resumes a preempted yielding call; its results are returned by this call."""
ABORT: Final = 0xB200_3001
"""Non-secure software abandons a preempted yielding call."""
PREEMPTED: Final = -2 & REGISTER_MASK
"""X0 of a yielding call that was preempted by a Non-secure interrupt."""
HANDLE_SEL1_INTR: Final = 0x2004
"""X0 at the vector SEL1_INTR; X1 is the address at which the other world was interrupted."""


class Tsp(IntEnum):
    """Calls from the Secure payload to EL3. A call returns with X0 = its function identifier, X1..X4 = results."""

    ENTRY_DONE = 0xF200_0000
    """The primary PE is ready. X1: address of the vectors, or 0 if the payload could not start."""
    ON_DONE = 0xF200_0001
    """A PE that was turned on is ready."""
    OFF_DONE = 0xF200_0002
    """The PE may be turned off."""
    SUSPEND_DONE = 0xF200_0003
    """The PE may be powered down until it wakes."""
    RESUME_DONE = 0xF200_0004
    """The payload is as before the power-down."""
    PREEMPTED = 0xF200_0005
    """The payload itself suspends a yielding call or a message; the SMC returns when it is resumed."""
    HANDLED_S_EL1_INTR = 0xF200_0006
    """A Secure interrupt has been handled: the interrupted world resumes."""
    ABORT_DONE = 0xF200_0007
    """The preempted call has been abandoned."""
    SYSTEM_OFF_DONE = 0xF200_0008
    SYSTEM_RESET_DONE = 0xF200_0009
    GET_ARGS = 0xF200_1000
    """X0, X1: the first two arguments of the call in progress."""


class TspVector(IntEnum):
    """The vectors of a Secure payload: EL3 enters at instruction ``n`` of the table, which is a branch."""

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
