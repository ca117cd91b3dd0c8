"""The host kernel's services for all VMs: RMI calls, the RMM's features, VMIDs, and pages that change worlds."""

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from cca_arch.extensions import Paging
from cca_arch.rmi.v1_0 import ABI_VERSION, FeatureRegister0, Rmi, RmiStatus
from cca_arch.smccc import NOT_SUPPORTED
from cca_arch.types import GRANULE_SIZE, SecurityState
from cca_host.kvm.irqchip import Irqchip
from cca_host.kvm.pages import PageAllocator
from cca_platform.errors import MachineError

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["Kernel", "RmiError", "SwapError"]

_HOST_IMAGE_SIZE = 256 << 20  # at the bottom of DRAM: the Non-secure image and what the boot firmware left
_EL2 = 2
_ZEROES = bytes(GRANULE_SIZE)
_VMIDS = 256  # an RMM refuses more on PEs with 8-bit VMIDs
_DELEGATE = int(Rmi.GRANULE_DELEGATE)
_UNDELEGATE = int(Rmi.GRANULE_UNDELEGATE)


class RmiError(Exception):
    """An RMI command failed, and the host cannot recover.

    ``command`` is the specification's name, ``status`` an RmiStatus and ``index`` its index.
    """

    def __init__(self, fid: int, x0: int, about: str = "") -> None:
        self.command = Paging(fid).name if fid in set(Paging) else f"RMI_{Rmi(fid).name}"
        self.status = x0 & 0xFF
        self.index = x0 >> 8 & 0xFF
        if x0 == NOT_SUPPORTED:
            answer = "NOT_SUPPORTED"
        elif self.status in tuple(RmiStatus):
            answer = f"RMI_{RmiStatus(self.status).name}" + (f", {self.index}" if self.index else "")
        else:
            answer = f"{x0:#x}"
        super().__init__(f"{self.command} answered {answer}{f' for {about}' if about else ''}")


class SwapError(RmiError):
    """A page of a Realm is out and cannot come back, or cannot go out; the host cannot recover."""

    def __init__(self, what: str) -> None:
        Exception.__init__(self, what)
        self.command, self.status, self.index = "", 0, 0


class InGuest(Protocol):
    """A vCPU whose guest runs below the host itself: it takes the exceptions to EL2."""

    def on_sync(self, pe: "Pe", esr: int, far: int, hpfar: int) -> None:
        """Handle a synchronous exception or an SError."""

    def on_irq(self, pe: "Pe") -> None:
        """Handle a physical interrupt."""


class Kernel:
    """The host kernel below its VMs.

    ``pe`` is the PE that the host code is on. ``calls`` counts RMI calls by FID. ``delegated`` is the current number of
    delegated granules, ``delegated_peak`` its maximum. ``guests`` are the VMs in order of creation.
    """

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine
        self.pe: Pe = machine.pes[0]
        self.port = machine.memory.port(SecurityState.NON_SECURE)
        self.pages = PageAllocator(_spans(machine))
        self.irqchip = Irqchip(machine)
        self.vmids: set[int] = set()
        self.guests: list[object] = []
        self.in_guest: dict[int, InGuest] = {}
        """The vCPU of a plain VM that is in its guest, by the index of its PE."""
        self.started = False
        self.turn: tuple[int, int] | None = None
        """The vCPU whose thread had the last slice: the VMID of its VM, its index."""
        self.calls: Counter[int] = Counter()
        self.features = FeatureRegister0(0)
        self.delegated = 0
        self.delegated_peak = 0
        self.audit = False
        """Read every granule that returns to the host, and count in ``dirty`` those that are not zero."""
        self.dirty = 0
        self.probed = False
        self.swaps: dict[str, object] = {}
        """The swap files of the host by their real paths: :func:`cca_host.kvm.swap.swap_file`."""

    # -- RMI ----------------------------------------------------------------------------------------------------
    def rmi(self, fid: int, *args: int) -> list[int]:
        """Call an RMI command that runs no Realm code; returns X0..X4."""
        self.calls[fid] += 1
        pe = self.pe
        return pe.smc(fid, *args) if pe.el == _EL2 else self.free_pe().smc(fid, *args)

    def free_pe(self) -> "Pe":
        """A PE that the host is on; the current one may be running a paused REC."""
        for pe in self.machine.pes:
            if pe.call_done:
                return pe
        raise MachineError("an RMI command must have a PE that runs no REC, but each runs one: end a vCPU's run first")

    def probe(self) -> FeatureRegister0:
        """Call RMI_VERSION and RMI_FEATURES and start the GIC, once; raises MachineError without a usable RMM."""
        if self.probed:
            return self.features
        x0, lower, higher = self.rmi(Rmi.VERSION, ABI_VERSION)[:3]
        if x0 == NOT_SUPPORTED:
            raise MachineError("no RMM answers RMI_VERSION: boot the machine with an RMM image")
        if x0:
            raise MachineError(f"the RMM must support RMI 1.0, not {_version(lower)} to {_version(higher)}")
        self.features = FeatureRegister0(self.rmi(Rmi.FEATURES, 0)[1])
        self.start()
        self.probed = True
        return self.features

    def start(self) -> None:
        """Initialise the GIC, once: what a VM needs that is no Realm."""
        if not self.started:
            self.irqchip.start()
            self.started = True

    @property
    def max_vcpus(self) -> int:
        """The maximum number of RECs per Realm."""
        limit: int = (1 << self.probe().MAX_RECS_ORDER) - 1
        return limit

    # -- granules -----------------------------------------------------------------------------------------------
    def delegate(self) -> int:
        """Allocate a page and delegate it to the Realm world."""
        pa = self.pages.take()
        self._delegate(pa)
        return pa

    def delegate_run(self, count: int) -> int:
        """Allocate ``count`` consecutive pages, aligned to their size, and delegate them, all or none."""
        base = self.pages.take_run(count)
        for i in range(count):
            try:
                self._delegate(base + i * GRANULE_SIZE)
            except RmiError:
                for done in range(i):
                    self.undelegate(base + done * GRANULE_SIZE)
                self.pages.give(base + (i + 1) * GRANULE_SIZE, count - i - 1)
                raise
        return base

    def _delegate(self, pa: int) -> None:
        x0 = self.rmi(_DELEGATE, pa)[0]
        if x0:
            self.pages.give(pa)
            raise RmiError(_DELEGATE, x0, f"PA {pa:#x}")
        self.delegated += 1
        if self.delegated > self.delegated_peak:
            self.delegated_peak = self.delegated

    def undelegate(self, pa: int) -> bool:
        """Undelegate a granule; returns False, and the page is permanently lost, if the RMM refuses."""
        if self.rmi(_UNDELEGATE, pa)[0]:
            self.pages.lose(pa)
            return False
        self.delegated -= 1
        if self.audit and self.port.read(pa, GRANULE_SIZE) != _ZEROES:
            self.dirty += 1
        self.pages.give(pa)
        return True

    # -- VMIDs --------------------------------------------------------------------------------------------------
    def take_vmid(self) -> int:
        """Reserve the lowest free VMID."""
        for vmid in range(1, _VMIDS):
            if vmid not in self.vmids:
                self.vmids.add(vmid)
                return vmid
        raise MachineError(f"the host must run at most {_VMIDS - 1} VMs at a time: destroy one first")

    def give_vmid(self, vmid: int) -> None:
        """Free a VMID."""
        self.vmids.discard(vmid)


def _version(value: int) -> str:
    return f"{value >> 16}.{value & 0xFFFF}"


def _spans(machine: "Machine") -> list[tuple[int, int]]:
    """Non-secure DRAM except the part that holds the host's own image."""
    banks = [(bank.base, bank.size) for bank in machine.board.ns_banks()]
    base, size = banks[0]
    if size > 2 * _HOST_IMAGE_SIZE:
        banks[0] = (base + _HOST_IMAGE_SIZE, size - _HOST_IMAGE_SIZE)
    return banks
