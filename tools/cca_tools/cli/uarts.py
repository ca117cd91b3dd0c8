"""What the UARTs of a run send: the first to stdout, and any to files or stdout as ``--uart`` says."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import BinaryIO, Final

from cca_platform.board import Board
from cca_platform.devices.kinds import Kinds
from cca_platform.errors import MachineError
from cca_tools.cli.consoles import Escape

__all__ = ["STDOUT", "Screen", "Uarts", "file_of", "uart_names"]

STDOUT: Final = "-"
_UART: Final = "pl011"
_PATIENCE: Final = 0x1_0000  # bytes that wait for the end of another UART's line


def uart_names(board: Board) -> list[str]:
    """The UARTs of a board, before there is a machine; then the devices of kinds of a user, which may be UARTs."""
    ours = Kinds().names
    uarts = [row.name for row in board.devices if row.kind == _UART]
    return uarts + [row.name for row in board.devices if row.kind not in ours]


def file_of(text: str) -> str:
    """The file of ``FILE`` or ``N=FILE``, before the names of the UARTs are known."""
    name, _, path = text.partition("=")
    return path if path and (name.isdigit() or name.startswith("uart")) else text


class Screen:
    """Stdout with several UARTs on it: what one sends waits while another is in the middle of a line.

    A line that does not end when 64 KiB wait is ended here.
    """

    def __init__(self, tell: Callable[[bytes], object]) -> None:
        self._tell = tell
        self._speaking = ""
        self._waiting: dict[str, bytearray] = {}

    def write(self, uart: str, data: bytes) -> None:
        """Show what a UART sends."""
        if self._speaking not in ("", uart):
            waiting = self._waiting.setdefault(uart, bytearray())
            waiting.extend(data)
            if len(waiting) >= _PATIENCE:
                self._end_line()
            return
        self._tell(data)
        self._speaking = "" if data.endswith(b"\n") else uart
        if not self._speaking and self._waiting:
            self._next()

    def close(self) -> None:
        """Show what still waits, each on a line of its own."""
        while self._waiting:
            self._end_line()

    def _end_line(self) -> None:
        """End the line of the UART that speaks, and let those that wait speak."""
        self._tell(b"\n")
        self._speaking = ""
        self._next()

    def _next(self) -> None:
        """Let those that wait speak, until one is in the middle of a line."""
        while self._waiting and not self._speaking:
            uart = next(iter(self._waiting))
            data = bytes(self._waiting.pop(uart))
            self._tell(data)
            self._speaking = "" if data.endswith(b"\n") else uart


class Uarts:
    """Where the output of each UART goes. ``wanted`` are ``FILE`` or ``NAME=FILE``; ``-`` is stdout.

    Files get it byte by byte, so that ``tail -f`` shows it at once; ``lost`` says which are incomplete. They are
    open before the machine boots. ``escape`` makes what shows a UART's output on stdout. Raises MachineError for a
    name or file that cannot be.
    """

    def __init__(
        self,
        wanted: Sequence[str],
        uarts: Sequence[str],
        tell: Callable[[bytes], object] | None,
        escape: Callable[[], Escape] | None = None,
    ) -> None:
        self.lost = ""
        self.first = next(iter(uarts), "")
        self._screen = None if tell is None else Screen(tell)
        self._escapes: defaultdict[str, Escape] | None = None if escape is None else defaultdict(escape)
        self._shown = {self.first}
        self._stack = ExitStack()
        self._files: dict[str, list[BinaryIO]] = {}
        with ExitStack() as stack:
            for text in wanted:
                name, path = self._parse(text, uarts)
                if path == STDOUT:
                    self._shown.add(name)
                    continue
                try:
                    file = stack.enter_context(open(path, "wb", buffering=0))
                except OSError as error:
                    raise MachineError(f"--uart must name a file to write, not {path!r} ({error.strerror})") from None
                self._files.setdefault(name, []).append(file)
            self._stack = stack.pop_all()

    def _parse(self, text: str, uarts: Sequence[str]) -> tuple[str, str]:
        name, _, path = text.partition("=")
        name = f"uart{name}" if name.isdigit() else name
        if not path or (name not in uarts and not text[:1].isdigit()):
            return self.first, text
        if name not in uarts:
            raise MachineError(f"--uart must name one of {', '.join(uarts)}, not {name!r}")
        return name, path

    def booted(self, uarts: Sequence[str]) -> None:
        """The machine is there, and has these UARTs; raises MachineError if ``wanted`` has another."""
        for name in [*self._files, *self._shown]:
            if name not in uarts:
                raise MachineError(f"--uart must name one of {', '.join(uarts)}, not {name!r}")

    def write(self, uart: str, data: bytes) -> None:
        """Pass on what a UART sends."""
        if self._screen is not None and uart in self._shown:
            shown = data if self._escapes is None else self._escapes[uart](data)
            if shown:
                self._screen.write(uart, shown)
        for file in self._files.get(uart, ()):
            try:
                file.write(data)
            except OSError as error:
                self.lost = f"file {file.name!r} must take everything that {uart} sends ({error.strerror})"

    def unseen(self, sent: Iterable[str]) -> list[str]:
        """The UARTs whose output does not go to stdout, if none of them goes there."""
        speaking = list(sent)
        return [] if self._shown & set(speaking) else speaking

    def __enter__(self) -> "Uarts":
        return self

    def __exit__(self, *error: object) -> None:
        if self._screen is not None:
            for uart, escape in (self._escapes or {}).items():
                if left := escape(b"", final=True):
                    self._screen.write(uart, left)
            self._screen.close()
        self._stack.close()
