"""Random calls of several hosts to several Realms, each compared with the model and followed by the invariants."""

import struct
from collections.abc import Callable
from typing import Any, Protocol

from realm_stub import stub_code
from rmm_host import Host, to_code
from rmm_model import CALL, CODE, DATA, ONES, PAGE, RTT, D, U, is_live, is_table
from rmm_model_run import RunningModel

from cca_arch.rmi.v1_0 import Rmi
from cca_arch.types import Gpi, Pas, SecurityState
from cca_platform.machine.machine import Machine
from cca_rmm.objects.granule import State
from cca_rmm.objects.realm import REALM

__all__ = [
    "BIG",
    "CODE_SOURCE",
    "GRANULES",
    "LOST",
    "POOL",
    "REALM_PARAMS",
    "REC_PARAMS",
    "RUNS",
    "SECRET",
    "SOURCE",
    "Broken",
    "Driver",
    "Random",
]

POOL, COUNT = 0x9000_0000, 96
GRANULES = [POOL + PAGE * number for number in range(COUNT)]
LOST = POOL + PAGE * COUNT  # EL3 has given it to another world
REALM_PARAMS, REC_PARAMS, SOURCE, CODE_SOURCE, *RUNS = [LOST + PAGE * number for number in range(1, 9)]
BIG = [0x9020_0000 + PAGE * number for number in range(512)]  # the pages of a block
PAGES = [*GRANULES, LOST, REALM_PARAMS, REC_PARAMS, SOURCE, CODE_SOURCE, *RUNS]
BLOCK, GIB = 0x20_0000, 0x4000_0000
BUFFER = 2 * PAGE
SECRET = 0x5EC2_E7C0_DEAD_BEA7
_SECRET = SECRET.to_bytes(8, "little")
_TABLE = struct.Struct("<512Q")
_ZERO = bytes(PAGE)
_CODE = to_code(
    "; ".join(f"movk x21, #{SECRET >> shift & 0xFFFF}, lsl #{shift}" for shift in (0, 16, 32, 48))
    + "; mov x22, x21; mov x30, x21; "
    + stub_code(CALL),
    CODE,
)


class Random(Protocol):
    """What the driver asks of a source of randomness; hypothesis has one that shrinks."""

    def random(self) -> float: ...
    def randrange(self, stop: int) -> int: ...
    def choice(self, items: Any) -> Any: ...


class Broken(AssertionError):
    """An invariant does not hold, or the RMM and the model differ."""


class Driver:
    """A machine, its model, and a source of randomness. Every call is one step."""

    def __init__(self, host: Host, random: Random) -> None:
        self.host = host
        self.machine: Machine = host.machine
        self.memory = host.machine.memory
        self.random = random
        self.calls = 0
        self.answers: dict[tuple[str, int], int] = {}
        self.log: list[tuple[Any, ...]] = []
        self.base = self.machine.snapshot()
        self._prepare()
        self.model = RunningModel([(base, base + size) for base, size in host.rmm.granules.banks], {LOST})
        self.model.code = _CODE.ljust(PAGE, b"\0")
        own = host.rmm.base + 0x100_0000  # the RMM's data: see cca_rmm.rmm
        states = {host.rmm.granules.slot(pa) & -PAGE for pa in PAGES}
        self.own = [self.memory.page_index(pa) for pa in (*range(own, own + 0x6_0000, PAGE), *states)]
        self.first = self.memory.page_index(POOL)
        self.plan: list[Callable[[], None]] = []
        self.vmid = 0
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

    # -- a call and what must hold after it ---------------------------------------------------------------------------
    def checkpoint(self, ran: bool) -> None:
        """From here on changes are counted."""
        for index in self.dirty():
            self.forget(index)
        if ran:
            for pe in self.machine.pes:
                pe.tlb.flush()

    def dirty(self) -> list[int]:
        """The pages of the pool, and of the RMM's own data, that have been written since the last checkpoint."""
        dirty = self.memory.dirty
        pool = dirty[self.first : self.first + len(PAGES)].nonzero()[0] + self.first
        found: list[int] = pool.tolist() + [index for index in self.own if dirty[index]]
        return found

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

    def call(self, name: str, expected: Callable[[], tuple[int, ...]], *args: int, run: int = 0) -> tuple[int, ...]:
        """One command: X0..X4 are the model's, and the invariants hold."""
        self.log.append((name, *args))
        self.model.touched.clear()
        pe = self.machine.pes[self.random.randrange(2)]
        self.checkpoint(run != 0)
        got = tuple(self.host.call(Rmi[name], *args, pe=pe))
        want = expected()
        self.calls += 1
        key = (name, want[0])
        self.answers[key] = self.answers.get(key, 0) + 1
        x4 = args[3] & ONES if len(args) > 3 else got[4]
        full = (*want, *(0,) * (4 - len(want)), x4)[:5] if len(want) < 5 else want
        if got != full:
            raise Broken(f"{name} gave {[hex(v) for v in got]}, not {[hex(v) for v in full]}")
        self.invariants(name, want[0] == 0, run)
        return got

    def invariants(self, name: str, done: bool, run: int) -> None:
        """What must hold after every call."""
        model, changed = self.model, self.changed()
        if not done and changed:
            raise Broken(f"{name} failed and changed {sorted(map(hex, changed))}")
        for pa in model.touched:
            self.check_state(pa)
        for pa, content in changed.items():
            state = model.state.get(pa, U)
            if state == U:
                if pa < POOL or pa >= POOL + len(PAGES) * PAGE:
                    continue  # the RMM's own data
                if _SECRET in content:
                    raise Broken(f"{name} shows the secret in {pa:#x}")
                if pa != run and pa not in model.touched:
                    raise Broken(f"{name} wrote the Non-secure granule {pa:#x}")
            elif state == D:
                if content != _ZERO:
                    raise Broken(f"{name} left something in the DELEGATED granule {pa:#x}")
            elif state == RTT and _TABLE.unpack(content) != tuple(model.tables[pa].entries):
                raise Broken(f"{name} wrote other entries into the RTT {pa:#x} than a command asked for")
        if self.calls % 128 == 0:
            self.everything()

    def check_state(self, pa: int) -> None:
        """The RMM, the model and the GPT say the same of a granule, and a DELEGATED one is zero."""
        state = self.model.state[pa]
        if self.host.rmm.granules.state(pa) != state:
            raise Broken(f"granule {pa:#x} must be {State(state).name}")
        gpi = self.memory.gpi(pa)
        if gpi != (Gpi.NON_SECURE if state == U else Gpi.REALM):
            raise Broken(f"granule {pa:#x} is {State(state).name} and {gpi!r} in the GPT")
        if state in (U, D) and self.host.peek.read(pa, PAGE) != _ZERO:
            raise Broken(f"granule {pa:#x} is {State(state).name} and not zero")
        if state == DATA:  # what its Realm keeps there
            self.host.peek.write64(pa + 0x800, SECRET)

    def everything(self) -> None:
        """The same of all granules; tables as trees; nothing else in memory has been written."""
        model, peek = self.model, self.host.peek
        for pa in model.state:
            if self.host.rmm.granules.state(pa) != model.state[pa]:
                raise Broken(f"granule {pa:#x} must be {State(model.state[pa]).name}")
        seen: dict[int, int] = {}
        for pa, table in model.tables.items():
            if peek.read(pa, PAGE) != _TABLE.pack(*table.entries):
                raise Broken(f"the RTT {pa:#x} is not what commands made it")
            for entry in filter(is_live, table.entries):
                if not entry >> 55 & 1:
                    first = entry & 0xFFFF_FFFF_F000
                    count = 1 if table.level == 3 or is_table(entry, table.level) else 512
                    for place in range(first, first + count * PAGE, PAGE):
                        seen[place] = seen.get(place, 0) + 1
        for rd, realm in model.realms.items():
            for table_pa in realm.tables:
                seen[table_pa] = seen.get(table_pa, 0) + 1
            kept = REALM.load(peek, rd)
            if (kept.state, kept.num_recs, kept.rec_index) != (realm.state, len(realm.recs), realm.next_rec):
                raise Broken(f"the RD {rd:#x} must say {realm}, not {kept}")
        owned = {pa for pa, state in model.state.items() if state in (DATA, RTT)}
        if seen != dict.fromkeys(owned, 1):
            raise Broken("a DATA or RTT granule must be in exactly one table entry")
        for index in self.memory.dirty.nonzero()[0].tolist():
            pa = self.memory.page_address(index)
            if not (POOL <= pa < POOL + len(PAGES) * PAGE or BIG[0] <= pa <= BIG[-1] or in_firmware(self.machine, pa)):
                raise Broken(f"{pa:#x} was written, which is nobody's business")


def in_firmware(machine: Machine, pa: int) -> bool:
    """EL3's memory, or the RMM's region."""
    return any(
        region.base <= pa < region.top for region in machine.board.regions if region.pas in (Pas.ROOT, Pas.REALM)
    )

