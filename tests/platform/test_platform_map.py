"""The maps of the boards: nothing that software uses reads as zero in silence."""

from random import Random

import pytest

from cca_arch.types import Ticks
from cca_platform.board import WINDOW, Board, names
from cca_platform.machine.machine import Machine
from cca_platform.machine.saved import Checkpoint
from cca_platform.state import decode, encode

MASTERS = ("dma", "smmu", "smmu-root")
"""Devices that access memory by themselves, and have tests of their own."""


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

    @pytest.mark.parametrize("name", names())
    @pytest.mark.parametrize("seed", range(3))
    def test_saved(self, name: str, seed: int) -> None:
        """After any writes, what is written to a file makes another machine whose devices are the same."""
        random = Random(seed)
        one, other = Machine(Board.load(name)), Machine(Board.load(name))
        for row in one.board.devices:
            for _ in range(40 if row.kind != WINDOW and row.name not in MASTERS else 0):
                size = random.choice((1, 2, 4, 4, 4, 8))
                offset = random.choice((random.randrange(0, 0x80, size), random.randrange(0, 0x1000, size)))
                value = random.choice((0xFF, 0x1ACC_E551, random.getrandbits(8 * size))) & (1 << 8 * size) - 1
                one.bus.write(row.base + offset, size, value, random.choice(row.pases))
                one.clock.skip_to(Ticks(one.clock.now + random.randrange(1000)))
                one.events.run(one.clock.now)
        other.adopt(decode(encode(one.checkpoint()), Checkpoint))
        assert other.bus.save() == one.bus.save()
        assert other.events.next == one.events.next
        for machine in (one, other):
            machine.clock.skip_to(Ticks(one.clock.now + 10_000_000))
            machine.events.run(machine.clock.now)
        assert other.bus.save() == one.bus.save()
        one.close()
        other.close()
