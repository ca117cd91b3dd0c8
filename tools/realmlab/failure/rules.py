"""The table of causes: a row says what must hold of a failed run, the cause in a sentence, and what helps.

The first row that holds counts. ``{...}`` in a sentence is what :class:`~realmlab.failure.scene.Scene` or the row's
condition knows by that name. ``docs/reference/messages.md`` is made of these rows.
"""

from typing import Final

from .aborts import ABORTS
from .instructions import INSTRUCTIONS
from .waits import LOOPS, WAITS

__all__ = ["EXCEPTIONS", "LOOPS", "WAITS"]

EXCEPTIONS: Final = (*INSTRUCTIONS, *ABORTS)
"""What began an endless series of exceptions, or whose handler does not come back."""
