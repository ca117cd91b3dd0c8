"""The consoles of a machine that runs real code: what its UARTs send, and what a run looks for in their lines."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cca_platform.devices.pl011 import Pl011
from cca_platform.errors import MachineError
from cca_platform.machine.machine import Machine as Platform
from cca_platform.trace.events import ConsoleWrite

__all__ = ["Consoles", "Expected", "NotSeen", "Watch"]

_LINE: Final = 4096  # bytes without a newline that count as a line
_EXACT: Final = "surrogateescape"  # bytes that are no text come back as they were
_UNREAD: Final = 0x1_0000  # bytes of output that wait to be consumed


class Watch:
    """What a run looks for in the lines of the consoles.

    ``until`` is a text that ends it, ``expect`` are patterns that have to appear, ``reject`` are patterns that must not
    and that end it.
    """

    def __init__(self, until: str | None = None, expect: Sequence[str] = (), reject: Sequence[str] = ()) -> None:
        self.until = until
        self._text = (until or "").encode()
        self._missing = {pattern: re.compile(pattern) for pattern in expect}
        self._rejected = [re.compile(pattern) for pattern in reject]
        self.reached = False
        self.rejected = ""

    @property
    def missing(self) -> list[str]:
        """The patterns that have been expected in vain."""
        return list(self._missing)

    @property
    def over(self) -> bool:
        """Whether the run need not go on."""
        return self.reached or bool(self.rejected)

    def look_within(self, line: bytearray) -> None:
        """A line that has got a byte longer: a prompt has no end."""
        if self._text and line.endswith(self._text):
            self.reached = True

    def look(self, device: str, line: str) -> None:
        """A whole line."""
        for pattern in [text for text, one in self._missing.items() if one.search(line)]:
            del self._missing[pattern]
        for one in self._rejected:
            if not self.rejected and one.search(line):
                self.rejected = f"{device} must not show {one.pattern!r}, but sent {line!r}"


class NotSeen(MachineError):
    """A console did not show what was expected before the run ended or paused for another reason."""


class Expected:
    """What ``expect`` waits for in the output of one console that nobody has consumed yet.

    A pattern is looked for line by line, unless it has a line feed itself.
    """

    def __init__(self, pattern: str | re.Pattern[str], unread: bytearray) -> None:
        try:
            self.pattern = re.compile(pattern)
        except re.error as error:
            raise MachineError(f"`pattern` must be a regular expression, not {pattern!r}: {error}") from None
        self.match: re.Match[str] | None = None
        self._unread = unread
        self._from = 0
        self._lines = "\n" not in self.pattern.pattern and "\\n" not in self.pattern.pattern

    def look(self) -> bool:
        """Whether the output has it by now; it is then consumed, with everything before it."""
        if self.match is None:
            text = self._unread[self._from :].decode(errors=_EXACT)
            self.match = self.pattern.search(text)
            if self.match is not None:
                del self._unread[: self._from + len(text[: self.match.end()].encode(errors=_EXACT))]
            elif self._lines:
                self._from = self._unread.rfind(b"\n") + 1
        return self.match is not None

    def restart(self) -> None:
        """The front of the output is gone: look at all that is left."""
        self._from = 0


class Consoles:
    """Every UART of a machine, by name, in the order of the board. ``sent`` is what came since :meth:`start`.

    ``seen()`` is called when a run need not go on: it has seen what it looks for.
    """

    def __init__(self, platform: Platform, seen: Callable[[], object]) -> None:
        self._seen = seen
        self._trace = platform.trace
        self.uarts = {name: device for name, device in platform.bus.devices.items() if isinstance(device, Pl011)}
        self.sent = {name: bytearray() for name in self.uarts}
        self._lines = {name: bytearray() for name in self.uarts}
        self._watch = Watch()
        self._tell: Callable[[str, bytes], object] | None = None
        self.unread = {name: bytearray() for name in self.uarts}
        """What each UART sent and no ``expect`` has consumed, the last 64 KiB of it."""
        self._expected: dict[str, Expected] = {}
        for name, uart in self.uarts.items():
            uart.on_output = self._listener(name)

    def start(self, watch: Watch, tell: Callable[[str, bytes], object] | None) -> None:
        """From now on, look for what ``watch`` wants, and give ``tell(uart, bytes)`` what is sent."""
        self._watch, self._tell = watch, tell
        for sent in self.sent.values():
            sent.clear()

    def expect(self, name: str, pattern: str | re.Pattern[str]) -> Expected:
        """Stop the machine when UART ``name`` has shown the pattern; MachineError for a UART that does not exist."""
        if name not in self.uarts:
            raise MachineError(f"`uart` must be one of {', '.join(self.uarts)}, not {name!r}")
        expected = Expected(pattern, self.unread[name])
        if not expected.look():
            self._expected[name] = expected
        return expected

    def end_expect(self, name: str) -> None:
        """Look for the pattern no more."""
        self._expected.pop(name, None)

    def unfinished(self) -> dict[str, str]:
        """The line of each UART that has not ended, where there is one."""
        return {name: line.decode(errors="replace") for name, line in self._lines.items() if line}

    def save(self) -> dict[str, bytes]:
        """What has not been consumed, and the lines that have not ended."""
        return {name: bytes(buffer) for name, buffer in self._buffers().items()}

    def load(self, data: Mapping[str, bytes]) -> None:
        """Put back what ``save`` gave."""
        for name, buffer in self._buffers().items():
            buffer[:] = data[name]

    def _buffers(self) -> dict[str, bytearray]:
        unread = {f"{name} unread": buffer for name, buffer in self.unread.items()}
        return unread | {f"{name} line": buffer for name, buffer in self._lines.items()}

    def end_lines(self) -> None:
        """Nothing more will be sent: what has no newline is a line too."""
        for name, line in self._lines.items():
            if line:
                self._end_line(name, line)

    def _listener(self, name: str) -> Callable[[bytes], object]:
        line, sent, unread = self._lines[name], self.sent[name], self.unread[name]

        def listen(data: bytes) -> None:
            sent.extend(data)
            unread.extend(data)
            expected = self._expected.get(name)
            if len(unread) > 2 * _UNREAD:
                del unread[:-_UNREAD]
                if expected is not None:
                    expected.restart()
            if self._tell is not None:
                self._tell(name, data)
            if data == b"\n":
                self._end_line(name, line)
            else:
                line.extend(data)
                self._watch.look_within(line)
                if len(line) >= _LINE:
                    self._end_line(name, line)
            if self._watch.over or (expected is not None and expected.look()):
                self._seen()

        return listen

    def _end_line(self, name: str, line: bytearray) -> None:
        text = line.rstrip(b"\r").decode(errors="replace")
        line.clear()
        if self._trace.on:
            self._trace.emit(ConsoleWrite(device=name, text=text, size=len(text)))
        self._watch.look(name, text)
