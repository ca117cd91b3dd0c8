"""The model's /dev/kvm: the host kernel with its VMs, as a program at NS-EL2 and as a part of every snapshot."""

from collections import Counter
from typing import TYPE_CHECKING

from cca_arch.rmi.v1_0 import FeatureRegister0
from cca_host.kvm.kernel import Kernel
from cca_host.kvm.pages import PagesState
from cca_host.kvm.plain.vm import PlainVm, PlainVmState
from cca_host.kvm.uapi.userspace import Userspace
from cca_host.kvm.vm import Vm, VmState
from cca_platform.state import State

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["System", "SystemState"]


class SystemState(State, frozen=True, tag="host.system/3"):
    """Saved state of a :class:`System`, ``calls`` by FID; ``features`` is None until the RMM has been queried."""

    pages: PagesState
    vmids: tuple[int, ...]
    calls: dict[int, int]
    delegated: int
    delegated_peak: int
    dirty: int
    features: int | None
    started: bool
    turn: tuple[int, int] | None
    vms: tuple[VmState | PlainVmState, ...]


class System(Kernel):
    """The host kernel: the Python program at NS-EL2 of every PE, and the machine's part ``host`` in snapshots."""

    def __init__(self, machine: "Machine") -> None:
        super().__init__(machine)
        machine.parts["host"] = self
        self.userspace = Userspace(self)
        machine.parts["processes"] = self.userspace

    @property
    def vms(self) -> list[Vm | PlainVm]:
        """The VMs in order of creation."""
        return [guest for guest in self.guests if isinstance(guest, Vm | PlainVm)]

    # -- the program at NS-EL2 ----------------------------------------------------------------------------------
    def on_eret(self, pe: "Pe") -> None:
        """Take the PE from EL3: a call of the host is complete, and its caller checks ``pe.call_done``."""

    def on_sync(self, pe: "Pe", esr: int, far: int, hpfar: int) -> None:
        """Let the vCPU of a plain VM handle what its guest has caused: no other code runs below without a REC."""
        vcpu = self.in_guest.get(pe.index)
        if vcpu is None:
            raise AssertionError(f"the host runs no code below NS-EL2, yet it took an exception with ESR {esr:#x}")
        vcpu.on_sync(pe, esr, far, hpfar)

    def on_irq(self, pe: "Pe") -> None:
        """Take an interrupt of a plain VM's run; between two RECs, the scheduler checks the clock anyway."""
        vcpu = self.in_guest.get(pe.index)
        if vcpu is not None:
            vcpu.on_irq(pe)

    # -- snapshots ----------------------------------------------------------------------------------------------
    def save(self) -> SystemState:
        """State for a snapshot of the machine."""
        return SystemState(
            pages=self.pages.save(),
            vmids=tuple(sorted(self.vmids)),
            calls=dict(self.calls),
            delegated=self.delegated,
            delegated_peak=self.delegated_peak,
            dirty=self.dirty,
            features=int(self.features) if self.probed else None,
            started=self.started,
            turn=self.turn,
            vms=tuple(vm.save() for vm in self.vms),
        )

    def restore(self, state: SystemState) -> None:
        """Restore what :meth:`save` returned: drop VMs created since then, and bring destroyed ones back."""
        self.pages.restore(state.pages)
        self.vmids = set(state.vmids)
        self.calls = Counter(state.calls)
        self.delegated, self.delegated_peak, self.dirty = state.delegated, state.delegated_peak, state.dirty
        self.probed = state.features is not None
        self.features = FeatureRegister0(state.features or 0)
        self.started, self.turn = state.started, state.turn
        self.machine.bus.known.forget_all()  # of pages that VMs have shown
        alive = {vm.vmid: vm for vm in self.vms}
        self.guests, self.in_guest = [], {}
        for saved in state.vms:
            self.guests.append(self._restored(saved, alive.get(saved.vmid)))

    def _restored(self, saved: VmState | PlainVmState, known: Vm | PlainVm | None) -> Vm | PlainVm:
        """The VM of a state: the one that is there, if it is of the same kind, or a new one."""
        if isinstance(saved, PlainVmState):
            plain = known if isinstance(known, PlainVm) else PlainVm.__new__(PlainVm)
            plain.restore(self, saved)
            return plain
        realm = known if isinstance(known, Vm) else Vm.__new__(Vm)
        realm.restore(self, saved)
        return realm
