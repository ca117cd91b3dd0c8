"""What is typed for a guest while it runs: by somebody at a terminal, or by a pipe or a file.

Nothing is read before the guest looks for it. A Linux kernel only does so when it enables the interrupt of its UART:
what it reads before, it throws away.
"""

from typing import Protocol

from cca_platform.devices.wiring import Wiring

__all__ = ["Keyboard", "Port", "Typing"]


class Port(Protocol):
    """The device that typed input goes to."""

    wiring: Wiring

    def deliver(self, data: bytes) -> None:
        """Let input in, from any thread."""

    @property
    def listens(self) -> bool:
        """Whether its driver is told of input by an interrupt."""

    @property
    def drained(self) -> bool:
        """Whether software has read everything that has arrived."""


class Keyboard(Protocol):
    """Who types: see :class:`cca_tools.cli.keyboard.Stdin`."""

    def listen(self, typing: "Typing") -> None:
        """The guest looks for input and there is none, or it now listens."""

    def waits(self, typing: "Typing", due: bool) -> bool:
        """The guest waits and has read everything: with ``due``, for time to pass, else for input alone.

        Then wait a little for it. Returns whether there may be any.
        """

    def close(self) -> None:
        """The run is over, or has never begun."""


class Typing:
    """A keyboard at the console of one guest; ``keyboard`` may be None.

    ``linux`` is that the guest is a Linux kernel, ``prompted`` that it has begun a line since something was typed.
    """

    def __init__(self, port: Port, keyboard: Keyboard | None) -> None:
        self._port = port
        self._keyboard = keyboard
        self.prompted = False
        self._spoke = 0
        self.linux = False

    def said(self, data: bytes) -> None:
        """The guest has sent something."""
        self.prompted = not data.endswith(b"\n")
        self._spoke = self._port.wiring.now()

    def silent(self, seconds: float) -> bool:
        """Whether the guest has sent nothing for so long, in its own time."""
        clock = self._port.wiring.clock
        return clock.now - self._spoke >= seconds * clock.counter_hz

    def send(self, data: bytes) -> None:
        """Type something, from any thread."""
        self.prompted = False
        self._port.deliver(data)

    def attend(self) -> None:
        """Somebody is there who types when he likes: while the guest listens, idle time waits for him."""
        self._port.wiring.attend(lambda: self._port.listens)

    @property
    def listens(self) -> bool:
        """Whether the guest is told of input by an interrupt."""
        return self._port.listens

    def looked(self) -> None:
        """The guest looks for input and there is none, or it now listens."""
        if self._keyboard is not None and (self._port.listens or not self.linux) and not self._port.wiring.replaying():
            self._keyboard.listen(self)

    def idle(self, due: bool) -> bool:
        """The guest waits, with ``due`` for an event that will come; returns whether input may come, too."""
        port = self._port
        if self._keyboard is None or not (port.listens and port.drained) or port.wiring.replaying():
            return False
        return self._keyboard.waits(self, due)

    def close(self) -> None:
        """The run is over."""
        if self._keyboard is not None:
            self._keyboard.close()
            self._port.wiring.attend(None)
