"""The EL1 timers of a REC: when they end its run, and what the Host sees of them."""

from collections.abc import Callable
from typing import Any

import pytest
from realm_code import REPORT, load, reported, with_vectors

from cca_arch.rmi.v1_0 import RecExitReason

Running = Callable[..., Any]


class TestTimers:
    """EL1 timers of the Realm."""

    @pytest.mark.parametrize("timer", ["cntv", "cntp"])
    def test_fires(self, running: Running, timer: str) -> None:
        """Exit IRQ with ENABLE and ISTATUS; then the Host knows, and the Realm runs on."""
        wait = "again: add x3, x3, #1; cmp x3, x5; b.ne again"
        arm = f"mov x3, #500; msr {timer}_tval_el0, x3; mov x3, #1; msr {timer}_ctl_el0, x3"
        realm = running(f"{arm}; mov x3, #0; mov x5, #4000; {wait}; {REPORT}")
        exit = realm.enter()
        other = "cntp" if timer == "cntv" else "cntv"
        assert (exit.exit_reason, exit.esr) == (RecExitReason.IRQ, 0)
        assert (getattr(exit, f"{timer}_ctl"), getattr(exit, f"{other}_ctl")) == (5, 0)
        exit = realm.enter()
        assert reported(exit)[3] == 4000
        assert getattr(exit, f"{timer}_ctl") == 5

    def test_masked(self, running: Running) -> None:
        """A timer that the Realm masks interrupts nobody; the exit shows IMASK."""
        arm = "mov x3, #5; msr cntv_tval_el0, x3; mov x3, #3; msr cntv_ctl_el0, x3"
        realm = running(f"{arm}; mov x3, #0; mov x5, #400; again: add x3, x3, #1; cmp x3, x5; b.ne again; {REPORT}")
        exit = realm.enter()
        assert (reported(exit)[3], exit.cntv_ctl) == (400, 7)


HANDLED = {
    "rsi": "movz x0, #0x190; movk x0, #0xC400, lsl #16; mov x1, #0x10000; smc #0",
    "psci": "movz x0, #0x8400, lsl #16; smc #0",
    "unknown": "movz x0, #0x1234; smc #0",
    "id-register": "mrs x7, id_aa64pfr0_el1",
    "injected": "hvc #0",
}
"""What the RMM deals with by itself, by name."""


class TestTurnedOff:
    """A timer that the Host knows as asserted, and that the Realm turns off, masks, or sets anew."""

    @pytest.mark.parametrize("trap", sorted(HANDLED))
    @pytest.mark.parametrize("timer", ["cntv", "cntp"])
    def test_handled_trap(self, running: Running, timer: str, trap: str) -> None:
        """The change exits with IRQ after whatever trap comes next: the trap is done, and the Realm goes on."""
        arm = f"msr {timer}_cval_el0, xzr; mov x6, #1; msr {timer}_ctl_el0, x6; isb; nop; nop"
        source = f"{arm}; msr {timer}_ctl_el0, xzr; isb; {HANDLED[trap]}; mov x5, #5"
        realm = running(with_vectors(source))
        exit = realm.enter()
        assert (exit.exit_reason, getattr(exit, f"{timer}_ctl")) == (RecExitReason.IRQ, 5)
        exit = realm.enter()
        assert (exit.exit_reason, exit.esr, getattr(exit, f"{timer}_ctl")) == (RecExitReason.IRQ, 0, 0)
        got = reported(realm.enter())
        if trap == "injected":
            assert got[4] == 0x200
        else:
            assert got[5] == 5

    @pytest.mark.parametrize(
        ("change", "ctl"), [("mov x6, #3; msr cntv_ctl_el0, x6", 7), ("mov x6, #-1; msr cntv_cval_el0, x6", 1)]
    )
    def test_ways(self, running: Running, change: str, ctl: int) -> None:
        """IMASK and a later compare value lower the output as ENABLE = 0 does."""
        arm = "msr cntv_cval_el0, xzr; mov x6, #1; msr cntv_ctl_el0, x6; isb; nop; nop"
        realm = running(f"{arm}; {change}; {HANDLED['rsi']}; {REPORT}")
        realm.enter()
        exit = realm.enter()
        assert (exit.exit_reason, exit.cntv_ctl) == (RecExitReason.IRQ, ctl)

    def test_unchanged(self, running: Running) -> None:
        """While it stays asserted a handled trap does not exit."""
        arm = "msr cntv_cval_el0, xzr; mov x6, #1; msr cntv_ctl_el0, x6; isb; nop; nop"
        realm = running(f"{arm}; {HANDLED['rsi']}; {HANDLED['id-register']}; {REPORT}")
        realm.enter()
        assert realm.enter().exit_reason == RecExitReason.HOST_CALL

    @pytest.mark.parametrize("trap", sorted(HANDLED))
    @pytest.mark.parametrize("timer", ["cntv", "cntp"])
    def test_still_on(self, running: Running, timer: str, trap: str) -> None:
        """What is as the Host knows it ends no run: after a trap the Realm goes on."""
        arm = f"msr {timer}_cval_el0, xzr; mov x6, #1; msr {timer}_ctl_el0, x6; isb; nop; nop"
        realm = running(with_vectors(f"{arm}; {HANDLED[trap]}; mov x5, #5; {HANDLED['rsi']}"))
        assert realm.enter().exit_reason == RecExitReason.IRQ
        exit = realm.enter()
        assert (exit.exit_reason, getattr(exit, f"{timer}_ctl")) == (RecExitReason.HOST_CALL, 5)

    def test_other_timer(self, running: Running) -> None:
        """What the Host knows of one timer hides no change of the other."""
        arm = "mov x6, #1; msr cntv_cval_el0, xzr; msr cntv_ctl_el0, x6; isb; nop; nop"
        more = "msr cntp_cval_el0, xzr; msr cntp_ctl_el0, x6; isb; nop; nop"
        realm = running(f"{arm}; {more}; msr cntv_ctl_el0, xzr; {HANDLED['rsi']}; {REPORT}")
        seen = []
        for _ in range(3):
            exit = realm.enter()
            assert exit.exit_reason == RecExitReason.IRQ
            seen.append((exit.cntv_ctl, exit.cntp_ctl))
        assert seen == [(5, 0), (5, 5), (0, 5)]
        assert realm.enter().exit_reason == RecExitReason.HOST_CALL


class TestTimerState:
    """Timers in the exit structure, whatever the reason."""

    def test_values(self, running: Running) -> None:
        """CTL with ISTATUS and CVAL as the Realm set them."""
        arm = f"{load('x3', 1 << 40)}; msr cntv_cval_el0, x3; mov x4, #1; msr cntv_ctl_el0, x4"
        arm += f"; {load('x3', 1 << 41)}; msr cntp_cval_el0, x3; mov x4, #3; msr cntp_ctl_el0, x4"
        exit = running(f"{arm}; {REPORT}").enter()
        assert (exit.cntv_ctl, exit.cntv_cval, exit.cntp_ctl, exit.cntp_cval) == (1, 1 << 40, 3, 1 << 41)

    def test_fires_while_out(self, running: Running, host: Any) -> None:
        """A timer whose state has changed since the last exit ends the next entry at once, before any instruction."""
        arm = f"mrs x3, cntvct_el0; {load('x4', 100_000)}; add x3, x3, x4; msr cntv_cval_el0, x3; mov x4, #1"
        realm = running(f"{arm}; msr cntv_ctl_el0, x4; {REPORT}; mov x3, #5; {REPORT}")
        assert realm.enter().cntv_ctl == 1
        host.machine.clock.skip_to(host.machine.clock.now + 200_000)
        exit = realm.enter()
        assert (exit.exit_reason, exit.esr, exit.cntv_ctl) == (RecExitReason.IRQ, 0, 5)
        exit = realm.enter()
        assert (reported(exit)[3], exit.cntv_ctl) == (5, 5)
