"""Trusted boot, as TF-A does it with RME: BL1, BL2, BL31, the RMM on every PE, and the hand-over to Non-secure EL2."""

from typing import TYPE_CHECKING, Any, Final

from cca_firmware import images, manifest
from cca_firmware.abi import PSCI_VERSION, RMM_EL3_VERSION
from cca_firmware.attestation import PlatformAttestation
from cca_firmware.carveout import Carveout, required_region
from cca_firmware.contexts import Contexts
from cca_firmware.errors import BootError
from cca_firmware.gpts import GranuleTables
from cca_firmware.loader import Loader, Measurement
from cca_firmware.monitor import Monitor
from cca_firmware.psci import PsciService
from cca_firmware.rmmd import RmmDispatcher
from cca_platform.types import GRANULE_SIZE, PA, Pas, SecurityState

if TYPE_CHECKING:
    from cca_platform.machine import Machine

__all__ = ["Firmware", "boot"]

_IMAGE_LIMIT: Final = 0x8_0000
"""Room for each of BL31 and BL2 at the start of the Root carve-out."""


class Firmware:
    """What a boot leaves behind: the monitor and its services, the event log, and where things are.

    It keeps its state for snapshots as the machine's part ``firmware``.
    """

    def __init__(
        self, monitor: Monitor, contexts: Contexts, tables: GranuleTables, psci: PsciService, shared_page: PA
    ) -> None:
        self.monitor = monitor
        self.contexts = contexts
        self.tables = tables
        self.psci = psci
        self.shared_page = shared_page
        self.event_log: tuple[Measurement, ...] = ()

    @property
    def rmm_ready(self) -> bool:
        """Whether the RMM booted and RMI calls are served."""
        return self.monitor.rmmd.ready

    @property
    def boot_codes(self) -> list[int | None]:
        """What the RMM answered with RMM_BOOT_COMPLETE on each PE; None where it was not started."""
        return list(self.monitor.rmmd.boot_codes)

    def save(self) -> dict[str, Any]:
        """Everything that a snapshot needs."""
        return {"contexts": self.contexts.save(), "psci": self.psci.save(), "rmmd": self.monitor.rmmd.save()}

    def restore(self, data: dict[str, Any]) -> None:
        """Put back what :meth:`save` gave."""
        self.contexts.restore(data["contexts"])
        self.psci.restore(data["psci"])
        self.monitor.rmmd.restore(data["rmmd"])


def boot(
    machine: "Machine",
    *,
    rmm: Any,
    ns_program: Any = None,
    ns_image: bytes | None = None,
    fip: bytes | None = None,
    root_digest: bytes | None = None,
) -> Firmware:
    """Boot ``machine`` from reset to Non-secure EL2; BootError when an image is not what the chain of trust names.

    ``rmm`` is the RMM as a program. Non-secure EL2 is either ``ns_program`` (Python; every PE is on) or ``ns_image``
    (an ELF file or a raw image at the board's NS entry; the primary PE is ready to run there, PSCI starts the others).
    ``fip`` is the package to boot from and ``root_digest`` the hash in BL1's ROM; by default both are of the programs
    given.
    """
    if (ns_program is None) == (ns_image is None):
        raise BootError("boot must be given either ns_program or ns_image")
    board = machine.board
    bl33 = images.component(ns_program) if ns_image is None else images.flatten(ns_image, board.ns_entry)
    built = images.package(images.component(rmm), bl33)
    trace, memory = machine.trace, machine.memory

    # BL1: every PE comes out of reset at EL3; the ROM knows one hash, and starts BL2
    for pe in machine.pes:
        pe.security, pe.el = SecurityState.ROOT, 3
    _stage(machine, "BL1", 0)
    loader = Loader(memory, trace, built.fip if fip is None else fip, root_digest or built.root_digest)
    root = Carveout(board, "root")
    bl31 = root.take("BL31", _IMAGE_LIMIT)
    bl2 = root.take("BL2", _IMAGE_LIMIT)
    loader.load(images.BL2, bl2, _IMAGE_LIMIT, Pas.ROOT)

    # BL2: granule protection first, then the images of every world into its own PAS
    _stage(machine, "BL2", bl2)
    tables = GranuleTables.build(board, memory, root)
    loader.load(images.BL31, bl31, _IMAGE_LIMIT, Pas.ROOT)
    realm, shared_page = required_region(board, "realm_image"), manifest.shared_page(board)
    loader.load(images.RMM, realm.base, realm.size - GRANULE_SIZE, Pas.REALM)
    room = next((bank.top - board.ns_entry for bank in board.ns_banks() if bank.base <= board.ns_entry < bank.top), 0)
    loader.load(images.BL33, board.ns_entry, room, Pas.NON_SECURE)

    # BL31: the monitor and its services
    _stage(machine, "BL31", bl31)
    contexts = Contexts(memory, root, len(machine.pes))
    attestation = PlatformAttestation(machine, root, shared_page, loader.event_log)
    rmmd = RmmDispatcher(machine, tables, shared_page, attestation)

    psci = PsciService(machine, None if ns_image is None else rmmd.boot)
    monitor = Monitor(machine, contexts, rmmd, psci, ns_is_code=ns_image is not None)
    machine.install(SecurityState.ROOT, 3, monitor)
    machine.install(SecurityState.REALM, 2, rmm)
    if ns_program is not None:
        machine.install(SecurityState.NON_SECURE, 2, ns_program)
    firmware = Firmware(monitor, contexts, tables, psci, shared_page)
    firmware.event_log = tuple(loader.event_log)
    machine.parts["firmware"] = firmware

    memory.port(SecurityState.ROOT, Pas.REALM).write(shared_page, manifest.build(board, shared_page))
    _stage(machine, "RMM", realm.base, version=RMM_EL3_VERSION)
    for pe in machine.pes if ns_image is None else machine.pes[:1]:
        rmmd.boot(pe, board.ns_entry, 0)
    _stage(machine, "BL33", board.ns_entry, version=PSCI_VERSION)
    return firmware


def _stage(machine: "Machine", stage: str, entry: int, version: int | None = None) -> None:
    if machine.trace.on:
        fields = {} if version is None else {"version": version}
        machine.trace.emit("boot.stage", pe=machine.pes[0], stage=stage, entry=entry, **fields)
