"""What Realms and plain VMs have in common: RAM, a virtual GIC, and the services of the host kernel."""

from collections.abc import Iterable
from typing import ClassVar, Self

from cca_arch.types import GRANULE_SIZE, Pas
from cca_host.kvm.kernel import Kernel
from cca_host.kvm.vgic import Vgic, VgicState
from cca_host.kvm.vgic_mmio import VgicMmio
from cca_platform.errors import MachineError
from cca_platform.machine.known import Known
from cca_platform.state import State

__all__ = ["GicState", "Guest", "check_memory"]


class GicState(State, frozen=True, tag="host.gic/1"):
    """Saved state of a VM's GIC: the IPAs of its frames, and its interrupts."""

    distributor: int
    redistributors: int
    interrupts: VgicState


def check_memory(base: int, size: int, end: int, part: str, ipa_width: int) -> None:
    """Raise MachineError unless RAM can be there, below ``end``, which is ``part`` of the IPA space."""
    if base % GRANULE_SIZE or size % GRANULE_SIZE or size <= 0:
        raise MachineError(f"memory must be whole 4 KiB pages, not {size:#x} bytes at {base:#x}: round the size")
    if base + size > end:
        raise MachineError(
            f"memory up to {base + size:#x} must end below {end:#x}, {part} a {ipa_width}-bit IPA space: use less "
            "`memory` or a wider IPA space"
        )


class Guest:
    """A VM. ``slots`` is its RAM as (base, top) IPAs, without the shared bit; ``vmid`` names the VM to the host.

    ``troubles`` is what went wrong during its destruction; empty if nothing did. ``shown`` are the IPAs of pages that
    :meth:`show` shows.
    """

    ram_part: ClassVar[str] = "the end of"
    """What :attr:`ram_top` is of the IPA space, in messages."""
    system: Kernel
    ipa_width: int
    vmid: int
    slots: list[tuple[int, int]]
    vgic: Vgic | None
    gic_frames: VgicMmio | None
    troubles: list[str]
    shown: set[int]

    def __init__(self, system: Kernel, ipa_width: int) -> None:
        self.system = system
        self.ipa_width = ipa_width
        self.slots = []
        self.vgic = None
        self.gic_frames = None
        self.troubles = []
        self.shown = set()
        self.vmid = system.take_vmid()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()

    def destroy(self) -> None:
        """Give back all that it has; what cannot be given back is listed in ``troubles``."""
        raise NotImplementedError

    # -- memory -------------------------------------------------------------------------------------------------
    @property
    def ram_top(self) -> int:
        """The end of the IPAs at which RAM can be."""
        raise NotImplementedError

    def add_memory(self, base: int, size: int) -> None:
        """Add RAM at an IPA, size in bytes; it is lazily populated. That of a Realm is EMPTY until ``init_ripas``."""
        check_memory(base, size, self.ram_top, self.ram_part, self.ipa_width)
        self.slots.append((base, base + size))

    def in_memory(self, ipa: int) -> bool:
        """True if an IPA (without the shared bit) is RAM."""
        return any(base <= ipa < top for base, top in self.slots)

    def all_in_memory(self, base: int, top: int) -> bool:
        """True if all IPAs from ``base`` to below ``top`` are RAM, in one slot or in several that touch."""
        reached = base
        for low, high in sorted(self.slots):
            if low <= reached:
                reached = max(reached, high)
        return top <= reached

    def must_hold(self, ipa: int, size: int) -> None:
        """Raise MachineError unless initial contents of this size can be at an IPA."""
        if ipa % GRANULE_SIZE:
            raise MachineError(f"contents must start at a page, not at {ipa:#x}")
        if not self.all_in_memory(ipa, ipa + size):
            raise MachineError(f"contents must lie in memory, not at {ipa:#x} to {ipa + size:#x}: use more `memory`")

    def shared_page(self, address: int) -> int | None:
        """The PA of the page at ``address``, as the guest gives it to a device; None: devices do not reach it."""
        raise NotImplementedError

    def give_back(self, base: int, top: int) -> None:
        """Return the memory of pages between two IPAs to the host: what is no RAM, or a Realm's own, stays as it is."""
        raise NotImplementedError

    # -- pages for reading --------------------------------------------------------------------------------------
    def show(self, ipa: int, value: int) -> None:
        """Let the guest read a byte at the start of a page, at an IPA that is no RAM; a write is emulated as elsewhere.

        Where it shows one, it is another one now. Native code may know it: a driver's mapping makes the page Device
        memory, of which each access is looked at.
        """
        pa = self.shown_page(ipa) if ipa in self.shown else self.map_shown(ipa)
        self.shown.add(ipa)
        self.system.port.write(pa, bytes([value]))
        self._known.note(self._showing, pa, 1, Pas.NON_SECURE, value)

    def hide(self, ipa: int) -> None:
        """Show nothing at a page any more: reads are emulated, too."""
        if ipa in self.shown:
            self.shown.discard(ipa)
            self._known.forget(self._showing)
            self.unmap_shown(ipa)

    def restore_shown(self, shown: Iterable[int]) -> None:
        """Restore which pages it shows; its tables have been restored."""
        self.shown = set(shown)
        for ipa in self.shown:
            pa = self.shown_page(ipa)
            self._known.note(self._showing, pa, 1, Pas.NON_SECURE, self.system.port.read(pa, 1)[0])

    @property
    def _known(self) -> Known:
        return self.system.machine.bus.known

    @property
    def _showing(self) -> str:
        return f"shown by VM {self.vmid}"

    def shown_page(self, ipa: int) -> int:
        """The PA of a page that it shows."""
        raise NotImplementedError

    def map_shown(self, ipa: int) -> int:
        """Map a page for reading alone; returns its PA."""
        raise NotImplementedError

    def unmap_shown(self, ipa: int) -> None:
        """Unmap it, and give it back."""
        raise NotImplementedError

    # -- interrupts ---------------------------------------------------------------------------------------------
    @property
    def has_vcpus(self) -> bool:
        """True once the first vCPU has been created."""
        raise NotImplementedError

    def create_vgic(self, distributor: int, redistributors: int) -> Vgic:
        """Create a virtual GICv3 with its frames at these IPAs (without the shared bit), before the first vCPU."""
        if self.has_vcpus:
            raise MachineError("the GIC of a VM must be made before its first vCPU")
        vgic = self.vgic = Vgic()
        self.gic_frames = VgicMmio(vgic, distributor, redistributors)
        return vgic

    def irq_line(self, intid: int, level: bool, vcpu: int = 0) -> None:
        """Set the input of an SPI, or a vCPU's PPI (KVM_IRQ_LINE); MachineError without a GIC or such an INTID.

        A vCPU that is in the guest exits soon, so that the interrupt reaches it, or another one gets its turn.
        """
        if self.vgic is None:
            raise MachineError("the VM must have a GIC for an interrupt: call create_vgic")
        try:
            self.vgic.drive(intid, level, vcpu)
        except (ValueError, IndexError) as error:
            raise MachineError(str(error)) from None
        if level:
            self.poke()

    def message(self, address: int, value: int) -> None:
        """A device writes a message: an interrupt if that is to GICD_SETSPI_NSR, in either half of a Realm's IPAs."""
        frames = self.gic_frames
        if frames is None:
            return
        ipa = address if frames.takes_message(address) else address & ~(1 << self.ipa_width - 1)
        if frames.takes_message(ipa):
            frames.write(ipa, 4, value)
            self.poke()

    def poke(self) -> None:
        """Have the vCPU that is in its guest exit soon, of whichever VM: something has happened to this one."""
        for pe in self.system.machine.pes:
            if not pe.call_done:
                pe.host_timer(pe.clock.now)

    def save_gic(self) -> GicState | None:
        """State of the GIC for a snapshot."""
        frames = self.gic_frames
        return None if frames is None else GicState(frames.distributor, frames.redistributors, frames.vgic.save())

    def restore_gic(self, state: GicState | None) -> None:
        """Restore what :meth:`save_gic` returned, before the first vCPU."""
        self.vgic, self.gic_frames = None, None
        if state is not None:
            self.create_vgic(state.distributor, state.redistributors).restore(state.interrupts)
