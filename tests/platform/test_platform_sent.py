"""What a console keeps of what software sends: its end, within a bound, whatever the pieces and the snapshots."""

import random
import tracemalloc
from typing import Any

import pytest

from cca_platform import sent
from cca_platform.devices.pl011 import Pl011
from cca_platform.sent import KEPT, Sent


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """Keep a hundred bytes, so that a few sends reach the bound."""
    monkeypatch.setattr(sent, "KEPT", 100)
    monkeypatch.setattr(sent, "_SLACK", 13)
    return 100


class TestSent:
    @pytest.mark.parametrize("seed", range(20))
    def test_pieces(self, small: int, seed: int) -> None:
        """The last bytes are kept, in whatever pieces they come, and the others are counted."""
        chosen, console, whole, marks = random.Random(seed), Sent(), b"", [0]
        for _ in range(200):
            piece = chosen.randbytes(chosen.choice((0, 1, 1, 1, 7, 90, 300)))
            console.add(piece)
            whole += piece
            marks.append(len(whole))
            if chosen.random() < 0.1:
                data, dropped = bytes(console), console.dropped
                console = Sent()
                console.restore(data, dropped)
            assert bytes(console) == whole[-small:]
            assert (console.total, console.dropped) == (len(whole), max(len(whole) - small, 0))
            mark = chosen.choice(marks)
            assert console.since(mark) == whole[max(mark, console.dropped) :]

    def test_flat(self) -> None:
        """However much is sent, memory stays within the bound, and each byte costs the same."""
        console, piece = Sent(), b"0123456789abcdef" * 1024
        console.add(piece * 600)
        tracemalloc.start()
        for _ in range(2_600):  # 41 MB
            console.add(piece)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert console.total >= 50 << 20 and len(bytes(console)) == KEPT
        assert peak < 3 * KEPT  # while a buffer grows, there are two


class TestUart:
    def test_snapshot(self, small: int, bench: Any) -> None:
        """A UART that goes back to a snapshot has the same end of its output, and drops the same from there on."""
        uart: Pl011 = bench.machine.bus.devices["uart0"]

        def say(count: int) -> None:
            bench.run(f"mov x1, #{count}; again: str w1, [x10]; subs x1, x1, #1; b.ne again; smc #0", x10=0x1C09_0000)

        say(120)
        saved, ends = bench.machine.snapshot(), []
        for _ in range(2):
            say(30)
            ends.append((uart.output, uart.sent.dropped, uart.save()))
            bench.machine.restore(saved)
            assert (len(uart.output), uart.sent.dropped) == (small, 20)
        assert ends[0] == ends[1] and ends[0][1] == 50
