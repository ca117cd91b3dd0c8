"""The model's /dev/kvm: the host kernel with its VMs, as a program at NS-EL2 and as a part of every snapshot."""

from collections import Counter
from typing import TYPE_CHECKING

from cca_arch.rmi.v1_0 import FeatureRegister0
from cca_host.kvm.kernel import Kernel
from cca_host.kvm.pages import PagesState
from cca_host.kvm.vm import Vm, VmState
from cca_platform.state import State

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["System", "SystemState"]


class SystemState(State, frozen=True, tag="host.system/1"):
    """Saved state of a :class:`System`, ``calls`` by FID; ``features`` is None until the RMM has been queried."""

    pages: PagesState
    vmids: tuple[int, ...]
    calls: dict[int, int]
    delegated: int
    delegated_peak: int
    dirty: int
    features: int | None
    vms: tuple[VmState, ...]


class System(Kernel):
    """The host kernel: the Python program at NS-EL2 of every PE, and the machine's part ``host`` in snapshots."""

    def __init__(self, machine: "Machine") -> None:
        super().__init__(machine)
        machine.parts["host"] = self

    @property
    def vms(self) -> list[Vm]:
        """The VMs in order of creation."""
        return [guest for guest in self.guests if isinstance(guest, Vm)]

    # -- the program at NS-EL2 ----------------------------------------------------------------------------------
    def on_eret(self, pe: "Pe") -> None:
        """Take the PE from EL3: a call of the host is complete, and its caller checks ``pe.call_done``."""

    def on_sync(self, pe: "Pe", esr: int, far: int, hpfar: int) -> None:
        """Fail: no code below NS-EL2 runs without a REC."""
        raise AssertionError(f"the host runs no code below NS-EL2, yet it took an exception with ESR {esr:#x}")

    def on_irq(self, pe: "Pe") -> None:
        """Ignore an interrupt between two RECs: the scheduler checks the clock anyway."""

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
        alive = {vm.rd: vm for vm in self.vms}
        self.guests = []
        for saved in state.vms:
            vm = alive.get(saved.rd) or Vm.__new__(Vm)
            vm.restore(self, saved)
            self.guests.append(vm)
