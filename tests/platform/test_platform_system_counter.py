"""The memory-mapped system counter: one counter with that of the PEs."""

from typing import Any

import pytest

from cca_arch.types import Pas
from cca_platform.engine import timers
from cca_platform.errors import BusError
from cca_platform.native import block as w

CNTCR, CNTSR, CNTCV, CNTFID0, CONTROL = 0x0, 0x4, 0x8, 0x20, 0x2A43_0000


class TestSystemCounter:
    """CNTControlBase and CNTReadBase."""

    def test_value(self, rig: Any) -> None:
        """Both frames read what CNTPCT_EL0 of each PE does, whole or in halves."""
        rig.go(0x7_0000_0005)
        control, read = rig.device("counter-control"), rig.device("counter-read")
        pe = rig.machine.pes[0]
        assert control.read(CNTCV, 8) == read.read(0, 8) == timers.counter(pe.words[w.P_MACHINE]) == 0x7_0000_0005
        assert [control.read(CNTCV), control.read(CNTCV + 4), read.read(0), read.read(4)] == [5, 7, 5, 7]

    def test_control(self, rig: Any) -> None:
        """The counter always runs, at the one frequency of its table."""
        control = rig.device("counter-control")
        assert [control.read(at) for at in (CNTCR, CNTSR, CNTFID0, CNTFID0 + 4)] == [1, 0, 100_000_000, 0]
        control.write(CNTCR, 2)
        control.write(CNTCV, 99, 8)
        rig.go(7)
        assert [control.read(at) for at in (CNTCR, CNTSR, CNTCV)] == [3, 0, 7]

    def test_worlds(self, rig: Any) -> None:
        """The frame that controls it is Secure; the other one is for everybody, and takes no write."""
        with pytest.raises(BusError):
            rig.bus.read(CONTROL, 4, Pas.NON_SECURE)
        read = rig.device("counter-read")
        read.write(0, 99)
        assert read.read(0) == 0
