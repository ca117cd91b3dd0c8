"""The recent exceptions of a PE, from which a report says how an endless series of them began.

Native code notes them (:mod:`cca_platform.engine.hooks`). Nothing here changes the machine.
"""

from typing import Any, Final, Protocol

from msgspec import Struct

from cca_arch.sysregs import Ec, Esr, Pstate
from cca_platform.native import block as w

__all__ = ["Taken", "alike", "began", "forget", "recent"]

_ON_PURPOSE: Final = (Ec.SVC, Ec.HVC, Ec.SMC, Ec.BRK)
_VECTORS: Final = 0x800  # bytes of a vector table


class Source(Protocol):
    """A PE: its block, and the RECENT block."""

    words: Any
    noted: Any
    refused: tuple[Any, ...]


class Taken(Struct, frozen=True):
    """A synchronous exception that real code took: the state before it, its syndrome, its vectors.

    ``lr`` is X30, ``retired`` what the PE had retired. ``vbar`` is that of ``target``, the level that took it.
    ``count`` is how often it came, in a row of exceptions without another one between them.
    """

    pc: int
    pstate: int
    esr: int
    far: int
    sp: int
    lr: int
    retired: int
    vbar: int
    target: int
    count: int

    @property
    def ec(self) -> int:
        """Its exception class."""
        return int(Esr(self.esr).ec)

    @property
    def el(self) -> int:
        """The exception level that it was taken from."""
        return int(Pstate(self.pstate).el)

    @property
    def nested(self) -> bool:
        """True if its instruction is one of the vectors of the level that took it."""
        return self.el == self.target and self.vbar <= self.pc < self.vbar + _VECTORS


def recent(pe: Source) -> list[Taken]:
    """The exceptions of the present row, the oldest first: up to the last eight that differ."""
    words, used = pe.noted, pe.noted[w.R_USED]
    found = []
    for number in range(max(used - w.RECORDS, 0), used):
        at = w.R_RECORDS + number % w.RECORDS * w.RECORD
        found.append(Taken(*words[at : at + w.RECORD]))
    return found


def began(pe: Source) -> Taken | None:
    """The exception with which the present row began, or None if there is none.

    An exception in a vector is a consequence of the one before. One after a call (SVC, HVC, SMC, BRK) is not: that
    was meant, and may have returned.
    """
    row = recent(pe)
    if not row:
        return None
    at = len(row) - 1
    while at and (row[at].nested or row[at - 1].ec not in _ON_PURPOSE):
        at -= 1
    return row[at]


def alike(pe: Source) -> bool:
    """True if an exception at PC would be one more of an endless series, as far as is known before it is taken."""
    words, noted = pe.words, pe.noted
    if words[w.P_RETIRED] != words[w.P_TAKEN] and words[w.P_NESTED] < w.NESTED_SUSPECT:
        return False
    used, pc = noted[w.R_USED], words[w.P_PC]
    return any(
        noted[w.R_RECORDS + (used - back) % w.RECORDS * w.RECORD + w.T_PC] == pc
        for back in range(1, min(used, w.ALIKE) + 1)
    )


def forget(pe: Source) -> None:
    """Begin anew, for the code of another run."""
    pe.noted[w.R_USED] = pe.words[w.P_NESTED] = 0
    pe.refused = ()
