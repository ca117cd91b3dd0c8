"""RMI commands that succeed, one by one and in the order in which a Host uses them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cca_arch.descriptors.rtte import HOST_NORMAL
from cca_arch.rmi.v1_0 import ABI_VERSION, Rmi, RmiRealmParams, RmiRipas, RmiRttEntryState, RmiStatus
from cca_arch.smccc import NOT_SUPPORTED
from cca_arch.types import Pas, SecurityState
from cca_platform.errors import GranuleProtectionFault
from cca_rmm.objects.granule import State
from cca_rmm.objects.rec import REC
from cca_rmm.versions.v1_0 import V1_0

RAM, PAGE, BLOCK = 0x8000_0000, 0x1000, 0x20_0000
VECTORS = json.loads((Path(__file__).parent / "vectors" / "rim.json").read_text())["cases"]
DATA_PAGE = bytes(i & 0xFF for i in range(PAGE))
NS_DESC = RAM | HOST_NORMAL


class TestVersion:
    """RMI_VERSION and RMI_FEATURES."""

    def test_supported(self, host: Any) -> None:
        """1.0 is what there is, and both versions are valid on error too."""
        assert host.call(Rmi.VERSION, ABI_VERSION)[:3] == [0, ABI_VERSION, ABI_VERSION]
        assert host.call(Rmi.VERSION, 0x2_0000)[:3] == [RmiStatus.ERROR_INPUT, ABI_VERSION, ABI_VERSION]

    def test_features(self, host: Any) -> None:
        """Register 0 is V1_0.offer.register_0, every other one zero."""
        assert host.ok(Rmi.FEATURES, 0)[0] == V1_0.offer.register_0
        assert host.ok(Rmi.FEATURES, 1)[0] == 0

    @pytest.mark.parametrize("fid", [0xC400_0156, 0xC400_0160, 0xC400_0163, 0xC400_016A, 0xC400_018E])
    def test_unknown(self, host: Any, fid: int) -> None:
        """An FID without a command is NOT_SUPPORTED, not an RMI status."""
        assert host.call(fid, 1, 2, 3)[0] == NOT_SUPPORTED

    def test_sve_hint(self, host: Any) -> None:
        """Bit 16 of the FID is a hint, and ignored."""
        assert host.call(Rmi.VERSION | 1 << 16, ABI_VERSION)[0] == 0

    def test_x4_is_preserved(self, host: Any) -> None:
        """X4 stays the caller's own unless it is an output."""
        assert host.call(Rmi.VERSION, ABI_VERSION, 0, 0, 0x1234)[4] == 0x1234


class TestGranules:
    """RMI_GRANULE_DELEGATE and RMI_GRANULE_UNDELEGATE."""

    def test_delegated_is_zero_and_unreachable(self, host: Any) -> None:
        """What was in it is gone, and the Host gets a granule protection fault."""
        pa = host.page(b"mine")
        host.ok(Rmi.GRANULE_DELEGATE, pa)
        assert host.rmm.granules.state(pa) == State.DELEGATED
        assert host.peek.read(pa, PAGE) == bytes(PAGE)
        with pytest.raises(GranuleProtectionFault):
            host.machine.memory.port(SecurityState.REALM, Pas.NON_SECURE).read(pa, 8)

    def test_round_trip(self, host: Any) -> None:
        """Given back it is an ordinary page, and can be delegated again."""
        pa = host.granules()
        host.ok(Rmi.GRANULE_UNDELEGATE, pa)
        host.memory.write(pa, b"mine")
        host.ok(Rmi.GRANULE_DELEGATE, pa)

    def test_first_and_last(self, host: Any) -> None:
        """Every granule of every bank has a state of its own."""
        for base, size in host.rmm.granules.banks:
            for pa in (base, base + size - PAGE):
                host.ok(Rmi.GRANULE_DELEGATE, pa)
                assert host.status(Rmi.GRANULE_DELEGATE, pa)[0] == RmiStatus.ERROR_INPUT
                host.ok(Rmi.GRANULE_UNDELEGATE, pa)


class TestRealm:
    """Life of a Realm without RECs."""

    def test_create_and_destroy(self, host: Any, realm: Any) -> None:
        """Everything is scrubbed and can be used again at once, the VMID too."""
        realm.write(RAM, b"secret")
        realm.rec()
        used = [realm.rd, realm.rtt_base, *realm.data.values(), *realm.recs, *realm.aux[0]]
        realm.destroy()
        for pa in used:
            assert host.rmm.granules.state(pa) == State.DELEGATED
            assert host.peek.read(pa, PAGE) == bytes(PAGE)
        packed = RmiRealmParams.pack(**realm.params, rtt_base=realm.rtt_base)
        host.ok(Rmi.REALM_CREATE, realm.rd, host.page(packed))

    @pytest.mark.parametrize(
        ("s2sz", "level", "tables"), [(32, 1, 1), (32, 2, 4), (34, 2, 16), (40, 0, 1), (40, 1, 2), (42, 1, 8)]
    )
    def test_shapes(self, host: Any, realms: Callable[..., Any], s2sz: int, level: int, tables: int) -> None:
        """The lower half of every shape starts UNASSIGNED,EMPTY; the Unprotected half reads the same."""
        realm = realms(s2sz=s2sz, rtt_level_start=level, rtt_num_start=tables)
        for ipa in (0, realm.unprotected):
            assert host.ok(Rmi.RTT_READ_ENTRY, realm.rd, ipa, 3)[1:] == [RmiRttEntryState.UNASSIGNED, 0, RmiRipas.EMPTY]
        realm.write(realm.ram, b"x")
        realm.destroy()

    def test_two_realms(self, host: Any, realms: Callable[..., Any]) -> None:
        """One IPA, two Realms, two pages."""
        first, second = realms(), realms()
        pages = [first.write(RAM, b"1"), second.write(RAM, b"2")]
        for realm, page in zip((first, second), pages, strict=True):
            assert host.ok(Rmi.RTT_READ_ENTRY, realm.rd, RAM, 3)[1:] == [1, page, RmiRipas.RAM]


class TestRim:
    """The chains of the published vectors, made by commands."""

    @pytest.mark.parametrize(
        "case", [c for c in VECTORS if c["name"] != "rem_extend_chain"], ids=lambda c: f"{c['name']}-{c['hash']}"
    )
    def test_chain(self, host: Any, realms: Callable[..., Any], case: dict[str, Any]) -> None:
        """After each command the RIM is the published one."""
        realm = realms(**case["params"])
        size = 32 if case["hash"] == "sha256" else 64
        blocks = any(row["op"].startswith("RTT") and int(row["top"], 0) % BLOCK == 0 for row in case["steps"][1:2])
        if blocks:
            host.ok(Rmi.RTT_FOLD, realm.rd, RAM, 3)
        for row in case["steps"]:
            match row["op"].split()[0]:
                case "RTT_INIT_RIPAS":
                    host.ok(Rmi.RTT_INIT_RIPAS, realm.rd, int(row["base"], 0), int(row["top"], 0))
                    if blocks:
                        realm.table(RAM, 3)
                case "DATA_CREATE":
                    realm.write(int(row["ipa"], 0), DATA_PAGE, row["flags"])
                case "REC_CREATE":
                    realm.rec(pc=int(row["pc"], 0), gprs=tuple(int(value, 0) for value in row["gprs"]))
            assert realm.rim[:size].hex() == row["rim"] and not any(realm.rim[size:])

    def test_not_measured(self, realm: Any, host: Any) -> None:
        """Unknown data, tables, Unprotected mappings and RECs that are not runnable leave the RIM alone."""
        before = realm.rim
        host.ok(Rmi.DATA_CREATE_UNKNOWN, realm.rd, host.granules(), RAM)
        realm.table(realm.unprotected, 3)
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, realm.unprotected, 3, NS_DESC)
        realm.rec(flags=0)
        assert realm.rim == before


class TestData:
    """RMI_DATA_*."""

    def test_create(self, realm: Any, host: Any) -> None:
        """The page has the source's bytes, RIPAS RAM, and belongs to the Realm."""
        page = realm.write(RAM, DATA_PAGE)
        assert host.peek.read(page, PAGE) == DATA_PAGE
        assert host.rmm.granules.state(page) == State.DATA
        assert host.ok(Rmi.RTT_READ_ENTRY, realm.rd, RAM, 3) == [3, RmiRttEntryState.ASSIGNED, page, RmiRipas.RAM]

    def test_create_unknown_keeps_ripas(self, realm: Any, host: Any) -> None:
        """EMPTY, RAM and DESTROYED stay what they are."""
        host.ok(Rmi.RTT_INIT_RIPAS, realm.rd, RAM + PAGE, RAM + 2 * PAGE)
        realm.write(RAM + 2 * PAGE, b"")
        host.ok(Rmi.DATA_DESTROY, realm.rd, RAM + 2 * PAGE)
        for number, ripas in enumerate(RmiRipas):
            page = host.granules()
            host.ok(Rmi.DATA_CREATE_UNKNOWN, realm.rd, page, RAM + number * PAGE)
            assert host.ok(Rmi.RTT_READ_ENTRY, realm.rd, RAM + number * PAGE, 3)[1:] == [1, page, ripas]
        after = [RmiRipas.EMPTY, RmiRipas.DESTROYED, RmiRipas.DESTROYED]
        for number, ripas in enumerate(after):
            host.ok(Rmi.DATA_DESTROY, realm.rd, RAM + number * PAGE)
            assert host.ok(Rmi.RTT_READ_ENTRY, realm.rd, RAM + number * PAGE, 3)[1:] == [0, 0, ripas]

    def test_top(self, realm: Any, host: Any) -> None:
        """The examples of the specification's rule for ``top``."""
        for number in (1, 3):
            realm.write(RAM + number * PAGE, b"")
        assert host.call(Rmi.DATA_DESTROY, realm.rd, RAM)[:3] == [RmiStatus.ERROR_RTT | 3 << 8, 0, RAM + PAGE]
        data, top = host.ok(Rmi.DATA_DESTROY, realm.rd, RAM + PAGE)[:2]
        assert (data, top) == (realm.data[RAM + PAGE], RAM + 3 * PAGE)
        refused = host.call(Rmi.DATA_DESTROY, realm.rd, RAM + BLOCK)
        assert refused[:3] == [RmiStatus.ERROR_RTT | 2 << 8, 0, RAM + (1 << 30)]


class TestRtt:
    """RMI_RTT_*."""

    def test_unprotected(self, realm: Any, host: Any) -> None:
        """What the Host maps it reads back bit for bit; the last mapping gone, top is the end of the table."""
        ipa = realm.unprotected + 5 * PAGE
        realm.table(realm.unprotected, 3)
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, ipa, 3, NS_DESC)
        assert host.ok(Rmi.RTT_READ_ENTRY, realm.rd, ipa, 3) == [3, RmiRttEntryState.ASSIGNED, NS_DESC, 0]
        assert host.ok(Rmi.RTT_UNMAP_UNPROTECTED, realm.rd, ipa, 3)[0] == realm.unprotected + BLOCK

    def test_unprotected_block(self, realm: Any, host: Any) -> None:
        """A 2 MiB block unfolds into pages and folds back."""
        ipa = realm.unprotected
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, ipa, 2, NS_DESC)
        table = realm.table(ipa, 3)
        assert host.ok(Rmi.RTT_READ_ENTRY, realm.rd, ipa + 7 * PAGE, 3)[2] == NS_DESC + 7 * PAGE
        assert host.ok(Rmi.RTT_FOLD, realm.rd, ipa, 3)[0] == table
        assert host.ok(Rmi.RTT_READ_ENTRY, realm.rd, ipa, 2) == [2, RmiRttEntryState.ASSIGNED, NS_DESC, 0]

    def test_unmap_through_table(self, realm: Any, host: Any) -> None:
        """UNMAP of a block where there is a table gives the level and top = ipa."""
        realm.table(realm.unprotected, 3)
        refused = host.call(Rmi.RTT_UNMAP_UNPROTECTED, realm.rd, realm.unprotected, 2)
        assert refused[:2] == [RmiStatus.ERROR_RTT | 2 << 8, realm.unprotected]

    def test_destroy_loses_ripas(self, realm: Any, host: Any) -> None:
        """The parent entry becomes DESTROYED, whatever the table said."""
        host.ok(Rmi.RTT_INIT_RIPAS, realm.rd, RAM, RAM + PAGE)
        host.ok(Rmi.RTT_DESTROY, realm.rd, RAM, 3)
        assert host.ok(Rmi.RTT_READ_ENTRY, realm.rd, RAM, 2)[1:] == [0, 0, RmiRipas.DESTROYED]

    def test_fold_keeps_ripas(self, realm: Any, host: Any) -> None:
        """512 RAM entries fold into one RAM entry."""
        assert host.ok(Rmi.RTT_INIT_RIPAS, realm.rd, RAM, RAM + BLOCK)[0] == RAM + BLOCK
        host.ok(Rmi.RTT_FOLD, realm.rd, RAM, 3)
        assert host.ok(Rmi.RTT_READ_ENTRY, realm.rd, RAM, 2)[1:] == [0, 0, RmiRipas.RAM]

    def test_fold_block_of_data(self, realm: Any, host: Any) -> None:
        """512 contiguous pages become a block that DATA_DESTROY cannot take apart until it is unfolded."""
        pages = host.granules(512, BLOCK)
        for number in range(512):
            host.ok(Rmi.DATA_CREATE_UNKNOWN, realm.rd, pages + number * PAGE, RAM + number * PAGE)
        host.ok(Rmi.RTT_FOLD, realm.rd, RAM, 3)
        assert host.ok(Rmi.RTT_READ_ENTRY, realm.rd, RAM, 2)[1:] == [1, pages, RmiRipas.EMPTY]
        assert host.call(Rmi.DATA_DESTROY, realm.rd, RAM)[:3] == [RmiStatus.ERROR_RTT | 2 << 8, 0, RAM]
        realm.table(RAM, 3)
        assert host.ok(Rmi.DATA_DESTROY, realm.rd, RAM + 9 * PAGE)[0] == pages + 9 * PAGE

    def test_init_ripas_stops(self, realm: Any, host: Any) -> None:
        """At the first page that is assigned, at the end of the table, at ``top``."""
        realm.write(RAM + 2 * PAGE, b"")
        assert host.ok(Rmi.RTT_INIT_RIPAS, realm.rd, RAM, RAM + BLOCK)[0] == RAM + 2 * PAGE
        assert host.ok(Rmi.RTT_INIT_RIPAS, realm.rd, RAM + 500 * PAGE, RAM + 2 * BLOCK)[0] == RAM + BLOCK
        assert host.ok(Rmi.RTT_INIT_RIPAS, realm.rd, RAM + 4 * PAGE, RAM + 6 * PAGE)[0] == RAM + 6 * PAGE

    def test_set_ripas(self, realm: Any, host: Any) -> None:
        """RAM to EMPTY keeps the page; the REC's ripas_addr follows; then the Host can have the page back."""
        page = realm.write(RAM, b"x")
        rec = realm.rec()
        REC.write(host.peek, rec, ripas_pending=1, ripas_addr=RAM, ripas_top=RAM + 4 * PAGE, ripas_value=RmiRipas.EMPTY)
        assert host.ok(Rmi.RTT_SET_RIPAS, realm.rd, rec, RAM, RAM + 2 * PAGE)[0] == RAM + 2 * PAGE
        assert REC.load(host.peek, rec).ripas_addr == RAM + 2 * PAGE
        assert host.ok(Rmi.RTT_READ_ENTRY, realm.rd, RAM, 3)[1:] == [1, page, RmiRipas.EMPTY]
        assert host.ok(Rmi.DATA_DESTROY, realm.rd, RAM)[0] == page
        assert host.ok(Rmi.RTT_READ_ENTRY, realm.rd, RAM, 3)[1:] == [0, 0, RmiRipas.EMPTY]

    def test_read_entry_failing(self, realm: Any, host: Any) -> None:
        """X1..X4 are zero when it fails, X4 too."""
        assert host.call(Rmi.RTT_READ_ENTRY, realm.rd, RAM + 1, 3, 0x77) == [RmiStatus.ERROR_INPUT, 0, 0, 0, 0]


class TestRec:
    """RMI_REC_*."""

    def test_indices(self, realm: Any, host: Any) -> None:
        """RECs come in the order of their MPIDRs; destroying one does not give its index back."""
        first = realm.rec()
        realm.rec(flags=0)
        host.ok(Rmi.REC_DESTROY, first)
        again = realm.rec_params(mpidr=0)
        assert host.status(Rmi.REC_CREATE, realm.rd, *again[:2])[0] == RmiStatus.ERROR_INPUT
        realm.rec(mpidr=2)

    def test_aux_count(self, realm: Any, host: Any) -> None:
        """Two auxiliary granules: the register file and the attestation buffer."""
        assert host.ok(Rmi.REC_AUX_COUNT, realm.rd)[0] == 2

    def test_live_realm(self, realm: Any, host: Any) -> None:
        """A REC keeps its Realm alive."""
        realm.rec()
        host.ok(Rmi.RTT_DESTROY, realm.rd, RAM, 3)
        assert host.status(Rmi.REALM_DESTROY, realm.rd)[0] == RmiStatus.ERROR_REALM
