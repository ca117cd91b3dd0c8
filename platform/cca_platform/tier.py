"""The two tiers: *stock*, what wheels alone give, and *built*, what ``make fast`` adds to a checkout.

Both give the same results and traces; built is faster. What is built lies in one folder, so that removing it is the
way back. The environment variable ``REALMLAB_FAST`` names another folder; empty, it chooses the stock tier for a run.
"""

import os
from pathlib import Path
from typing import Final

__all__ = ["VARIABLE", "folder"]

VARIABLE: Final = "REALMLAB_FAST"
_FOLDER: Final = Path(__file__).parents[2] / "build" / "fast"


def folder() -> Path | None:
    """Where that lies which ``make fast`` builds, whether it is there or not; None: this run wants the stock tier."""
    given = os.environ.get(VARIABLE)
    if given is None:
        return _FOLDER
    return Path(given) if given else None
