"""How a VM becomes a Realm: one state machine, which the flavours of the interface drive.

With the capability and the device, user space takes every step; with the populate ioctl, the first run takes what is
left of them. The steps decide the measurement, so their order is user space's business.
"""

from enum import StrEnum
from typing import Final

from cca_arch.errno import Errno
from cca_arch.kvm.realm import POPULATE_MEASURE
from cca_arch.rmi.v1_0 import HashAlgorithm
from cca_arch.types import GRANULE_SIZE
from cca_host.kvm.backing import HostPages, NotMapped
from cca_host.kvm.pages import RUN
from cca_host.kvm.uapi.kvm import Kvm, Phase
from cca_host.kvm.uapi.refusal import Refusal, must
from cca_host.kvm.vm import HASH_ALGORITHMS, Vm

__all__ = [
    "NEXT",
    "ProcessPages",
    "Step",
    "activate",
    "activate_implicitly",
    "configure_hash",
    "configure_pmu",
    "configure_rpv",
    "create",
    "init_ripas",
    "may",
    "populate",
    "wire_gic",
]

_NOWHERE: Final = 1 << 60  # of a GIC's frames, until they have addresses
RPV_SIZE: Final = 64


class Step(StrEnum):
    """What user space can do on the way."""

    CONFIGURE = "configure"
    CREATE = "create"
    INIT_RIPAS = "init RIPAS"
    POPULATE = "populate"
    ACTIVATE = "activate"


NEXT: Final[dict[tuple[Phase, Step], Phase]] = {
    (Phase.CONFIG, Step.CONFIGURE): Phase.CONFIG,
    (Phase.CONFIG, Step.CREATE): Phase.CREATED,
    (Phase.CREATED, Step.INIT_RIPAS): Phase.CREATED,
    (Phase.CREATED, Step.POPULATE): Phase.POPULATED,
    (Phase.CREATED, Step.ACTIVATE): Phase.ACTIVATED,
    (Phase.POPULATED, Step.INIT_RIPAS): Phase.POPULATED,
    (Phase.POPULATED, Step.POPULATE): Phase.POPULATED,
    (Phase.POPULATED, Step.ACTIVATE): Phase.ACTIVATED,
}
"""The phase after a step; every other step is refused."""


class ProcessPages:
    """The shared pages of a VM: memory of the process, at the addresses that the slots say."""

    def __init__(self, kvm: Kvm) -> None:
        self._kvm = kvm
        self._kernel = HostPages(kvm.system)

    def take(self, ipa: int) -> int:
        """The page of the process at its address of ``ipa``; the kernel's own where the VM has no memory."""
        slot = self._kvm.slot(ipa)
        if slot is None:
            return self._kernel.take(ipa)
        try:
            return self._kvm.space.own(slot.address + ipa - slot.base)
        except Refusal:
            raise NotMapped from None

    def give(self, ipa: int, pa: int) -> None:
        """It stays the process's."""
        if self._kvm.slot(ipa) is None:
            self._kernel.give(ipa, pa)

    def take_block(self, ipa: int) -> int | None:
        """Memory in one piece for 2 MiB of the process that it has not touched yet."""
        slot = self._kvm.slot(ipa)
        if slot is None or slot.top < ipa + RUN * GRANULE_SIZE:
            return None
        return self._kvm.space.block(slot.address + ipa - slot.base, RUN)

    def give_block(self, ipa: int, pa: int) -> None:
        """It stays the process's."""


def may(kvm: Kvm, step: Step, errno: Errno) -> Phase:
    """The phase after a step; refuses one that does not come next with ``errno``, and all once the Realm is dead."""
    must(kvm.phase is not Phase.DEAD, Errno.ENXIO)
    after = NEXT.get((kvm.phase, step))
    if after is None:
        raise Refusal(errno)
    return after


# -- the steps --------------------------------------------------------------------------------------------------------
def configure_hash(kvm: Kvm, algorithm: int, errno: Errno) -> None:
    """Choose how the Realm is measured."""
    may(kvm, Step.CONFIGURE, errno)
    must(algorithm in tuple(HashAlgorithm), Errno.EINVAL)
    kvm.hash_algo = algorithm


def configure_rpv(kvm: Kvm, rpv: bytes, errno: Errno) -> None:
    """Set the Realm Personalization Value."""
    may(kvm, Step.CONFIGURE, errno)
    kvm.rpv = rpv


def configure_pmu(kvm: Kvm, counters: int, errno: Errno) -> None:
    """Give the Realm a PMU with event counters."""
    may(kvm, Step.CONFIGURE, errno)
    features = kvm.system.probe()
    must(features.PMU_EN and 1 <= counters <= features.PMU_NUM_CTRS, Errno.EINVAL)
    kvm.pmu_counters = counters


def create(kvm: Kvm, errno: Errno) -> None:
    """Create the Realm: its descriptor and root tables; no vCPU may exist yet, where user space takes the steps."""
    after = may(kvm, Step.CREATE, errno)
    names = {int(value): name for name, value in HASH_ALGORITHMS.items()}
    with kvm.troubles():
        must(kvm.width <= kvm.system.probe().S2SZ, Errno.EINVAL)
        guest = Vm(
            kvm.system,
            ipa_width=kvm.width,
            hash_algo=names[kvm.hash_algo],
            rpv=kvm.rpv,
            pmu_counters=kvm.pmu_counters,
        )
    guest.stage2.backing, guest.policy = ProcessPages(kvm), kvm
    kvm.guest, kvm.phase = guest, after
    for number in sorted(kvm.slots):
        guest.add_memory(kvm.slots[number].base, kvm.slots[number].size)
    if kvm.vgic_made:
        wire_gic(kvm)


def wire_gic(kvm: Kvm) -> None:
    """Give the VM in the kernel its GIC, or the addresses of the frames that it has already."""
    guest = kvm.guest
    if guest is None:
        return
    distributor = _NOWHERE if kvm.distributor is None else kvm.distributor
    redistributors = _NOWHERE if kvm.redistributors is None else kvm.redistributors
    if guest.gic_frames is None:
        guest.create_vgic(distributor, redistributors)
    else:
        guest.gic_frames.distributor, guest.gic_frames.redistributors = distributor, redistributors


def _range(kvm: Kvm, base: int, size: int) -> None:
    must(not base % GRANULE_SIZE and not size % GRANULE_SIZE, Errno.EINVAL)
    must(base + size <= kvm.limit, Errno.EINVAL)


def init_ripas(kvm: Kvm, base: int, size: int, errno: Errno) -> None:
    """Make memory RAM for the Realm, which is measured."""
    kvm.phase = may(kvm, Step.INIT_RIPAS, errno)
    _range(kvm, base, size)
    with kvm.troubles():
        kvm.realm.stage2.init_ripas(base, base + size)


def populate(kvm: Kvm, base: int, size: int, source: int | None, flags: int, errno: Errno) -> int:
    """Load contents from ``source``, by default the process's view of the memory; returns the bytes that were done.

    From ``source``, these are less than ``size`` if a page in the middle cannot be read or loaded; the error comes if
    it is the first, and in the other case always.
    """
    after = may(kvm, Step.POPULATE, errno)
    must(not flags & ~POPULATE_MEASURE, Errno.EINVAL)
    _range(kvm, base, size)
    guest, space = kvm.realm, kvm.space
    for done in range(0, size, GRANULE_SIZE):
        ipa = base + done
        try:
            slot = kvm.slot(ipa)
            must(slot is not None, Errno.EINVAL)
            assert slot is not None
            address = slot.address + ipa - slot.base if source is None else source + done
            must(ipa not in guest.stage2.data, Errno.EEXIST)
            contents = space.read(address, GRANULE_SIZE)
            with kvm.troubles():
                guest.populate(ipa, contents, bool(flags & POPULATE_MEASURE))
        except Refusal:
            if done and source is not None:
                return done
            raise
        kvm.phase = after
        mapping = space.find(address)
        if source is None and mapping is not None and mapping.file is not None and ipa not in guest.stage2.shared:
            space.drop(address)  # in its place, the process sees the Realm's page, and may not look into it
    return size


def activate(kvm: Kvm, errno: Errno) -> None:
    """Seal the Realm: its measurement is final, and its vCPUs can run."""
    after = may(kvm, Step.ACTIVATE, errno)
    with kvm.troubles():
        kvm.realm.activate()
    kvm.phase = after
    for vcpu in kvm.realm.vcpus:
        vcpu.trap(wfi=True, wfe=len(kvm.realm.vcpus) > 1)


def activate_implicitly(kvm: Kvm) -> None:
    """Take the steps that are left before the first run; a failure within leaves the Realm dead."""
    if kvm.phase is Phase.CONFIG:
        create(kvm, Errno.EINVAL)
    must(kvm.vgic_made, Errno.EOPNOTSUPP)
    try:
        for vcpu in kvm.vcpus:
            vcpu.make()
        for number in sorted(kvm.slots):
            slot = kvm.slots[number]
            if slot.private:
                init_ripas(kvm, slot.base, slot.size, Errno.ENXIO)
        activate(kvm, Errno.ENXIO)
    except Refusal:
        kvm.phase = Phase.DEAD
        raise
