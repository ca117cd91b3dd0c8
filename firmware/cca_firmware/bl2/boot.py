"""Trusted boot, as TF-A does it with RME: BL1, BL2, BL31, the RMM on every PE, and the hand-over to Non-secure EL2."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from cca_arch.el3 import RMM_EL3_VERSION
from cca_arch.psci import PSCI_VERSION
from cca_arch.types import GRANULE_SIZE, PA, Pas, SecurityState
from cca_firmware.bl2 import images
from cca_firmware.bl2.loader import Loader, Measurement
from cca_firmware.bl2.nsimage import Layout, NsImage, Part, lay_out
from cca_firmware.bl2.secure_image import flatten
from cca_firmware.bl31 import gic, manifest, smmu
from cca_firmware.bl31.attestation import PlatformAttestation
from cca_firmware.bl31.contexts import WORLDS, Contexts
from cca_firmware.bl31.gpts import GranuleTables
from cca_firmware.bl31.handover import NsEntry
from cca_firmware.bl31.monitor import Monitor
from cca_firmware.bl31.psci import PsciService, PsciState
from cca_firmware.bl31.rmmd import RmmDispatcher, RmmdState
from cca_firmware.carveout import Carveout, required_region
from cca_firmware.errors import BootError
from cca_firmware.secure.dispatcher import DispatcherState, SecureDispatcher
from cca_firmware.secure.ffa import FfaService
from cca_platform.errors import StateError
from cca_platform.machine.state import State
from cca_platform.trace.events import BootStage
from cca_platform.trace.forms import UNSET

if TYPE_CHECKING:
    from cca_platform.machine.board import Board
    from cca_platform.machine.machine import Machine

__all__ = ["Firmware", "FirmwareState", "boot"]

_IMAGE_LIMIT: Final = 0x8_0000
"""Room for each of BL31 and BL2 at the start of the Root carve-out."""


class FirmwareState(State, frozen=True, tag="firmware/1"):
    """What EL3 knows; ``contexts`` are the granules of its world contexts."""

    contexts: bytes
    psci: PsciState
    rmmd: RmmdState
    secure: DispatcherState | None


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
    def secure(self) -> SecureDispatcher | None:
        """The dispatcher of the Secure payload, None without one."""
        return self.monitor.secure

    @property
    def boot_codes(self) -> list[int | None]:
        """What the RMM answered with RMM_BOOT_COMPLETE on each PE; None where it was not started."""
        return list(self.monitor.rmmd.boot_codes)

    def save(self) -> FirmwareState:
        """Everything that a snapshot needs."""
        return FirmwareState(
            contexts=self.contexts.save(),
            psci=self.psci.save(),
            rmmd=self.monitor.rmmd.save(),
            secure=None if self.secure is None else self.secure.save(),
        )

    def restore(self, state: FirmwareState) -> None:
        """Put back what :meth:`save` gave; StateError when one has a Secure payload and the other has not."""
        if (state.secure is None) != (self.secure is None):
            expected = "no Secure payload" if self.secure is None else "a Secure payload"
            raise StateError(f"saved state must be of a machine with {expected}")
        self.contexts.restore(state.contexts)
        self.psci.restore(state.psci)
        self.monitor.rmmd.restore(state.rmmd)
        if self.secure is not None and state.secure is not None:
            self.secure.restore(state.secure)


def boot(
    machine: "Machine",
    *,
    rmm: Any,
    ns_program: Any = None,
    ns_images: Sequence[NsImage] = (),
    ns_image: bytes | None = None,
    ns_entry: int | None = None,
    ns_el: int = 2,
    secure_image: bytes | None = None,
    fip: bytes | None = None,
    root_digest: bytes | None = None,
    rmm_el3: int = RMM_EL3_VERSION,
) -> Firmware:
    """Boot ``machine`` from reset to Non-secure EL2; BootError when an image is not what the chain of trust names.

    ``rmm`` is the RMM as a program. Non-secure EL2 is either ``ns_program`` (Python; every PE is on) or ``ns_images``
    (see :func:`cca_firmware.bl2.nsimage.lay_out`; the primary PE is ready to run at ``ns_entry`` or where the images
    start, PSCI starts the others). ``ns_image`` stands for one image without an address. ``ns_el`` is 2, or 1 for
    images that start at EL1, below no EL2 software. ``secure_image`` is a Secure payload for S-EL1, an ELF file or raw
    bytes (see :mod:`cca_arch.tsp`), started on each PE before Non-secure software. ``fip`` is the package to boot from
    and ``root_digest`` the hash in BL1's ROM; by default both are of the programs given. ``rmm_el3`` is the version of
    the RMM-EL3 interface that BL31 is built for: an RMM may need another than 0.4.
    """
    ns = [*ns_images] if ns_image is None else [NsImage(ns_image), *ns_images]
    if (ns_program is None) == (not ns):
        raise BootError("boot must be given either ns_program or NS images")
    if ns_el not in ((1, 2) if ns else (2,)):
        raise BootError(f"ns_el must be 1 or 2, and 2 for a program in Python, not {ns_el}")
    board = machine.board
    layout = lay_out(ns, board, ns_entry) if ns else _program_layout(ns_program, board)
    bl32 = None if secure_image is None else flatten(secure_image, required_region(board, "secure"))
    built = images.package(images.component(rmm), *(part.data for part in layout.parts), secure=bl32)
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
    smmu.protect(machine)
    loader.load(images.BL31, bl31, _IMAGE_LIMIT, Pas.ROOT)
    realm, shared_page = required_region(board, "realm_image"), manifest.shared_page(board)
    loader.load(images.RMM, realm.base, realm.size - GRANULE_SIZE, Pas.REALM)
    secure_region = required_region(board, "secure") if loader.holds(images.BL32) else None
    if secure_region is not None:
        loader.load(images.BL32, secure_region.base, secure_region.size, Pas.SECURE)
    for number, part in enumerate(layout.parts):
        loader.load(images.ns_part(number), part.address, _room(board, part.address), Pas.NON_SECURE)

    # BL31: the monitor and its services
    _stage(machine, "BL31", bl31)
    gic.init(machine.gic)
    contexts = Contexts(memory, root, len(machine.pes))
    machine.scr = [contexts.row(state)[0].scr if state in WORLDS else 0 for state in SecurityState]
    attestation = PlatformAttestation(machine, root, shared_page, loader.event_log)
    rmmd = RmmDispatcher(machine, tables, shared_page, attestation, NsEntry(ns_el, bool(ns)), rmm_el3)
    secure = None
    if secure_region is not None:
        secure = SecureDispatcher(machine, contexts, secure_region, bool(ns), rmmd.boot)
        FfaService(secure, len(machine.pes))
    start = rmmd.boot if secure is None else secure.start
    psci = PsciService(machine, start if ns else None)
    monitor = Monitor(machine, contexts, rmmd, psci, ns_is_code=bool(ns), secure=secure)
    machine.install(SecurityState.ROOT, 3, monitor)
    machine.install(SecurityState.REALM, 2, rmm)
    if ns_program is not None:
        machine.install(SecurityState.NON_SECURE, 2, ns_program)
    firmware = Firmware(monitor, contexts, tables, psci, shared_page)
    firmware.event_log = tuple(loader.event_log)
    machine.parts["firmware"] = firmware

    started = machine.pes[:1] if ns else machine.pes
    for pe in started:
        gic.pe_on(machine.gic, pe.index)
    if secure is not None:
        _stage(machine, "BL32", secure.region.base)
        for pe in started:
            secure.boot(pe)
    memory.port(SecurityState.ROOT, Pas.REALM).write(shared_page, manifest.build(board, shared_page))
    _stage(machine, "RMM", realm.base, version=rmm_el3)
    for pe in started:
        rmmd.boot(pe, layout.entry, 0)
    _stage(machine, "BL33", layout.entry, version=PSCI_VERSION)
    return firmware


def _program_layout(program: Any, board: "Board") -> Layout:
    """The image of a program in Python, at the board's NS entry."""
    image = images.component(program)
    return Layout((Part("BL33", board.ns_entry, image, len(image)),), board.ns_entry)


def _room(board: "Board", pa: int) -> int:
    """Bytes of Non-secure DRAM from ``pa`` on."""
    return next((bank.top - pa for bank in board.ns_banks() if bank.base <= pa < bank.top), 0)


def _stage(machine: "Machine", stage: str, entry: int, version: int | None = None) -> None:
    if machine.trace.on:
        event = BootStage(stage=stage, entry=entry, version=UNSET if version is None else version)
        machine.trace.emit(event, pe=machine.pes[0])
