"""A booted machine in a ``with`` block: firmware, RMM and host are up, and Realms can run."""

import os
from typing import Unpack

from cca_firmware.bl2.boot import boot
from cca_host.kvm import System
from cca_host.kvmtool import RunOptions, RunResult, run_realm
from cca_platform.machine.board import Board
from cca_rmm.rmm import Rmm

from .options import BOARD, MachineOptions, RealmOptions, read, takes
from .payloads import find_payload
from .session import Session

__all__ = ["Machine"]


class Machine(Session):
    """A board, booted by the trusted firmware, with the RMM at R-EL2 and the KVM host at NS-EL2.

    ``board`` is the name of a board, the path of its TOML file, or a ``Board``. ``trace`` is the path of a JSON Lines
    file, or a ``Trace`` of the caller's, which the caller closes. With the clock ``"virtual"`` two runs are the same to
    the last event. MachineError says what cannot be had, and how to mend it.
    """

    host: System
    """The host kernel: RMI calls, Realms, NS pages."""

    @takes(MachineOptions)
    def __init__(
        self, board: str | os.PathLike[str] | Board = BOARD.default, **options: Unpack[MachineOptions]
    ) -> None:
        given = read(MachineOptions, options)
        super().__init__(board, given)
        self.host = System(self.platform)
        self.firmware = boot(self.platform, rmm=Rmm(self.platform), ns_program=self.host)

    @takes(RealmOptions)
    def run_realm(self, payload: str | os.PathLike[str], **options: Unpack[RealmOptions]) -> RunResult:
        """Build a Realm for ``payload``, run it to its end, and destroy it; every granule is then the host's again.

        ``payload`` is the path of an ELF file, an arm64 Linux ``Image`` or a raw binary, or the name of a bundled
        payload. MachineError when the options cannot be met; what happens inside the Realm is in the result.
        """
        return run_realm(self.host, RunOptions(payload=find_payload(payload), **read(RealmOptions, options)))
