"""A machine and its model, and what must hold of the two after every step."""

from collections import Counter
from itertools import groupby

import numpy as np
from rmm_host import Host, to_code
from rmm_model.entries import Hipas, encode, span
from rmm_model.facts import PAGE, Granule, Platform, Realm, RealmState, Rec
from rmm_model.guest import CODE, source
from rmm_model.model import Model

from cca_arch.rmi.v1_0 import Rmi
from cca_arch.sysregs import encodings
from cca_arch.types import Gpi, Pas, SecurityState
from cca_platform.machine.machine import Machine
from cca_rmm.objects.granule import State
from cca_rmm.objects.rec import AUX_COUNT

__all__ = ["BIG", "CODE_SOURCE", "GRANULES", "LOST", "REALM_PARAMS", "REC_PARAMS", "RUNS", "SECRET", "SHARED", "SOURCE"]
__all__ += ["SWAP", "Broken", "Watched"]

POOL, COUNT = 0x9000_0000, 112
GRANULES = [POOL + PAGE * number for number in range(COUNT)]
LOST = POOL + PAGE * COUNT  # EL3 has given it to another world
REALM_PARAMS, REC_PARAMS, SOURCE, CODE_SOURCE, *RUNS = [LOST + PAGE * number for number in range(1, 9)]
SHARED = [LOST + PAGE * number for number in range(9, 11)]  # the Host's, for Realms to reach
SWAP = [LOST + PAGE * number for number in range(11, 15)]  # for pages that are out
PAGES = [*GRANULES, LOST, REALM_PARAMS, REC_PARAMS, SOURCE, CODE_SOURCE, *RUNS, *SHARED, *SWAP]
BIG = [0x9020_0000 + PAGE * number for number in range(512)]  # the pages of a block
SECRET = 0x5EC2_E7C0_DEAD_BEA7
SECRET_AT = 0xFF8
_SECRET = SECRET.to_bytes(8, "little")
_ZERO = bytes(PAGE)
_CODE = to_code(source(SECRET), CODE)


class Broken(AssertionError):
    """An invariant does not hold, or the RMM and the model differ."""


class Watched:
    """A machine and its model."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.machine: Machine = host.machine
        self.memory = host.machine.memory
        self.base = self.machine.snapshot()
        self._prepare()
        banks = tuple((base, base + size) for base, size in host.rmm.granules.banks)
        features = host.call(Rmi.FEATURES, 0)[1]
        wide = host.pe.id_register(*encodings.ID_AA64MMFR1_EL1) >> 4 & 0xF == 2
        self.model = Model(Platform(banks, features, AUX_COUNT, 16 if wide else 8), {LOST}, host.peek.read)
        self.model.code = _CODE
        self.model.boot = (self.memory.key_seed, self.memory.boots)
        self.model.shared = frozenset(SHARED)
        own = host.rmm.base + 0x100_0000  # the RMM's data: see cca_rmm.rmm
        states = {host.rmm.granules.slot(pa) & -PAGE for pa in PAGES}
        self.own = [self.memory.page_index(pa) for pa in (*range(own, own + 0x6_0000, PAGE), *states)]
        self.first = self.memory.page_index(POOL)
        self.machine.snapshot()

    def _prepare(self) -> None:
        host = self.host
        for pa in PAGES:
            host.memory.write(pa, _ZERO)
        host.ok(Rmi.GRANULE_DELEGATE, LOST)
        self.memory.port(SecurityState.REALM).write8(host.rmm.granules.slot(LOST), State.UNDELEGATED)
        host.memory.write(CODE_SOURCE, _CODE)
        host.memory.write(SOURCE, b"from the host")

    def finish(self) -> None:
        """The machine as it was before."""
        self.machine.restore(self.base)

    def checkpoint(self) -> None:
        """From here on changes are counted."""
        for index in self.dirty():
            self.forget(index)

    def dirty(self) -> list[int]:
        """The pages of the pool, and of the RMM's own data, that have been written since the last checkpoint.

        What Realms may write is always so: a PE that may write somewhere does not say when it does, and no TLB is
        emptied here, so that one that the RMM forgets to empty shows.
        """
        dirty = self.memory.dirty
        pool: list[int] = (np.flatnonzero(dirty[self.first : self.first + len(PAGES)]) + self.first).tolist()
        found = [index for index in pool if not self.realms_write(POOL + (index - self.first) * PAGE)]
        return found + [index for index in self.own if dirty[index]]

    def realms_write(self, pa: int) -> bool:
        """DATA, or what is shared with the Host."""
        return pa in SHARED or self.model.state(pa) is Granule.DATA

    def forget(self, index: int) -> None:
        """Take the page as it is for the one to compare with; the snapshot keeps what it was at first."""
        start = index * PAGE
        self.base.node.pages.setdefault(index, self.memory.shadow[start : start + PAGE])
        self.memory.dirty[index] = 0

    def changed(self) -> dict[int, bytes]:
        """PA -> contents of the pages that differ from the last checkpoint."""
        memory, result = self.memory, {}
        for index in self.dirty():
            start = index * PAGE
            new = memory.dram[start : start + PAGE]
            if new != memory.shadow[start : start + PAGE]:
                result[memory.page_address(index)] = new
        return result

    def invariants(self, name: str, failed: bool, run_ptr: int) -> None:
        """What must hold after every call; ``run_ptr`` is the record of a REC that ran, or 0."""
        model, changed = self.model, self.changed()
        if failed and changed:
            raise Broken(f"{name} failed and changed {sorted(map(hex, changed))}")
        for pa, data in model.host_written.items():
            if self.host.peek.read(pa, len(data)) != data:
                raise Broken(f"nobody has written {data[:64].hex()} to {pa:#x}")
        for pa in model.touched:
            self.check_state(pa)
        for pa, content in changed.items():
            state = model.state(pa)
            if state is Granule.UNDELEGATED:
                if pa < POOL or pa >= POOL + len(PAGES) * PAGE:
                    continue  # the RMM's own data
                if _SECRET in content:
                    raise Broken(f"{name} shows the secret in {pa:#x}")
                if pa != run_ptr and pa not in model.touched and pa not in model.host_written:
                    raise Broken(f"{name} wrote the Non-secure granule {pa:#x}")
            elif state is Granule.DELEGATED:
                if content != _ZERO:
                    raise Broken(f"{name} left something in the DELEGATED granule {pa:#x}")
            elif state is Granule.RTT and pa not in model.changed:
                raise Broken(f"{name} wrote into the RTT {pa:#x}, which is not its business")
        for pa in model.changed:
            self.check_table(pa, name)

    def check_state(self, pa: int) -> None:
        """The RMM, the model and the GPT say the same of a granule, and a DELEGATED one is zero."""
        state = self.model.state(pa)
        free = state in (Granule.UNDELEGATED, Granule.DELEGATED)
        if self.host.rmm.granules.state(pa) != State[state.name]:
            raise Broken(f"granule {pa:#x} must be {state.name}")
        gpi = self.memory.gpi(pa)
        if gpi != (Gpi.NON_SECURE if state is Granule.UNDELEGATED else Gpi.REALM):
            raise Broken(f"granule {pa:#x} is {state.name} and {gpi!r} in the GPT")
        if free and self.host.peek.read(pa, PAGE) != _ZERO:
            raise Broken(f"granule {pa:#x} is {state.name} and not zero")
        if state is Granule.DATA:
            if self.host.peek.read(pa, PAGE) != self.model.contents[pa]:
                raise Broken(f"the DATA granule {pa:#x} does not hold what it was given")
            self.host.peek.write64(pa + SECRET_AT, SECRET)  # what its Realm keeps there
            self.model.write(pa + SECRET_AT, _SECRET)

    def check_table(self, pa: int, name: str) -> None:
        """A table holds the descriptors of what the model has there."""
        table = self.model.tables[pa]
        want = b"".join(
            encode(entry, table.level).to_bytes(8, "little") * sum(1 for _ in same)
            for entry, same in groupby(table.entries[: table.used])
        )
        have = self.host.peek.read(pa, 8 * table.used)
        if have != want:
            words = list(zip(memoryview(have).cast("Q"), memoryview(want).cast("Q"), strict=True))
            at, entry = next((slot, got) for slot, (got, right) in enumerate(words) if got != right)
            raise Broken(f"{name}: the RTT {pa:#x} has {entry:#x} for {table.ipa(at):#x}, not {table.entries[at]}")

    def everything(self) -> None:
        """All granules, tables, Realms, RECs and contents; nothing else in memory has been written."""
        model, peek = self.model, self.host.peek
        for pa, state in model.granules.items():
            if self.host.rmm.granules.state(pa) != State[state.name]:
                raise Broken(f"granule {pa:#x} must be {state.name}")
        seen: Counter[int] = Counter()
        for pa, table in model.tables.items():
            self.check_table(pa, "everything")
            for entry in table.entries:
                if entry.hipas is Hipas.TABLE:
                    seen[entry.pa] += 1
                elif entry.hipas is Hipas.ASSIGNED:
                    seen.update(range(entry.pa, entry.pa + span(table.level), PAGE))
        for realm in model.realms.values():
            seen.update(realm.roots)
            self.check_realm(realm)
        for pa, rec in model.recs.items():
            self.check_rec(pa, rec)
        for pa, content in model.contents.items():
            if peek.read(pa, PAGE) != content:
                raise Broken(f"the DATA granule {pa:#x} does not hold what its Realm has left there")
        owned = {pa for pa, state in model.granules.items() if state in (Granule.DATA, Granule.RTT)}
        if seen != dict.fromkeys(owned, 1):
            raise Broken("a DATA or RTT granule must be in exactly one table entry")
        for index in np.flatnonzero(self.memory.dirty).tolist():
            pa = self.memory.page_address(index)
            if not (POOL <= pa < POOL + len(PAGES) * PAGE or BIG[0] <= pa <= BIG[-1] or in_firmware(self.machine, pa)):
                raise Broken(f"{pa:#x} was written, which is nobody's business")

    def check_realm(self, realm: Realm) -> None:
        """An RD, as the inspector reads it."""
        kept = self.host.rmm.inspector.realm(realm.rd)
        size = len(kept.rim)
        have = (kept.state, kept.num_recs, kept.vmid, kept.rpv, kept.rim, *kept.rems)
        want = (realm.state.name, len(realm.recs), realm.vmid, realm.rpv)
        want += (realm.rim[:size], *(rem[:size] for rem in realm.rems))
        if have != want:
            raise Broken(f"the RD {realm.rd:#x} must say {want}, not {have}")

    def check_rec(self, pa: int, rec: Rec) -> None:
        """A REC, as the inspector reads it."""
        kept = self.host.rmm.inspector.rec(pa)
        pending = {"PSCI": rec.psci, "HOST_CALL": rec.host_call, "RIPAS_CHANGE": rec.ripas}
        names = {name for name, value in pending.items() if value is not None}
        if rec.abort is not None and rec.abort.emulatable:
            names.add("MMIO")
        have = (kept.rd, kept.index, kept.state, kept.runnable, set(kept.pending))
        if have != (rec.rd, rec.index, "READY", rec.runnable, names):
            raise Broken(f"the REC {pa:#x} must be {rec}, not {have}")

    def realms(self, state: RealmState) -> list[int]:
        """The RDs of the Realms in a state."""
        return [rd for rd, realm in self.model.realms.items() if realm.state is state]


def in_firmware(machine: Machine, pa: int) -> bool:
    """EL3's memory, or the RMM's region."""
    return any(
        region.base <= pa < region.top for region in machine.board.regions if region.pas in (Pas.ROOT, Pas.REALM)
    )
