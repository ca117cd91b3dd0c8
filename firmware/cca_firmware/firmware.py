"""BL31 as a whole: sets up the monitor and its services, then starts every world in turn.

The start of a Secure payload is code and takes time. The payload's own call that it is ready starts what follows on a
PE, and the PE that the boot waits for is ordinary state. No Python function waits for the payload.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

from cca_arch.psci import PSCI_VERSION
from cca_arch.types import Pas, SecurityState
from cca_firmware.base.carveout import required_region
from cca_firmware.base.stages import stage
from cca_firmware.bl31 import devices, gic, manifest
from cca_firmware.bl31.attestation import PlatformAttestation
from cca_firmware.bl31.contexts import WORLDS, Contexts
from cca_firmware.bl31.gpts import GranuleTables
from cca_firmware.bl31.monitor import Monitor
from cca_firmware.bl31.psci import PsciService, PsciState
from cca_firmware.bl31.rmmd import RmmDispatcher, RmmdState
from cca_firmware.bl31.sealing import TEST_PLATFORM_KEY, PlatformKeys
from cca_firmware.secure.dispatcher import SecureDispatcher
from cca_firmware.secure.world import SecureWorldState
from cca_platform.errors import StateError
from cca_platform.state import State

if TYPE_CHECKING:
    from cca_firmware.base.handover import FromBl2
    from cca_firmware.bl31.ns_entry import NsEntry
    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["Firmware", "FirmwareState"]


class FirmwareState(State, frozen=True, tag="firmware/2"):
    """The state of EL3: ``contexts`` are the granules of its world contexts; ``starting`` is the PE that boots.

    ``extensions`` are those that EL3 and the RMM have.
    """

    contexts: bytes
    psci: PsciState
    rmmd: RmmdState
    secure: SecureWorldState | None
    starting: int | None
    extensions: tuple[str, ...]


class Firmware:
    """The resident firmware of a machine: the monitor and its services, the event log, and locations.

    ``rmm_el3`` is the version of the RMM-EL3 interface, ``ns_x0`` what Non-secure software finds in X0 on the first PE,
    ``extensions`` what EL3 has beyond Arm's interfaces, ``platform_key`` the root of the keys that it gives for them.
    :meth:`start` begins to start the worlds; ``booted`` tells when that is complete. The machine's part ``firmware``
    keeps the state for snapshots.
    """

    def __init__(
        self,
        machine: "Machine",
        handover: "FromBl2",
        ns_entry: "NsEntry",
        rmm_el3: int,
        ns_x0: int = 0,
        extensions: Collection[str] = (),
        platform_key: bytes = TEST_PLATFORM_KEY,
    ) -> None:
        stage(machine, "BL31", handover.bl31)
        self._machine = machine
        self._handover = handover
        self._ns_is_code = ns_entry.is_code
        self._ns_x0 = ns_x0
        self.event_log = handover.event_log
        self.shared_page = manifest.shared_page(machine.board)
        self.tables = GranuleTables(machine.memory)
        devices.init(machine)
        self.contexts = contexts = Contexts(
            machine.memory, handover.root, len(machine.pes), machine.model.has("FEAT_PAuth")
        )
        machine.scr = [contexts.row(state)[0].scr if state in WORLDS else 0 for state in SecurityState]
        attestation = PlatformAttestation(machine, handover.root, self.shared_page, handover.event_log)
        self.extensions = tuple(sorted(extensions))
        keys = PlatformKeys(machine, self.shared_page, attestation.components, self.extensions, platform_key)
        rmmd = RmmDispatcher(
            machine, self.tables, self.shared_page, attestation, ns_entry, rmm_el3, keys.handlers
        )  # fmt: skip
        if ns_entry.is_code:
            self.psci = PsciService(machine, self._turned_on, ns_entry.enter)
        else:
            self.psci = PsciService(machine)
        self._secure = None
        if handover.secure is not None:
            region = required_region(machine.board, "secure")
            self._secure = SecureDispatcher(
                machine, contexts, region, ns_entry.is_code, self.psci, self._payload_started
            )
        self.monitor = Monitor(
            machine, contexts, rmmd, self.psci, ns_entry.is_code, self._secure, extensions=self.extensions
        )
        self._starting: int | None = None
        machine.install(SecurityState.ROOT, 3, self.monitor)
        machine.parts["firmware"] = self

    @property
    def rmm_ready(self) -> bool:
        """True if the RMM has booted and RMI calls are served."""
        return self.monitor.rmmd.ready

    @property
    def secure(self) -> SecureDispatcher | None:
        """The dispatcher of the Secure payload, if there is one."""
        return self._secure

    @property
    def boot_codes(self) -> list[int | None]:
        """What the RMM reported with RMM_BOOT_COMPLETE on each PE; None where it was not started."""
        return list(self.monitor.rmmd.boot_codes)

    @property
    def starting(self) -> "Pe | None":
        """The PE whose Secure payload start the boot waits for; None once the boot is complete."""
        return None if self._starting is None else self._machine.pes[self._starting]

    # -- the start of the worlds ------------------------------------------------------------------------------------
    def start(self) -> None:
        """Begin: start the Secure payload on each PE that is on, then the RMM on each, which continues to BL33."""
        for pe in self._started():
            gic.pe_on(self._machine.gic, pe.index)
        if self._handover.secure is not None:
            stage(self._machine, "BL32", self._handover.secure)
        self._start_payload(0)

    def _started(self) -> "list[Pe]":
        """The PEs that are on after the boot: the primary PE, or all PEs for a Python program."""
        return self._machine.pes[:1] if self._ns_is_code else [*self._machine.pes]

    def _start_payload(self, index: int) -> None:
        """Start the payload on PE ``index`` if it must start there; otherwise start what follows it."""
        if self._secure is not None and index < len(self._started()) and (not index or self._secure.ready):
            self._starting = index
            self._secure.start.cold(self._machine.pes[index])
        else:
            self._starting = None
            self._start_rmm()

    def _payload_started(self, pe: "Pe", hand_over: tuple[int, int] | None) -> None:
        """Continue after the payload's start on ``pe``, in the cold boot or in the warm boot of a PE."""
        if hand_over is not None:
            self.monitor.rmmd.boot(pe, *hand_over)
        else:
            self._start_payload(pe.index + 1)
            pe.end_turn()  # the driver of the boot regains the machine when it is complete

    def _turned_on(self, pe: "Pe", entry: int, context_id: int) -> None:
        """Handle CPU_ON: start the payload, the RMM, then Non-secure software at ``entry``."""
        if self._secure is not None:
            self._secure.start.warm(pe, entry, context_id)
        else:
            self.monitor.rmmd.boot(pe, entry, context_id)

    def _start_rmm(self) -> None:
        machine, page = self._machine, self.shared_page
        shared = machine.memory.port(SecurityState.ROOT, Pas.REALM)
        shared.write(page, manifest.build(machine.board, page))
        stage(machine, "RMM", self._handover.rmm, version=self.monitor.rmmd.interface)
        for pe in self._started():
            self.monitor.rmmd.boot(pe, self._handover.entry, self._ns_x0)
        stage(machine, "BL33", self._handover.entry, version=PSCI_VERSION)

    # -- snapshots --------------------------------------------------------------------------------------------------
    def save(self) -> FirmwareState:
        """The state for a snapshot."""
        return FirmwareState(
            contexts=self.contexts.save(),
            psci=self.psci.save(),
            rmmd=self.monitor.rmmd.save(),
            secure=None if self.secure is None else self.secure.world.save(),
            starting=self._starting,
            extensions=self.extensions,
        )

    def restore(self, state: FirmwareState) -> None:
        """Restore what :meth:`save` returned.

        Raises StateError if only one of the two has a Secure payload, or an extension.
        """
        if state.extensions != self.extensions:
            had, has = (", ".join(names) or "none" for names in (state.extensions, self.extensions))
            raise StateError(f"saved state must be of a machine with the same extensions ({has}), not with {had}")
        if (state.secure is None) != (self.secure is None):
            expected = "no Secure payload" if self.secure is None else "a Secure payload"
            raise StateError(f"saved state must be of a machine with {expected}")
        self.contexts.restore(state.contexts)
        self.psci.restore(state.psci)
        self.monitor.rmmd.restore(state.rmmd)
        if self.secure is not None and state.secure is not None:
            self.secure.world.restore(state.secure)
        self._starting = state.starting
