"""Witnesses of faults of the RMM: real Realm code, and a Host that calls by SMC."""

from collections.abc import Iterator

import pytest
from case_code import require
from realm_code import REPORT, load
from rmm_host import PAGE, RAM, Host, Realm, machine_host, to_code

from cca_arch.rmi.v1_0 import RecExitReason, Rmi, RmiStatus
from cca_arch.rsi.v1_0 import Rsi

NORMAL_NS = 6 << 2 | 3 << 6  # a host's descriptor: Normal Write-Back, read-write
EC_DATA_ABORT_LOWER, EC_SERROR = 0x24, 0x2F
SYNCHRONOUS_EXTERNAL_ABORT = 0x10


@pytest.fixture
def host() -> Iterator[Host]:
    """A Host on a machine of its own."""
    made = machine_host()
    yield made
    made.machine.close()


def running(host: Host, source: str) -> Realm:
    """An ACTIVE Realm with this code, and two more pages of RAM behind it."""
    realm = Realm(host)
    realm.write(RAM, to_code(source))
    realm.write(RAM + PAGE, b"")
    realm.write(RAM + 2 * PAGE, b"")
    realm.rec()
    realm.activate()
    return realm


def test_fold_of_a_level_1_table_that_is_not_homogeneous(host: Host) -> None:
    """RTT_FOLD of a full table that is not homogeneous gives RMI_ERROR_RTT with the level of the table."""
    realm = Realm(host, s2sz=40, rtt_level_start=0, rtt_num_start=1)
    half = 1 << 39
    realm.table(half, 1)
    for number in range(512):
        pa = number + (number == 100)  # one entry is not where a block would have it
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, half + (number << 30), 1, pa << 30 | NORMAL_NS)
    assert host.status(Rmi.RTT_FOLD, realm.rd, half, 1) == (RmiStatus.ERROR_RTT, 1)


def test_serror_exits(host: Host) -> None:
    """An SError while a Realm runs exits with reason SERROR and its syndrome; the Realm can be entered again."""
    realm = running(host, f"mov x5, #0; again: add x5, x5, #1; cmp x5, #2000; b.ne again; {REPORT}")
    host.pe.raise_serror(0)
    exit = realm.enter()
    assert (exit.exit_reason, exit.esr) == (RecExitReason.SERROR, EC_SERROR << 26)
    assert realm.enter().exit_reason == RecExitReason.HOST_CALL


def test_timer_that_the_realm_turns_off(host: Host) -> None:
    """A timer that the Host knows as asserted and that the Realm turns off exits before the next return to the Realm.

    It does so when the RMM itself has handled the trap, here RSI_VERSION.
    """
    arm = "msr cntv_cval_el0, xzr; mov x0, #1; msr cntv_ctl_el0, x0; isb; nop; nop; nop"
    disarm = "msr cntv_ctl_el0, xzr; isb"
    version = f"{load('x0', Rsi.VERSION)}; {load('x1', 0x1_0000)}; smc #0"
    realm = running(host, f"{arm}; {disarm}; {version}; {REPORT}")
    exit = realm.enter()
    require((exit.exit_reason, exit.cntv_ctl) == (RecExitReason.IRQ, 5), "the timer exits when it expires")
    exit = realm.enter()
    assert (exit.exit_reason, exit.cntv_ctl) == (RecExitReason.IRQ, 0)
    assert realm.enter().exit_reason == RecExitReason.HOST_CALL


def test_external_abort_of_a_realm(host: Host) -> None:
    """HCR_EL2.TEA is 1 for Realms: an external abort of unprotected memory is an exit, not the Realm's."""
    nobody = 0x7000_0000  # a physical address without memory or device
    vectors = RAM + 2 * PAGE
    realm = Realm(host)
    realm.table(realm.unprotected, 3)
    host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, realm.unprotected, 3, nobody | NORMAL_NS)
    source = f"{load('x0', vectors)}; msr vbar_el1, x0; isb; {load('x0', realm.unprotected)}; ldr x1, [x0]"
    realm.write(RAM, to_code(f"{source}; hang: b hang"))
    realm.write(RAM + PAGE, b"")
    realm.write(vectors, bytes(0x200) + to_code(f"mrs x0, esr_el1; {REPORT}"))
    realm.rec()
    realm.activate()
    exit = realm.enter()
    assert exit.exit_reason == RecExitReason.SYNC
    assert (exit.esr >> 26, exit.esr & 0x3F) == (EC_DATA_ABORT_LOWER, SYNCHRONOUS_EXTERNAL_ABORT)
    assert (exit.hpfar, exit.far) == (0, 0)
