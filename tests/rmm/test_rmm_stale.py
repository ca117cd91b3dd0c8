"""TLB maintenance that the architecture needs: with it the Realm sees the change, without it it would not."""

from collections.abc import Callable
from typing import Any

import pytest
from realm_code import REPORT, load, reported, smc, with_vectors

from cca_arch.descriptors import rtte
from cca_arch.descriptors.rtte import HOST_NORMAL
from cca_arch.rmi.v1_0 import RecExitReason, Rmi, RmiRipas
from cca_arch.rsi.v1_0 import Rsi
from cca_platform.machine.machine import Machine
from cca_rmm.objects import rtt
from cca_rmm.objects.realm import REALM

RAM, PAGE = 0x8000_0000, 0x1000
BUFFER = RAM + 2 * PAGE
UNPROTECTED = 0x1_0000_0000
BLOCK = 0x20_0000
SECRET = 0x5EC2E7
Running = Callable[..., Any]


def omit(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """Leave the RMM's TLB invalidation out; what it would have invalidated."""
    omitted: list[tuple[int, int, int]] = []

    def tlbi_ipas2(self: Machine, vmid: int, ipa: int, size: int) -> None:
        omitted.append((vmid, ipa, size))

    monkeypatch.setattr(Machine, "tlbi_ipas2", tlbi_ipas2)
    return omitted


def twice(target: int) -> str:
    """Code that reads a word, reports it in X3, and does both again."""
    access = f"{load('x9', target)}; ldr x3, [x9]"
    return f"{access}; {REPORT}; {access}; {REPORT}"


class TestStale:
    """Each command that takes a mapping away: as it is, and with the invalidation left out."""

    @pytest.mark.parametrize("invalidate", [True, False])
    def test_data_destroy(self, running: Running, host: Any, monkeypatch: Any, invalidate: bool) -> None:
        """RMI_DATA_DESTROY: without TLBI the Realm goes on reading the granule, whoever has it now."""
        realm = running(twice(BUFFER))
        pa = realm.data[BUFFER]
        host.peek.write64(pa, SECRET)
        assert reported(realm.enter())[3] == SECRET
        omitted = omit(monkeypatch) if not invalidate else []
        host.ok(Rmi.DATA_DESTROY, realm.rd, BUFFER)
        host.peek.write64(pa, SECRET + 1)  # the granule's next owner
        exit = realm.enter()
        if invalidate:
            assert (exit.exit_reason, exit.hpfar) == (RecExitReason.SYNC, BUFFER >> 8)
        else:
            assert omitted == [(realm.params["vmid"], BUFFER, PAGE)]
            assert reported(exit)[3] == SECRET + 1

    @pytest.mark.parametrize("invalidate", [True, False])
    def test_unmap_unprotected(self, running: Running, host: Any, monkeypatch: Any, invalidate: bool) -> None:
        """RMI_RTT_UNMAP_UNPROTECTED: without TLBI the Realm goes on reading the Host's page."""
        realm = running(twice(UNPROTECTED))
        realm.table(UNPROTECTED, 3)
        page = host.page(SECRET.to_bytes(8, "little"))
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, UNPROTECTED, 3, page | HOST_NORMAL)
        assert reported(realm.enter())[3] == SECRET
        omitted = omit(monkeypatch) if not invalidate else []
        host.ok(Rmi.RTT_UNMAP_UNPROTECTED, realm.rd, UNPROTECTED, 3)
        exit = realm.enter()
        if invalidate:
            assert (exit.exit_reason, exit.hpfar) == (RecExitReason.SYNC, UNPROTECTED >> 8)
        else:
            assert omitted == [(realm.params["vmid"], UNPROTECTED, PAGE)]
            assert reported(exit)[3] == SECRET

    @pytest.mark.parametrize("invalidate", [True, False])
    def test_rtt_destroy(self, running: Running, host: Any, monkeypatch: Any, invalidate: bool) -> None:
        """RMI_RTT_DESTROY of a table with Unprotected mappings: they go with it."""
        realm = running(twice(UNPROTECTED))
        realm.table(UNPROTECTED, 3)
        page = host.page(SECRET.to_bytes(8, "little"))
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, UNPROTECTED, 3, page | HOST_NORMAL)
        assert reported(realm.enter())[3] == SECRET
        omitted = omit(monkeypatch) if not invalidate else []
        host.ok(Rmi.RTT_DESTROY, realm.rd, UNPROTECTED, 3)
        exit = realm.enter()
        if invalidate:
            assert (exit.exit_reason, exit.hpfar) == (RecExitReason.SYNC, UNPROTECTED >> 8)
        else:
            assert omitted == [(realm.params["vmid"], UNPROTECTED, BLOCK)]
            assert reported(exit)[3] == SECRET

    @pytest.mark.parametrize("invalidate", [True, False])
    def test_set_ripas(self, running: Running, host: Any, monkeypatch: Any, invalidate: bool) -> None:
        """RMI_RTT_SET_RIPAS to EMPTY: without TLBI the page is still there for the Realm."""
        access = f"{load('x9', BUFFER)}; ldr x3, [x9]"
        change = smc(Rsi.IPA_STATE_SET, BUFFER, BUFFER + PAGE, RmiRipas.EMPTY, 0)
        vectors = f"{load('x9', RAM + 0x800)}; msr vbar_el1, x9; isb"
        handler = f"mov x3, #0xdead; {REPORT}"
        realm = running(f"{vectors}; {access}; {change}; {access}; {REPORT} @0xa00: {handler}")
        host.peek.write64(realm.data[BUFFER], SECRET)
        assert realm.enter().exit_reason == RecExitReason.RIPAS_CHANGE
        omitted = omit(monkeypatch) if not invalidate else []
        host.ok(Rmi.RTT_SET_RIPAS, realm.rd, realm.recs[0], BUFFER, BUFFER + PAGE)
        assert reported(realm.enter())[3] == (0xDEAD if invalidate else SECRET)
        assert invalidate or omitted == [(realm.params["vmid"], BUFFER, PAGE)]

    def test_realm_destroy(self, host: Any, realms: Callable[..., Any], assemble: Any, monkeypatch: Any) -> None:
        """RMI_REALM_DESTROY with a block of Non-secure memory in its starting table: all of the VMID is invalidated."""
        page = host.page(SECRET.to_bytes(8, "little"))
        target = UNPROTECTED + page - RAM
        vmids: list[int] = []
        original = Machine.tlbi_vmalls12

        def tlbi_vmalls12(self: Machine, vmid: int) -> None:
            vmids.append(vmid)
            original(self, vmid)

        monkeypatch.setattr(Machine, "tlbi_vmalls12", tlbi_vmalls12)
        for is_first in (True, False):
            host._vmid = 0
            realm = realms(rtt_level_start=1, rtt_num_start=1)
            realm.write(RAM, assemble(f"{load('x9', target)}; ldr x3, [x9]; {REPORT}"))
            realm.write(RAM + PAGE, b"")
            realm.rec()
            realm.activate()
            if is_first:
                host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, UNPROTECTED, 1, RAM | HOST_NORMAL)
                assert reported(realm.enter())[3] == SECRET
                realm.destroy()
                assert vmids == [1]
        exit = realm.enter()
        assert (exit.exit_reason, exit.hpfar) == (RecExitReason.SYNC, target >> 12 << 4)


class TestBreakBeforeMake:
    """A valid entry that another valid one replaces goes first, from memory and from every TLB (DDI 0487 D8.16)."""

    def test_block_and_back(self, running: Running, host: Any, monkeypatch: Any) -> None:
        """RMI_RTT_FOLD into a block, RMI_RTT_CREATE over it: one invalidation of it each, with nothing mapped there."""
        base = RAM + BLOCK
        realm = running(REPORT, block=base)
        record = REALM.load(host.rmm.port, realm.rd)
        calls: list[tuple[int, int, int, bool]] = []
        original = Machine.tlbi_ipas2

        def tlbi_ipas2(self: Machine, vmid: int, ipa: int, size: int) -> None:
            found = rtt.walk(host.rmm.port, record, base, 2)
            calls.append((vmid, ipa, size, rtte.valid(found.entry)))
            original(self, vmid, ipa, size)

        monkeypatch.setattr(Machine, "tlbi_ipas2", tlbi_ipas2)
        once = (realm.params["vmid"], base, BLOCK, False)
        table = host.ok(Rmi.RTT_FOLD, realm.rd, base, 3)[0]
        assert calls == [once]
        host.ok(Rmi.RTT_CREATE, realm.rd, table, base, 3)
        assert calls == [once] * 2


class TestNotMore:
    """What needs no invalidation does without: nothing that was there has gone."""

    def test_no_invalidation(self, running: Running, host: Any, monkeypatch: Any) -> None:
        """Filling an entry that was not valid, or taking one away that never was, drops nothing from a TLB."""
        realm = running(REPORT)
        omitted = omit(monkeypatch)
        ipa = RAM + 8 * PAGE
        host.ok(Rmi.DATA_CREATE_UNKNOWN, realm.rd, host.granules(), ipa)
        host.ok(Rmi.DATA_DESTROY, realm.rd, ipa)  # RIPAS EMPTY: the entry was never valid
        realm.table(RAM + BLOCK, 3)
        realm.table(UNPROTECTED, 3)
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, UNPROTECTED, 3, host.page() | HOST_NORMAL)
        host.ok(Rmi.GRANULE_UNDELEGATE, host.granules())
        assert omitted == []


class TestTlb:
    """What the RMM takes away is gone from the TLB too."""

    def test_ripas_empty(self, running: Running, host: Any) -> None:
        """A page that has become EMPTY is not reached any more, although it is still assigned."""
        access = f"{load('x9', BUFFER)}; ldr x3, [x9]"
        change = smc(Rsi.IPA_STATE_SET, BUFFER, BUFFER + PAGE, RmiRipas.EMPTY, 0)
        realm = running(with_vectors(f"{access}; {change}; {access}"))
        assert realm.enter().exit_reason == RecExitReason.RIPAS_CHANGE
        host.ok(Rmi.RTT_SET_RIPAS, realm.rd, realm.recs[0], BUFFER, BUFFER + PAGE)
        esr, far = reported(realm.enter())[:2]
        assert (esr & 0x3F, far) == (0x10, BUFFER)

    def test_table_destroyed(self, running: Running, host: Any) -> None:
        """With the table of an Unprotected mapping the mapping goes."""
        access = f"{load('x9', UNPROTECTED)}; ldr x3, [x9]"
        realm = running(f"{access}; {REPORT}; {access}; {REPORT}")
        realm.table(UNPROTECTED, 3)
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, UNPROTECTED, 3, host.page(b"\x42") | HOST_NORMAL)
        assert reported(realm.enter())[3] == 0x42
        host.ok(Rmi.RTT_DESTROY, realm.rd, UNPROTECTED, 3)
        assert realm.enter().exit_reason == RecExitReason.SYNC

    def test_block_and_back(self, running: Running, host: Any) -> None:
        """Folding a table of pages into a block and unfolding it keeps every page where it was."""
        base, last = RAM + 0x20_0000, RAM + 0x3F_F000
        access = f"{load('x9', last)}; ldr x3, [x9]"
        realm = running(f"{access}; {REPORT}; {access}; {REPORT}; {access}; {REPORT}", block=base)
        table = 0
        for change in (None, Rmi.RTT_FOLD, Rmi.RTT_CREATE):
            if change == Rmi.RTT_FOLD:
                table = host.ok(Rmi.RTT_FOLD, realm.rd, base, 3)[0]
            elif change == Rmi.RTT_CREATE:
                host.ok(Rmi.RTT_CREATE, realm.rd, table, base, 3)
            assert reported(realm.enter())[3] == 0x55AA

    def test_vmid_used_again(self, running: Running, host: Any) -> None:
        """A new Realm under the VMID of a dead one sees its own memory."""
        source = f"{load('x9', BUFFER)}; ldr x3, [x9]; {REPORT}; {smc(0x8400_0008)}"
        for value in (1, 2):
            host._vmid = 0
            realm = running(source)
            host.peek.write64(realm.data[BUFFER], value)
            assert reported(realm.enter())[3] == value
            realm.destroy()
