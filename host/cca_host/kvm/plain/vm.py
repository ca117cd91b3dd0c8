"""A plain VM: created, given memory and vCPUs, run, and destroyed.

It takes the same steps as a Realm (:class:`cca_host.kvm.vm.Vm`), so that a VMM treats both alike; those that a Realm
alone needs do nothing.
"""

from collections.abc import Sequence

from cca_arch.rmi.v1_0 import mpidr_of
from cca_arch.types import GRANULE_SIZE
from cca_host.kvm.backing import Backing, HostPages
from cca_host.kvm.guest import GicState
from cca_host.kvm.kernel import Kernel
from cca_host.kvm.plain.guest import PlainGuest
from cca_host.kvm.plain.stage2 import PlainStage2, PlainStage2State
from cca_host.kvm.plain.vcpu import PlainVcpu, PlainVcpuState
from cca_platform.errors import MachineError
from cca_platform.state import State

__all__ = ["PlainVm", "PlainVmState", "check_plain"]

_IPA_WIDTHS = range(32, 49)
_MAX_VCPUS = 512  # as KVM's


class PlainVmState(State, frozen=True, tag="host.plain-vm/2"):
    """Saved state of a :class:`PlainVm`."""

    ipa_width: int
    vmid: int
    cntvoff: int
    slots: tuple[tuple[int, int], ...]
    gic: GicState | None
    stage2: PlainStage2State
    vcpus: tuple[PlainVcpuState, ...]
    shown: tuple[int, ...]


def check_plain(ipa_width: int) -> None:
    """Raise MachineError unless there can be such a VM."""
    if ipa_width not in _IPA_WIDTHS:
        raise MachineError(f"the IPA width must be {_IPA_WIDTHS[0]} to {_IPA_WIDTHS[-1]} bits, not {ipa_width}")


class PlainVm(PlainGuest):
    """A plain VM and its vCPUs, from creation to destruction; MachineError if there is no memory for it.

    ``backing`` gives it its memory: by default, pages of the host's own.
    """

    def __init__(self, system: Kernel, *, ipa_width: int = 33, backing: Backing | None = None) -> None:
        check_plain(ipa_width)
        system.start()
        super().__init__(system, ipa_width)
        self.vcpus: list[PlainVcpu] = []
        self.cntvoff = system.machine.clock.now
        try:
            self.stage2 = PlainStage2(system, ipa_width, self.vmid, backing or HostPages(system))
        except BaseException:
            system.give_vmid(self.vmid)
            raise
        system.guests.append(self)

    # -- memory -------------------------------------------------------------------------------------------------
    def init_ripas(self) -> None:
        """Do nothing: RAM has no state."""

    def populate(self, ipa: int, data: "bytes | bytearray | memoryview", measure: bool = True) -> None:
        """Load initial contents at a page-aligned IPA; nothing measures them."""
        self.must_hold(ipa, len(data))
        source = memoryview(data)
        for at in range(0, len(source), GRANULE_SIZE):
            pa = self.shared_page(ipa + at)
            assert pa is not None
            self.system.port.write(pa, source[at : at + GRANULE_SIZE])

    # -- vCPUs --------------------------------------------------------------------------------------------------
    @property
    def has_vcpus(self) -> bool:
        """True once the first vCPU has been created."""
        return bool(self.vcpus)

    def create_vcpu(self, pc: int = 0, gprs: Sequence[int] = (), runnable: bool = True) -> PlainVcpu:
        """Create the next vCPU, which starts at ``pc`` with X0..X7 from ``gprs``, or waits for CPU_ON."""
        index = len(self.vcpus)
        if index >= _MAX_VCPUS:
            raise MachineError(f"a VM must have at most {_MAX_VCPUS} vCPUs, not {index + 1}: use fewer `vcpus`")
        mpidr = int(mpidr_of(index))
        vcpu = PlainVcpu(self, self.vcpus, index, mpidr, runnable, self.system.pages.take())
        vcpu.reset(pc, gprs)
        self.vcpus.append(vcpu)
        if self.vgic is not None:
            self.vgic.add_vcpu(mpidr)
        return vcpu

    def activate(self) -> None:
        """Do nothing: it can run."""

    # -- the end ------------------------------------------------------------------------------------------------
    def destroy(self) -> None:
        """Return all memory to the host."""
        if self not in self.system.guests:
            return
        for vcpu in reversed(self.vcpus):
            vcpu.destroy()
        self.vcpus.clear()
        for ipa in sorted(self.shown):
            self.hide(ipa)
        self.stage2.destroy()
        self.system.give_vmid(self.vmid)
        self.system.guests.remove(self)

    # -- snapshots ----------------------------------------------------------------------------------------------
    def save(self) -> PlainVmState:
        """State for a snapshot."""
        return PlainVmState(
            ipa_width=self.ipa_width,
            vmid=self.vmid,
            cntvoff=self.cntvoff,
            slots=tuple(self.slots),
            gic=self.save_gic(),
            stage2=self.stage2.save(),
            vcpus=tuple(vcpu.save() for vcpu in self.vcpus),
            shown=tuple(sorted(self.shown)),
        )

    def restore(self, system: Kernel, state: PlainVmState) -> None:
        """Restore what :meth:`save` returned in place, so that references stay valid."""
        had: list[PlainVcpu] = getattr(self, "vcpus", [])
        stage2: PlainStage2 | None = getattr(self, "stage2", None)
        self.system, self.ipa_width, self.vmid = system, state.ipa_width, state.vmid
        self.cntvoff, self.slots, self.troubles = state.cntvoff, list(state.slots), []
        backing = HostPages(system) if stage2 is None else stage2.backing
        self.stage2 = PlainStage2.__new__(PlainStage2)
        self.stage2.of(system, state.ipa_width, state.vmid, backing)
        self.stage2.restore(state.stage2)
        self.restore_shown(state.shown)
        self.vcpus = []
        self.restore_gic(state.gic)
        for index, saved in enumerate(state.vcpus):
            vcpu = had[index] if index < len(had) else PlainVcpu.__new__(PlainVcpu)
            vcpu.restore(self, self.vcpus, saved)
            self.vcpus.append(vcpu)
            if saved.running is not None:
                system.in_guest[saved.running] = vcpu
