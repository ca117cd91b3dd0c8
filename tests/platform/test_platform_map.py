"""The maps of the boards: nothing that software uses reads as zero in silence."""

import pytest

from cca_platform.board import WINDOW, Board, names
from cca_platform.machine.machine import Machine


class TestMap:
    """Every row of a board is a device, or says why it need not be one."""

    @pytest.mark.parametrize("name", names())
    def test_windows(self, name: str) -> None:
        """A window gives its reason; a row with a model needs none."""
        reasons = {row.name: row.options.get("why", "") for row in Board.load(name).devices}
        windows = {row.name for row in Board.load(name).devices if row.kind == WINDOW}
        assert {device for device, why in reasons.items() if why} == windows

    @pytest.mark.parametrize(("name", "windows"), [
        ("fvp", {
            "boot-rom", "ethernet", "usb", "aaci", "mci", "kmi0", "kmi1", "compact-flash", "clcd", "coresight",
             "tzc400", "smmu-pages", "gicv2-cpu-interface", "cci", "gic-its", "trusted-rng",
            "trusted-counters", "root-keys",
        }),
        ("virt", {"gic-its", "platform-bus"}),
    ])  # fmt: skip
    def test_known(self, name: str, windows: set[str]) -> None:
        """Each window is known here: one more is a decision, not an oversight."""
        assert {row.name for row in Board.load(name).devices if row.kind == WINDOW} == windows

    @pytest.mark.parametrize("name", names())
    def test_devices(self, name: str) -> None:
        """Every device can be read at its start in each PAS that it answers in, and its state can be saved."""
        machine = Machine(Board.load(name))
        for row in machine.board.devices:
            if row.kind != WINDOW:
                for pas in row.pases:
                    machine.bus.read(row.base, 4, pas)
        machine.restore(machine.snapshot())
        machine.close()
