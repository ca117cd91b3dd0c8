"""The exclusive monitor in saved state: found by looking, exact, and of any engine."""

from typing import Any

import pytest

from cca_platform.engine import monitor
from cca_platform.errors import StateError
from cca_platform.machine.saved import Checkpoint
from cca_platform.state import decode, encode

DATA = 0x8012_0000
_PAIRS = [
    ("ldxr x2, [x1]", "stxr w3, x2, [x1]", 0),
    ("ldxr x2, [x1]; clrex", "stxr w3, x2, [x1]", 0),
    ("ldaxr w2, [x1]", "stlxr w3, w2, [x1]", 4),
    ("ldxrh w2, [x1]", "stxrh w3, w2, [x1]", 2),
    ("ldaxrb w2, [x1]", "stlxrb w3, w2, [x1]", 1),
    ("ldxp x2, x4, [x1]", "stxp w3, x2, x4, [x1]", 16),
    ("ldaxp w2, w4, [x1]", "stlxp w3, w2, w4, [x1]", 8),
    ("ldxr x2, [x1]", "add x1, x1, #8; stxr w3, x2, [x1]", 8),
]


class TestMonitor:
    """Between a load and a store exclusive."""

    @pytest.mark.parametrize(("load", "store", "offset"), _PAIRS)
    @pytest.mark.parametrize("written", [None, "other", "same"])
    def test_fresh(self, benches: Any, load: str, store: str, offset: int, written: str | None) -> None:
        """In a fresh machine the store does what it would have done, also if the memory has changed meanwhile."""
        results = []
        for fresh in (False, True):
            one, other = benches(), benches()
            raw = one.machine.memory.backdoor
            raw.write(DATA, bytes(range(1, 65)))
            one.run(f"{load}; smc #0", x1=DATA + offset)
            if written is not None:
                data = raw.read(DATA, 64) if written == "same" else bytes(range(101, 165))
                raw.write(DATA, data)
            if fresh:
                other.machine.adopt(decode(encode(one.machine.checkpoint()), Checkpoint))
                one = other
            x = one.run(f"{store}; smc #0", x1=DATA + offset, x2=7, x4=8)
            results.append((x[3], one.machine.memory.backdoor.read(DATA, 64)))
        assert results[0] == results[1]

    def test_claim(self, bench: Any) -> None:
        """Address and words are those of the load; without a claim there is nothing."""
        bench.machine.memory.backdoor.write64(DATA, 0x1122_3344_5566_7788)
        bench.run("ldxr x2, [x1]; smc #0", x1=DATA)
        assert bench.machine.save().pes[0].engine.claimed[:2] == (DATA, 0x1122_3344_5566_7788)
        bench.run("clrex; smc #0")
        assert bench.machine.save().pes[0].engine.claimed is None

    def test_not_found(self, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """An engine that does not show its monitor cannot be saved, and says so."""
        bench.run("smc #0")
        monitor._places.cache_clear()
        monkeypatch.setattr(monitor, "_LDXP", monitor._LDXP[4:] * 2)
        with pytest.raises(StateError, match="Unicorn must show its exclusive monitor in a context"):
            bench.machine.snapshot()
        monkeypatch.undo()
        monitor._places.cache_clear()
        bench.machine.snapshot()
