"""A booted machine in a ``with`` block: firmware, RMM and host are up, and Realms can run."""

import os
from collections.abc import Callable, Sequence

from cca_firmware.bl2.boot import boot
from cca_host.kvm import System
from cca_host.kvmtool import RunOptions, RunResult, run_realm
from cca_platform.trace.trace import Trace
from cca_rmm.rmm import Rmm

from .payloads import find_payload
from .session import Session
from .sizes import parse_size

__all__ = ["Machine"]


class Machine(Session):
    """A board, booted by the trusted firmware, with the RMM at R-EL2 and the KVM host at NS-EL2.

    ``board`` is the name of a board or the path of its TOML file. ``trace`` is the path of a JSON Lines file, or a
    ``Trace`` of the caller's, which the caller closes. ``clock`` is ``"virtual"`` (retired instructions: two runs are
    the same to the last event) or ``"host"`` (wall time). MachineError says what cannot be had, and how to mend it.
    """

    host: System
    """The host kernel: RMI calls, Realms, NS pages."""

    def __init__(
        self, board: str = "fvp", trace: str | os.PathLike[str] | Trace | None = None, clock: str = "virtual"
    ) -> None:
        super().__init__(board, trace, clock)
        self.host = System(self.platform)
        self.firmware = boot(self.platform, rmm=Rmm(self.platform), ns_program=self.host)

    def run_realm(
        self,
        payload: str | os.PathLike[str],
        *,
        vcpus: int = 1,
        memory: str | int = "64M",
        args: Sequence[str] = (),
        hash_algo: str = "sha256",
        max_insns: int | None = None,
        ipa_width: int = 33,
        rpv: bytes = b"",
        on_console: Callable[[bytes], object] | None = None,
        console_input: bytes = b"",
    ) -> RunResult:
        """Build a Realm for ``payload``, run it to its end, and destroy it; every granule is then the host's again.

        ``payload`` is the path of an ELF file, an arm64 Linux ``Image`` or a raw binary, or the name of a payload that
        comes with Realmlab. ``memory`` is the Realm's RAM, ``args`` its boot arguments, ``hash_algo`` (``sha256`` or
        ``sha512``) measures it, ``rpv`` (up to 64 bytes) personalises it. ``max_insns`` ends a run that retires more
        instructions. ``on_console`` gets the Realm's output as it comes.
        """
        path = find_payload(payload)
        options = RunOptions(
            payload=path,
            vcpus=vcpus,
            memory=parse_size(memory),
            args=tuple(args),
            hash_algo=hash_algo,
            rpv=rpv,
            ipa_width=ipa_width,
            max_insns=max_insns,
            on_console=on_console,
            console_input=console_input,
        )
        return run_realm(self.host, options)
