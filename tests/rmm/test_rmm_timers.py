"""The EL1 timers of a REC: when they end its run, and what the Host sees of them."""

from collections.abc import Callable
from typing import Any

import pytest
from realm_code import REPORT, load, reported

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
