"""The outputs of a command as traces show them: what the specification enumerates has its name.

Handlers return registers, plain numbers; whether one is a member of an enumeration is no property that it keeps.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final

from cca_arch.extensions import PagedState
from cca_arch.rmi.v1_0 import RmiRipas, RmiRttEntryState

__all__ = ["named"]

_MEMBERS: Final[dict[str, dict[int, IntEnum]]] = {
    "ripas": {int(member): member for member in RmiRipas},
    "state": {int(member): member for kind in (RmiRttEntryState, PagedState) for member in kind},
}


def named(outs: Sequence[str], result: Sequence[int]) -> dict[str, Any]:
    """X1, X2, ... of ``result`` by the names ``outs``."""
    found: dict[str, Any] = {}
    for name, value in zip(outs, result[1:], strict=False):
        found[name] = _MEMBERS[name].get(value, value) if name in _MEMBERS else value
    return found
