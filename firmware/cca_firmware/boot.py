"""The boot of a machine, as TF-A boots with RME: BL1, BL2, BL31, the RMM on every PE, Non-secure software.

Each stage is a separate program that hands plain data to the next. A Secure payload's start is code that runs on the
machine; :func:`boot` runs the machine until Non-secure software takes over. If the machine pauses before, the boot is
half done, and :func:`finish` goes on with it.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

from cca_arch.el3 import RMM_EL3_VERSION
from cca_arch.sysregs import Ec, Esr
from cca_arch.types import Instructions, SecurityState
from cca_firmware.base.carveout import required_region
from cca_firmware.base.errors import BootError, NotReady
from cca_firmware.bl1 import rom
from cca_firmware.bl2 import load
from cca_firmware.bl31.ns_entry import NsEntry
from cca_firmware.bl31.sealing import TEST_PLATFORM_KEY
from cca_firmware.firmware import Firmware
from cca_firmware.limits import EXCEPTION, SECURE_INSNS
from cca_firmware.package.nsimage import Layout, NsImage, Part, lay_out
from cca_firmware.package.package import component, package
from cca_firmware.package.secure_image import flatten
from cca_platform.errors import MachineStopped
from cca_platform.halt import Halt
from cca_platform.pe.hint import missing

if TYPE_CHECKING:
    from cca_platform.board import Board
    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["Firmware", "boot", "finish"]

_READY: Final = "see cca_arch/tsp.py for how it says that it is ready"
_BOOT: Final = 1  # tick that it takes, for no instruction: to a driver, a counter that reads 0 is one that stands
_LOOK: Final = 10_000  # instructions between two looks at what the payload has used


def boot(
    machine: "Machine",
    *,
    rmm: Any,
    ns_program: Any = None,
    ns_images: Sequence[NsImage] = (),
    ns_image: bytes | None = None,
    ns_entry: int | None = None,
    ns_el: int = 2,
    ns_x0: int = 0,
    secure_image: bytes | None = None,
    fip: bytes | None = None,
    root_digest: bytes | None = None,
    rmm_el3: int = RMM_EL3_VERSION,
    secure_insns: int = SECURE_INSNS,
    extensions: Collection[str] = (),
    platform_key: bytes = TEST_PLATFORM_KEY,
) -> Firmware:
    """Boot ``machine`` from reset to Non-secure EL2; raises BootError if the chain of trust does not match an image.

    If the machine pauses while the Secure payload starts, ``firmware.starting`` is not None: see :func:`finish`.

    ``rmm`` is the RMM as a program. Non-secure EL2 is either ``ns_program`` (Python; every PE is on) or ``ns_images``
    (see :func:`cca_firmware.package.nsimage.lay_out`; the primary PE is ready to run at ``ns_entry`` or at the images'
    entry point, PSCI starts the others). ``ns_image`` is one image without an address. ``ns_el`` is 2, or 1 for images
    that start at EL1 without EL2 software; they find ``ns_x0`` in X0. ``secure_image`` is a Secure payload for S-EL1,
    an ELF file or raw bytes (see :mod:`cca_arch.tsp`), started on each PE before Non-secure software. ``fip`` is the
    package to boot from and ``root_digest`` the hash in BL1's ROM; both default to those of the given programs.
    ``rmm_el3`` is the version of the RMM-EL3 interface that BL31 is built for, if the RMM needs one other than 0.4.
    ``secure_insns`` are the instructions that the Secure payload has on each PE until it is ready.
    ``extensions`` are those of :mod:`cca_arch.extensions` that the RMM has; ``platform_key`` is their root key.
    """
    ns = [*ns_images] if ns_image is None else [NsImage(ns_image), *ns_images]
    if (ns_program is None) == (not ns):
        raise BootError("boot must be given either ns_program or NS images")
    if ns_el not in ((1, 2) if ns else (2,)):
        raise BootError(f"ns_el must be 1 or 2, and 2 for a program in Python, not {ns_el}")
    board = machine.board
    layout = lay_out(ns, board, ns_entry) if ns else _program_layout(ns_program, board)
    bl32 = None if secure_image is None else flatten(secure_image, required_region(board, "secure"))
    built = package(component(rmm), *(part.data for part in layout.parts), secure=bl32)

    bl1 = rom.run(machine, built.pieces if fip is None else fip, root_digest or built.root_digest)
    bl2 = load.run(machine, bl1, [part.address for part in layout.parts], layout.entry)
    machine.install(SecurityState.REALM, 2, rmm)
    if ns_program is not None:
        machine.install(SecurityState.NON_SECURE, 2, ns_program)
    firmware = Firmware(machine, bl2, NsEntry(ns_el, bool(ns)), rmm_el3, ns_x0, extensions, platform_key)
    firmware.start()
    machine.clock.spend(_BOOT)
    finish(machine, firmware, secure_insns)
    return firmware


def finish(machine: "Machine", firmware: Firmware, secure_insns: int = SECURE_INSNS) -> bool:
    """Run the Secure payload's start, the only code of a boot, to its end; returns False if the machine pauses before.

    Raises BootError if the payload does not become ready. The instructions that each PE has retired since its reset are
    its start, whatever pauses there were; an exception counts for a thousand.
    """
    first, taken = firmware.starting, machine.clock.exceptions
    while (pe := firmware.starting) is not None:
        if pe is not first:
            first, taken = pe, machine.clock.exceptions
        exceptions = machine.clock.exceptions - taken
        left = secure_insns - pe.retired - EXCEPTION * exceptions
        if left <= 0:
            taken_too = f" and took {exceptions} exceptions" if exceptions else ""
            used = f"{pe.retired if exceptions else secure_insns} instructions{taken_too}"
            what = f"the Secure payload used {used} on PE {pe.index} and has not returned"
            raise NotReady(pe.index, what, _state(pe), f"{_READY}, or give it more with `secure_insns`")
        try:
            with machine.inputs.running():
                pe.step(limit=Instructions(pe.clock.retired + min(left, _LOOK)))
        except MachineStopped as stopped:
            if machine.halt is Halt.PAUSED:  # perhaps by another thread
                return False
            raise BootError(f"the Secure payload must become ready on PE {pe.index}, not end with {stopped}") from None
        if pe is firmware.starting and pe.waiting:
            what = f"the Secure payload must become ready on PE {pe.index} without waiting"
            raise NotReady(pe.index, what, _state(pe), _READY)
    return True


def _state(pe: "Pe") -> str:
    """Where the payload is, and why."""
    return "; ".join(filter(None, (f"it is at {pe.elr:#x}{_exception(pe)}", missing([pe]))))


def _exception(pe: "Pe") -> str:
    """The exception that the payload has taken last, if it takes them without end."""
    if not pe.stuck:
        return ""
    esr, elr, far = (pe.read_sysreg(f"{name}_el1") for name in ("esr", "elr", "far"))
    kind = Esr(esr).ec
    name = Ec(kind).name.lower().replace("_", " ") if kind in set(Ec) else f"class {kind:#x}"
    return f", where it takes exceptions without end: {name}, ESR {esr:#x}, ELR {elr:#x}, FAR {far:#x}"


def _program_layout(program: Any, board: "Board") -> Layout:
    """The image of a Python program, at the board's NS entry."""
    image = component(program)
    return Layout((Part("BL33", board.ns_entry, image, len(image)),), board.ns_entry)
