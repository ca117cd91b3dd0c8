"""A device with sockets of the host behind it: they open with the guest's driver, and close with the guest."""

from collections.abc import Sequence

from cca_host.kvmtool.guestmemory import GuestMemory
from cca_host.kvmtool.net.options import Forward
from cca_host.kvmtool.net.user import User
from cca_host.kvmtool.virtio.device import VirtioDevice
from cca_platform.devices.wiring import Wiring
from cca_platform.errors import MachineError

__all__ = ["Outgoing"]


class Outgoing(VirtioDevice):
    """A device whose ``user`` carries out orders; raises MachineError if the host has no room for its ``forwards``."""

    def __init__(self, name: str, wiring: Wiring, memory: GuestMemory, forwards: Sequence[Forward]) -> None:
        super().__init__(name, wiring, memory)
        self.user = User(self.deliver, wiring.replaying, forwards, self.refused)
        self._lost = False
        if forwards:
            self.user.open()
        wiring.attend(lambda: self.live and self.expects())

    # -- for the types of devices -----------------------------------------------------------------------------------
    def expects(self) -> bool:
        """Whether somebody outside may have something to tell."""
        raise NotImplementedError

    def refused(self, error: OSError) -> MachineError:
        """The message of a host that has no room for its forwards."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Break off all connections: nobody outside knows them any more."""
        raise NotImplementedError

    def fill(self) -> None:
        """Give the driver what waits for it, as far as it has room."""
        raise NotImplementedError

    @property
    def again(self) -> int | None:
        """When something has to be sent again. Default: never."""
        return None

    def resend(self, now: int) -> None:
        """Send again what is due. Default: nothing."""

    # -- services for them ------------------------------------------------------------------------------------------
    def settle(self) -> None:
        """Before anything else is done: break off the connections of another life, unless a journal has their rest."""
        if self._lost and not self.wiring.replaying():
            self._lost = False
            self.abandon()
            self.user.listen()

    def lose(self) -> None:
        """The state of another time has been restored, when other sockets were open."""
        self.user.end()
        self._lost = True
        if self.live:
            self.user.listen()

    @property
    def deadline(self) -> int | None:
        """When something has to be sent again; at once where connections are to be broken off."""
        return self.wiring.now() if self._lost and not self.wiring.replaying() else self.again

    def due(self, now: int) -> None:
        """Do that."""
        self.settle()
        self.resend(now)
        self.fill()

    # -- the device --------------------------------------------------------------------------------------------------
    def started(self) -> None:
        """The guest has a driver: who waits outside comes in."""
        self.user.listen()

    def close(self) -> None:
        """Close all sockets: the guest is gone."""
        self.wiring.attend(None)
        self.user.end()
