"""General service queries (SMCCC): call count, UID and revision of the ranges that EL3 serves, for every world.

The UIDs are Realmlab's own unless the board sets others, for software that looks for a particular firmware.
"""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import UUID

from cca_arch.extensions import PAGING_UID, uid_words
from cca_arch.smccc import Owner, Query, query
from cca_firmware.bl31.functions import Handler

if TYPE_CHECKING:
    from cca_platform.board import Board
    from cca_platform.pe.pe import Pe

__all__ = ["queries", "uid_handler"]

_UIDS: Final = {
    Owner.ARCH: "34de10ca-7c17-45bb-8e9d-7c338db495a6",
    Owner.SIP: "47d655a1-4fed-4ff0-8454-5051f42a483d",
    Owner.STANDARD_SECURE: "05fd7d14-0237-4850-ab1d-917f47cd53ec",
    Owner.VENDOR_EL3: "b7a280e9-e696-4976-8ea0-d0a4d7be9fdd",
    Owner.TRUSTED_APPLICATION: PAGING_UID,
    Owner.TRUSTED_OS: "5eedb852-9c31-4a07-b6d0-2f58317d0f6e",
}
_REVISION: Final = (0, 1)
"""Major and minor, as TF-A has them."""


def queries(board: "Board", counts: Mapping[Owner, int]) -> dict[int, Handler]:
    """The handlers for ranges with so many functions each, queries not counted."""
    handlers: dict[int, Handler] = {}
    for owner, count in counts.items():
        handlers[query(owner, Query.CALL_COUNT)] = partial(_answer, (count,))
        handlers[query(owner, Query.UID)] = uid_handler(board, owner)
        handlers[query(owner, Query.REVISION)] = partial(_answer, _REVISION)
    return handlers


def uid_handler(board: "Board", owner: Owner) -> Handler:
    """The handler of a range's UID: the bytes of an UUID from W0 on, the first one in the lowest bits."""
    return partial(_answer, uid_words(str(UUID(board.uids.get(owner.name.lower(), _UIDS[owner])))))


def _answer(results: tuple[int, ...], pe: "Pe", x: memoryview) -> None:
    for register, value in enumerate(results):
        x[register] = value
