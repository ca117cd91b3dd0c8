"""Every failure condition of RSI and PSCI, provoked by code inside a Realm: alone and two at once."""

import json
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
from conformance_memory import changed_pages
from conformance_registry import combine
from conformance_services import PSCI_BAD, PSCI_FAILURES, PSCI_GOOD, RSI_BAD, RSI_EXCLUSIVE, RSI_GOOD, RSI_JOINT
from conformance_world import Facts
from realm_stub import CALL, Stub
from rmm_host import Host

from cca_arch.psci import Psci
from cca_arch.rmi.v1_0 import RecExitReason
from cca_arch.rsi.v1_0 import Rsi, RsiStatus
from cca_platform import compiled
from cca_platform.trace.trace import Record
from cca_rmm.commands import attestation
from cca_rmm.versions.v1_0 import V1_0

SERVICES = V1_0.services

SPEC = json.loads((Path(__file__).parents[1] / "rmm" / "vectors" / "rmm10.json").read_text())["rsi"]
ONES = (1 << 64) - 1
RSI_ORDER = {name: [failure[0] for failure in row["failures"]] for name, row in SPEC.items()}
RSI_STATUS = {(name, id): RsiStatus[status[4:]] for name, row in SPEC.items() for id, status in row["failures"]}
RSI_SINGLE = [
    (name, id, n)
    for name, ids in RSI_ORDER.items()
    for id in ids
    for n in range(len(RSI_BAD.get(name, {}).get(id, [])))
]
RSI_PAIRS = [(name, *pair) for name, ids in RSI_ORDER.items() for pair in combinations(ids, 2)]
PSCI_SINGLE = [
    (fid, id, n) for fid, failures in PSCI_FAILURES.items() for id, _ in failures for n in range(len(PSCI_BAD[fid][id]))
]
PSCI_PAIRS = [
    (fid, one, other) for fid, failures in PSCI_FAILURES.items() for (one, _), (other, _) in combinations(failures, 2)
]


class Keep:
    """A sink that keeps what services failed of."""

    def __init__(self) -> None:
        self.failed: list[Any] = []

    def write(self, record: Record) -> None:
        """Keep one."""
        if record["event"] == "rsi.return":
            self.failed.append(record["failed"])

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture(scope="module")
def stubs(conformance_host: Host) -> tuple[Stub, Any]:
    """A Realm that has a token's keys already, and the state of the machine that belongs to it."""
    stub = Stub(conformance_host, recs=2)
    stub.answer(Rsi.ATTESTATION_TOKEN_INIT)
    return stub, conformance_host.machine.snapshot()


@pytest.fixture
def stub(stubs: tuple[Stub, Any]) -> Stub:
    """The Realm in its first host call."""
    stub, state = stubs
    stub.host.machine.restore(state)
    return stub


def serve(stub: Stub, fid: int, facts: Facts) -> tuple[tuple[int, ...], Any]:
    """X0..X3 after the service, the others being as before, and the condition that the trace names."""
    machine, keys = stub.host.machine, stub.host.rmm.key_area
    if "@token" in facts:
        state = attestation.AttestState.SIGNING if facts["@token"] else attestation.AttestState.NONE
        stub.host.peek.write64(stub.recs[0] + attestation.ATTEST_OFFSET, state)
    if "@keys" in facts:
        stub.host.peek.write64(keys, facts["@keys"])
    ins = [facts[name] & ONES for name in SERVICES[fid].ins if name in facts]
    sent = (fid, *ins, *range(0x101 + len(ins), 0x113))
    machine.snapshot()
    sink = Keep()
    machine.trace.add(sink)
    try:
        got = stub.answer(*sent)
    finally:
        machine.trace.close()
    assert got[4:] == sent[4:]
    return got[:4], sink.failed[0]


def check_effects(stub: Stub) -> None:
    """All memory is as before but the REC's, the run page and the page of the host call."""
    rmm = stub.host.rmm
    own = {stub.recs[0], stub.aux[0][0], stub.runs[0], stub.data[CALL], rmm.area(stub.host.pe)}
    assert changed_pages(stub.host.machine).keys() <= own


def both(name: str, first: str, second: str) -> Facts | None:
    """A situation in which two conditions of a service hold."""
    joint = RSI_JOINT.get((name, first, second))
    pairs = [(joint,)] if joint is not None else product(RSI_BAD[name][first], RSI_BAD[name][second])
    for bads in pairs:
        facts = combine(None, RSI_GOOD[name], *bads)
        if facts is not None:
            return facts
    return None


class TestRsi:
    """Services of DEN0137."""

    def test_every_condition_has_a_provoker(self) -> None:
        """And no provoker is without a condition."""
        have = {(name, id) for name, bads in RSI_BAD.items() for id, list_ in bads.items() if list_}
        assert have == {(name, id) for name, ids in RSI_ORDER.items() for id in ids}

    def test_the_table_has_this_order(self) -> None:
        """The service table and the fact book name the same conditions in the same order."""
        for name, ids in RSI_ORDER.items():
            assert [check.id for check in SERVICES[Rsi[name]].conditions] == ids

    @pytest.mark.parametrize(("name", "id", "n"), RSI_SINGLE, ids=[f"{name}-{id}-{n}" for name, id, n in RSI_SINGLE])
    def test_alone(self, stub: Stub, name: str, id: str, n: int, record_property: Any, monkeypatch: Any) -> None:
        """Its status, nothing else, and nothing has changed."""
        if id == "other":
            if compiled.modules():
                pytest.skip("compiled modules run: they call EL3 directly")
            monkeypatch.setattr(attestation, "el3_call", lambda pe, fid, *args: [ONES, 0, 0, 0, 0])
        facts = combine(None, RSI_GOOD[name], RSI_BAD[name][id][n])
        assert facts is not None
        got, failed = serve(stub, Rsi[name], facts)
        assert (failed, got[0]) == (id, RSI_STATUS[name, id])
        assert got[1:4] == ((0x10000, 0x10000, 0) if name == "VERSION" else (0, 0, 0))
        if id != "other":
            check_effects(stub)
        record_property("conformance.rsi", f"{name}.{id}")

    @pytest.mark.parametrize(("name", "first", "second"), RSI_PAIRS, ids=["-".join(pair) for pair in RSI_PAIRS])
    def test_pair(self, stub: Stub, name: str, first: str, second: str, record_property: Any) -> None:
        """The condition that the specification names first answers."""
        facts = both(name, first, second)
        if facts is None:
            assert RSI_EXCLUSIVE[first, second]
            record_property("conformance.exclusive", f"{name}.{first}.{second}")
            return
        got, failed = serve(stub, Rsi[name], facts)
        assert (failed, got[0]) == (first, RSI_STATUS[name, first])
        record_property("conformance.pairs", f"{name}.{first}.{second}")


class TestPsci:
    """PSCI 1.1 of a Realm."""

    @pytest.mark.parametrize(("fid", "id", "n"), PSCI_SINGLE, ids=[f"{fid:x}-{id}-{n}" for fid, id, n in PSCI_SINGLE])
    def test_alone(self, stub: Stub, fid: Psci, id: str, n: int, record_property: Any) -> None:
        """Its return code, without an exit, and nothing has changed."""
        facts = combine(None, PSCI_GOOD[fid], PSCI_BAD[fid][id][n])
        assert facts is not None
        got, failed = serve(stub, fid, facts)
        assert (failed, got) == (id, (dict(PSCI_FAILURES[fid])[id] & ONES, 0, 0, 0))
        check_effects(stub)
        record_property("conformance.psci", f"{Psci(fid).name}.{id}")

    @pytest.mark.parametrize(
        ("fid", "first", "second"), PSCI_PAIRS, ids=[f"{fid:x}-{one}-{other}" for fid, one, other in PSCI_PAIRS]
    )
    def test_pair(self, stub: Stub, fid: Psci, first: str, second: str, record_property: Any) -> None:
        """The first in order answers; a target is not unknown and the caller at once."""
        for bads in product(PSCI_BAD[fid][first], PSCI_BAD[fid][second]):
            facts = combine(None, PSCI_GOOD[fid], *bads)
            if facts is not None:
                got, failed = serve(stub, fid, facts)
                assert (failed, got[0]) == (first, dict(PSCI_FAILURES[fid])[first] & ONES)
                record_property("conformance.pairs", f"{Psci(fid).name}.{first}.{second}")
                return
        assert (first, second) == ("target_bound", "caller") or not PSCI_BAD[fid][first]
        record_property("conformance.exclusive", f"{Psci(fid).name}.{first}.{second}")

    @pytest.mark.parametrize("fid", sorted(PSCI_GOOD))
    def test_good(self, stub: Stub, fid: int) -> None:
        """The arguments from which the bad ones are made reach the Host."""
        exit = stub.ask(fid, *PSCI_GOOD[fid].values())
        assert (exit.exit_reason, exit.gprs[0], exit.gprs[1]) == (RecExitReason.PSCI, fid, 1)


