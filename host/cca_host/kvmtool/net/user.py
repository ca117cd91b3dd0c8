"""The way from a device to the host's sockets, which is closed while a journal is replayed."""

from collections.abc import Callable, Sequence

from cca_host.kvmtool.net.options import Forward
from cca_host.kvmtool.net.outside import Sockets
from cca_platform.errors import MachineError

__all__ = ["User"]


class User:
    """Orders for sockets, which are there from the first order on. ``deliver`` gets messages, from a thread.

    While ``replaying()``, nobody is asked for anything: the messages are in the journal. ``refused`` makes the message
    of a host that does not let it listen.
    """

    def __init__(
        self,
        deliver: Callable[[bytes], None],
        replaying: Callable[[], bool],
        forwards: Sequence[Forward],
        refused: Callable[[OSError], MachineError],
    ) -> None:
        self._deliver = deliver
        self._replaying = replaying
        self._forwards = tuple(forwards)
        self._refused = refused
        self._sockets: Sockets | None = None

    def open(self) -> Sockets | None:
        """The sockets, unless a journal is replayed; raises MachineError if others have the ports of the forwards."""
        if self._replaying():
            return None
        if self._sockets is None:
            try:
                self._sockets = Sockets(self._deliver, self._forwards)
            except OSError as error:
                raise self._refused(error) from None
        return self._sockets

    def listen(self) -> None:
        """Let in who comes by the forwards."""
        if self._forwards and (sockets := self.open()) is not None:
            sockets.listen()

    def connect(self, flow: int, host: str, port: int, credit: int) -> None:
        """See :class:`~cca_host.kvmtool.net.outside.Outside`, as for all orders."""
        if (sockets := self.open()) is not None:
            sockets.connect(flow, host, port, credit)

    def send(self, flow: int, data: bytes) -> None:
        """Send bytes of TCP."""
        if (sockets := self.open()) is not None:
            sockets.send(flow, data)

    def allow(self, flow: int, count: int) -> None:
        """Allow ``count`` bytes more."""
        if (sockets := self.open()) is not None:
            sockets.allow(flow, count)

    def shut(self, flow: int) -> None:
        """Send no more."""
        if (sockets := self.open()) is not None:
            sockets.shut(flow)

    def close(self, flow: int, abort: bool) -> None:
        """Forget a flow."""
        if (sockets := self.open()) is not None:
            sockets.close(flow, abort)

    def datagram(self, flow: int, host: str, port: int, data: bytes) -> None:
        """Send a datagram of UDP."""
        if (sockets := self.open()) is not None:
            sockets.datagram(flow, host, port, data)

    def end(self) -> None:
        """Close all sockets; an order opens new ones."""
        if self._sockets is not None:
            self._sockets.end()
            self._sockets = None
