"""A Realm VM: created, given memory and vCPUs, activated, and destroyed; all its granules return to the host.

The VMM determines the order, and so the measurement: ``Vm`` -> ``add_memory`` -> ``init_ripas`` -> ``populate`` ->
``create_vcpu`` -> ``activate`` -> ``Vcpu.run`` -> ``destroy``.
"""

from collections.abc import Callable, Sequence
from typing import Final

from cca_arch.descriptors import rtte
from cca_arch.rmi.v1_0 import (
    FeatureRegister0,
    HashAlgorithm,
    RecCreateFlags,
    Rmi,
    RmiRealmFlags,
    RmiRealmParams,
    RmiRecParams,
    mpidr_of,
)
from cca_arch.types import GRANULE_SIZE
from cca_host.kvm.guest import GicState
from cca_host.kvm.kernel import Kernel, RmiError
from cca_host.kvm.pager import Pager, PagerState, must_page
from cca_host.kvm.realm import Realm
from cca_host.kvm.stage2 import Stage2, Stage2State, start_level
from cca_host.kvm.swap import swap_file
from cca_host.kvm.vcpu import Vcpu, VcpuState
from cca_platform.errors import MachineError
from cca_platform.state import State

__all__ = ["HASH_ALGORITHMS", "Vm", "VmState", "check_realm"]

HASH_ALGORITHMS: Final = {"sha256": HashAlgorithm.SHA_256, "sha512": HashAlgorithm.SHA_512}
_MIN_IPA_WIDTH = 32
_RPV_SIZE = 64
_AUX_SLOTS = 16


class VmState(State, frozen=True, tag="host.vm/3"):
    """Saved state of a :class:`Vm`."""

    ipa_width: int
    hash_algo: str
    rd: int
    staging: int
    vmid: int
    root: int
    root_count: int
    aux_count: int
    slots: tuple[tuple[int, int], ...]
    gic: GicState | None
    stage2: Stage2State
    vcpus: tuple[VcpuState, ...]
    shown: tuple[int, ...]
    pager: PagerState | None


class Vm(Realm):
    """A Realm and its vCPUs, from creation to destruction.

    Raises MachineError if the RMM does not offer what is requested, RmiError if the RMM refuses.
    """

    def __init__(
        self,
        system: Kernel,
        *,
        ipa_width: int = 33,
        hash_algo: str = "sha256",
        rpv: bytes = b"",
        pmu_counters: int | None = None,
    ) -> None:
        check_realm(system, ipa_width, hash_algo, rpv, pmu_counters)
        features = system.features
        super().__init__(system, ipa_width)
        self.hash_algo = hash_algo
        self.vcpus: list[Vcpu] = []
        self.rd = self.staging = 0
        self.root_count = start_level(ipa_width)[1]
        self.root = 0
        self.aux_count = 0
        self.pager: Pager | None = None
        self.policy = None
        try:
            self.staging = system.pages.take()
            self.rd = system.delegate()
            self.root = system.delegate_run(self.root_count)
            self.stage2 = Stage2(system, self.rd, ipa_width)
            self._create(features, rpv, pmu_counters)
        except BaseException:
            self._give_back()
            raise
        system.guests.append(self)

    def _create(self, features: FeatureRegister0, rpv: bytes, pmu_counters: int | None) -> None:
        system = self.system
        params = RmiRealmParams.pack(
            flags=RmiRealmFlags.make(pmu=pmu_counters is not None),
            s2sz=self.ipa_width,
            num_bps=features.NUM_BPS,
            num_wps=features.NUM_WPS,
            pmu_num_ctrs=pmu_counters or 0,
            hash_algo=HASH_ALGORITHMS[self.hash_algo],
            rpv=rpv,
            vmid=self.vmid,
            rtt_base=self.root,
            rtt_level_start=self.stage2.start,
            rtt_num_start=self.root_count,
        )
        system.port.write(self.staging, params)
        x0 = system.rmi(Rmi.REALM_CREATE, self.rd, self.staging)[0]
        if x0:
            raise RmiError(Rmi.REALM_CREATE, x0, f"IPA width {self.ipa_width}")
        x0, self.aux_count = system.rmi(Rmi.REC_AUX_COUNT, self.rd)[:2]
        if x0:
            self._destroy_realm()
            raise RmiError(Rmi.REC_AUX_COUNT, x0)

    # -- memory -------------------------------------------------------------------------------------------------
    def limit_memory(self, limit: int, swap: str) -> None:
        """Keep the Realm within ``limit`` bytes of granules from now on: pages go to the file ``swap``.

        Raises MachineError if the RMM does not take pages out, or the file cannot take them.
        """
        must_page(self.system)
        self._set_pager(Pager(self.stage2, limit // GRANULE_SIZE, self._other_granules, swap_file(self.system, swap)))

    def _set_pager(self, pager: Pager | None) -> None:
        self.pager = self.stage2.pager = pager

    def _other_granules(self) -> int:
        """The granules that the Realm has besides its pages and tables."""
        return 1 + self.root_count + len(self.vcpus) * (1 + self.aux_count)

    def init_ripas(self) -> None:
        """Set all memory to RIPAS RAM, which is measured."""
        for base, top in self.slots:
            self.stage2.init_ripas(base, top)

    def populate(self, ipa: int, data: "bytes | bytearray | memoryview", measure: bool = True) -> None:
        """Load initial contents at a page-aligned IPA; zeroes fill the last page."""
        self.must_hold(ipa, len(data))
        write, staging, populate, flags = self.system.port.write, self.staging, self.stage2.populate, int(measure)
        source = memoryview(data)
        for at in range(0, len(source), GRANULE_SIZE):
            page = source[at : at + GRANULE_SIZE]
            write(staging, page if len(page) == GRANULE_SIZE else bytes(page).ljust(GRANULE_SIZE, b"\0"))
            populate(ipa + at, staging, flags)

    def shared_page(self, address: int) -> int | None:
        """The PA of the page at ``address``, as the Realm gives it to a device: with the shared bit; None without.

        A page that nobody has touched yet is mapped now.
        """
        stage2 = self.stage2
        ipa = address ^ stage2.half
        if ipa in self.shown:  # is there to be read, by vCPUs
            return None
        pa = stage2.shared.get(ipa)
        if pa is None and ipa < stage2.half and self.in_memory(ipa):
            pa = stage2.share(ipa)
        return pa

    def shown_page(self, ipa: int) -> int:
        """The page that is mapped there."""
        return self.stage2.shared[ipa]

    def map_shown(self, ipa: int) -> int:
        """Map a page in the unprotected half, for reading alone."""
        return self.stage2.share(ipa, rtte.HOST_READ_ONLY)

    def unmap_shown(self, ipa: int) -> None:
        """Unmap it."""
        self.stage2.unshare(ipa, ipa + GRANULE_SIZE)

    def give_back(self, base: int, top: int) -> None:
        """Return shared pages to the host. Protected ones stay: the Realm gives them up by RSI_IPA_STATE_SET."""
        for slot_base, slot_top in self.slots:
            low, high = max(base, slot_base), min(top, slot_top)
            if low < high:
                self.stage2.unshare(low, high)

    # -- vCPUs --------------------------------------------------------------------------------------------------
    @property
    def has_vcpus(self) -> bool:
        """True once the first vCPU has been created."""
        return bool(self.vcpus)

    def create_vcpu(self, pc: int = 0, gprs: Sequence[int] = (), runnable: bool = True) -> Vcpu:
        """Create the next vCPU: a REC that starts at ``pc`` with X0..X7 from ``gprs``, or waits for CPU_ON."""
        system, index = self.system, len(self.vcpus)
        if index >= system.max_vcpus:
            raise MachineError(
                f"a Realm must have at most {system.max_vcpus} vCPUs, not {index + 1}: use fewer `vcpus`"
            )
        mpidr = int(mpidr_of(index))
        page = system.pages.take()
        granules: list[int] = []
        try:
            if self.pager is not None:
                self.pager.make_room(1 + self.aux_count)
            granules.extend(system.delegate() for _ in range(1 + self.aux_count))
            rec, *aux = granules
            params = RmiRecParams.pack(
                flags=RecCreateFlags.make(runnable=runnable),
                mpidr=mpidr,
                pc=pc,
                gprs=[*gprs, *[0] * (8 - len(gprs))],
                num_aux=self.aux_count,
                aux=[*aux, *[0] * (_AUX_SLOTS - self.aux_count)],
            )
            system.port.write(self.staging, params)
            x0 = system.rmi(Rmi.REC_CREATE, self.rd, rec, self.staging)[0]
            if x0:
                raise RmiError(Rmi.REC_CREATE, x0, f"vCPU {index}")
        except BaseException:
            for granule in granules:
                system.undelegate(granule)
            system.pages.give(page)
            raise
        system.port.zero(page, GRANULE_SIZE)
        vcpu = Vcpu(self, self.vcpus, index, mpidr, rec, aux, runnable, page)
        self.vcpus.append(vcpu)
        if self.vgic is not None:
            self.vgic.add_vcpu(mpidr)
        return vcpu

    def activate(self) -> None:
        """Activate the Realm: the measurement is final, and the vCPUs can run."""
        x0 = self.system.rmi(Rmi.REALM_ACTIVATE, self.rd)[0]
        if x0:
            raise RmiError(Rmi.REALM_ACTIVATE, x0)

    # -- the end ------------------------------------------------------------------------------------------------
    def destroy(self) -> None:
        """Destroy everything in KVM's order; what the RMM refuses is lost and listed in ``troubles``."""
        if self not in self.system.guests:
            return
        stage2 = self.stage2
        if self.pager is not None:
            self.pager.lift()
        for vcpu in reversed(self.vcpus):
            self._try(vcpu.destroy)
        self.vcpus.clear()
        for base, top in self.slots:
            self._try(stage2.unshare, base, top)
            self._try(stage2.destroy_data, base, top)
        for ipa in sorted(self.shown):
            self._try(self.hide, ipa)
        self._try(stage2.destroy_tables, stage2.start + 1, 0, 1 << self.ipa_width)
        self._try(self._destroy_realm)
        self._give_back()
        self.system.guests.remove(self)

    def _try(self, step: Callable[..., None], *args: int) -> None:
        try:
            step(*args)
        except RmiError as error:
            self.troubles.append(str(error))

    def _destroy_realm(self) -> None:
        x0 = self.system.rmi(Rmi.REALM_DESTROY, self.rd)[0]
        if x0:
            raise RmiError(Rmi.REALM_DESTROY, x0)

    def _give_back(self) -> None:
        system = self.system
        if self.rd:
            system.undelegate(self.rd)
        if self.root:
            for i in range(self.root_count):
                system.undelegate(self.root + i * GRANULE_SIZE)
        if self.staging:
            system.pages.give(self.staging)
        if self.pager is not None:
            self.pager.close()
        system.give_vmid(self.vmid)

    # -- snapshots ----------------------------------------------------------------------------------------------
    def save(self) -> VmState:
        """State for a snapshot."""
        return VmState(
            ipa_width=self.ipa_width,
            hash_algo=self.hash_algo,
            rd=self.rd,
            staging=self.staging,
            vmid=self.vmid,
            root=self.root,
            root_count=self.root_count,
            aux_count=self.aux_count,
            slots=tuple(self.slots),
            gic=self.save_gic(),
            stage2=self.stage2.save(),
            vcpus=tuple(vcpu.save() for vcpu in self.vcpus),
            shown=tuple(sorted(self.shown)),
            pager=None if self.pager is None else self.pager.save(),
        )

    def restore(self, system: Kernel, state: VmState) -> None:
        """Restore what :meth:`save` returned in place, so that references stay valid."""
        had: list[Vcpu] = getattr(self, "vcpus", [])
        self.policy = getattr(self, "policy", None)
        self.system, self.ipa_width, self.hash_algo = system, state.ipa_width, state.hash_algo
        self.rd, self.staging, self.vmid, self.aux_count = state.rd, state.staging, state.vmid, state.aux_count
        self.root, self.root_count = state.root, state.root_count
        self.slots, self.troubles = list(state.slots), []
        stage2: Stage2 | None = getattr(self, "stage2", None)
        if stage2 is None or (stage2.rd, stage2.ipa_width) != (self.rd, self.ipa_width):
            self.stage2 = Stage2(system, self.rd, self.ipa_width)
        self.stage2.restore(state.stage2)
        self.restore_shown(state.shown)
        pager = state.pager
        self._set_pager(None if pager is None else Pager.restored(self.stage2, pager, self._other_granules))
        self.vcpus = []
        self.restore_gic(state.gic)
        for index, saved in enumerate(state.vcpus):
            vcpu = had[index] if index < len(had) else Vcpu.__new__(Vcpu)
            vcpu.restore(self, self.vcpus, saved)
            self.vcpus.append(vcpu)


def check_realm(system: Kernel, ipa_width: int, hash_algo: str, rpv: bytes, pmu_counters: int | None) -> None:
    """Raise MachineError unless the RMM offers such a Realm."""
    features = system.probe()
    _check(features.S2SZ, ipa_width, hash_algo, rpv)
    _check_pmu(features, pmu_counters)


def _check(widest: int, ipa_width: int, hash_algo: str, rpv: bytes) -> None:
    if not _MIN_IPA_WIDTH <= ipa_width <= widest:
        raise MachineError(f"the IPA width must be {_MIN_IPA_WIDTH} to {widest} bits, not {ipa_width}")
    if hash_algo not in HASH_ALGORITHMS:
        raise MachineError(f"the hash algorithm must be {' or '.join(HASH_ALGORITHMS)}, not {hash_algo!r}")
    if len(rpv) > _RPV_SIZE:
        raise MachineError(f"the Realm Personalization Value must be at most {_RPV_SIZE} bytes, not {len(rpv)}")


def _check_pmu(features: FeatureRegister0, counters: int | None) -> None:
    if counters is None:
        return
    if not features.PMU_EN:
        raise MachineError("the RMM must offer a PMU for `pmu_counters`, and this one does not")
    if not 1 <= counters <= features.PMU_NUM_CTRS:
        raise MachineError(f"`pmu_counters` must be 1 to {features.PMU_NUM_CTRS}, not {counters}")
