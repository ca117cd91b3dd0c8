"""Steps of several hosts on a machine, each compared with the model and followed by the invariants."""

import struct
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

from rmm_host import Host, to_code
from rmm_model import COMMANDS
from rmm_model.entries import Hipas, encode, span
from rmm_model.facts import ONES, PAGE, Answer, Granule, Platform, Realm, RealmState, Rec
from rmm_model.guest import CODE, foreseen, run, source
from rmm_model.model import Model
from rmm_model.records import SIZE, wrong
from rmm_model.rules import Call, Verdict, judge
from rmm_model.services import Exit

from cca_arch.rmi.v1_0 import Rmi
from cca_arch.sysregs import encodings
from cca_arch.types import Gpi, Pas, SecurityState
from cca_platform.machine.machine import Machine
from cca_platform.trace.trace import Record
from cca_rmm.objects.granule import State
from cca_rmm.objects.rec import AUX_COUNT

__all__ = ["BIG", "CODE_SOURCE", "FID", "GRANULES", "LOST", "REALM_PARAMS", "REC_PARAMS", "RUNS", "SECRET", "SHARED"]
__all__ += ["SOURCE", "Broken", "Driver", "Page", "Step"]

POOL, COUNT = 0x9000_0000, 112
GRANULES = [POOL + PAGE * number for number in range(COUNT)]
LOST = POOL + PAGE * COUNT  # EL3 has given it to another world
REALM_PARAMS, REC_PARAMS, SOURCE, CODE_SOURCE, *RUNS = [LOST + PAGE * number for number in range(1, 9)]
SHARED = [LOST + PAGE * number for number in range(9, 11)]  # the Host's, for Realms to reach
PAGES = [*GRANULES, LOST, REALM_PARAMS, REC_PARAMS, SOURCE, CODE_SOURCE, *RUNS, *SHARED]
BIG = [0x9020_0000 + PAGE * number for number in range(512)]  # the pages of a block
SECRET = 0x5EC2_E7C0_DEAD_BEA7
SECRET_AT = 0xFF8
FID = "FID"
EVERY = 256
"""Calls between two looks at everything."""
REGISTERS = 18
_SECRET = SECRET.to_bytes(8, "little")
_ZERO = bytes(PAGE)
_CODE = to_code(source(SECRET), CODE)


class Page(NamedTuple):
    """A page that the Host writes: its eight-byte words that are not zero, by offset."""

    pa: int
    words: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, pa: int, content: bytes) -> "Page":
        """The page with these bytes."""
        values = struct.unpack(f"<{len(content) // 8}Q", content)
        return cls(pa, tuple((8 * at, value) for at, value in enumerate(values) if value))

    def content(self) -> bytes:
        """All of it."""
        page = bytearray(PAGE)
        for at, value in self.words:
            page[at : at + 8] = value.to_bytes(8, "little")
        return bytes(page)

    def __repr__(self) -> str:
        return f"Page({self.pa:#x}, ({''.join(f'({at:#x}, {value:#x}), ' for at, value in self.words)}))"


class Step(NamedTuple):
    """What a host does: it writes its pages, then makes a call."""

    name: str
    """A command, or :data:`FID` for the function identifier that is the first argument."""
    args: tuple[int, ...]
    pages: tuple[Page, ...] = ()
    pe: int = 0
    meanwhile: tuple["Step", ...] = ()
    """What a host on another PE does while the Realm runs, as soon as that makes an SMC."""

    def __repr__(self) -> str:
        args = "".join(f"{value:#x}, " for value in self.args)
        rest = f", {self.pages}" if self.pages else ""
        rest += f", pe={self.pe}" if self.pe else ""
        return f'Step("{self.name}", ({args}){rest}{f", meanwhile={self.meanwhile}" if self.meanwhile else ""})'


class Broken(AssertionError):
    """An invariant does not hold, or the RMM and the model differ."""


class _Meanwhile:
    """A sink that acts at the first SMC of a Realm that runs."""

    def __init__(self, action: Any) -> None:
        self.action = action

    def write(self, record: Record) -> None:
        """Act once."""
        if record["event"] in ("rsi.call", "psci.call") and self.action is not None:
            action, self.action = self.action, None
            action()

    def close(self) -> None:
        """Nothing to close."""


class Driver:
    """A machine and its model."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.machine: Machine = host.machine
        self.memory = host.machine.memory
        self.calls = 0
        self.seen: Counter[tuple[str, str]] = Counter()
        """(command, condition that decided, or "success") -> calls."""
        self.done: list[Step] = []
        self.exits: dict[int, Exit] = {}
        """The last exit of each REC."""
        self.base = self.machine.snapshot()
        self._prepare()
        banks = tuple((base, base + size) for base, size in host.rmm.granules.banks)
        features = host.call(Rmi.FEATURES, 0)[1]
        wide = host.pe.id_register(*encodings.ID_AA64MMFR1_EL1) >> 4 & 0xF == 2
        self.model = Model(Platform(banks, features, AUX_COUNT, 16 if wide else 8), {LOST}, host.peek.read)
        self.model.code = _CODE
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

    # -- a step ---------------------------------------------------------------------------------------------------
    def play(self, step: Step) -> bool:
        """Make a call and compare; False if nobody can foretell what it would do, and it was not made."""
        for page in step.pages:
            self.host.memory.write(page.pa, page.content())
        if step.name == FID:
            self.done.append(step)
            return self.undefined(step)
        verdict = judge(Call(self.model, COMMANDS[step.name], step.args))
        entered = step.name == "REC_ENTER" and verdict.failed is None
        if entered and not self.foreseen(verdict.call):
            return False
        self.done.append(step)
        self.checkpoint()
        self.model.touched.clear()
        self.model.changed.clear()
        self.model.host_written.clear()
        if entered:
            self.enter(step, verdict)
        else:
            self.compare(step, verdict)
        self.calls += 1
        self.invariants(step, verdict, entered)
        return True

    def smc(self, step: Step) -> list[int]:
        """X0..X17 after the call; registers that are no argument hold marks."""
        pe = self.machine.pes[step.pe]
        fid = () if step.name == FID else (int(Rmi[step.name]),)
        given = [*fid, *step.args]
        marks = [0xA5A5_0000 + number for number in range(len(given), REGISTERS)]
        self.host.call(*given, *marks, pe=pe)
        return [int(value) for value in pe.x[:REGISTERS]]

    def compare(self, step: Step, verdict: Verdict) -> None:
        """A command that runs no Realm."""
        got = self.smc(step)
        failed = verdict.failures[0][1] if verdict.failures else None
        if got[0] not in verdict.allowed:
            raise Broken(f"{step.name} gave {got[0]:#x}, not {say(verdict)}")
        if got[0] != (failed.x0 if failed is not None else 0):
            raise Broken(
                f"{step.name} gave {got[0]:#x} for {verdict.allowed[got[0]]}; the specification leaves that open, "
                f"the fact book has {say(verdict)}"
            )
        x = failed.x if failed is not None else COMMANDS[step.name].effect(verdict.call)
        self.outputs(step, got, Answer(failed.status, failed.index, x) if failed is not None else Answer(0, 0, x))
        self.seen[step.name, verdict.failed or "success"] += 1

    def outputs(self, step: Step, got: list[int], answer: Answer) -> None:
        """X1..X17: outputs, zero where X1..X3 are none, and everything else as it was."""
        given = [0, *(value & ONES for value in step.args)]
        given += [0xA5A5_0000 + number for number in range(len(given), REGISTERS)]
        want = [answer.x0, *answer.x, *(0,) * (3 - len(answer.x))]
        want += given[len(want) :]
        if got != want:
            at = next(number for number in range(REGISTERS) if got[number] != want[number])
            raise Broken(f"{step.name} with X0 {got[0]:#x} left {got[at]:#x} in X{at}, not {want[at]:#x}")

    def undefined(self, step: Step) -> bool:
        """A function identifier that is no command's."""
        self.checkpoint()
        got = self.smc(step)
        if got[0] != ONES:
            raise Broken(f"function {step.args[0]:#x} gave {got[0]:#x}")
        if self.changed():
            raise Broken(f"function {step.args[0]:#x} has changed memory")
        self.calls += 1
        self.seen[FID, "undefined"] += 1
        return True

    # -- runs
    def foreseen(self, call: Call) -> bool:
        """The Realm does what the model knows."""
        model, rec = self.model, call.owner
        return foreseen(model, model.realms[rec.rd], rec, call.params)

    def enter(self, step: Step, verdict: Verdict) -> None:
        """A REC runs; a host on another PE may act meanwhile."""
        model, call = self.model, verdict.call
        rec, enter = call.owner, call.params
        running = run(model, model.realms[rec.rd], rec, enter)
        rec.running = True
        if step.meanwhile:
            sink = _Meanwhile(lambda: self.meanwhile(step, running))
            self.machine.trace.add(sink)
            try:
                got = self.smc(step)
            finally:
                self.machine.trace.close()
        else:
            got = self.smc(step)
        exit = _last(running)
        rec.running = False
        self.outputs(step, got, Answer(0))
        page = self.host.peek.read(call.run_ptr + SIZE, SIZE)
        differences = wrong(page, exit, enter, model.platform.features)
        if differences:
            raise Broken(f"the exit is not {exit}: {'; '.join(differences)}")
        self.exits[call.args["rec"]] = exit
        self.seen[step.name, "success"] += 1
        self.seen[step.name, f"exit {exit.reason} {exit.esr >> 26:x} {exit.esr >> 2 & 0xF:x}"] += 1

    def meanwhile(self, step: Step, running: Iterator[Exit | None]) -> None:
        """The Realm has come to an SMC."""
        assert next(running) is None, "the Realm makes a call that the model does not foresee"
        for other in step.meanwhile:
            self.compare(other, judge(Call(self.model, COMMANDS[other.name], other.args)))

    # -- what must hold after a step --------------------------------------------------------------------------------
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
        pool: list[int] = (dirty[self.first : self.first + len(PAGES)].nonzero()[0] + self.first).tolist()
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

    def invariants(self, step: Step, verdict: Verdict, entered: bool) -> None:
        """What must hold after every call."""
        model, changed = self.model, self.changed()
        if verdict.failed and changed:
            raise Broken(f"{step.name} failed and changed {sorted(map(hex, changed))}")
        run_ptr = verdict.call.run_ptr if entered else 0
        for pa, data in model.host_written.items():
            if self.host.peek.read(pa, len(data)) != data:
                raise Broken(f"the Realm has not written {data.hex()} to {pa:#x}")
        for pa in model.touched:
            self.check_state(pa)
        for pa, content in changed.items():
            state = model.state(pa)
            if state is Granule.UNDELEGATED:
                if pa < POOL or pa >= POOL + len(PAGES) * PAGE:
                    continue  # the RMM's own data
                if _SECRET in content:
                    raise Broken(f"{step.name} shows the secret in {pa:#x}")
                if pa != run_ptr and pa not in model.touched:
                    raise Broken(f"{step.name} wrote the Non-secure granule {pa:#x}")
            elif state is Granule.DELEGATED:
                if content != _ZERO:
                    raise Broken(f"{step.name} left something in the DELEGATED granule {pa:#x}")
            elif state is Granule.RTT and pa not in model.changed:
                raise Broken(f"{step.name} wrote into the RTT {pa:#x}, which is not its business")
        for pa in model.changed:
            self.check_table(pa, step.name)
        if self.calls % EVERY == 0:
            self.everything()

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
        for index in self.memory.dirty.nonzero()[0].tolist():
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


def _last(running: Iterator[Exit | None]) -> Exit:
    """The exit of a run."""
    for exit in running:
        if exit is not None:
            return exit
    raise AssertionError("a run ends in an exit")


def say(verdict: Verdict) -> str:
    """What is expected, in words."""
    if verdict.failed is None:
        return "success"
    return " or ".join(f"{x0:#x} ({name})" for x0, name in verdict.allowed.items())


def in_firmware(machine: Machine, pa: int) -> bool:
    """EL3's memory, or the RMM's region."""
    return any(
        region.base <= pa < region.top for region in machine.board.regions if region.pas in (Pas.ROOT, Pas.REALM)
    )
