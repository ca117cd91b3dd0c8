"""What all descriptors of one VM share: its memory slots, its vCPUs, its GIC, and how far it has become a Realm."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import NamedTuple, Protocol

from cca_arch.errno import Errno
from cca_arch.kvm.values import MemFlags
from cca_host.kvm.kernel import Kernel, RmiError
from cca_host.kvm.plain.vm import PlainVm
from cca_host.kvm.ranges import Ranges
from cca_host.kvm.uapi.memory import AddressSpace
from cca_host.kvm.uapi.refusal import Refusal
from cca_host.kvm.vm import Vm
from cca_platform.errors import MachineError

__all__ = ["Kvm", "Machine", "Phase", "Slot", "VcpuOfVm"]


class Machine(StrEnum):
    """The kind of a VM."""

    PLAIN = "plain"
    REALM = "realm"


class Phase(StrEnum):
    """How far a VM has come as a Realm."""

    CONFIG = "config"
    CREATED = "created"
    POPULATED = "populated"
    ACTIVATED = "activated"
    DEAD = "dead"


class Slot(NamedTuple):
    """``size`` bytes of guest memory at ``base``; the process has its view of them at ``address``.

    ``memfd`` is the number of the guest memory behind a Realm's private pages, and ``offset`` the place in it.
    """

    number: int
    flags: int
    base: int
    size: int
    address: int
    memfd: int | None = None
    offset: int = 0

    @property
    def top(self) -> int:
        """The first address of the guest after it."""
        return self.base + self.size

    @property
    def private(self) -> bool:
        """Its private pages are not the process's: user space converts, and the kernel tells when."""
        return bool(self.flags & MemFlags.GUEST_MEMFD)


class VcpuOfVm(Protocol):
    """A vCPU, as its VM needs it."""

    number: int
    tid: int

    @property
    def initialized(self) -> bool:
        """True after KVM_ARM_VCPU_INIT."""

    def make(self) -> None:
        """Make what runs it: a REC, or a plain vCPU."""

    def release(self) -> None:
        """The VM is gone."""


class Kvm:
    """A VM of the process whose memory is ``space``; ``width`` bits of guest addresses, the shared bit included.

    It lives until its last descriptor is closed: ``references`` counts those of itself, its vCPUs, its devices and its
    guest memory. ``guest`` is the VM in the kernel, once there is one.
    """

    def __init__(self, system: Kernel, space: AddressSpace, machine: Machine, width: int) -> None:
        self.system = system
        self.space = space
        self.machine = machine
        self.width = width
        self.references = 0
        self.phase = Phase.CONFIG
        self.hash_algo = 0
        self.rpv = b""
        self.pmu_counters: int | None = None
        self.slots: dict[int, Slot] = {}
        self.private = Ranges()
        """What user space has marked as private."""
        self.forwarded = Ranges()
        """The functions that calls of the guest reach user space with."""
        self.denied = Ranges()
        """The functions that the guest does not have."""
        self.memory_sizes: list[int] = []
        """The size of each guest memory (KVM_CREATE_GUEST_MEMFD)."""
        self.vcpus: list[VcpuOfVm] = []
        self.vgic_made = self.vgic_ready = False
        self.vgic_lines = 0
        self.distributor: int | None = None
        self.redistributors: int | None = None
        self.realm_device = False
        """It has a device of the type KVM_DEV_TYPE_ARM_REALM."""
        self.explicit = False
        """User space takes every step of the Realm itself; else the first KVM_RUN takes those that are left."""
        self.off = False
        """The guest has turned itself off: nothing of it runs any more."""
        self.log: list[str] = []
        """What the kernel has to say about failures: the lines of dmesg."""
        self.failure: Exception | None = None
        """The last error of a call in full, for who wants to know more than its number."""
        self.guest: Vm | PlainVm | None = None
        self.ended: Callable[[Kvm], object] = lambda _: None
        space.watchers.append(self)

    # -- its life -----------------------------------------------------------------------------------------------
    def get(self) -> None:
        """One more descriptor holds it."""
        self.references += 1

    def put(self) -> None:
        """One descriptor less: the last one destroys the VM."""
        self.references -= 1
        if self.references:
            return
        if self.guest is not None:
            self.guest.destroy()
            self.log += self.guest.troubles
            self.guest = None
        for vcpu in self.vcpus:
            vcpu.release()
        self.space.watchers.remove(self)
        self.ended(self)

    @contextmanager
    def troubles(self) -> Iterator[None]:
        """What the RMM refuses is ENXIO, what the host cannot give is ENOMEM; the log says more."""
        try:
            yield
        except RmiError as error:
            self.note(error)
            raise Refusal(Errno.ENXIO) from None
        except MachineError as error:
            self.note(error)
            raise Refusal(Errno.ENOMEM) from None

    def note(self, error: Exception) -> None:
        """Keep what is behind the error of a call."""
        self.failure = error
        self.log.append(str(error))

    def become_realm(self) -> None:
        """It is to be a Realm, which has not begun."""
        self.machine = Machine.REALM

    # -- addresses ----------------------------------------------------------------------------------------------
    @property
    def is_realm(self) -> bool:
        """True if it is a Realm, or is to be one."""
        return self.machine is Machine.REALM

    @property
    def realm(self) -> Vm:
        """The Realm, which is created."""
        assert isinstance(self.guest, Vm), "steps are taken in their order"
        return self.guest

    @property
    def limit(self) -> int:
        """The end of the guest addresses that memory and devices can have; the upper half of a Realm's is hidden."""
        return 1 << (self.width - 1 if self.is_realm else self.width)

    def slot(self, gpa: int) -> Slot | None:
        """The slot of a guest address."""
        for one in self.slots.values():
            if one.base <= gpa < one.top:
                return one
        return None

    def unmapped(self, base: int, top: int) -> None:
        """The process unmaps memory: the guest loses what it shares of it."""
        for slot in self.slots.values():
            low, high = max(base, slot.address), min(top, slot.address + slot.size)
            if low < high:
                self.forget(slot.base + low - slot.address, slot.base + high - slot.address, shared_only=True)

    def forget(self, base: int, top: int, shared_only: bool = False) -> None:
        """Take pages of the guest from it, between two of its addresses."""
        guest = self.guest
        with self.troubles():
            if isinstance(guest, PlainVm):
                guest.stage2.drop(base, top)
            elif guest is not None:
                guest.stage2.unshare(base, top)
                if not shared_only:
                    guest.stage2.destroy_data(base, top)

    # -- which pages are private ------------------------------------------------------------------------------------
    def converts(self, ipa: int) -> bool:
        """True if user space converts the page at ``ipa``: it has given guest memory for it."""
        slot = self.slot(ipa)
        return slot is not None and slot.private

    def refuses(self, ipa: int, private: bool) -> bool:
        """True if user space has not made the page what the guest takes it for."""
        return (ipa in self.private) is not private and self.converts(ipa)

    def forwards(self, function: int) -> bool:
        """True if user space answers calls of a function."""
        return function in self.forwarded
