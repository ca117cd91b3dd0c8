"""Ctrl-C ends a run, whatever the code does: also where nothing of it needs Python."""

import os
import signal
import threading

import pytest
from ns_code import FOREVER, assemble, say

from cca_tools.fast.hot import MODULES
from realmlab import NsImage, NsMachine, Reason

LOOPS = {
    "a jump to itself": (FOREVER, 5_000_000_000),
    "priorities": ("mov x3, #0xf0; again: msr s3_0_c4_c6_0, x3; b again;", 2_000_000),  # less than a slice
}
"""Loops, and how many instructions are too many."""


class TestSignals:
    @pytest.mark.parametrize("what", LOOPS)
    def test_ends(self, what: str) -> None:
        """A signal is heeded while code runs, not only at the end of the run or of a slice."""
        loop, limit = LOOPS[what]
        image = NsImage(assemble(f"{say('.')} {loop}"), name="code")
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        with NsMachine(image, on_output=lambda uart, data: timer.start()) as machine:
            result = machine.run(max_insns=10_000_000_000)
        assert result.reason is Reason.INTERRUPTED and result.instructions < limit

    def test_never_compiled(self) -> None:
        """The function in which Python looks at signals is Python: a compiled one would see none."""
        assert "cca_platform.signals" not in MODULES
