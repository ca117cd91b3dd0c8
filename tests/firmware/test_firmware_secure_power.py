"""Power-off with a Secure payload, which prepares for it."""

from typing import Any

import pytest
from calls import call
from ns_code import constant
from secure_code import NOTES, notes, payload

from cca_arch.psci import Psci, PsciStatus
from cca_platform.errors import MachineStopped


class TestPower:
    @pytest.mark.parametrize(
        ("fid", "entry", "reason"),
        [
            (Psci.SYSTEM_OFF, "system_off", "system off"),
            (Psci.SYSTEM_RESET, "system_reset", "system reset"),
            (Psci.SYSTEM_RESET2, "system_reset", "system reset"),
            (Psci.SYSTEM_RESET2_64, "system_reset", "system reset"),
        ],
    )
    def test_system(self, start: Any, fid: Psci, entry: str, reason: str) -> None:
        """The payload prepares before the system goes off or resets."""
        booted = start(payload(**{entry: f"{constant('x9', NOTES)} str x9, [x9];"}))
        with pytest.raises(MachineStopped, match=reason):
            call(booted.pe, fid, 0)
        assert notes(booted, 1) == [NOTES]

    def test_refused(self, start: Any) -> None:
        """A reset of a type that there is not is refused, and the payload not asked."""
        booted = start(payload(system_reset="b never;"))
        assert call(booted.pe, Psci.SYSTEM_RESET2, 1)[0] == PsciStatus.INVALID_PARAMETERS

    def test_not_ready(self, start: Any) -> None:
        """A payload that could not start is not asked."""
        with pytest.raises(MachineStopped, match="system off"):
            call(start(payload(ready="mov x1, #0;", system_off="b never;")).pe, Psci.SYSTEM_OFF)
