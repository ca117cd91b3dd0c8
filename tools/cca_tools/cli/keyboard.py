"""stdin as the keyboard of a guest's console: a terminal, which is made raw and restored, or a pipe or file.

A terminal is read by a thread, and its keys go to the guest as they are, Ctrl-C too once the guest is told of input by
an interrupt; Ctrl-A is the escape key, as in QEMU and kvmtool. A pipe is read when the guest looks for input; of one
that is told by an interrupt, that is when it waits and has prompted or said nothing for a while. Then it gets a line,
so that no input is lost, and what a file holds always comes at the same time. At the end it gets Ctrl-D.
"""

import _thread
import os
import select
import signal
import sys
import termios
import threading
from contextlib import suppress
from stat import S_ISCHR
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, Self

from cca_tools.cli.output import say

if TYPE_CHECKING:
    from cca_host.kvmtool.keyboard import Typing

__all__ = ["Stdin", "restore"]

_ESCAPE: Final = 0x01  # Ctrl-A
_END: Final = b"\x04"  # Ctrl-D
_PIECE: Final = 4096  # bytes at once
_NAP: Final = 0.05  # seconds that a guest waits for a pipe alone, until somebody looks whether the run is to end
_FIRST: Final = 2.0  # seconds of a guest's time without output, after which it seems to wait for a line, its first,
_NEXT: Final = 0.05  # or a further one
_ENDS: Final = 3  # times that Ctrl-D is typed: a shell that has begun a program forgets it, and prompts again
_HELP: Final = "Ctrl-A x ends the run, Ctrl-A z suspends realmlab, Ctrl-A Ctrl-A is Ctrl-A, Ctrl-A h says this"
_IFLAG, _LFLAG, _CC = 0, 3, 6  # of what termios calls the attributes

_changed: list["_Terminal"] = []


def restore() -> None:
    """Leave the terminal as it was, from where nothing else is done any more."""
    for terminal in _changed:
        terminal.restore()


class Stdin:
    """The keyboard of one run, in a ``with`` block that leaves the terminal as it was.

    With ``held``, a pipe is not read before :meth:`release`, and /dev/null has an end, too.
    """

    def __init__(self, held: bool = False) -> None:
        self._fd = _readable()
        self._source: _Terminal | _Pipe | None = None
        self._held = self._ends = held

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def release(self) -> None:
        """Let a pipe be read."""
        self._held = False

    def listen(self, typing: "Typing") -> None:
        """The guest looks for input, or now listens."""
        source = self._open()
        if source is not None:
            source.listen(typing)

    def waits(self, typing: "Typing", due: bool) -> bool:
        """The guest waits."""
        source = self._open()
        return source is not None and source.waits(typing, due)

    def _open(self) -> "_Terminal | _Pipe | None":
        """What is read; None while it is held."""
        if self._source is None and self._fd is not None:
            self._source = _Terminal(self._fd) if os.isatty(self._fd) else _Pipe(self._fd, self._ends)
        return None if self._held and isinstance(self._source, _Pipe) else self._source

    def close(self) -> None:
        """Restore the terminal."""
        if self._source is not None:
            self._source.close()


def _readable() -> int | None:
    """The descriptor of stdin, unless there is none, or a terminal that is another job's."""
    with suppress(OSError, ValueError, AttributeError):  # closed, or a stream without a file, as in tests
        fd = sys.stdin.fileno()
        select.select([fd], [], [], 0)
        if not os.isatty(fd) or os.tcgetpgrp(fd) == os.getpgrp():
            return fd
    return None


class _Pipe:
    """A pipe or a file: a line at a time."""

    def __init__(self, fd: int, ends: bool) -> None:
        self._fd = fd
        self._kept = bytearray()
        self._over = False
        self._ends = _ENDS if ends or not S_ISCHR(os.fstat(fd).st_mode) else 0  # that of /dev/null says little
        self._patience = _FIRST

    def listen(self, typing: "Typing") -> None:
        """Give what there is to a guest that looks for it."""
        if not typing.listens and not self._over:
            self._read(0)
            if self._kept:
                typing.send(bytes(self._kept))
                self._kept.clear()

    def waits(self, typing: "Typing", due: bool) -> bool:
        """Give the next line, or say that it was the last, if the guest seems to wait for one."""
        if due and not (typing.prompted or typing.silent(self._patience)):
            return True
        if not self._over and not self._kept:
            self._read(0 if due else _NAP)
        if self._kept:
            end = self._kept.find(b"\n") + 1 or len(self._kept)
            typing.send(bytes(self._kept[:end]))
            del self._kept[:end]
            self._patience = _NEXT
        elif self._over and self._ends and (typing.prompted or (self._ends == _ENDS and typing.silent(_FIRST))):
            typing.send(_END)
            self._ends -= 1
        return not self._over

    def _read(self, seconds: float) -> None:
        if select.select([self._fd], [], [], seconds)[0]:
            data = os.read(self._fd, _PIECE)
            self._kept += data
            self._over = not data

    def close(self) -> None:
        """The rest is for whoever reads stdin next."""


class _Terminal:
    """A terminal, which a thread reads."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: list[Any] | None = None
        self._raw = False
        self._escaped = False
        self._ends: tuple[int, ...] = ()
        self._thread: threading.Thread | None = None
        self._handlers: dict[int, Any] = {}

    def listen(self, typing: "Typing") -> None:
        """Begin to read; with interrupts of input, the guest gets every key."""
        if self._thread is None:
            self._before = termios.tcgetattr(self._fd)
            self._ends = os.pipe()
            _changed.append(self)
            self._heed()
            self._change()
            typing.attend()
            self._thread = threading.Thread(target=self._serve, args=(typing,), name="keyboard", daemon=True)
            self._thread.start()
        if typing.listens and not self._raw:
            self._raw = True
            self._change()

    def waits(self, typing: "Typing", due: bool) -> bool:
        """The thread tells when there is something."""
        del due
        self.listen(typing)
        return True

    # -- modes -------------------------------------------------------------------------------------------------------
    def _change(self) -> None:
        """No echo and no lines; raw, the terminal makes no signals either. Output stays as it is."""
        if self._before is None or os.tcgetpgrp(self._fd) != os.getpgrp():
            return
        mode = [*self._before[:_CC], list(self._before[_CC])]
        mode[_LFLAG] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN)
        if self._raw:
            mode[_LFLAG] &= ~termios.ISIG
            mode[_IFLAG] &= ~(
                termios.BRKINT | termios.INPCK | termios.ISTRIP | termios.INLCR | termios.IGNCR | termios.ICRNL
                | termios.IXON
            )  # fmt: skip
        mode[_CC][termios.VMIN], mode[_CC][termios.VTIME] = 1, 0
        self._set(mode)

    def restore(self) -> None:
        """Leave the terminal as it was."""
        if self._before is not None:
            self._set(self._before)

    def _set(self, mode: list[Any]) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})  # a job in the background may do so, too
        with suppress(termios.error, OSError):  # a terminal that has closed
            termios.tcsetattr(self._fd, termios.TCSADRAIN, mode)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _heed(self) -> None:
        """While the process is stopped, the terminal is as it was."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in ((signal.SIGTSTP, self._stop), (signal.SIGCONT, self._go_on)):
                self._handlers[number] = signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.restore()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._change()

    def _go_on(self, number: int, frame: FrameType | None) -> None:
        self._change()

    def close(self) -> None:
        """Restore the terminal, and end the thread."""
        if self._thread is None:
            return
        os.write(self._ends[1], b"x")
        self._thread.join()
        self._thread = None
        for end in self._ends:
            os.close(end)
        self.restore()
        _changed.remove(self)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    # -- keys --------------------------------------------------------------------------------------------------------
    def _serve(self, typing: "Typing") -> None:
        """Read until the end of the run, or of the terminal."""
        while True:
            ready = select.select([self._fd, self._ends[0]], [], [])[0]
            if self._ends[0] in ready:
                return
            try:
                data = os.read(self._fd, _PIECE)
            except OSError:
                return
            if not data:
                return
            keys = self._keys(data)
            if keys:
                typing.send(keys)

    def _keys(self, data: bytes) -> bytes:
        """What of the keys is for the guest."""
        found = bytearray()
        for key in data:
            if self._escaped:
                self._escaped = False
                if key == _ESCAPE:
                    found.append(key)
                else:
                    self._command(chr(key))
            elif key == _ESCAPE:
                self._escaped = True
            else:
                found.append(key)
        return bytes(found)

    def _command(self, key: str) -> None:
        """A key behind the escape key."""
        if key in "xX":
            _thread.interrupt_main()
        elif key in "zZ":
            os.kill(os.getpid(), signal.SIGTSTP)
        else:
            say(_HELP)
