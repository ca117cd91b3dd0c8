"""What the guest's init tells the host over the console: where the output of a command begins, and its exit status.

A message is RS, a nonce, its text and RS (RS is 0x1e). The nonce is made of the inputs, and the init has removed it
when the command starts: what the command prints is never taken for a message.
"""

import hashlib
from enum import Enum, auto
from typing import Final

__all__ = ["Report", "nonce_of"]

_RS: Final = b"\x1e"
_BEGIN: Final = b"+"
_STATUS: Final = b"="
_LONGEST: Final = 3  # digits of a status


def nonce_of(*inputs: bytes) -> str:
    """The nonce for these inputs: the same for the same ones."""
    found = hashlib.sha256()
    for one in inputs:
        found.update(len(one).to_bytes(8, "little") + one)
    return found.hexdigest()[:32]


class _Phase(Enum):
    BOOT = auto()
    COMMAND = auto()
    END = auto()


class Report:
    """Reads a console: tells the output of the boot from that of the command, and finds its ``status``."""

    def __init__(self, nonce: str) -> None:
        self.status: int | None = None
        """The exit status of the command, or of the shell; None while it has not been told."""
        self._begin = _RS + nonce.encode() + _BEGIN + _RS
        self._end = _RS + nonce.encode() + _STATUS
        self._phase = _Phase.BOOT
        self._held = b""

    @property
    def began(self) -> bool:
        """True if the command has been started."""
        return self._phase is not _Phase.BOOT

    def hear(self, data: bytes) -> tuple[bytes, bytes]:
        """What of the console is of the boot, and what is the command's; what follows a status is nobody's."""
        other = command = b""
        self._held += data
        if self._phase is _Phase.BOOT:
            found, sent = self._until(self._begin)
            other += sent
            if not found:
                return other, command
            self._phase = _Phase.COMMAND
        if self._phase is _Phase.COMMAND:
            found, sent = self._until(self._end)
            command += sent
            if not found:
                return other, command
            self._phase = _Phase.END
        if self.status is None:
            digits, ended, rest = self._held.partition(_RS)
            if not ended and len(digits) <= _LONGEST:
                return other, command
            self.status = int(digits) if ended and digits.isdigit() else None
            self._held = rest
        if self.status is None:
            other += self._held
        self._held = b""
        return other, command

    def finish(self) -> tuple[bytes, bytes]:
        """What is still held back because a message might have followed, as :meth:`hear` gives it."""
        left, self._held = self._held, b""
        return (b"", left) if self._phase is _Phase.COMMAND else (left, b"")

    def _until(self, mark: bytes) -> tuple[bool, bytes]:
        """Whether ``mark`` has come, and what comes before it: without an end that may be its beginning."""
        before, found, after = self._held.partition(mark)
        if found:
            self._held = after
            return True, before
        keep = next((size for size in range(len(mark) - 1, 0, -1) if before.endswith(mark[:size])), 0)
        self._held = before[len(before) - keep :]
        return False, before[: len(before) - keep]
