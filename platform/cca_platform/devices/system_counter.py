"""The memory-mapped system counter (DDI 0487, chapter I2): CNTControlBase and CNTReadBase.

It is the counter that every timer of the machine counts, so it always runs: CNTCR.EN reads one whatever is written, and
a write to CNTCV, which the architecture leaves open while the counter runs, is ignored. It has one frequency.
"""

from typing import Final

from cca_arch.timer_frames import CntControlBase, Cntcr
from cca_platform.devices.base import Register, RegisterTable
from cca_platform.devices.words import WordDevice, pair

__all__ = ["CounterControl", "CounterRead"]

_EN: Final = Cntcr.en.mask


def _now(frame: WordDevice) -> int:
    return frame.wiring.now()


class _Counter(WordDevice):
    """A frame that shows the counter."""

    def settle(self) -> None:
        """Read the counter once for both words."""
        self.wiring.follow()


class CounterControl(_Counter):
    """CNTControlBase. Its frequency table has one entry, which CNTSR.FCACK names."""

    registers = RegisterTable(
        Register("CNTCR", CntControlBase.CNTCR, writable=Cntcr.hdbg.mask | Cntcr.fcreq.mask, reset=_EN,
                 read=lambda frame: frame.values[CntControlBase.CNTCR] | _EN),
        Register("CNTSR", CntControlBase.CNTSR),
        *pair("CNTCV", CntControlBase.CNTCV, _now),
        Register("CNTFID0", CntControlBase.CNTFID0, read=lambda frame: frame.wiring.clock.counter_hz),
    )  # fmt: skip


class CounterRead(_Counter):
    """CNTReadBase."""

    registers = RegisterTable(*pair("CNTCV", 0x0, _now))
