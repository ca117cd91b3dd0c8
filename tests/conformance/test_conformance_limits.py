"""Conditions at the very limit: the last value that is accepted, and the first that is not."""

import pytest
from realm_stub import BUFFER, Stub
from rmm_host import PAGE, Host, Realm

from cca_arch.descriptors.rtte import HOST_NORMAL
from cca_arch.rmi.v1_0 import (
    RecEnterFlags,
    RecExitReason,
    Rmi,
    RmiRealmParams,
    RmiRecParams,
    RmiRipas,
    RmiStatus,
    mpidr_of,
)
from cca_arch.rsi.v1_0 import Rsi, RsiStatus
from cca_rmm.versions.v1_0 import V1_0

MAX_RECS = V1_0.offer.max_recs

PARAMS = 0x8F00_0000


class TestLimits:
    """What the registry shows with state written into the RMM's granules, here by commands alone."""

    def test_num_recs(self, conformance_host: Host) -> None:
        """A Realm has 2^MAX_RECS_ORDER - 1 RECs; the next one is RMI_ERROR_REALM, until one is destroyed."""
        host = conformance_host
        before = host.machine.snapshot()
        realm = Realm(host)
        ok, first = host.ok, 0
        for index in range(MAX_RECS + 1):
            rec = host.granules(3)
            aux = (rec + PAGE, rec + 2 * PAGE, *(0,) * 14)
            params = host.page(RmiRecParams.pack(flags=0, mpidr=mpidr_of(index), num_aux=2, aux=aux))
            if index < MAX_RECS:
                ok(Rmi.REC_CREATE, realm.rd, rec, params)
                first = first or rec
        assert host.status(Rmi.REC_CREATE, realm.rd, rec, params) == (RmiStatus.ERROR_REALM, 0)
        ok(Rmi.REC_DESTROY, first)
        ok(Rmi.REC_CREATE, realm.rd, rec, params)
        host.machine.restore(before)

    def test_sea_flag(self, conformance_host: Host) -> None:
        """inject_sea alone has no effect when the last exit was none that it answers."""
        host = conformance_host
        before = host.machine.snapshot()
        realm = Realm(host)
        realm.rec(pc=0x1_0000_0000 - PAGE)  # RIPAS of the code is RAM, and nothing is there
        host.ok(Rmi.RTT_INIT_RIPAS, realm.rd, 0xC000_0000, 0x1_0000_0000)
        realm.activate()
        exit = realm.enter(flags=RecEnterFlags.make(inject_sea=1))
        assert (exit.exit_reason, exit.esr) == (RecExitReason.SYNC, 0x20 << 26 | 6)
        host.machine.restore(before)


SHAPES = [
    (s2sz, start, 1 << max(0, s2sz - bits))
    for start, bits, widths in ((2, 30, range(33, 35)), (1, 39, range(33, 44)), (0, 48, range(40, 49)))
    for s2sz in widths
]


class TestShapes:
    """Every legal IPA width with every starting level, with as many starting tables as that takes."""

    @pytest.mark.parametrize(("s2sz", "start", "count"), SHAPES)
    def test_runs(self, conformance_host: Host, s2sz: int, start: int, count: int) -> None:
        """The Realm runs and sees its width; both halves have their ends where the width says."""
        host = conformance_host
        before = host.machine.snapshot()
        realm = Stub(host, s2sz=s2sz, rtt_level_start=start, rtt_num_start=count)
        half, top, ok = 1 << s2sz - 1, 1 << s2sz, RsiStatus.SUCCESS
        assert realm.answer(Rsi.REALM_CONFIG, BUFFER)[0] == ok
        assert host.peek.read64(realm.data[BUFFER]) == s2sz
        assert realm.answer(Rsi.IPA_STATE_GET, half - PAGE, half)[:3] == (ok, half, RmiRipas.EMPTY)
        assert realm.answer(Rsi.IPA_STATE_GET, half, half + PAGE)[0] == RsiStatus.ERROR_INPUT
        assert realm.answer(Rsi.HOST_CALL, half)[0] == RsiStatus.ERROR_INPUT
        assert host.ok(Rmi.RTT_READ_ENTRY, realm.rd, top - (1 << 12 + 9 * (3 - start)), start) == [start, 0, 0, 0]
        assert host.status(Rmi.RTT_READ_ENTRY, realm.rd, top, start) == (RmiStatus.ERROR_INPUT, 0)
        for level in range(start + 1, 4):
            realm.table(top - (1 << 12 + 9 * (4 - level)), level)
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, top - PAGE, 3, 0x8000_0000 | HOST_NORMAL)
        host.machine.restore(before)

    def test_others_are_refused(self, conformance_host: Host) -> None:
        """No other combination makes a Realm."""
        host = conformance_host
        before = host.machine.snapshot()
        tables, rd = host.granules(16, 16 * PAGE), host.granules()
        legal = {*SHAPES, (32, 2, 4), (32, 1, 1)}
        for s2sz in (0, 31, *range(32, 50), 52, 64, 255):
            for start in (-1, 0, 1, 2, 3):
                for count in (0, 1, 2, 3, 4, 8, 16, 17, 32):
                    if (s2sz, start, count) not in legal:
                        shape = {"s2sz": s2sz, "rtt_level_start": start, "rtt_num_start": count, "rtt_base": tables}
                        params = RmiRealmParams.pack(**shape, num_bps=1, num_wps=1, vmid=9)
                        host.memory.write(PARAMS, params)
                        assert host.status(Rmi.REALM_CREATE, rd, PARAMS) == (RmiStatus.ERROR_INPUT, 0)
        host.machine.restore(before)
