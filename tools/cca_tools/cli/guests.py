"""A guest of ours in a run: its init reports, so that a run ends with the status of the guest's command."""

from collections.abc import Callable
from typing import Any

from cca_tools.cli.output import FAILED, murmur
from cca_tools.cli.summary import Outcome
from cca_tools.linux.guest import Report

__all__ = ["Guest"]

_OFF = "system_off"


class Guest:
    """Listens to the console of a guest with our init, whose messages have ``nonce``.

    With a ``command``, stdout has its output alone, and what the boot says is on stderr; a shell's console is one.
    """

    def __init__(self, nonce: str, command: str | None) -> None:
        self._report = Report(nonce)
        self._command = command
        self.begins: Callable[[], object] = lambda: None
        """Called when the guest is ready for input."""

    def heard(self, tell: Callable[[bytes], object]) -> Callable[[bytes], None]:
        """What takes the console's bytes, and gives ``tell`` those that are to be shown."""

        def take(data: bytes) -> None:
            before = self._report.began
            self._show(*self._report.hear(data), tell)
            if self._report.began and not before:
                self.begins()

        return take

    def finish(self, tell: Callable[[bytes], object]) -> None:
        """The console has ended: show what was held back."""
        self._show(*self._report.finish(), tell)

    def _show(self, other: bytes, own: bytes, tell: Callable[[bytes], object]) -> None:
        if other and self._command is None:
            tell(other)
        elif other:
            murmur(other)
        if own:
            tell(own)

    def ended(self, outcome: Outcome) -> Outcome:
        """The outcome of the run, with the status that the guest has told."""
        status, message = outcome.status, outcome.message
        told = self._report.status
        if told is not None and outcome.facts["reason"] == _OFF:
            status = told
        elif outcome.facts["reason"] == _OFF and self._command is not None:
            status, message = FAILED, "the guest has turned itself off before its command had ended"
        facts: dict[str, Any] = {**outcome.facts, "status": status, "message": message, "command": self._command}
        rows = [(label, text) for label, text in outcome.rows if label != "payload"]
        what = "shell" if self._command is None else self._command
        return Outcome(status, message, [("guest", f"{what}: exit status {status}"), *rows], facts, outcome.failure)
