"""Programs for the levels around the firmware, which answer as a test tells them."""

from collections.abc import Callable

from cca_arch.el3 import BootCode, RmmEl3
from cca_platform.pe.pe import Pe

__all__ = ["Quiet", "Rmm"]


class Quiet:
    """A program that no exception reaches."""

    def on_sync(self, pe: Pe, esr: int, far: int, hpfar: int) -> None:
        raise AssertionError(f"unexpected exception {esr:#x}")

    def on_irq(self, pe: Pe) -> None:
        raise AssertionError("unexpected interrupt")

    def on_eret(self, pe: Pe) -> None:
        """Entered by EL3: go on after pe.smc."""


class Rmm(Quiet):
    """A program at R-EL2: it boots with the codes given, notes X0..X30 of each entry, and answers with ``answer``."""

    def __init__(self, codes: dict[int, int]) -> None:
        self.codes = codes
        self.entries: list[tuple[int, list[int]]] = []
        self.booted: set[int] = set()
        self.answer: Callable[[Pe], tuple[int, ...]] = lambda pe: (0, 0, 0, 0, 0)

    def on_eret(self, pe: Pe) -> None:
        self.entries.append((pe.index, pe.x.tolist()))
        if pe.index not in self.booted:
            self.booted.add(pe.index)
            pe.leave(RmmEl3.BOOT_COMPLETE, self.codes.get(pe.index, BootCode.SUCCESS))
            return
        pe.leave(RmmEl3.RMI_REQ_COMPLETE, *self.answer(pe))
