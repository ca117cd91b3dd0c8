"""The generic timers against a model written from the rules of DDI 0487, chapter D12, in unbounded integers."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cca_platform.engine import timers
from cca_platform.native import block as w

_M64 = (1 << 64) - 1
_TIMERS = (timers.CNTV, timers.CNTP, timers.CNTHP, timers.CNTHV)
_NEAR = st.integers(-5_000, 5_000)
_VALUES = st.one_of(st.integers(0, _M64), st.integers(0, 20_000), st.integers(_M64 - 20_000, _M64))


def signed(value: int) -> int:
    """A 64-bit value as native code holds it."""
    value &= _M64
    return value - (value >> 63 << 64)


@dataclass
class Model:
    """Rules D12.2.4: a timer's condition is met while count - offset >= CompareValue, all unsigned and 64 bits wide.

    ISTATUS shows the condition of an enabled timer; the output is ISTATUS and not IMASK. TVAL reads the low 32 bits of
    CompareValue - count; a write sets CompareValue = count + SignExtend(TVAL). Only CNTV sees CNTVOFF_EL2.
    """

    offset: int = 0
    control: dict[int, int] = field(default_factory=lambda: dict.fromkeys(_TIMERS, 0))
    compare: dict[int, int] = field(default_factory=lambda: dict.fromkeys(_TIMERS, 0))

    def count(self, timer: int, now: int) -> int:
        return (now - (self.offset if timer == timers.CNTV else 0)) % (1 << 64)

    def met(self, timer: int, now: int) -> bool:
        return self.count(timer, now) >= self.compare[timer]

    def output(self, timer: int, now: int) -> bool:
        return self.control[timer] & 3 == 1 and self.met(timer, now)

    def outputs(self, now: int) -> int:
        return sum(self.output(timer, now) << timer for timer in _TIMERS)


class Timers(RuleBasedStateMachine):
    """Random register writes and passing time; every register, output and deadline after each step."""

    @initialize()
    def make(self) -> None:
        self.machine = np.zeros(w.M_WORDS, np.int64)
        self.pe = np.zeros(w.P_WORDS, np.int64)
        self.p = int(self.pe.ctypes.data)
        self.pe[w.P_MACHINE] = self.machine.ctypes.data
        self.machine[w.M_PER_TICK] = 1
        self.model = Model()
        self.now = 0

    @rule(ticks=st.one_of(st.integers(0, 3_000), st.integers(0, 1 << 40)))
    def wait(self, ticks: int) -> None:
        self.now += ticks
        self.machine[w.M_SKIPPED] = self.now

    @rule(value=_VALUES)
    def offset(self, value: int) -> None:
        self.model.offset = value
        self.pe[w.P_CNTVOFF] = signed(value)

    @rule(timer=st.sampled_from(_TIMERS), value=st.integers(0, _M64))
    def control(self, timer: int, value: int) -> None:
        self.model.control[timer] = value & 3
        timers.write(self.p, timer, 1, signed(value))

    @rule(timer=st.sampled_from(_TIMERS), value=_VALUES)
    def compare(self, timer: int, value: int) -> None:
        self.model.compare[timer] = value
        timers.write(self.p, timer, 2, signed(value))

    @rule(timer=st.sampled_from(_TIMERS), near=_NEAR)
    def compare_near(self, timer: int, near: int) -> None:
        self.compare(timer, (self.model.count(timer, self.now) + near) & _M64)

    @rule(timer=st.sampled_from(_TIMERS), value=st.one_of(st.integers(0, _M64), _NEAR.map(lambda near: near & _M64)))
    def timer_value(self, timer: int, value: int) -> None:
        low = value & 0xFFFF_FFFF
        low -= (low >> 31) << 32
        self.model.compare[timer] = (self.model.count(timer, self.now) + low) % (1 << 64)
        timers.write(self.p, timer, 0, signed(value))

    @rule()
    def skip_to_change(self) -> None:
        """No output rises before the deadline; at the deadline one does. One can fall where the virtual count wraps."""
        due = int(timers.next_change(self.p, self.now))
        before = int(timers.outputs(self.p, self.now))
        if due == timers.NEVER:
            assert int(timers.outputs(self.p, self.now + (1 << 50))) & ~before == 0
            return
        assert due > self.now
        last = int(timers.outputs(self.p, due - 1))
        assert last == self.model.outputs(due - 1) and last & ~before == 0
        assert int(timers.outputs(self.p, due)) & ~before
        self.wait(due - self.now)

    @invariant()
    def registers(self) -> None:
        if not hasattr(self, "model"):
            return
        model, now = self.model, self.now
        for timer in _TIMERS:
            status = 4 if model.control[timer] & 1 and model.met(timer, now) else 0
            assert int(timers.read(self.p, timer, 1)) == model.control[timer] | status
            assert int(timers.read(self.p, timer, 2)) & _M64 == model.compare[timer]
            assert int(timers.read(self.p, timer, 0)) == (model.compare[timer] - model.count(timer, now)) & 0xFFFF_FFFF
        assert int(timers.outputs(self.p, now)) == model.outputs(now)


Timers.TestCase.settings = settings(max_examples=150, stateful_step_count=40, suppress_health_check=list(HealthCheck))
TestTimers = Timers.TestCase


class TestWrap:
    """CNTV counts from counter - CNTVOFF, which starts below zero: its output falls where that passes zero."""

    def test_falls(self) -> None:
        machine, pe = np.zeros(w.M_WORDS, np.int64), np.zeros(w.P_WORDS, np.int64)
        p: Any = int(pe.ctypes.data)
        pe[w.P_MACHINE], pe[w.P_CNTVOFF] = machine.ctypes.data, 1
        machine[w.M_PER_TICK] = 1
        timers.write(p, timers.CNTV, 2, 1)
        timers.write(p, timers.CNTV, 1, 1)
        assert [int(timers.outputs(p, now)) for now in range(4)] == [1, 0, 1, 1]


class TestMasked:
    """CNTHCTL_EL2.{CNTVMASK, CNTPMASK} hold a timer's interrupt down until the condition that they hide has gone."""

    @pytest.mark.parametrize("timer", [timers.CNTV, timers.CNTP])
    def test_mask(self, timer: int) -> None:
        machine, pe = np.zeros(w.M_WORDS, np.int64), np.zeros(w.P_WORDS, np.int64)
        p: Any = int(pe.ctypes.data)
        pe[w.P_MACHINE] = machine.ctypes.data
        machine[w.M_SKIPPED], machine[w.M_PER_TICK] = 1000, 1
        now = 1000
        timers.write(p, timer, 2, 500)
        timers.write(p, timer, 1, 1)
        pe[w.P_TIMER_MASK] = 1 << timer
        assert timers.outputs(p, now) == 0
        assert timers.next_change(p, now) == timers.NEVER
        timers.write(p, timer, 2, 2000)
        assert timers.outputs(p, now) == 0
        assert timers.next_change(p, now) == 2000
        assert timers.outputs(p, 2000) == 1 << timer
