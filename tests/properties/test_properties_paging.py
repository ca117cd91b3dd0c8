"""Random sequences of paging, RIPAS changes and destruction against a model: contents are right, or refused.

The Host keeps everything that ever left a Realm and offers any of it at any place, also with a bit turned. The model
says which one of these is the page that went out last; the RMM must take that one and no other.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from rmm_host import PAGE, RAM, Host, Realm, machine_host
from rmm_model import PAGING
from rmm_paging import PagingHosts

from cca_arch.extensions import PagedState, Paging
from cca_arch.rmi.v1_0 import Rmi, RmiReturn, RmiRipas, RmiRttEntryState, RmiStatus
from cca_rmm.objects.granule import State
from cca_rmm.objects.rec import REC

PAGES = 6
STEPS = 500
EMPTY, RAM_, DESTROYED = RmiRipas.EMPTY, RmiRipas.RAM, RmiRipas.DESTROYED
RTT = (RmiStatus.ERROR_RTT, 3)


@dataclass(frozen=True)
class Blob:
    """What left a Realm: where the Host keeps it, and what it was."""

    life: int
    ipa: int
    version: int
    src: int
    tag: tuple[int, int]


@dataclass(frozen=True)
class Slot:
    """A page of a Realm: what is there, and what it holds."""

    ripas: int = EMPTY
    state: int = RmiRttEntryState.UNASSIGNED
    data: int = 0
    version: int = 0
    content: bytes = bytes(PAGE)


@dataclass
class Life:
    """A Realm from its creation to its end."""

    number: int
    realm: Realm
    slots: dict[int, Slot] = field(default_factory=dict)
    went: int = 0


@pytest.fixture(scope="module")
def offering() -> Iterator[Host]:
    """A machine whose RMM has the extension."""
    host = machine_host(extensions=("paging",))
    yield host
    host.machine.close()


@pytest.fixture(scope="module")
def start(offering: Host) -> Any:
    """Its state right after boot."""
    return offering.machine.snapshot()


class Player:
    """The Host, and the model."""

    def __init__(self, host: Host, source: random.Random) -> None:
        self.host, self.source = host, source
        self.blobs: list[Blob] = []
        self.spare = [host.granules() for _ in range(2 * PAGES + 4)]
        self.seen: set[str] = set()
        self.lives = [self.born(0), self.born(1)]

    def born(self, number: int) -> Life:
        """A Realm with a REC, and RAM at some of its pages."""
        realm = Realm(self.host)
        self.host.ok(Rmi.RTT_INIT_RIPAS, realm.rd, RAM, RAM + (PAGES - 1) * PAGE)
        realm.rec()
        slots = {RAM + at * PAGE: Slot(RAM_ if at < PAGES - 1 else EMPTY) for at in range(PAGES)}
        return Life(number, realm, slots)

    def step(self) -> None:
        """Something, anywhere; then everything is as the model says."""
        life = self.source.choice(self.lives)
        ipa = self.source.choice(sorted(life.slots))
        pages = (self.out, self.out, self.back, self.back, self.back)
        doings = (self.create, self.write, *pages, self.ripas, self.destroy)
        if self.source.random() < 0.04:
            doings = (self.table, self.end, self.fold)
        self.source.choice(doings)(life, ipa)
        self.check(life)

    def ask(self, fid: int, *args: int) -> tuple[tuple[Any, int], list[int]]:
        """(status, index) and X1..X4."""
        x = self.host.call(fid, *args)
        value = RmiReturn(x[0])
        return (value.status, value.index), x[1:]

    # -- what the Host does -------------------------------------------------------------------------------------------
    def create(self, life: Life, ipa: int) -> None:
        """DATA_CREATE_UNKNOWN: only where nothing is, neither a page nor one that is out."""
        slot, data = life.slots[ipa], self.spare[-1]
        status, _ = self.ask(Rmi.DATA_CREATE_UNKNOWN, life.realm.rd, data, ipa)
        if slot.state != RmiRttEntryState.UNASSIGNED:
            assert status == RTT
            return
        assert status[0] == 0
        self.spare.pop()
        life.slots[ipa] = Slot(slot.ripas, RmiRttEntryState.ASSIGNED, data)

    def write(self, life: Life, ipa: int) -> None:
        """The Realm writes to a page that it has."""
        slot = life.slots[ipa]
        if slot.state == RmiRttEntryState.ASSIGNED and slot.ripas == RAM_:
            content = self.source.randbytes(64) * 64
            self.host.peek.write(slot.data, content)
            life.slots[ipa] = replace(slot, content=content)

    def out(self, life: Life, ipa: int) -> None:
        """PAGE_OUT: of a page that is there, whatever its RIPAS."""
        slot, dst = life.slots[ipa], self.host.page()
        status, x = self.ask(Paging.PAGE_OUT, life.realm.rd, ipa, dst)
        if slot.state != RmiRttEntryState.ASSIGNED:
            assert status == RTT
            return
        life.went += 1
        assert (status[0], x[0], x[3]) == (0, slot.data, life.went)
        assert self.host.peek.read(slot.data, PAGE) == bytes(PAGE)
        self.spare.append(slot.data)
        self.blobs.append(Blob(life.number, ipa, life.went, dst, (x[1], x[2])))
        life.slots[ipa] = replace(slot, state=PagedState.SEALED, data=0, version=life.went)
        self.seen.add("out")

    def back(self, life: Life, ipa: int) -> None:
        """PAGE_IN of anything that the Host has, mostly of what is right, sometimes with a bit turned."""
        if not self.blobs:
            return
        slot, data = life.slots[ipa], self.spare[-1]
        right = [one for one in self.blobs if (one.life, one.ipa, one.version) == (life.number, ipa, slot.version)]
        blob = self.source.choice(right if right and self.source.random() < 0.6 else self.blobs)
        src, tag, turned = blob.src, blob.tag, self.source.random() < 0.15
        if turned:
            page, bit = bytearray(self.host.memory.read(src, PAGE)), self.source.randrange(8 * PAGE + 128)
            if bit < 8 * PAGE:
                page[bit // 8] ^= 1 << bit % 8
                src = self.host.page(bytes(page))
            else:
                bit -= 8 * PAGE
                tag = (tag[0] ^ (1 << bit if bit < 64 else 0), tag[1] ^ (1 << bit - 64 if bit >= 64 else 0))
        status, _ = self.ask(Paging.PAGE_IN, life.realm.rd, data, ipa, src, *tag)
        if slot.state != PagedState.SEALED:
            assert status == RTT
        elif turned or blob not in right:
            assert status == (RmiStatus.ERROR_INPUT, 0)
            self.seen.add("turned" if turned else "wrong")
        else:
            assert status[0] == 0
            self.spare.pop()
            life.slots[ipa] = replace(slot, state=RmiRttEntryState.ASSIGNED, data=data, version=0)
            self.seen.add("back")

    def ripas(self, life: Life, ipa: int) -> None:
        """RTT_SET_RIPAS as the Realm has asked for it, of one page or to the end."""
        rec, wanted, destroyed = life.realm.recs[0], self.source.choice((EMPTY, RAM_)), self.source.randrange(2)
        top = self.source.choice((ipa + PAGE, RAM + PAGES * PAGE))
        REC.write(
            self.host.peek, rec, ripas_pending=1, ripas_addr=ipa, ripas_top=top, ripas_value=wanted,
            ripas_destroyed=destroyed,
        )  # fmt: skip
        status, x = self.ask(Rmi.RTT_SET_RIPAS, life.realm.rd, rec, ipa, top)
        reached = ipa
        while reached < top and (destroyed or life.slots[reached].ripas != DESTROYED):
            life.slots[reached] = replace(life.slots[reached], ripas=wanted)
            reached += PAGE
        assert status == ((0, 0) if reached > ipa else RTT)
        assert reached == ipa or x[0] == reached

    def destroy(self, life: Life, ipa: int) -> None:
        """DATA_DESTROY: of a page that is there or out; the second has no granule."""
        slot = life.slots[ipa]
        status, x = self.ask(Rmi.DATA_DESTROY, life.realm.rd, ipa)
        if slot.state == RmiRttEntryState.UNASSIGNED:
            assert status == RTT
            return
        assert (status[0], x[0]) == (0, slot.data)
        if slot.data:
            self.spare.append(slot.data)
        life.slots[ipa] = Slot(EMPTY if slot.ripas == EMPTY else DESTROYED)

    def table(self, life: Life, ipa: int) -> None:
        """RTT_DESTROY: a table with pages in it or out of it is live."""
        if any(slot.state != RmiRttEntryState.UNASSIGNED for slot in life.slots.values()):
            assert self.ask(Rmi.RTT_DESTROY, life.realm.rd, RAM, 3)[0] == RTT
            assert self.ask(Rmi.REALM_DESTROY, life.realm.rd)[0][0] == RmiStatus.ERROR_REALM

    def fold(self, life: Life, ipa: int) -> None:
        """RTT_FOLD: a table of different things is not homogeneous."""
        if len({(slot.state, slot.ripas) for slot in life.slots.values()}) > 1:
            assert self.ask(Rmi.RTT_FOLD, life.realm.rd, RAM, 3)[0] == RTT

    def end(self, life: Life, ipa: int) -> None:
        """The Realm ends, whatever is in or out, and another one begins."""
        for at in sorted(life.slots):
            self.destroy(life, at)
        life.realm.data.clear()
        life.realm.destroy()
        number = max(one.number for one in self.lives) + 1
        self.lives[self.lives.index(life)] = self.born(number)
        self.seen.add("end")

    # -- what must hold -----------------------------------------------------------------------------------------------
    def check(self, life: Life) -> None:
        """Entries, granules and contents are the model's."""
        host = self.host
        if life not in self.lives:
            return
        for ipa, slot in life.slots.items():
            level, state, desc, ripas = host.ok(Rmi.RTT_READ_ENTRY, life.realm.rd, ipa, 3)
            assert (level, state, desc, ripas) == (3, slot.state, slot.data or slot.version, slot.ripas)
            if slot.data:
                assert host.rmm.granules.state(slot.data) == State.DATA
                assert host.peek.read(slot.data, PAGE) == slot.content
        assert all(host.rmm.granules.state(pa) == State.DELEGATED for pa in self.spare)


@pytest.mark.parametrize("seed", range(6))
def test_contents_right_or_refused(offering: Host, start: Any, seed: int) -> None:
    """Whatever the Host does in whatever order, a Realm never has a page that is not the one that it had last."""
    offering.machine.restore(start)
    player = Player(Host(offering.machine, offering.rmm), random.Random(seed))
    for _ in range(STEPS):
        player.step()
    assert player.seen == {"out", "back", "wrong", "turned", "end"}


CALLS = 1_200
SEQUENCES, LAST_RESORT = 6, 20
ELSEWHERE = {("PAGE_OUT", "version_bound"), ("PAGE_IN", "data_bound2")}
"""2^36 pages that go out, and memory above 48 bits: tests/conformance provokes them."""
WANTED = [
    (name, condition)
    for name, command in PAGING.items()
    for condition in (*(rule.id for rule in command.rules), "success")
    if (name, condition) not in ELSEWHERE
]
"""What has to be seen: each condition decides a call, and each command succeeds."""


def test_among_all_commands(offering: Host, start: Any) -> None:
    """Random calls of all commands, with Realms that run: every answer and every byte is the model's."""
    seen: Counter[tuple[str, str]] = Counter()
    seed = 0
    while seed < SEQUENCES or (seed < LAST_RESORT and any(one not in seen for one in WANTED)):
        offering.machine.restore(start)
        hosts = PagingHosts(Host(offering.machine, offering.rmm), random.Random(seed))
        try:
            while hosts.calls < CALLS:
                hosts.step()
            hosts.everything()
        finally:
            hosts.finish()
        seen += hosts.seen
        seed += 1
    assert not [one for one in WANTED if one not in seen]
    assert seen["REC_ENTER", "success"] > 100 and seen["PAGE_IN", "success"] > 50
