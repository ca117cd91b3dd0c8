"""The consoles of a machine that runs real code: what its UARTs send, and the patterns that a run looks for."""

import re
from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cca_platform.devices.pl011 import Pl011
from cca_platform.errors import MachineError
from cca_platform.machine.machine import Machine as Platform
from cca_platform.printable import brief
from cca_platform.trace.events import ConsoleWrite

__all__ = ["Consoles", "Expected", "Lines", "NotSeen", "Watch", "sent"]

_LINE: Final = 4096  # bytes without a newline before they count as a line
_EXACT: Final = "surrogateescape"  # non-text bytes round-trip
_UNREAD: Final = 0x1_0000  # bytes of unread output to keep
_WINDOW: Final = 8192  # bytes at the end of the unread output that are searched with each byte
_EARLY: Final = 4096  # lines of the boot that the first run looks at
_TAIL: Final = 200  # bytes of output in a message


def _within_character(data: bytearray) -> bool:
    """True if bytes end with the beginning of a character in UTF-8."""
    decoder = getincrementaldecoder("utf-8")("replace")
    decoder.decode(data)
    return bool(decoder.getstate()[0])


class Watch:
    """The patterns that a run looks for in console lines.

    ``until`` is a string that ends the run; ``expect`` are patterns that must appear; ``reject`` are patterns that must
    not appear and that end the run.
    """

    def __init__(self, until: str | None = None, expect: Sequence[str] = (), reject: Sequence[str] = ()) -> None:
        self.until = until
        self._text = (until or "").encode(errors=_EXACT)
        self._missing = {pattern: re.compile(pattern) for pattern in expect}
        self._rejected = [re.compile(pattern) for pattern in reject]
        self.reached = False
        self.rejected = ""

    @property
    def missing(self) -> list[str]:
        """The expected patterns that have not appeared."""
        return list(self._missing)

    @property
    def over(self) -> bool:
        """True if the run can end."""
        return self.reached or bool(self.rejected)

    @property
    def rejects(self) -> bool:
        """True if there are patterns that must not appear."""
        return bool(self._rejected)

    @property
    def unseen(self) -> list[str]:
        """What should have appeared and has not."""
        return [*self._missing, *([] if self.until is None or self.reached else [self.until])]

    def look_within(self, line: bytearray, grown: int = 1) -> None:
        """Check a line that has grown by so many bytes: a prompt has no newline."""
        if self._text and self._text in line[-(len(self._text) + grown - 1) :]:
            self.reached = True

    def look(self, device: str, line: str) -> None:
        """Check a complete line."""
        for pattern in [text for text, one in self._missing.items() if one.search(line)]:
            del self._missing[pattern]
        for one in self._rejected:
            if not self.rejected and one.search(line):
                self.rejected = f"{device} must not show {one.pattern!r}, but sent {line!r}"


class Lines:
    """What one console sends, as lines for a watch. ``device`` is its name in messages."""

    def __init__(self, watch: Watch, device: str) -> None:
        self._watch = watch
        self._device = device
        self._line = bytearray()

    def take(self, data: bytes) -> None:
        """Look at some output, of any size."""
        watch, line = self._watch, self._line
        for part in data.splitlines(keepends=True) if b"\n" in data else (data,):
            whole = part.endswith(b"\n")
            text = part[:-1] if whole else part
            line.extend(text)
            watch.look_within(line, len(text))
            if whole or (len(line) >= _LINE and not _within_character(line)):
                self.end()

    def end(self) -> None:
        """What has been sent is a line."""
        text = self._line.rstrip(b"\r").decode(errors="replace")
        self._line.clear()
        self._watch.look(self._device, text)


class NotSeen(MachineError):
    """The run ended or paused before the console showed the expected pattern."""


def sent(unread: bytearray) -> str:
    """The end of the unread output, for a message."""
    if not unread:
        return "there is no unread output"
    dots = "..." if len(unread) > _TAIL else ""
    return f"it sent {dots}{bytes(unread[-_TAIL:]).decode(errors='replace')!r}"


class Expected:
    """What ``expect`` waits for in the unread output of one console.

    A pattern is matched line by line, unless it contains a line feed. However much is sent, each byte costs the same:
    with each, the last 8 KiB are searched, and everything once in 8 KiB and at the end. So a match that is longer may
    be found up to 8 KiB late.
    """

    def __init__(self, pattern: str | re.Pattern[str], unread: bytearray) -> None:
        try:
            self.pattern = re.compile(pattern)
        except re.error as error:
            raise MachineError(f"`pattern` must be a regular expression, not {brief(pattern)}: {error}") from None
        self.match: re.Match[str] | None = None
        self._unread = unread
        self._from = 0  # where the line begins that is searched next, if lines are
        self._whole = 0  # the size of the output at which all of it is searched next
        self._lines = "\n" not in self.pattern.pattern and "\\n" not in self.pattern.pattern

    def look(self, thoroughly: bool = False) -> bool:
        """Return True if the output has a match; consumes it and everything before it."""
        if self.match is None:
            size = len(self._unread)
            start = self._from
            if thoroughly or size >= self._whole:
                self._whole = size + _WINDOW
            else:
                start = max(start, size - _WINDOW)
            self._search(start)
        return self.match is not None

    def _search(self, start: int) -> None:
        """Look for a match that begins at byte ``start`` of the unread output, or later."""
        before = b"" if self._lines else self._unread[:start]  # for ^ and what looks behind
        head = before.decode(errors=_EXACT)
        text = head + self._unread[start:].decode(errors=_EXACT)
        self.match = self.pattern.search(text, len(head))
        if self.match is not None:
            del self._unread[: start - len(before) + len(text[: self.match.end()].encode(errors=_EXACT))]
        elif self._lines:
            self._from = self._unread.rfind(b"\n") + 1

    def restart(self) -> None:
        """The front of the output has been dropped: search all that is left."""
        self._from = self._whole = 0


class Consoles:
    """The UARTs of a machine by name, in board order.

    ``seen()`` is called once a run can end because it has seen what it looks for; ``always(uart, bytes)`` gets all
    output, and ``heard()`` is called for it. What the boot shows, before any run, belongs to the first run.
    """

    def __init__(
        self, platform: Platform, seen: Callable[[], object], always: Callable[[str, bytes], object] | None = None
    ) -> None:
        self._seen = seen
        self._always = always
        self.heard: Callable[[], object] = lambda: None
        self._early: deque[tuple[str, str]] | None = deque(maxlen=_EARLY)
        self._trace = platform.trace
        self.uarts = {name: device for name, device in platform.bus.devices.items() if isinstance(device, Pl011)}
        self._before = dict.fromkeys(self.uarts, 0)
        self._lines = {name: bytearray() for name in self.uarts}
        self._watch = Watch()
        self._tell: Callable[[str, bytes], object] | None = None
        self.unread = {name: bytearray() for name in self.uarts}
        """The unread output of each UART, at most its last 64 KiB."""
        self._expected: dict[str, Expected] = {}
        for name, uart in self.uarts.items():
            uart.on_output = self._listener(name)

    def start(self, watch: Watch, tell: Callable[[str, bytes], object] | None) -> None:
        """Start matching the patterns of ``watch`` and pass all output to ``tell(uart, bytes)``."""
        self._watch, self._tell = watch, tell
        if self._early is None:
            self._before = {name: uart.sent.total for name, uart in self.uarts.items()}
            return
        for name, uart in self.uarts.items():
            if uart.sent.total and tell is not None:
                tell(name, uart.output)
        early, self._early = self._early, None
        for name, line in early:
            watch.look(name, line)
            watch.reached = watch.reached or (watch.until is not None and watch.until in line)
        if watch.over:
            self._seen()

    @property
    def sent(self) -> dict[str, bytes]:
        """What each UART has sent since :meth:`start`, as far as it is kept."""
        return {name: uart.sent.since(self._before[name]) for name, uart in self.uarts.items()}

    @property
    def dropped(self) -> dict[str, int]:
        """The bytes of each UART before those of ``sent``; only of UARTs that have sent more than is kept."""
        dropped = {name: uart.sent.dropped - self._before[name] for name, uart in self.uarts.items()}
        return {name: count for name, count in dropped.items() if count > 0}

    def expect(self, name: str, pattern: str | re.Pattern[str]) -> Expected:
        """Stop the machine when UART ``name`` shows the pattern; raises MachineError for an unknown UART."""
        if name not in self.uarts:
            raise MachineError(f"`uart` must be one of {', '.join(self.uarts)}, not {brief(name)}")
        expected = Expected(pattern, self.unread[name])
        if not expected.look():
            self._expected[name] = expected
        return expected

    def end_expect(self, name: str) -> None:
        """Stop looking for the pattern."""
        self._expected.pop(name, None)

    def unfinished(self) -> dict[str, str]:
        """The unfinished line of each UART that has one."""
        return {name: line.decode(errors="replace") for name, line in self._lines.items() if line}

    def save(self) -> dict[str, bytes]:
        """The unread output and the unfinished lines."""
        return {name: bytes(buffer) for name, buffer in self._buffers().items()}

    def load(self, data: Mapping[str, bytes]) -> None:
        """Restore what ``save`` returned."""
        for name, buffer in self._buffers().items():
            buffer[:] = data[name]

    def _buffers(self) -> dict[str, bytearray]:
        unread = {f"{name} unread": buffer for name, buffer in self.unread.items()}
        return unread | {f"{name} line": buffer for name, buffer in self._lines.items()}

    def end_lines(self) -> None:
        """No more output will come: treat unfinished lines as lines."""
        for name, line in self._lines.items():
            if line:
                self._end_line(name, line)

    def _listener(self, name: str) -> Callable[[bytes], object]:
        line, unread = self._lines[name], self.unread[name]

        def listen(data: bytes) -> None:
            self.heard()
            unread.extend(data)
            expected = self._expected.get(name)
            if len(unread) > 2 * _UNREAD:
                del unread[:-_UNREAD]
                if expected is not None:
                    expected.restart()
            for tell in (self._always, self._tell):
                if tell is not None:
                    self._trace.flush()  # what is shown comes after its event
                    tell(name, data)
            if data == b"\n":
                self._end_line(name, line)
            else:
                line.extend(data)
                self._watch.look_within(line)
                if len(line) >= _LINE and not _within_character(line):
                    self._end_line(name, line)
            if self._watch.over or (expected is not None and expected.look()):
                self._seen()

        return listen

    def _end_line(self, name: str, line: bytearray) -> None:
        text = line.rstrip(b"\r").decode(errors="replace")
        line.clear()
        if self._trace.on:
            self._trace.emit(ConsoleWrite(device=name, text=text, size=len(text)))
        if self._early is not None:
            self._early.append((name, text))
        self._watch.look(name, text)
