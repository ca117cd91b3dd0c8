"""The extension `paging`: pages of a Realm leave it sealed and come back, or nothing does."""

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from realm_stub import BUFFER, CALL, Stub
from rmm_host import PAGE, RAM, Host, Realm, machine_host

import realmlab
from cca_arch.descriptors.rtte import VERSION_BITS
from cca_arch.extensions import PAGING_UID, PagedState, Paging, PagingFeatures, uid_words
from cca_arch.rmi.v1_0 import RecExitReason, Rmi, RmiReturn, RmiRipas, RmiStatus
from cca_arch.rsi.v1_0 import Rsi
from cca_arch.smccc import Owner, Query, query
from cca_arch.types import SecurityState
from cca_platform.errors import MachineError
from cca_platform.trace.sinks import Listing
from cca_rmm.extensions.paging import PAGES, PAGES_OFFSET
from cca_rmm.objects.granule import State
from cca_rmm.versions.v1_0 import V1_0

BLOCK = 0x20_0000
TEXT = bytes(range(256)) * 16
INPUT = (RmiStatus.ERROR_INPUT, 0)


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


@pytest.fixture
def paging(offering: Host, start: Any) -> Host:
    """The machine right after boot."""
    offering.machine.restore(start)
    return Host(offering.machine, offering.rmm)


class Sealed:
    """What the Host has of a page that is out."""

    def __init__(self, realm: Realm, ipa: int) -> None:
        host = realm.host
        self.realm, self.ipa = realm, ipa
        self.page = host.page(b"\xff" * PAGE)
        self.data, self.tag0, self.tag1, self.version = out(realm, ipa, self.page)

    @property
    def tag(self) -> tuple[int, int]:
        """The words of the tag."""
        return self.tag0, self.tag1

    def back(self, data: int | None = None, src: int | None = None, tag: Any = None, ipa: int | None = None) -> Any:
        """(status, index) of a PAGE_IN, of something else where that is given; into a fresh granule."""
        host = self.realm.host
        into = host.granules() if data is None else data
        answer = host.call(
            Paging.PAGE_IN, self.realm.rd, into, self.ipa if ipa is None else ipa, self.page if src is None else src,
            *(self.tag if tag is None else tag),
        )  # fmt: skip
        value = RmiReturn(answer[0])
        return value.status, value.index


def out(realm: Realm, ipa: int, dst: int) -> list[int]:
    """X1 to X4 of a PAGE_OUT that must succeed."""
    return realm.host.ok(Paging.PAGE_OUT, realm.rd, ipa, dst)


def entry(realm: Realm, ipa: int) -> list[int]:
    """State, desc and RIPAS of the page's entry."""
    return realm.host.ok(Rmi.RTT_READ_ENTRY, realm.rd, ipa, 3)[1:4]


@pytest.fixture
def full(paging: Host) -> Realm:
    """A NEW Realm with TEXT at RAM, and three more pages after it."""
    realm = Realm(paging)
    realm.write(RAM, TEXT)
    for number in range(1, 4):
        realm.write(RAM + number * PAGE, bytes((number,)) * PAGE)
    return realm


class TestOut:
    """PAGE_OUT."""

    def test_everything(self, full: Realm) -> None:
        """The granule is the Host's again, wiped; the entry has the version and keeps its RIPAS; the page is sealed."""
        host, pa = full.host, full.data[RAM]
        sealed = Sealed(full, RAM)
        assert (sealed.data, sealed.version) == (pa, 1)
        assert host.rmm.granules.state(pa) == State.DELEGATED
        assert host.peek.read(pa, PAGE) == bytes(PAGE)
        assert entry(full, RAM) == [PagedState.SEALED, 1, RmiRipas.RAM]
        assert host.memory.read(sealed.page, PAGE) != TEXT

    def test_definition(self, full: Realm) -> None:
        """AES-256-GCM with the Realm's key, the version as nonce, IPA and version authenticated: by another library."""
        host, memory = full.host, full.host.machine.memory
        first, second = Sealed(full, RAM), Sealed(full, RAM + PAGE)
        boot = b"Realmlab boot key 1" + memory.boots.to_bytes(8, "little")
        boot_key = HKDF(SHA384(), 32, salt=None, info=boot).derive(memory.key_seed)
        info = b"Realmlab page key 1" + (1).to_bytes(8, "little")
        cipher = AESGCM(HKDF(SHA384(), 32, salt=None, info=info).derive(boot_key))
        for sealed, content in ((first, TEXT), (second, b"\1" * PAGE)):
            box = host.memory.read(sealed.page, PAGE) + struct.pack("<2Q", *sealed.tag)
            bound = struct.pack("<2Q", sealed.ipa, sealed.version)
            assert cipher.decrypt(sealed.version.to_bytes(12, "little"), box, bound) == content

    def test_two_realms(self, paging: Host) -> None:
        """Two Realms with the same page have different keys, and so has the same Realm in its next life."""
        seen = []
        for _ in range(3):
            realm = Realm(paging)
            realm.write(RAM, TEXT)
            sealed = Sealed(realm, RAM)
            seen.append(paging.memory.read(sealed.page, PAGE))
            realm.destroy()
        assert len(set(seen)) == 3

    def test_next_boot(self) -> None:
        """Each boot has another key."""
        host = machine_host(extensions=("paging",))
        try:
            found = []
            for _ in range(2):
                realm = Realm(host)
                realm.write(RAM, TEXT)
                Sealed(realm, RAM)
                found.append(host.peek.read(host.rmm.extension_key_area + 0x80, 32))
                host.machine.memory.boots += 1
                host.peek.write(host.rmm.extension_key_area, bytes(PAGE))  # what a reset does
            assert len(set(found)) == 2 and bytes(32) not in found
        finally:
            host.machine.close()

    def test_versions_never_repeat(self, full: Realm) -> None:
        """Each page that goes out has a version of its own, also the same page again."""
        seen = []
        for number in range(6):
            sealed = Sealed(full, RAM + number % 2 * PAGE)
            seen.append((sealed.version, full.host.memory.read(sealed.page, PAGE)))
            assert sealed.back()[0] == 0
        assert [version for version, _ in seen] == [1, 2, 3, 4, 5, 6]
        assert len({content for _, content in seen}) == 6

    def test_the_last_version(self, full: Realm) -> None:
        """When no nonce is left, the page stays; what is out comes back."""
        host = full.host
        PAGES.write(host.peek, full.rd + PAGES_OFFSET, serial=9, version=(1 << VERSION_BITS) - 2)
        host.ok(Paging.PAGING_FEATURES, 0)
        last = Sealed(full, RAM)
        assert last.version == (1 << VERSION_BITS) - 1 == entry(full, RAM)[1]
        assert host.status(Paging.PAGE_OUT, full.rd, RAM + PAGE, host.page()) == (RmiStatus.ERROR_REALM, 0)
        assert entry(full, RAM + PAGE)[0] == 1
        assert last.back()[0] == 0

    def test_a_block(self, paging: Host) -> None:
        """A block is not a page: the Host splits it first, and folds what is whole again."""
        realm = Realm(paging)
        table = realm.table(RAM + BLOCK, 3)
        pages, src = paging.granules(512, BLOCK), paging.page(TEXT)
        for number in range(512):
            paging.ok(Rmi.DATA_CREATE, realm.rd, pages + number * PAGE, RAM + BLOCK + number * PAGE, src, 0)
        assert paging.ok(Rmi.RTT_FOLD, realm.rd, RAM + BLOCK, 3)[0] == table
        at = RAM + BLOCK + 5 * PAGE
        assert paging.status(Paging.PAGE_OUT, realm.rd, at, src) == (RmiStatus.ERROR_RTT, 2)
        paging.ok(Rmi.RTT_CREATE, realm.rd, table, RAM + BLOCK, 3)
        sealed = Sealed(realm, at)
        assert paging.status(Rmi.RTT_FOLD, realm.rd, RAM + BLOCK, 3) == (RmiStatus.ERROR_RTT, 3)
        assert sealed.back(data=pages + 5 * PAGE)[0] == 0
        assert paging.ok(Rmi.RTT_FOLD, realm.rd, RAM + BLOCK, 3)[0] == table

    def test_a_table_of_sealed_pages(self, paging: Host) -> None:
        """512 pages with versions in a row are no block, whatever their entries look like."""
        realm = Realm(paging)
        realm.table(RAM + BLOCK, 3)
        PAGES.write(paging.peek, realm.rd + PAGES_OFFSET, serial=3, version=511)  # the first is at 2 MiB in its bits
        data, dst = paging.granules(), paging.page()
        for number in range(512):
            ipa = RAM + BLOCK + number * PAGE
            paging.ok(Rmi.DATA_CREATE_UNKNOWN, realm.rd, data, ipa)
            assert out(realm, ipa, dst)[3] == 512 + number
        assert paging.status(Rmi.RTT_FOLD, realm.rd, RAM + BLOCK, 3) == (RmiStatus.ERROR_RTT, 3)

    def test_shared_memory_stays(self, full: Realm) -> None:
        """Pages that the Host maps itself are none of the Realm's."""
        status = full.host.status(Paging.PAGE_OUT, full.rd, full.unprotected, full.host.page())
        assert status == INPUT


class TestIn:
    """PAGE_IN."""

    def test_any_granule(self, full: Realm) -> None:
        """The page is as it was, at another granule, and goes out and in again."""
        host = full.host
        for _ in range(3):
            sealed = Sealed(full, RAM)
            data = host.granules()
            assert sealed.back(data=data)[0] == 0
            assert entry(full, RAM) == [1, data, RmiRipas.RAM]
            assert host.rmm.granules.state(data) == State.DATA
            assert host.peek.read(data, PAGE) == TEXT

    @pytest.mark.parametrize("at", [0, 1, 2047, 4095])
    def test_tampered(self, full: Realm, at: int) -> None:
        """A bit of the page that is not as it was: refused, and what is right is still taken."""
        host, sealed = full.host, Sealed(full, RAM)
        good = host.memory.read(sealed.page, PAGE)
        bad = good[:at] + bytes((good[at] ^ 1,)) + good[at + 1 :]
        assert sealed.back(src=host.page(bad)) == INPUT
        assert entry(full, RAM) == [PagedState.SEALED, 1, RmiRipas.RAM]
        assert sealed.back()[0] == 0

    @pytest.mark.parametrize("bit", [0, 63, 64, 127])
    def test_tag(self, full: Realm, bit: int) -> None:
        """A bit of the tag."""
        sealed = Sealed(full, RAM)
        tag = sealed.tag0 | sealed.tag1 << 64
        wrong = tag ^ 1 << bit
        assert sealed.back(tag=(wrong & (1 << 64) - 1, wrong >> 64)) == INPUT
        assert sealed.back()[0] == 0

    def test_swapped(self, full: Realm) -> None:
        """One page for another of the same Realm."""
        one, other = Sealed(full, RAM), Sealed(full, RAM + PAGE)
        assert one.back(src=other.page, tag=other.tag) == INPUT
        assert other.back(src=one.page, tag=one.tag) == INPUT
        assert one.back(ipa=RAM + PAGE) == INPUT
        assert one.back()[0] == other.back()[0] == 0

    def test_stale(self, full: Realm) -> None:
        """What the page was before: every version but the last one."""
        host, kept = full.host, []
        for number in range(4):
            sealed = Sealed(full, RAM)
            kept.append((host.page(host.memory.read(sealed.page, PAGE)), sealed.tag))
            for page, tag in kept[:-1]:
                assert sealed.back(src=page, tag=tag) == INPUT
            data = host.granules()
            assert sealed.back(data=data)[0] == 0
            host.peek.write(data, bytes((number,)) * PAGE)  # the Realm writes

    def test_twice(self, full: Realm) -> None:
        """A page that is back does not come back again."""
        sealed = Sealed(full, RAM)
        assert sealed.back()[0] == 0
        assert sealed.back() == (RmiStatus.ERROR_RTT, 3)

    def test_foreign(self, full: Realm) -> None:
        """A page of another Realm, at the same IPA and of the same version."""
        other = Realm(full.host)
        other.write(RAM, TEXT)
        mine, theirs = Sealed(full, RAM), Sealed(other, RAM)
        assert mine.version == theirs.version
        assert mine.back(src=theirs.page, tag=theirs.tag) == INPUT
        assert theirs.back(src=mine.page, tag=mine.tag) == INPUT
        assert mine.back()[0] == theirs.back()[0] == 0

    def test_earlier_life(self, paging: Host) -> None:
        """A page of the Realm's earlier life, of the same version."""
        realm = Realm(paging)
        realm.write(RAM, TEXT)
        sealed = Sealed(realm, RAM)
        realm.destroy()
        again = Realm(paging)
        again.write(RAM, TEXT)
        now = Sealed(again, RAM)
        assert now.version == sealed.version
        assert now.back(src=sealed.page, tag=sealed.tag) == INPUT
        assert now.back()[0] == 0


class TestRealm:
    """A running Realm whose pages go out and come in."""

    def test_stale_translation(self, paging: Host) -> None:
        """The page leaves every TLB: code that has just used it exits, and its next access finds the new granule."""
        stub = Stub(paging)
        stub.answer(Rsi.REALM_CONFIG, BUFFER)  # the page is in use
        sealed = Sealed(stub, CALL)
        left = stub.enter(gprs=[Rsi.VERSION, 0x10000])
        assert (left.exit_reason, left.hpfar) == (RecExitReason.SYNC, CALL >> 8)
        assert sealed.back()[0] == 0
        left = stub.enter(gprs=[Rsi.VERSION, 0x10000])
        assert left.exit_reason == RecExitReason.HOST_CALL
        assert tuple(left.gprs[:3]) == (0, 0x10000, 0x10000)

    def test_code(self, paging: Host) -> None:
        """A page of code that runs goes out and comes in at another granule: a fetch exits, then it goes on."""
        stub = Stub(paging)
        sealed = Sealed(stub, RAM)
        left = stub.enter(gprs=[Rsi.VERSION, 0x10000])
        assert (left.exit_reason, left.esr >> 26, left.hpfar) == (RecExitReason.SYNC, 0x20, RAM >> 8)
        used = stub.data[RAM]
        paging.ok(Rmi.GRANULE_UNDELEGATE, used)
        assert sealed.back()[0] == 0
        assert stub.enter().exit_reason == RecExitReason.HOST_CALL

    def test_measurements(self, paging: Host) -> None:
        """RIM, REMs and everything else that a token says stay as they are."""
        stub = Stub(paging)
        before = [stub.answer(Rsi.MEASUREMENT_READ, index) for index in range(5)]
        for ipa in (BUFFER, CALL, RAM):
            sealed = Sealed(stub, ipa)
            assert sealed.back()[0] == 0
        assert [stub.answer(Rsi.MEASUREMENT_READ, index) for index in range(5)] == before

    def test_a_new_realm(self, paging: Host) -> None:
        """The RIM of a Realm whose pages go out while it is built is that of one whose pages stay."""
        rims = []
        for swapped in (False, True):
            realm = Realm(paging)
            realm.write(RAM, TEXT)
            sealed = Sealed(realm, RAM) if swapped else None
            realm.write(RAM + PAGE, TEXT)
            if sealed is not None:
                assert paging.status(Rmi.DATA_CREATE, realm.rd, paging.granules(), RAM, paging.page(), 1) == (4, 3)
                assert sealed.back()[0] == 0
            realm.rec()
            realm.activate()
            rims.append(realm.rim)
        assert rims[0] == rims[1]

    def test_ripas_state(self, paging: Host) -> None:
        """The Realm cannot tell from its RIPAS that a page is out; runs go on over it."""
        stub = Stub(paging)
        before = stub.answer(Rsi.IPA_STATE_GET, RAM, RAM + 8 * PAGE)
        sealed = Sealed(stub, BUFFER)
        assert stub.answer(Rsi.IPA_STATE_GET, RAM, RAM + 8 * PAGE) == before
        assert sealed.back()[0] == 0

    def test_ripas_change(self, paging: Host) -> None:
        """The RIPAS of a page that is out changes as that of one that is in; the contents are kept."""
        stub = Stub(paging)
        paging.peek.write(stub.data[BUFFER], TEXT)
        sealed = Sealed(stub, BUFFER)
        for ripas in (RmiRipas.EMPTY, RmiRipas.RAM):
            left = stub.ask(Rsi.IPA_STATE_SET, BUFFER, BUFFER + PAGE, ripas, 0)
            assert left.exit_reason == RecExitReason.RIPAS_CHANGE
            paging.ok(Rmi.RTT_SET_RIPAS, stub.rd, stub.recs[0], BUFFER, BUFFER + PAGE)
            assert entry(stub, BUFFER) == [PagedState.SEALED, sealed.version, ripas]
            stub.enter()
        data = paging.granules()
        assert sealed.back(data=data)[0] == 0
        assert paging.peek.read(data, PAGE) == TEXT

    def test_empty(self, paging: Host) -> None:
        """A page that comes back EMPTY is not mapped; given up instead, it stays EMPTY."""
        stub = Stub(paging)
        sealed = Sealed(stub, BUFFER)
        stub.ask(Rsi.IPA_STATE_SET, BUFFER, BUFFER + PAGE, RmiRipas.EMPTY, 0)
        paging.ok(Rmi.RTT_SET_RIPAS, stub.rd, stub.recs[0], BUFFER, BUFFER + PAGE)
        data = paging.granules()
        assert sealed.back(data=data)[0] == 0
        assert entry(stub, BUFFER) == [1, data, RmiRipas.EMPTY]
        again = Sealed(stub, BUFFER)
        assert (again.data, again.version) == (data, 2)
        assert paging.ok(Rmi.DATA_DESTROY, stub.rd, BUFFER)[0] == 0
        assert entry(stub, BUFFER) == [0, 0, RmiRipas.EMPTY]


class TestEnd:
    """Pages that are out when something ends."""

    def test_data_destroy(self, full: Realm) -> None:
        """The page is given up: no granule comes with it, the Realm finds it DESTROYED, and it never comes back."""
        sealed = Sealed(full, RAM)
        data, top = full.host.ok(Rmi.DATA_DESTROY, full.rd, RAM)[:2]
        assert (data, top) == (0, RAM + PAGE)
        assert entry(full, RAM) == [0, 0, RmiRipas.DESTROYED]
        assert sealed.back() == (RmiStatus.ERROR_RTT, 3)

    def test_top(self, full: Realm) -> None:
        """For every `top`, a page that is out is there."""
        host = full.host
        for number in range(3):
            host.ok(Rmi.DATA_DESTROY, full.rd, RAM + number * PAGE)
        Sealed(full, RAM + 3 * PAGE)
        answer = host.call(Rmi.DATA_DESTROY, full.rd, RAM)
        assert (RmiReturn(answer[0]).status, answer[2]) == (RmiStatus.ERROR_RTT, RAM + 3 * PAGE)

    def test_rtt_destroy(self, full: Realm) -> None:
        """A table with such a page is live, and so is the Realm."""
        host = full.host
        Sealed(full, RAM)
        for number in range(1, 4):
            host.ok(Rmi.DATA_DESTROY, full.rd, RAM + number * PAGE)
        assert host.status(Rmi.RTT_DESTROY, full.rd, RAM, 3) == (RmiStatus.ERROR_RTT, 3)
        assert host.status(Rmi.REALM_DESTROY, full.rd) == (RmiStatus.ERROR_REALM, 0)
        host.ok(Rmi.DATA_DESTROY, full.rd, RAM)
        host.ok(Rmi.RTT_DESTROY, full.rd, RAM, 3)
        host.ok(Rmi.REALM_DESTROY, full.rd)

    def test_realm_destroy(self, full: Realm) -> None:
        """What was out of a Realm that is gone cannot come into another one at the same RD."""
        sealed = Sealed(full, RAM)
        full.destroy()
        assert full.host.peek.read(full.rd, PAGE) == bytes(PAGE)
        assert sealed.back() == INPUT


class TestQueries:
    """UID and FEATURES."""

    def test_uid(self, paging: Host) -> None:
        """EL3 answers the queries of the range; only the Non-secure world has it."""
        assert tuple(paging.pe.smc(Paging.PAGING_UID)[:4]) == uid_words(PAGING_UID)
        assert paging.pe.smc(query(Owner.TRUSTED_APPLICATION, Query.CALL_COUNT))[0] == 3
        monitor = paging.machine.program(SecurityState.ROOT, 3)
        for state in (SecurityState.SECURE, SecurityState.REALM):
            assert not monitor.routes(state) & set(Paging)

    def test_features(self, paging: Host) -> None:
        """Register 0 has the cipher and the bits of a version; asking settles no version of the RMI."""
        value = PagingFeatures(paging.ok(Paging.PAGING_FEATURES, 0)[0])
        assert (value.aes_256_gcm, value.version_bits) == (1, 36)
        assert paging.ok(Paging.PAGING_FEATURES, 1)[0] == 0
        assert paging.ok(Rmi.FEATURES, 0)[0] == V1_0.offer.register_0

    def test_trace(self, full: Realm) -> None:
        """The events tell what went where; a page that is out has no address."""
        listing = Listing()
        full.host.machine.trace.add(listing)
        sealed = Sealed(full, RAM)
        data = full.host.granules()
        sealed.back(data=data)
        full.host.machine.trace.close()
        told = {record["event"]: record for record in listing if record["event"].startswith("page.")}
        assert told["page.out"] | {"ipa": hex(RAM), "pa": hex(sealed.data), "version": 1} == told["page.out"]
        assert told["page.in"] | {"ipa": hex(RAM), "pa": hex(data), "version": 1} == told["page.in"]
        edits = [record for record in listing if record["event"] == "rtt.edit"]
        assert [(one["cmd"], one["new"], one["pa"]) for one in edits] == [
            ("PAGE_OUT", "SEALED,RAM", "0x0"), ("PAGE_IN", "ASSIGNED,RAM", hex(data)),
        ]  # fmt: skip
        moves = [(one["old"], one["new"]) for one in listing if one["event"] == "granule.transition"]
        assert ("DATA", "DELEGATED") in moves and ("DELEGATED", "DATA") in moves


class TestViews:
    """What the inspectors show."""

    def test_rtt(self) -> None:
        """A live Realm's tables name the pages that are out, and their versions."""
        with realmlab.Machine(extensions=["paging"]) as machine:
            realm = machine.realm("hello")
            before = realm.rtt[RAM]
            assert (before.state, before.version) == ("ASSIGNED,RAM", None)
            page = machine.host.pages.take()
            answer = machine.host.rmi(Paging.PAGE_OUT, realm.facts.rd, RAM, page)
            out = realm.rtt[RAM]
            assert (out.state, out.version, out.pa, out.maps) == ("SEALED,RAM", answer[4], None, False)
            assert "SEALED,RAM" in repr(realm.rtt)
            with pytest.raises(MachineError, match="must be mapped, not SEALED,RAM"):
                realm.rtt.translate(RAM)
            machine.host.rmi(Paging.PAGE_IN, realm.facts.rd, answer[1], RAM, page, *answer[2:4])
            machine.host.pages.give(page)
            assert realm.rtt[RAM] == before
            assert realm.run().status == 0

    def test_off(self) -> None:
        """A machine says which extensions its RMM has; an unknown one is refused."""
        with realmlab.Machine() as machine:
            assert machine.extensions == ()
        with pytest.raises(MachineError, match="`extensions` must be paging or sealing, not 'swapping'"):
            realmlab.Machine(extensions=["swapping"])
