"""SErrors and external aborts while a Realm runs: the Host's, and the Realm's where they have broken it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from exit_records import whole
from realm_code import REPORT, load, reported, with_vectors
from rmm_host import Host, Realm, machine_host, to_code

from cca_arch.rmi.v1_0 import RecExitReason, Rmi, RmiRecExit
from cca_arch.sysregs import Aet, Ec, Fsc, SErrorEsr, syndrome
from cca_arch.types import Instructions
from cca_platform.errors import MachineStopped

Running = Callable[..., Any]
SERROR = 0x2F << 26
SPIN = "mov x5, #0; again: add x5, x5, #1; cmp x5, #2000; b.ne again"
UNMASK = "msr daifclr, #4; isb"
VECTOR = 0x380  # SError from the current level with SP_ELx


def iss(aet: Aet, **fields: int) -> int:
    """The ISS of an asynchronous SError."""
    return int(SErrorEsr.make(aet=aet, dfsc=Fsc.ASYNCHRONOUS, **fields))


@pytest.fixture
def own_host() -> Iterator[Host]:
    """A Host on a machine that the test may stop for good."""
    made = machine_host()
    yield made
    made.machine.close()


class TestExit:
    """REC exit due to SError."""

    @pytest.mark.parametrize("aet", [Aet.UNRECOVERABLE, Aet.RESTARTABLE, Aet.RECOVERABLE, Aet.CORRECTED])
    def test_record(self, running: Running, host: Any, aet: Aet) -> None:
        """Reason 6 and EC, IDS, AET, EA and DFSC of the syndrome; everything else of run.exit is zero."""
        realm = running(f"{SPIN}; {REPORT}")
        host.pe.raise_serror(iss(aet, ea=1) | 0x00FE_E1C0)  # bits that the Host does not get
        got = RmiRecExit.unpack(whole(host, realm))
        assert (got.exit_reason, got.esr) == (RecExitReason.SERROR, SERROR | aet << 10 | 1 << 9 | 0x11)
        assert (got.far, got.hpfar, any(got.gprs)) == (0, 0, False)

    def test_uncategorized(self, running: Running, host: Any) -> None:
        """Without a syndrome EC alone is told, and the Realm goes on untouched."""
        realm = running(with_vectors(f"{UNMASK}; {SPIN}; mov x0, #7"))
        host.pe.raise_serror(0)
        exit = realm.enter()
        assert (exit.exit_reason, exit.esr) == (RecExitReason.SERROR, SERROR)
        assert reported(realm.enter())[0] == 7

    @pytest.mark.parametrize(
        "bad",
        [iss(Aet.UNCONTAINABLE), 1 << 24 | 5, 4 << 10 | 0x11, 5 << 10 | 0x11, 7 << 10 | 0x11],
        ids=["uncontainable", "implementation", *("reserved",) * 3],
    )
    def test_fatal(self, own_host: Host, bad: int) -> None:
        """An error that may have reached the RMM itself ends the machine, with a reason."""
        realm = Realm(own_host)
        realm.write(realm.ram, to_code(SPIN))
        realm.rec()
        realm.activate()
        own_host.pe.raise_serror(bad)
        with pytest.raises(MachineStopped, match="RMM panic: an SError that is not contained"):
            realm.enter()


class TestVirtual:
    """The SError that a broken Realm takes itself."""

    @pytest.mark.parametrize("aet", [Aet.UNRECOVERABLE, Aet.RECOVERABLE])
    def test_broken(self, running: Running, host: Any, aet: Aet) -> None:
        """UEU and UER: the next entry delivers it at EL1, with the syndrome of the physical one, and only once."""
        realm = running(with_vectors(f"{UNMASK}; {SPIN}; mov x0, #7"))
        host.pe.raise_serror(iss(aet, ea=1))
        assert realm.enter().exit_reason == RecExitReason.SERROR
        got = reported(realm.enter())
        assert (got[0], got[4]) == (syndrome(Ec.SERROR, iss(aet, ea=1)), VECTOR)

    @pytest.mark.parametrize("aet", [Aet.RESTARTABLE, Aet.CORRECTED])
    def test_whole(self, running: Running, host: Any, aet: Aet) -> None:
        """UEO and CE: the Realm does not hear of it."""
        realm = running(with_vectors(f"{UNMASK}; {SPIN}; mov x0, #7"))
        host.pe.raise_serror(iss(aet))
        realm.enter()
        assert reported(realm.enter())[0] == 7

    def test_masked(self, running: Running, host: Any) -> None:
        """While the Realm masks it, it stays pending over exits; another REC never gets it."""
        realm = running(with_vectors(f"{SPIN}; {REPORT}; {UNMASK}; nop; nop; mov x0, #7"))
        host.pe.raise_serror(iss(Aet.RECOVERABLE))
        realm.enter()
        assert reported(realm.enter())[5] == 2000, "masked after a reset of PSTATE"
        other = Realm(host)
        other.write(other.ram, to_code(f"{load('x9', other.ram + 0x800)}; msr vbar_el1, x9; {UNMASK}; wfi; b ."))
        other.rec()
        other.activate()
        assert other.enter(flags=1 << 2).esr >> 26 == Ec.WFX
        got = reported(realm.enter())
        assert (got[0] & 0x1FF_FFFF, got[4]) == (iss(Aet.RECOVERABLE), VECTOR)


class TestExternalAbort:
    """Synchronous external aborts, of the access and of a table walk at any level."""

    @pytest.mark.parametrize("fsc", [0x10, 0x13, 0x14, 0x15, 0x16, 0x17])
    @pytest.mark.parametrize("ec", [Ec.DATA_ABORT, Ec.INSTRUCTION_ABORT])
    def test_exit(self, running: Running, host: Any, ec: Ec, fsc: int) -> None:
        """The Host gets the class and the status alone, whatever FAR and HPFAR say."""
        realm = running("again: b again")
        run = realm.prepare()
        host.memory.write(run + 0x800, b"\xff" * 0x800)
        host.pe.start_call(Rmi.REC_ENTER, realm.recs[0], run)
        host.pe.step(limit=Instructions(host.machine.clock.retired + 100))
        host.pe.take(syndrome(ec, fsc), 2, far=0x1234, hpfar=0x8_0000)
        exit = RmiRecExit.unpack(host.memory.read(run + 0x800, 0x800))
        assert (exit.exit_reason, exit.esr, exit.far, exit.hpfar) == (RecExitReason.SYNC, ec << 26 | fsc, 0, 0)
