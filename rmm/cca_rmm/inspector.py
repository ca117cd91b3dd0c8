"""This RMM's inspector (:mod:`cca_platform.machine.inspection`), which reads its granules."""

from collections.abc import Callable
from typing import Final

from cca_arch.descriptors import rtte
from cca_arch.rmi.v1_0 import HashAlgorithm
from cca_arch.types import GRANULE_SIZE
from cca_platform.errors import Closed
from cca_platform.isa import frame
from cca_platform.machine.inspection import RealmFacts, RecFacts
from cca_platform.memory.ports import Port
from cca_rmm.objects.granule import Granules, State
from cca_rmm.objects.measurement import HASH_SIZE
from cca_rmm.objects.realm import REALM, REM_COUNT, RPV_OFFSET, RealmState, measurement_offset
from cca_rmm.objects.rec import REC, ExitKind, RecState

__all__ = ["Inspector"]

_RPV_SIZE: Final = 64


class Inspector:
    """Reads the RMM's own memory without changing it."""

    def __init__(self, port: Port, granules: Callable[[], Granules]) -> None:
        self._port = port
        self._tracked = granules

    @property
    def _granules(self) -> Granules:
        if self._port.memory.closed:
            raise Closed("an access to its memory")
        return self._tracked()

    def granule(self, pa: int) -> str | None:
        """The state of a granule, or None if it is not tracked."""
        state = self._granules.state(pa)
        return None if state < 0 else State(state).name

    def _all(self, wanted: State) -> list[int]:
        """Every granule in a state, ascending."""
        granules, port, found = self._granules, self._port, list[int]()
        for base, size in granules.banks:
            states = port.read(granules.slot(base), size // GRANULE_SIZE)
            at = states.find(wanted)
            while at >= 0:
                found.append(base + at * GRANULE_SIZE)
                at = states.find(wanted, at + 1)
        return sorted(found)

    def _check(self, pa: int, wanted: State) -> None:
        if self._granules.state(pa) != wanted:
            raise KeyError(f"granule {pa:#x} must be {wanted.name}, not {self.granule(pa)}")

    def realms(self) -> list[int]:
        """The RDs of all Realms."""
        return self._all(State.RD)

    def realm(self, rd: int) -> RealmFacts:
        """The contents of an RD; raises KeyError for any other granule."""
        self._check(rd, State.RD)
        port, realm = self._port, REALM.load(self._port, rd)
        algorithm = HashAlgorithm(realm.hash_algo)
        rim, *rems = (
            port.read(rd + measurement_offset(index), HASH_SIZE[algorithm]) for index in range(1 + REM_COUNT)
        )  # fmt: skip
        return RealmFacts(
            rd=rd,
            state=RealmState(realm.state).name,
            vmid=realm.vmid,
            ipa_width=realm.s2sz,
            rtt_base=realm.rtt_base,
            rtt_level_start=realm.rtt_level_start,
            rtt_num_start=realm.rtt_num_start,
            hash_algo=algorithm.name,
            rpv=port.read(rd + RPV_OFFSET, _RPV_SIZE),
            rim=rim,
            rems=tuple(rems),
            num_recs=realm.num_recs,
        )

    def recs(self, rd: int) -> list[int]:
        """The RECs of a Realm by index."""
        found = ((REC.load(self._port, pa), pa) for pa in self._all(State.REC))
        return [pa for rec, pa in sorted(found, key=lambda one: one[0].rec_index) if rec.rd == rd]

    def rec(self, pa: int) -> RecFacts:
        """The contents of a REC; raises KeyError for any other granule."""
        self._check(pa, State.REC)
        rec = REC.load(self._port, pa)
        pending = {
            "PSCI": rec.psci_pending != 0,
            "HOST_CALL": rec.host_call != 0,
            "RIPAS_CHANGE": rec.ripas_pending != 0,
            "MMIO": rec.exit_kind == ExitKind.EMULATABLE,
        }
        return RecFacts(
            pa=pa,
            rd=rec.rd,
            index=rec.rec_index,
            mpidr=rec.mpidr,
            state=RecState(rec.state).name,
            runnable=bool(rec.runnable),
            pending=tuple(name for name, wanted in pending.items() if wanted),
            registers={name: rec.aux_regs + frame.offset(name) for name in frame.EL1_FRAME},
        )

    def rtt_entry(self, entry: int, level: int) -> str:
        """The state of an RTT entry as text."""
        return rtte.name(entry, level)
