"""Invariants of the RMM under any sequence of commands, sensible or not."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cca_platform.types import GranuleProtectionFault
from cca_rmm import rtt
from cca_rmm.abi import Rmi, RmiRealmParams, RmiRecParams
from cca_rmm.granule import State
from cca_rmm.realm import REALM
from cca_rmm.rec import REC
from cca_rmm.rmi import RMI
from cca_rmm.rtt import Kind

POOL = 0x9000_0000  # 40 granules that the commands play with
GRANULES = [POOL + 0x1000 * number for number in range(40)]
NS_PAGE, REALM_PARAMS, REC_PARAMS = GRANULES[37:]
BLOCK = 0x20_0000
UNPROTECTED = 1 << 32

granule = st.sampled_from(GRANULES[:32])
table = st.sampled_from(GRANULES[:16])
ipa = st.sampled_from([*(0, 0x1000, BLOCK) * 3, 0x2000, BLOCK + 0x1000, 1 << 30, UNPROTECTED, UNPROTECTED + 0x1000])
level = st.sampled_from([3, 3, 3, 2, 1])
rd = st.sampled_from([GRANULES[8]] * 8 + [GRANULES[9], GRANULES[10]])
rec = st.sampled_from([GRANULES[13]] * 4 + [GRANULES[14], GRANULES[8]])
data = st.sampled_from(GRANULES[16:32])
ARGUMENTS = {
    "addr": granule, "rd": rd, "data": data, "rtt": table, "ipa": ipa, "level": level, "src": st.just(NS_PAGE),
    "flags": st.sampled_from([0, 1]), "params_ptr": st.sampled_from([REALM_PARAMS, REC_PARAMS]), "rec": rec,
    "base": ipa, "top": ipa, "desc": st.just(NS_PAGE | 6 << 2 | 3 << 6), "calling_rec": granule, "target_rec": granule,
    "status": st.just(0), "req": st.just(0x10000), "index": st.just(0),
}  # fmt: skip
COMMANDS = [row for row in RMI.values() if row.fid != Rmi.REC_ENTER]
call = st.sampled_from(COMMANDS).flatmap(
    lambda row: st.tuples(st.just(row.fid), *(ARGUMENTS[name] for name in row.ins))
)


def start(host: Any) -> None:
    """Delegate most of the pool, write parameters that fit it, and create a Realm, so that much can succeed."""
    host.memory.write(
        REALM_PARAMS,
        RmiRealmParams.pack(
            s2sz=33, rtt_level_start=2, rtt_num_start=8, rtt_base=GRANULES[0], num_bps=1, num_wps=1, vmid=3
        ),
    )
    aux = (GRANULES[30], GRANULES[31]) + (0,) * 14
    host.memory.write(REC_PARAMS, RmiRecParams.pack(flags=1, num_aux=2, aux=aux))
    for pa in GRANULES[:32]:
        host.ok(Rmi.GRANULE_DELEGATE, pa)
    host.ok(Rmi.REALM_CREATE, GRANULES[8], REALM_PARAMS)
    host.ok(Rmi.RTT_CREATE, GRANULES[8], GRANULES[11], 0, 3)


def references(host: Any, pa: int, at_level: int, found: Counter[int]) -> None:
    """Count what a table and the tables below it point to."""
    for entry in rtt.entries(host.peek, pa).tolist():
        if not rtt.live(entry):
            continue
        kind = rtt.kind_of(entry, at_level)
        if kind == Kind.ASSIGNED_NS:
            continue
        assert at_level == 3 or kind == Kind.TABLE, "no command of this test makes blocks of protected memory"
        found[rtt.oa(entry)] += 1
        if kind == Kind.TABLE:
            assert host.rmm.granules.state(rtt.oa(entry)) == State.RTT
            references(host, rtt.oa(entry), at_level + 1, found)
        else:
            assert host.rmm.granules.state(rtt.oa(entry)) == State.DATA


def check(host: Any) -> None:
    """The invariants; see TestInvariants."""
    states = {pa: host.rmm.granules.state(pa) for pa in GRANULES}
    found: Counter[int] = Counter()
    for pa, state in states.items():
        try:
            host.memory.read(pa, 1)
            assert state == State.UNDELEGATED
        except GranuleProtectionFault:
            assert state != State.UNDELEGATED
        if state == State.DELEGATED:
            assert host.peek.read(pa, 0x1000) == bytes(0x1000)
        if state == State.RD:
            realm = REALM.load(host.peek, pa)
            for number in range(realm.rtt_num_start):
                found[realm.rtt_base + 0x1000 * number] += 1
                references(host, realm.rtt_base + 0x1000 * number, realm.rtt_level_start, found)
            owned = [rec for rec, kind in states.items() if kind == State.REC and REC.load(host.peek, rec).rd == pa]
            assert len(owned) == realm.num_recs
        if state == State.REC:
            rec = REC.load(host.peek, pa)
            assert states[rec.rd] == State.RD
            found[rec.aux_regs] += 1
            found[rec.aux_attest] += 1
    owned_states = (State.DATA, State.RTT, State.REC_AUX)
    assert found == Counter({pa: 1 for pa, state in states.items() if state in owned_states})


class TestInvariants:
    """A granule is the Host's or the RMM's, a DELEGATED one is all zero, and every object has exactly one owner."""

    @given(calls=st.lists(call, min_size=20, max_size=60))
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_random_commands(self, booted: Any, fresh: Any, calls: list[tuple[int, ...]]) -> None:
        """After every single command."""
        booted.machine.restore(fresh)
        start(booted)
        for arguments in calls:
            booted.call(*arguments)
            check(booted)

    def test_the_pool_reaches_every_command(self, host: Any) -> None:
        """The arguments above can make most commands succeed: the property is not about errors alone."""
        start(host)
        data, rec = GRANULES[12], GRANULES[13]
        sequence = [
            (Rmi.DATA_CREATE, GRANULES[8], data, 0, NS_PAGE, 1),
            (Rmi.RTT_INIT_RIPAS, GRANULES[8], 0x1000, BLOCK),
            (Rmi.REC_CREATE, GRANULES[8], rec, REC_PARAMS),
            (Rmi.REALM_ACTIVATE, GRANULES[8]),
            (Rmi.REC_DESTROY, rec),
            (Rmi.DATA_DESTROY, GRANULES[8], 0),
            (Rmi.RTT_DESTROY, GRANULES[8], 0, 3),
            (Rmi.REALM_DESTROY, GRANULES[8]),
        ]
        for arguments in sequence:
            host.ok(*arguments)
            check(host)


@pytest.fixture(autouse=True)
def after(booted: Any, fresh: Any) -> Any:
    """Leave the machine as it was for the next module."""
    yield
    booted.machine.restore(fresh)
