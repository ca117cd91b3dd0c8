"""What a Host may put into gicv3_hcr and the list registers at entry."""

from collections.abc import Callable
from typing import Any

import pytest
from realm_code import REPORT

from cca_arch.rmi.v1_0 import Rmi, RmiRecExit, RmiStatus

Running = Callable[..., Any]


def lr(state: int, vintid: int, *, priority: int = 0xA0, hw: int = 0, pintid: int = 0, group: int = 1) -> int:
    """ICH_LR<n>_EL2."""
    return state << 62 | hw << 61 | group << 60 | priority << 48 | pintid << 32 | vintid


LISTS = [
    ("pending", (lr(1, 27),), True), ("active", (lr(2, 27),), True), ("both", (lr(3, 27),), True),
    ("last-spi", (lr(1, 1019),), True), ("special", (lr(1, 1020),), False), ("special-1023", (lr(1, 1023),), False),
    ("reserved", (lr(1, 8191),), False), ("lpi", (lr(1, 8192),), True), ("last-lpi", (lr(1, 0xFFFF),), True),
    ("hw-1", (lr(1, 27, hw=1),), False), ("hw-2", (lr(2, 27, hw=1),), False), ("hw-3", (lr(3, 27, hw=1),), False),
    ("hw-invalid", (lr(0, 27, hw=1),), True), ("eoi", (lr(1, 27, pintid=1 << 9),), True),
    ("pintid", (lr(1, 27, pintid=1),), False), ("priority", (lr(1, 27, priority=0xA1),), False),
    ("priority-4", (lr(1, 27, priority=4),), False), ("priority-8", (lr(1, 27, priority=8),), True),
    ("group-0", (lr(1, 27, group=0),), True), ("twice", (lr(1, 27), lr(2, 27)), False),
    ("twice-invalid", (lr(1, 27), lr(0, 27)), True), ("four", (lr(1, 27), lr(1, 28), lr(1, 29), lr(1, 30)), True),
    ("fifth-ignored", (0, 0, 0, 0, lr(1, 1020, hw=1)), True), ("invalid-junk", (lr(0, 0xFFFF),), True),
]  # fmt: skip


class TestGic:
    """gicv3_hcr and the list registers at entry."""

    @pytest.mark.parametrize("bit", range(64))
    def test_hcr(self, running: Running, host: Any, bit: int) -> None:
        """Only the bits of mask 0x40FE; they come back, and En does not."""
        realm = running(REPORT)
        allowed = bool(0x40FE >> bit & 1)
        run = realm.prepare(gicv3_hcr=1 << bit)
        expected = (RmiStatus.SUCCESS if allowed else RmiStatus.ERROR_REC, 0)
        assert host.status(Rmi.REC_ENTER, realm.recs[0], run) == expected
        if allowed:
            exit = RmiRecExit.unpack(host.memory.read(run + 0x800, 0x800))
            assert exit.gicv3_hcr & 0x40FF == 1 << bit

    @pytest.mark.parametrize(("name", "lrs", "good"), LISTS, ids=[name for name, _, _ in LISTS])
    def test_list_registers(self, running: Running, host: Any, name: str, lrs: tuple[int, ...], good: bool) -> None:
        """Each rule alone; what is accepted comes back where the Realm has not touched it."""
        realm = running(REPORT)
        words = (*lrs, *(0,) * 16)[:16]
        run = realm.prepare(gicv3_lrs=words)
        status = host.status(Rmi.REC_ENTER, realm.recs[0], run)
        assert status == (RmiStatus.SUCCESS if good else RmiStatus.ERROR_REC, 0)
        if good:
            exit = RmiRecExit.unpack(host.memory.read(run + 0x800, 0x800))
            assert tuple(exit.gicv3_lrs) == (*words[:4], *(0,) * 12)
