"""The extension `sealing`: a Realm's keys, which it gets in every life on this platform, and no other Realm ever."""

import io
import struct
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from realm_stub import Stub
from rmm_host import Host, machine_host

from cca_arch.extensions import EXTENSIONS, SEALING_UID, Paging, Sealing, VendorEl3, uid_words
from cca_arch.rmi.v1_0 import HashAlgorithm
from cca_arch.rsi.v1_0 import Rsi, RsiStatus
from cca_arch.smccc import NOT_SUPPORTED
from cca_arch.types import SecurityState
from cca_firmware.bl31.sealing import TEST_PLATFORM_KEY
from cca_firmware.package.package import component
from cca_platform.board import Board
from cca_platform.errors import StateError
from cca_platform.machine.machine import Machine
from cca_rmm.extensions.offered import with_extensions
from cca_rmm.objects.granule import State
from cca_rmm.rmm import Rmm
from cca_rmm.versions.v1_0 import V1_0

RPV = bytes(range(64))
SECURED = 0x3003
CHOICES = [1 | more << 1 for more in range(1 << 7)]


def hkdf(key: bytes, info: bytes) -> bytes:
    """RFC 5869, by another implementation than the RMM's."""
    return HKDF(SHA384(), 32, salt=None, info=info).derive(key)


def words(answer: tuple[int, ...]) -> bytes:
    """The key in X1 to X4."""
    return struct.pack("<4Q", *answer[1:5])


@pytest.fixture(scope="module")
def offering() -> Iterator[Host]:
    """A machine whose RMM has the extension."""
    host = machine_host(extensions=("sealing",))
    yield host
    host.machine.close()


@pytest.fixture(scope="module")
def start(offering: Host) -> Any:
    """Its state right after boot."""
    return offering.machine.snapshot()


@pytest.fixture
def sealing(offering: Host, start: Any) -> Host:
    """The machine right after boot."""
    offering.machine.restore(start)
    return Host(offering.machine, offering.rmm)


def expected(stub: Stub, flags: int, label: int, platform_key: bytes = TEST_PLATFORM_KEY) -> bytes:
    """The key by its definition, from what the RD holds."""
    peek, rd = stub.host.peek, stub.rd
    measured = [peek.read(rd + 0x140 + 64 * index, 64) for index in range(5)]
    info = b"Realmlab sealing key 1" + struct.pack("<3Q", flags, label, stub.params.get("hash_algo", 0)) + measured[0]
    if flags & 2:
        info += peek.read(rd + 0x100, 64)
    for number in range(4):
        if flags & 4 << number:
            info += measured[1 + number]
    if flags & 0x40:
        info += SECURED.to_bytes(8, "little")
    if flags & 0x80:
        firmware = stub.host.machine.parts["firmware"]
        images = [entry.digest for entry in firmware.event_log if not entry.name.startswith(("BL32", "BL33"))]
        info += sha256(b"".join(images)).digest()
    return hkdf(hkdf(platform_key, b"Realmlab sealing root 1"), info)


class TestKey:
    """SEALING_KEY."""

    @pytest.mark.parametrize("hash_algo", [HashAlgorithm.SHA_256, HashAlgorithm.SHA_512])
    def test_definition(self, sealing: Host, hash_algo: int) -> None:
        """Each choice of what a key depends on gives the key that the manual defines, and none is another's."""
        stub = Stub(sealing, rpv=RPV, hash_algo=hash_algo)
        for index in range(1, 5):
            stub.answer(Rsi.MEASUREMENT_EXTEND, index, 8, index)
        found = {}
        for flags in CHOICES:
            answer = stub.answer(Sealing.SEALING_KEY, flags, 7)
            assert answer[0] == 0 and answer[5:] == (0,) * 14
            found[flags] = words(answer)
            assert found[flags] == expected(stub, flags, 7), hex(flags)
        assert len(set(found.values())) == len(CHOICES)

    def test_next_life(self, sealing: Host) -> None:
        """A Realm that is built again in the same way gets the same keys; the VMID and all addresses are others."""
        first = Stub(sealing, rpv=RPV)
        keys = [words(first.answer(Sealing.SEALING_KEY, flags, 1)) for flags in CHOICES]
        rim = first.rim
        first.destroy()
        second = Stub(sealing, rpv=RPV)
        assert second.rd != first.rd and second.rim == rim
        assert [words(second.answer(Sealing.SEALING_KEY, flags, 1)) for flags in CHOICES] == keys

    @pytest.mark.parametrize("params", [{"num_bps": 2}, {"hash_algo": 1}, {"s2sz": 34, "rtt_num_start": 16}])
    def test_another_realm(self, sealing: Host, params: Any) -> None:
        """A Realm with another RIM gets none of the keys, whatever it asks for."""
        one, other = Stub(sealing, rpv=RPV), Stub(sealing, rpv=RPV, **params)
        keys = {words(one.answer(Sealing.SEALING_KEY, flags, 0)) for flags in CHOICES}
        assert not keys & {words(other.answer(Sealing.SEALING_KEY, flags, 0)) for flags in CHOICES}

    def test_rpv(self, sealing: Host) -> None:
        """The RPV tells Realms of one image apart where a key depends on it, and only there."""
        one, other = Stub(sealing, rpv=RPV), Stub(sealing, rpv=RPV[::-1])
        for flags, same in ((1, True), (3, False), (0xFD, True), (0xFF, False)):
            ask = [words(stub.answer(Sealing.SEALING_KEY, flags, 0)) for stub in (one, other)]
            assert (ask[0] == ask[1]) is same

    def test_rem(self, sealing: Host) -> None:
        """A REM that is extended closes the keys that depend on it, for good."""
        stub = Stub(sealing)
        with_rem, without = (words(stub.answer(Sealing.SEALING_KEY, flags, 0)) for flags in (1 | 8, 1 | 4))
        stub.answer(Rsi.MEASUREMENT_EXTEND, 2, 64)
        assert words(stub.answer(Sealing.SEALING_KEY, 1 | 8, 0)) != with_rem
        assert words(stub.answer(Sealing.SEALING_KEY, 1 | 4, 0)) == without

    def test_label(self, sealing: Host) -> None:
        """Each label has a key of its own, all 64 bits of it."""
        stub = Stub(sealing)
        labels = [0, 1, 1 << 32, 1 << 63, (1 << 64) - 1]
        assert len({words(stub.answer(Sealing.SEALING_KEY, 1, label)) for label in labels}) == len(labels)

    @pytest.mark.parametrize("flags", [1 << 8, 1 | 1 << 8, 1 | 1 << 63, 0, 2, 0xFE])
    def test_flags(self, sealing: Host, flags: int) -> None:
        """Flags that mean nothing, or that leave the RIM out, are refused, and nothing changes."""
        stub = Stub(sealing)
        answer = stub.answer(Sealing.SEALING_KEY, flags, 0)
        assert answer[:5] == (RsiStatus.ERROR_INPUT, 0, 0, 0, 0)
        page = sealing.peek.read(sealing.rmm.extension_key_area, 0x1000)
        assert page == bytes(0x1000), "the root must not be fetched for a call that is refused"

    def test_root_refused(self, sealing: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        """ERROR_UNKNOWN while EL3 refuses the root."""
        stub = Stub(sealing)
        routes = sealing.machine.program(SecurityState.ROOT, 3)._routes[SecurityState.REALM]

        def refuse(pe: Any, x: Any) -> None:
            x[0] = NOT_SUPPORTED

        with monkeypatch.context() as patch:
            patch.setitem(routes, int(VendorEl3.GET_SEALING_ROOT), refuse)
            assert stub.answer(Sealing.SEALING_KEY, 1, 0)[:5] == (RsiStatus.ERROR_UNKNOWN, 0, 0, 0, 0)
        assert stub.answer(Sealing.SEALING_KEY, 1, 0)[0] == 0

    def test_platform_key(self) -> None:
        """Another platform's keys are others; they do not depend on what else the RMM offers."""
        own = bytes(range(32))
        host = machine_host(extensions=EXTENSIONS, platform_key=own)
        stub = Stub(host)
        try:
            assert words(stub.answer(Sealing.SEALING_KEY, 1, 0)) == expected(stub, 1, 0, own)
        finally:
            host.machine.close()


class TestQueries:
    """UID and FEATURES."""

    def test_uid(self, sealing: Host) -> None:
        """The UID in W0 to W3; nobody takes it for KVM's."""
        assert Stub(sealing).answer(Sealing.SEALING_UID)[:4] == uid_words(SEALING_UID)

    @pytest.mark.parametrize(("index", "value"), [(0, 1), (1, 0), (1 << 63, 0)])
    def test_features(self, sealing: Host, index: int, value: int) -> None:
        """Register 0 says how keys are derived; all others are zero."""
        assert Stub(sealing).answer(Sealing.SEALING_FEATURES, index)[:3] == (0, value, 0)


class TestOff:
    """Without the extension."""

    def test_not_supported(self, host: Host) -> None:
        """Every call of both extensions is unknown, for the Realm and for the Host, and EL3 has no key to give."""
        stub = Stub(host)
        for fid in (*Sealing, *Paging, *VendorEl3):
            assert stub.answer(fid, 1, 2, 3)[:4] == (NOT_SUPPORTED, 0, 0, 0)
            assert host.pe.smc(fid, 1, 2, 3)[:4] == [NOT_SUPPORTED, 1, 2, 3]
        monitor = host.machine.program(SecurityState.ROOT, 3)
        assert all(not monitor.routes(state) & {*Sealing, *Paging, *VendorEl3} for state in SecurityState)

    def test_the_rest_is_the_same(self, sealing: Host, host: Host) -> None:
        """The extension adds rows and changes none; feature registers say nothing of it."""
        more = sealing.rmm.version
        for fid, row in V1_0.services.items():
            assert more.services[fid] is row
        assert more.commands == V1_0.commands and more.offer == V1_0.offer and more.moves == V1_0.moves
        for index in (0, 1):
            assert Stub(sealing).answer(Rsi.FEATURES, index) == Stub(host).answer(Rsi.FEATURES, index)


class TestEl3:
    """The calls by which the RMM gets keys."""

    @pytest.mark.parametrize("fid", VendorEl3)
    def test_callers(self, sealing: Host, fid: VendorEl3) -> None:
        """The Host gets NOT_SUPPORTED, and so does a Realm: only the RMM may ask, and only for what the boot gave."""
        assert sealing.pe.smc(fid, 0, 0x1000)[0] == NOT_SUPPORTED
        assert Stub(sealing).answer(fid, 0, 0x1000)[0] == NOT_SUPPORTED
        monitor = sealing.machine.program(SecurityState.ROOT, 3)
        known = [state for state in SecurityState if fid in monitor.routes(state)]
        assert known == ([SecurityState.REALM] if fid is VendorEl3.GET_SEALING_ROOT else [])

    def test_nothing_left_in_the_shared_page(self, sealing: Host) -> None:
        """The root is in the RMM's own memory alone."""
        stub = Stub(sealing)
        stub.answer(Sealing.SEALING_KEY, 1, 0)
        root = hkdf(TEST_PLATFORM_KEY, b"Realmlab sealing root 1")
        assert sealing.peek.read(sealing.rmm.extension_key_area + 0x40, 32) == root
        assert root not in sealing.peek.read(sealing.rmm.shared_page, 0x1000)
        assert sealing.rmm.granules.state(sealing.rmm.extension_key_area) not in (State.UNDELEGATED, State.DELEGATED)

    def test_another_machine(self, sealing: Host, host: Host) -> None:
        """A machine without the extension refuses the state of one that has it."""
        with pytest.raises(StateError, match=r"same extensions \(none\), not with sealing"):
            host.machine.parts["firmware"].restore(sealing.machine.parts["firmware"].save())


class TestImage:
    """What of the extensions is in the image of an RMM."""

    def test_extensions(self) -> None:
        """An RMM with an extension is measured with its code, and one without it has none of that."""
        machine = Machine(Board.load("fvp"))
        folder = "cca_rmm/extensions"
        for offered in ((), *((name,) for name in EXTENSIONS)):
            image = component(Rmm(machine, with_extensions(V1_0, offered)))
            with tarfile.open(fileobj=io.BytesIO(image)) as tar:
                found = {name for name in tar.getnames() if name.startswith(folder)}
            assert found == ({f"{folder}/{one}.py" for one in ("__init__", "keys", *offered)} if offered else set())
        machine.close()
