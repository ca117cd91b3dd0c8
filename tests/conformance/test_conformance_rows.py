"""A row is the only truth: a condition put anywhere into it is asked there, and asking changes nothing."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain, repeat
from typing import Any, cast

import pytest
from conformance_registry import GOOD
from conformance_services import PSCI_GOOD, RSI_GOOD
from conformance_world import World
from realm_stub import Stub
from test_conformance_rmi import call
from test_conformance_services import check_effects, serve, stub, stubs

from cca_arch.rmi.v1_0 import RmiReturn, RmiStatus
from cca_platform.trace.trace import Record
from cca_rmm.base.command import Check, Command
from cca_rmm.versions.v1_0 import V1_0

__all__ = ["stub", "stubs"]

RMI, SERVICES = (cast(dict[int, Command[Any]], table) for table in (V1_0.commands, V1_0.services))
INDEX = 0x5A
ANSWER = RmiReturn.make(status=RmiStatus.ERROR_RTT, index=INDEX)


def positions(table: Mapping[int, Command[Any]]) -> list[Any]:
    """Every place of every row: before each check, and after the last."""
    return [
        pytest.param(fid, at, id=f"{row.name}-{fid & 0xFFFF:x}-{at}")
        for fid, row in table.items()
        for at in range(len(row.checks) + 1)
    ]


def insert(row: Command[Any], at: int) -> Command[Any]:
    """The row with one more condition, which holds the first time it is asked: a Realm reports by calls of its own."""
    holds = chain([True], repeat(False))
    check: Check[Any] = Check("inserted", lambda call: next(holds), RmiStatus.ERROR_RTT, lambda call: INDEX)
    return replace(row, checks=(*row.checks[:at], check, *row.checks[at:]))


class Between:
    """A sink that keeps the events between a call and the answer of the condition that was inserted."""

    def __init__(self) -> None:
        self.events: list[str] | None = None
        self._open: list[str] | None = None

    def write(self, record: Record) -> None:
        """Keep the event, or what was kept when the answer comes."""
        event = str(record["event"])
        if event in ("rmi.call", "rsi.call", "psci.call"):
            self._open = []
        elif record.get("failed") == "inserted":
            self.events, self._open = self._open, None
        elif self._open is not None:
            self._open.append(event)

    def close(self) -> None:
        """Nothing to close."""


class TestRows:
    """A condition that always holds answers wherever it stands, when those before it do not hold."""

    @pytest.mark.parametrize(("fid", "at"), positions(RMI))
    def test_rmi(self, world: World, fid: int, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """In a call that succeeds without it; those before it have changed nothing and asked nobody for anything."""
        row = RMI[fid]
        monkeypatch.setitem(RMI, fid, insert(row, at))
        facts = GOOD[row.name](world) if row.name in GOOD else {}
        between = Between()
        world.host.machine.trace.add(between)
        result, failed, changed = call(world, row.name, facts)
        assert (failed, result[0]) == ("inserted", ANSWER)
        assert (changed, between.events) == ({}, [])

    @pytest.mark.parametrize(("fid", "at"), positions(SERVICES))
    def test_services(self, stub: Stub, fid: int, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same of every service of a Realm: RSI, PSCI and SMCCC."""
        row = SERVICES[fid]
        monkeypatch.setitem(SERVICES, fid, insert(row, at))
        facts = PSCI_GOOD.get(fid) or RSI_GOOD.get(row.name, {})
        between = Between()
        stub.host.machine.trace.add(between)
        got, failed = serve(stub, fid, facts)
        assert (failed, got[0]) == ("inserted", ANSWER)
        assert between.events == []
        check_effects(stub)
