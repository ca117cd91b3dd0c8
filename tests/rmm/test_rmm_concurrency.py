"""Two PEs at once: a Host on one calls while a Realm runs on the other (DEN0137 "Concurrency")."""

from collections.abc import Callable
from typing import Any

import pytest
from realm_code import CALL, REPORT, load, reported, smc

from cca_arch.descriptors.rtte import HOST_NORMAL
from cca_arch.rmi.v1_0 import RecExitReason, Rmi, RmiReturn, RmiStatus
from cca_arch.rsi.v1_0 import Rsi
from cca_platform.trace.trace import Record

RAM, PAGE = 0x8000_0000, 0x1000
BUFFER = RAM + 2 * PAGE
UNPROTECTED = 0x1_0000_0000
Running = Callable[..., Any]
NOW = smc(Rsi.VERSION, 0x10000)
"""While the RMM serves this, the Host of the other PE has its turn."""


class Meanwhile:
    """A sink that acts at the first RSI call of a Realm that runs."""

    def __init__(self, host: Any, action: Callable[[Any], None]) -> None:
        self.host, self.action, self.done = host, action, False

    def write(self, record: Record) -> None:
        """Act once."""
        if record["event"] == "rsi.call" and not self.done:
            self.done = True
            self.action(self.host.machine.pes[1])

    def close(self) -> None:
        """Nothing to close."""


def meanwhile(host: Any, realm: Any, action: Callable[[Any], None]) -> Any:
    """Enter the Realm; the other PE acts while it runs; run.exit."""
    sink = Meanwhile(host, action)
    host.machine.trace.add(sink)
    try:
        exit = realm.enter()
    finally:
        host.machine.trace.close()
    assert sink.done
    return exit


class TestRunningRec:
    """A REC runs on one PE at most, and nobody changes it meanwhile."""

    @pytest.mark.parametrize("command", ["REC_ENTER", "REC_DESTROY", "RTT_SET_RIPAS", "PSCI_COMPLETE"])
    def test_refused(self, host: Any, realm: Any, assemble: Any, command: str) -> None:
        """RMI_ERROR_REC, and RMI_ERROR_INPUT of RMI_PSCI_COMPLETE; the Realm goes on as if nothing had been."""
        realm.write(RAM, assemble(f"{NOW}; mov x3, #5; {REPORT}"))
        realm.write(CALL, b"")
        realm.rec()
        realm.rec(flags=0)
        realm.activate()
        other = host.page()
        rec = realm.recs[0]
        args = {
            "REC_ENTER": (rec, other),
            "REC_DESTROY": (rec,),
            "RTT_SET_RIPAS": (realm.rd, rec, RAM, RAM + PAGE),
            "PSCI_COMPLETE": (rec, realm.recs[1], 0),
        }[command]
        answers: list[Any] = []
        exit = meanwhile(host, realm, lambda pe: answers.append(host.call(Rmi[command], *args, pe=pe)[0]))
        expected = RmiStatus.ERROR_INPUT if command == "PSCI_COMPLETE" else RmiStatus.ERROR_REC
        assert RmiReturn(answers[0]) == RmiReturn.make(status=expected)
        assert reported(exit)[3] == 5
        assert host.memory.read(other, PAGE) == bytes(PAGE)

    def test_realm_destroy(self, host: Any, running: Running) -> None:
        """A Realm that runs has a REC, so it is live."""
        realm = running(f"{NOW}; {REPORT}")
        answers: list[Any] = []
        meanwhile(host, realm, lambda pe: answers.append(host.call(Rmi.REALM_DESTROY, realm.rd, pe=pe)[0]))
        assert answers == [RmiStatus.ERROR_REALM]


class TestTables:
    """What another PE takes away is gone for the Realm before that command returns."""

    def test_data_destroy(self, host: Any, running: Running) -> None:
        """The next access of the Realm, on a page that was in its TLB, exits."""
        access = f"{load('x9', BUFFER)}; ldr x5, [x9]"
        realm = running(f"{access}; {NOW}; {access}; {REPORT}")
        exit = meanwhile(host, realm, lambda pe: host.call(Rmi.DATA_DESTROY, realm.rd, BUFFER, pe=pe))
        assert (exit.exit_reason, exit.hpfar) == (RecExitReason.SYNC, BUFFER >> 8)

    def test_map_unprotected(self, host: Any, running: Running) -> None:
        """A mapping that the other PE makes is there at once."""
        realm = running(f"{NOW}; {load('x9', UNPROTECTED)}; ldr x3, [x9]; {REPORT}")
        realm.table(UNPROTECTED, 3)
        page = host.page(b"\x42")
        arguments = (realm.rd, UNPROTECTED, 3, page | HOST_NORMAL)
        exit = meanwhile(host, realm, lambda pe: host.call(Rmi.RTT_MAP_UNPROTECTED, *arguments, pe=pe))
        assert reported(exit)[3] == 0x42

    def test_fold(self, host: Any, running: Running) -> None:
        """Folding under a running Realm keeps everything where it is."""
        base = RAM + 0x20_0000
        access = f"{load('x9', base + 0x3000)}; ldr x5, [x9]"
        realm = running(f"{access}; {NOW}; {access}; mov x3, x5; {REPORT}", block=base)
        exit = meanwhile(host, realm, lambda pe: host.call(Rmi.RTT_FOLD, realm.rd, base, 3, pe=pe))
        assert reported(exit)[3] == 0x55AA

    def test_run_page_lost(self, host: Any, running: Running) -> None:
        """A run page that has left the Non-secure PAS meanwhile: RMI_ERROR_INPUT, although the Realm did run."""
        realm = running(f"{NOW}; {REPORT}")
        run = realm.prepare()
        sink = Meanwhile(host, lambda pe: host.call(Rmi.GRANULE_DELEGATE, run, pe=pe))
        host.machine.trace.add(sink)
        try:
            assert host.status(Rmi.REC_ENTER, realm.recs[0], run) == (RmiStatus.ERROR_INPUT, 0)
        finally:
            host.machine.trace.close()
        assert host.peek.read(run, PAGE) == bytes(PAGE)
