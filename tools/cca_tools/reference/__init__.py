"""Generate the reference pages from the tables in the code: ``python -m cca_tools.reference docs/reference``."""

import sys
from collections.abc import Callable
from pathlib import Path

from cca_tools.reference.api import api
from cca_tools.reference.commands import PSCI_CALLS, manual, paging, psci, rmi, rsi, sealing
from cca_tools.reference.files import board, files, policy
from cca_tools.reference.kvm import kvm
from cca_tools.reference.machine import cpu, not_modelled, trace
from cca_tools.reference.messages import messages
from cca_tools.reference.realm import realm
from cca_tools.reference.structures import structures
from cca_tools.reference.text import ManualError
from cca_tools.reference.words import words

__all__ = ["PAGES", "PSCI_CALLS", "ManualError", "main", "manual", "rmi"]

_TOLD: dict[str, Callable[[], str]] = {
    "realm.md": realm, "structures.md": structures, "rsi.md": rsi, "psci.md": psci, "rmi.md": rmi,
    "paging.md": paging, "sealing.md": sealing, "cpu.md": cpu,
    "trace.md": trace, "not-modelled.md": not_modelled,
}  # fmt: skip
"""File name -> text of the pages whose words are in the index."""
PAGES: dict[str, Callable[[], str]] = {
    **_TOLD, "messages.md": messages, "board.md": board, "policy.md": policy, "files.md": files, "api.md": api,
    "kvm.md": kvm, "words.md": lambda: words(_TOLD),
}  # fmt: skip
"""File name -> text."""


def main(arguments: list[str]) -> int:
    """Write every page to the given folder."""
    folder = Path(arguments[0] if arguments else "docs/reference")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for name, page in PAGES.items():
            (folder / name).write_text(page())
    except ManualError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
